//! Browser tests: Playwright against the real binary in Debian's Chromium.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    shell::{root, run, say, target_dir},
    steps::Counts,
    tools,
};

/// Installs the packages of `e2e/package-lock.json`, unless they are there.
pub fn install_playwright() -> Result<()> {
    let dir = root().join("e2e");
    if is_installed(&dir) {
        return Ok(());
    }
    say("installing Playwright");
    run(Command::new("npm")
        .current_dir(&dir)
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"))
    .context("the packages of e2e/package-lock.json could not be installed")
}

/// Whether npm's record of what it installed names every package of the lock file in its version; optional ones are for other systems.
fn is_installed(dir: &Path) -> bool {
    let packages = |file: &str| -> Option<Value> {
        let text = fs::read_to_string(dir.join(file)).ok()?;
        Some(serde_json::from_str::<Value>(&text).ok()?.get_mut("packages")?.take())
    };
    let (Some(locked), Some(installed)) = (packages("package-lock.json"), packages("node_modules/.package-lock.json")) else {
        return false;
    };
    locked.as_object().is_some_and(|locked| {
        let mut wanted = locked.iter().filter(|(path, package)| !path.is_empty() && package["optional"] != Value::Bool(true));
        wanted.all(|(path, package)| installed[path]["version"] == package["version"])
    })
}

/// Runs the tests against a binary.
pub fn test(weir: &Path) -> Result<Counts> {
    let report = target_dir().join("browser-tests.json");
    // What an earlier run left must not speak for this one.
    let _ = fs::remove_file(&report);
    let status = Command::new("npx")
        .current_dir(root().join("e2e"))
        .args(["playwright", "test"])
        .env("WEIR_BIN", weir)
        .env("WEIR_CHROMIUM", tools::chromium().context("Chromium was not found")?)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &report)
        .status()
        .context("cannot start Playwright")?;
    let text = fs::read_to_string(&report).with_context(|| format!("Playwright left no report ({status})"))?;
    let report: Value = serde_json::from_str(&text)?;
    let count = |key: &str| report["stats"][key].as_u64().unwrap_or(0);
    let failed = count("unexpected") + u64::from(!status.success() && count("unexpected") == 0);
    ensure!(failed > 0 || count("expected") > 0, "Playwright ran no test");
    Ok(Counts { passed: count("expected") + count("flaky"), failed, skipped: count("skipped") })
}
