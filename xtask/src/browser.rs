//! Browser tests: Playwright against the real binary in Debian's Chromium.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::shell::{apt_install, has, output, root, run, say};

/// Runs the tests against a binary; gives passed, failed, skipped.
pub fn test(weir: &PathBuf) -> Result<(u64, u64, u64)> {
    let chromium = chromium()?;
    if !has("npm") {
        apt_install(&["nodejs", "npm"], "the browser tests need Node.js and npm")?;
    }
    let dir = root().join("e2e");
    if !dir.join("node_modules/@playwright/test").is_dir() {
        say("installing Playwright");
        run(Command::new("npm")
            .current_dir(&dir)
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"))?;
    }
    say("browser tests");
    let report = crate::shell::target_dir().join("browser-tests.json");
    // What an earlier run left must not speak for this one.
    let _ = std::fs::remove_file(&report);
    let status = Command::new("npx")
        .current_dir(&dir)
        .args(["playwright", "test"])
        .env("WEIR_BIN", weir)
        .env("WEIR_CHROMIUM", chromium)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &report)
        .status()
        .context("cannot start Playwright")?;
    let text = std::fs::read_to_string(&report).with_context(|| format!("Playwright left no report ({status})"))?;
    let report: serde_json::Value = serde_json::from_str(&text)?;
    let count = |key: &str| report["stats"][key].as_u64().unwrap_or(0);
    let failed = count("unexpected") + u64::from(!status.success() && count("unexpected") == 0);
    Ok((count("expected") + count("flaky"), failed, count("skipped")))
}

fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_CHROMIUM") {
        return Ok(path.into());
    }
    let find = || {
        output(Command::new("sh").args(["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"]))
    };
    if find().is_none_or(|path| path.is_empty()) {
        apt_install(&["chromium", "fonts-dejavu-core"], "the browser tests need Chromium")?;
    }
    find().filter(|path| !path.is_empty()).map(PathBuf::from).context("Chromium was not found")
}
