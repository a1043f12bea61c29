//! Promises of the layout that the compiler does not check.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::shell::{cargo, output, root};

/// Crates that may never be reached from others, with why.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("weir-app", "weir-store", "the console reaches data through weir-service only"),
    ("weir-engine", "weir-store", "the engine knows nothing of the control database"),
    ("weir-engine", "axum", "the engine knows nothing of HTTP handlers"),
    ("weir-engine", "sea-orm", "the engine knows nothing of the control database"),
    ("weir-plan", "sea-orm", "planning performs no I/O"),
    ("weir-plan", "weir-vault", "plan depends on spec only"),
    ("weir-spec", "arrow", "spec is pure and builds for wasm32"),
    ("weir-spec", "tokio", "spec is pure and builds for wasm32"),
    ("weir-api", "tokio", "api builds for wasm32"),
    ("weir-evidence", "sea-orm", "evidence is verified without a database"),
];

/// Crates that only one crate may name.
const SOLE: &[(&str, &str)] = &[("casbin", "weir-authz")];

pub fn tidy() -> Result<()> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))
        .or_else(|| output(cargo().args(["metadata", "--format-version", "1", "--no-deps"])))
        .context("cargo metadata failed")?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let mut direct: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists packages")? {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        direct.insert(name, normal.filter_map(|dependency| dependency["name"].as_str().map(str::to_owned)).collect());
    }
    let mut problems = Vec::new();
    for (from, to, why) in FORBIDDEN {
        // The console reaches the store through the service; it must not name it itself.
        let found = if *from == "weir-app" { direct[*from].iter().any(|name| name == to) } else { reaches(&direct, from, to) };
        if found {
            problems.push(format!("{from} depends on {to}: {why}"));
        }
    }
    for (name, owner) in SOLE {
        for (package, dependencies) in &direct {
            if package != owner && dependencies.iter().any(|dependency| dependency == name) {
                problems.push(format!("{package} names {name}, which only {owner} may"));
            }
        }
    }
    check_files(&root(), &mut problems)?;
    ensure!(problems.is_empty(), "the layout is not as promised:\n  {}", problems.join("\n  "));
    Ok(())
}

/// Whether a workspace crate reaches another crate through workspace crates.
fn reaches(direct: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> bool {
    let mut stack = vec![from.to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(name) = stack.pop() {
        for dependency in direct.get(&name).into_iter().flatten() {
            if dependency == to {
                return true;
            }
            if direct.contains_key(dependency) && seen.insert(dependency.clone()) {
                stack.push(dependency.clone());
            }
        }
    }
    false
}

/// Every source file says what it is for; entities of the database are named by the store alone.
fn check_files(root: &Path, problems: &mut Vec<String>) -> Result<()> {
    let mut stack = vec![root.to_path_buf()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules", "weir-data"].contains(&name.as_str()) {
                    stack.push(path);
                }
                continue;
            }
            if !name.ends_with(".rs") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            if !text.lines().any(|line| line.starts_with("//!")) {
                problems.push(format!("{shown}: no `//!` line says what the file is for"));
            }
            let in_store = shown.starts_with("crates/store/") || shown.starts_with("xtask/");
            if !in_store && (text.contains("weir_store::entity") || text.contains("use sea_orm::")) {
                problems.push(format!("{shown}: names entities of the database, which only the store may"));
            }
        }
    }
    Ok(())
}
