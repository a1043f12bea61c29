//! Where pipelines of a server may read and write: below their project's folder, and where the operator allows it.
//!
//! Whoever may deploy a pipeline chooses its paths. Without this, they could read any file of the server's user, the master key
//! among them.

use std::path::{Component, Path, PathBuf};

use weir_plan::{NodeKind, Plan};
use weir_spec::{
    connector::{SinkConnector, SourceConnector},
    quality::Check,
};

/// The first path of the plan that leaves the folders allowed, as a message; None when all stay inside. Symbolic links are
/// followed as far as they exist.
pub fn escapes(plan: &Plan, base_dir: &Path, allowed: &[PathBuf]) -> Option<String> {
    plan.nodes.iter().find_map(|node| {
        let paths: Vec<&str> = match &node.kind {
            NodeKind::Source(source) => match &source.connector {
                SourceConnector::File(file) => vec![&file.path],
                _ => Vec::new(),
            },
            NodeKind::Sink(planned) => match &planned.sink.connector {
                SinkConnector::File(file) => vec![&file.path],
                SinkConnector::Stdout(_) => Vec::new(),
            },
            NodeKind::Quality(quality) => quality
                .rules
                .iter()
                .filter_map(|rule| match &rule.check {
                    Check::References { file, .. } => Some(file.as_str()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let outside = paths.into_iter().find(|path| !is_inside(&base_dir.join(path), base_dir, allowed))?;
        Some(format!(
            "{}: the path {outside} leaves the folder {} of this project; put the files there, or start weir with --allow for theirs",
            node.name,
            base_dir.display()
        ))
    })
}

fn is_inside(path: &Path, base_dir: &Path, allowed: &[PathBuf]) -> bool {
    let Some(path) = resolve(path) else { return false };
    std::iter::once(base_dir).chain(allowed.iter().map(PathBuf::as_path)).filter_map(resolve).any(|root| path.starts_with(root))
}

/// The absolute path without `.`, `..` and symbolic links, as far as it exists. None when `..` leaves the root or a name below a
/// missing folder goes up again.
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
                if let Ok(real) = resolved.canonicalize() {
                    resolved = real;
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
        std::os::unix::fs::symlink(&other, base.join("link")).unwrap();
        let inside = |path: &str, allowed: &[PathBuf]| is_inside(&base.join(path), &base, allowed);
        for path in ["a.json", "in/*.json", "./in/../b", "new/folder", ""] {
            assert!(inside(path, &[]), "{path}");
        }
        for path in ["../x", "in/../../x", "/etc/passwd", "../files-other/x", "link/x"] {
            assert!(!inside(path, &[]), "{path}");
        }
        let allowed = [other.clone()];
        assert!(inside(&other.join("x").to_string_lossy(), &allowed));
        assert!(inside("link/x", &allowed));
    }
}
