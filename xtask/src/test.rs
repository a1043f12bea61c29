//! `cargo xtask test`: everything that must hold before a change lands. Closes with `N passed, N failed, N skipped`.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    browser, run,
    shell::{cargo, run as execute, say},
    site, tidy,
};

const PARTS: [&str; 6] = ["tidy", "fmt", "clippy", "unit", "wasm", "browser"];

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    fn add(&mut self, (passed, failed, skipped): (u64, u64, u64)) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }

    /// A check that is not a test harness of its own counts as one test.
    fn check(&mut self, what: &str, result: Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("{what}: {error:#}");
                self.failed += 1;
            }
        }
    }
}

pub fn test(only: &[String]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part `{unknown}`; the parts are {}", PARTS.join(", "));
    }
    let wanted = |part: &str| only.is_empty() || only.iter().any(|wanted| wanted == part);
    let mut tally = Tally::default();
    if wanted("tidy") {
        say("layout");
        tally.check("layout", tidy::tidy());
    }
    if wanted("fmt") {
        say("format");
        tally.check("format", execute(cargo().args(["fmt", "--all", "--check"])));
    }
    if wanted("clippy") {
        say("lints");
        tally
            .check("lints", execute(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    }
    if wanted("unit") {
        say("unit, property, integration and golden tests");
        tally.add(cargo_test()?);
    }
    let mut site_dir = None;
    if wanted("wasm") || wanted("browser") {
        match site::build() {
            Ok(dir) => {
                site_dir = Some(dir);
                tally.passed += 1;
            }
            Err(error) => tally.check("wasm build", Err(error)),
        }
    }
    if let Some(site) = site_dir.filter(|_| wanted("browser")) {
        say("building weir for the browser tests");
        let built =
            execute(cargo().env("WEIR_SITE_DIR", site).args(["build", "--quiet", "--package", "weir-server", "--bin", "weir"]));
        match built.and_then(|()| browser::test(&run::binary("dev"))) {
            Ok(counts) => tally.add(counts),
            Err(error) => tally.check("browser tests", Err(error)),
        }
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    ensure!(tally.failed == 0, "the tests failed");
    Ok(())
}

/// Runs `cargo test` for the workspace and adds up what its harnesses report. A test that lacks its data says `skipped:` and
/// counts as skipped.
fn cargo_test() -> Result<(u64, u64, u64)> {
    let mut child = cargo()
        .args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let (mut passed, mut failed, mut skipped, mut ignored) = (0u64, 0, 0, 0);
    let mut shown = false;
    for line in BufReader::new(child.stdout.take().context("cargo test has an output")?).lines() {
        let line = line?;
        if let Some(reason) = line.strip_prefix("skipped: ") {
            skipped += 1;
            println!("skipped: {reason}");
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                counts
                    .split(&['.', ';'][..])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            passed += count(" passed");
            failed += count(" failed");
            ignored += count(" ignored");
        }
        // Failures in full, successes by their count.
        if line == "failures:" {
            shown = true;
        }
        if line.starts_with("test result: ") {
            shown = false;
            println!("{line}");
        } else if shown || line.ends_with("... FAILED") {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && failed == 0 {
        eprintln!("cargo test failed: {status}");
        failed = 1;
    }
    // A test that skips itself passes in its harness; it must not count twice.
    Ok((passed.saturating_sub(skipped), failed, skipped + ignored))
}
