//! Where pipelines of a server may read and write: below their project's folder, and where the operator allows it.
//!
//! Whoever may deploy a pipeline chooses its paths. Without this, they could read any file of the server's user, the master key
//! among them. It is asked when a document is checked and again when its run starts. What a glob matches, what lies in a folder and
//! what becomes a symbolic link later is looked at by those who open it (`weir_connectors::BaseDir`).

use std::path::{Component, Path, PathBuf};

use weir_plan::Lookup;
use weir_spec::{
    Diagnostic, Pipeline, Step,
    connector::{SinkConnector, SourceConnector},
    metric::WindowCheck,
    quality::{Check, Rule},
};

/// The folders in which the pipelines of one project may read and write.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Where relative paths begin.
    pub base_dir: PathBuf,
    /// Further folders, as the operator says.
    pub allowed: Vec<PathBuf>,
}

impl Confinement {
    /// An error for every path that leaves the folders. Symbolic links are followed as far as they exist.
    pub(crate) fn refusals(&self, pipeline: &Pipeline, contracts: &dyn Lookup) -> Vec<Diagnostic> {
        let mut paths: Vec<(String, String)> = Vec::new();
        for (name, source) in &pipeline.sources {
            if let SourceConnector::File(file) = &source.connector {
                paths.push((format!("sources.{name}.file.path"), file.path.clone()));
            }
            let contract = source.contract.as_ref().and_then(|reference| contracts.contract(reference));
            let rules = contract.map(|contract| contract.rules).unwrap_or_default();
            paths.extend(rules.iter().filter_map(references).map(|file| (format!("sources.{name}.contract"), file.to_owned())));
        }
        for (name, table) in &pipeline.tables {
            let connector = &table.connector;
            paths.push((format!("tables.{name}.{}.path", connector.key()), connector.path().to_owned()));
            let contract = table.contract.as_ref().and_then(|reference| contracts.contract(reference));
            let rules = contract.map(|contract| contract.rules).unwrap_or_default();
            paths.extend(rules.iter().filter_map(references).map(|file| (format!("tables.{name}.contract"), file.to_owned())));
        }
        for (name, step) in &pipeline.steps {
            let Step::Quality(quality) = step else { continue };
            paths.extend(quality.rules.iter().enumerate().filter_map(|(i, rule)| {
                Some((format!("steps.{name}.quality.rules[{i}].references.file"), references(rule)?.to_owned()))
            }));
            let windows = quality.windows.iter().flat_map(|windows| windows.rules.iter().enumerate());
            paths.extend(windows.filter_map(|(i, rule)| match &rule.check {
                WindowCheck::Distribution(distribution) => {
                    let at = format!("steps.{name}.quality.metrics[{i}].distribution.reference");
                    Some((at, distribution.reference.clone()))
                }
                _ => None,
            }));
        }
        for (name, sink) in &pipeline.sinks {
            match &sink.connector {
                SinkConnector::File(file) => paths.push((format!("sinks.{name}.file.path"), file.path.clone())),
                SinkConnector::Sqlite(table) => paths.push((format!("sinks.{name}.sqlite.path"), table.path.clone())),
                SinkConnector::Stdout(_) => {}
            }
        }
        paths.retain(|(_, path)| !path.is_empty() && !self.is_inside(&self.base_dir.join(path)));
        paths.into_iter().map(|(at, path)| refusal(at, &path)).collect()
    }

    fn is_inside(&self, path: &Path) -> bool {
        let Some(path) = resolve(path) else { return false };
        let roots = std::iter::once(&self.base_dir).chain(&self.allowed);
        roots.filter_map(|root| resolve(root)).any(|root| path.starts_with(root))
    }
}

fn references(rule: &Rule) -> Option<&str> {
    match &rule.check {
        Check::References { file, .. } => Some(file),
        _ => None,
    }
}

fn refusal(at: String, path: &str) -> Diagnostic {
    let message = format!("the path `{path}` leaves the folder of this project's files");
    let help = "write a path below that folder, `files/PROJECT` in the server's data folder; or let the operator start \
                `weir serve` with `--allow DIR` for another one";
    Diagnostic::error("path-outside", at, message).with_help(help)
}

/// The absolute path without `.`, `..` and symbolic links, as far as it exists. None when `..` leaves the root or a name below a
/// missing folder goes up again, or where a link leads to nothing.
fn resolve(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            other => {
                resolved.push(other);
                match resolved.canonicalize() {
                    Ok(real) => resolved = real,
                    // Whoever writes there makes what it leads to.
                    Err(_) if resolved.is_symlink() => return None,
                    Err(_) => {}
                }
            }
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_folders_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("files");
        let other = dir.path().join("other");
        std::fs::create_dir_all(base.join("in")).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&other, base.join("link")).unwrap();
            std::os::unix::fs::symlink(other.join("absent"), base.join("nowhere")).unwrap();
        }
        let inside = |path: &str, allowed: &[PathBuf]| {
            Confinement { base_dir: base.clone(), allowed: allowed.to_vec() }.is_inside(&base.join(path))
        };
        for path in ["a.json", "in/*.json", "./in/../b", "new/folder", ""] {
            assert!(inside(path, &[]), "{path}");
        }
        for path in ["../x", "in/../../x", "/etc/passwd", "../files-other/x", "link/x", "nowhere", "nowhere/x"] {
            assert!(!inside(path, &[]), "{path}");
        }
        let allowed = [other.clone()];
        assert!(inside(&other.join("x").to_string_lossy(), &allowed));
        assert!(inside("link/x", &allowed));
    }
}
