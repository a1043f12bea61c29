//! Which crates have tests in their documentation: reading all others once more to find none takes half a minute.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::shell::{cargo, output};

/// The names of the packages whose sources hold at least one example that rustdoc would run.
pub fn crates_with_tests() -> Result<Vec<String>> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"])).context("cargo metadata failed")?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let mut names = Vec::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists packages")? {
        let name = package["name"].as_str().context("a package has a name")?;
        let manifest = Path::new(package["manifest_path"].as_str().context("a package has a manifest")?);
        let sources = manifest.parent().context("a manifest lies in a folder")?.join("src");
        if any_example(&sources)? {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn any_example(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten() {
        let path = entry.path();
        let found = match path.is_dir() {
            true => any_example(&path)?,
            false => path.extension().is_some_and(|ending| ending == "rs") && has_example(&fs::read_to_string(&path)?),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether documentation comments open a block of code that is not marked as something else than Rust to be run.
fn has_example(source: &str) -> bool {
    let mut inside = false;
    for line in source.lines() {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            inside = false;
            continue;
        };
        let Some(language) = doc.trim_start().strip_prefix("```") else { continue };
        if !inside && !["text", "ignore", "yaml", "json", "sql", "sh"].contains(&language.trim()) {
            return true;
        }
        inside = !inside;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_a_block_that_rustdoc_runs() {
        for (source, example) in [
            ("/// ```\n/// f();\n/// ```\nfn f() {}", true),
            ("//! ```rust\n//! f();\n//! ```", true),
            ("    /// ```no_run\n    /// f();\n    /// ```", true),
            ("//! ```text\n//! a --> b\n//! ```\n//! and\n//! ```\n//! f();\n//! ```", true),
            ("//! ```text\n//! a --> b\n//! ```", false),
            ("/// Nothing.\n// ```\nfn f() {}", false),
        ] {
            assert_eq!(has_example(source), example, "{source}");
        }
    }
}
