//! The other engine that results are compared with: Python with DuckDB, in a folder of its own in the cache.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::shell::{cache_dir, has, output, root, run, say};

/// What the comparisons were written for.
const DUCKDB: &str = "1.4.1";

/// Makes sure of it and gives its Python. Tests that need it are skipped where this fails.
pub fn ensure() -> Result<PathBuf> {
    let folder = cache_dir().unwrap_or_else(|| root().join("target")).join("oracle");
    let python = folder.join("bin/python");
    let version = || output(Command::new(&python).args(["-c", "import duckdb; print(duckdb.__version__)"]));
    if version().as_deref() == Some(DUCKDB) {
        return Ok(python);
    }
    ensure!(has("python3"), "Python 3 is missing");
    say("installing DuckDB, which results are compared with");
    // Begun anew: what an earlier attempt left half made is in the way.
    let _ = std::fs::remove_dir_all(&folder);
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).and_then(|()| {
        let package = format!("duckdb=={DUCKDB}");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &package]))
    });
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    made.context("Python cannot make a virtual environment with DuckDB (Debian: python3-venv)")?;
    ensure!(version().as_deref() == Some(DUCKDB), "DuckDB {DUCKDB} was installed and does not answer");
    Ok(python)
}
