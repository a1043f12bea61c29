//! `cargo xtask test`: everything that must hold before a change lands. Closes with `N passed, N failed, N skipped`.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    browser, docs, oracle, run,
    shell::{cargo, run as execute, target_dir},
    site,
    steps::{Counts, Steps},
    tidy, tools, wasm,
};

const PARTS: [&str; 6] = ["tidy", "fmt", "clippy", "unit", "wasm", "browser"];

pub fn test(only: &[String]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part `{unknown}`; the parts are {}", PARTS.join(", "));
    }
    let wanted = |part: &str| only.is_empty() || only.iter().any(|wanted| wanted == part);
    let mut steps = Steps::default();
    // What is missing is known before the long work begins.
    if steps.check("tools", || prepare(wanted)).is_some() {
        run_parts(&mut steps, wanted);
    }
    println!("\n{}", steps.table());
    let Counts { passed, failed, skipped } = steps.total();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ensure!(failed == 0, "the tests failed");
    Ok(())
}

/// Makes sure of every tool of the wanted parts.
fn prepare(wanted: impl Fn(&str) -> bool) -> Result<()> {
    let needs: [(&tools::Tool, &[&str]); 6] = [
        (&tools::C_COMPILER, &["clippy", "unit", "browser"]),
        (&tools::RUSTFMT, &["fmt"]),
        (&tools::CLIPPY, &["clippy"]),
        (&tools::NODE_JS, &["browser"]),
        (&tools::NPM, &["browser"]),
        (&tools::CHROMIUM, &["browser"]),
    ];
    let needed: Vec<&tools::Tool> =
        needs.iter().filter(|(_, parts)| parts.iter().any(|part| wanted(part))).map(|(tool, _)| *tool).collect();
    tools::ensure(&needed)?;
    if wanted("wasm") || wanted("browser") {
        wasm::ensure_target()?;
    }
    if wanted("unit")
        && let Err(error) = oracle::ensure()
    {
        eprintln!("comparisons with another engine will be skipped: {error:#}");
    }
    if wanted("browser") {
        browser::install_playwright()?;
    }
    Ok(())
}

fn run_parts(steps: &mut Steps, wanted: impl Fn(&str) -> bool) {
    if wanted("tidy") {
        steps.check("layout", tidy::tidy);
    }
    if wanted("fmt") {
        steps.check("format", || execute(cargo().args(["fmt", "--all", "--check"])));
    }
    // First, because the server that the tests build embeds it.
    let console = match wanted("wasm") || wanted("browser") {
        true => steps.check("wasm build", site::build).is_some(),
        false => false,
    };
    if wanted("clippy") {
        steps.check("lints", || {
            execute(site::embedded(&mut cargo()).args([
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]))
        });
    }
    // One build for all tests: the binary that integration tests start is the one that the browser meets.
    let built = match (wanted("unit"), wanted("browser") && console) {
        (false, false) => return,
        (true, _) => steps.check("building the tests", || execute(workspace_tests().args(["--quiet", "--no-run"]))).is_some(),
        (false, true) => steps.check("building weir", || run::compile("dev").map(drop)).is_some(),
    };
    if !built {
        return;
    }
    // Kept from builds that begin meanwhile, which would put another binary in its place.
    let weir = target_dir().join("weir-under-test");
    let kept = || -> Result<()> {
        let _ = std::fs::remove_file(&weir);
        std::fs::hard_link(run::binary("dev"), &weir).or_else(|_| std::fs::copy(run::binary("dev"), &weir).map(drop))?;
        Ok(())
    };
    if let Err(error) = kept() {
        steps.check::<()>("keeping the binary", || Err(error));
        return;
    }
    if wanted("unit") {
        steps.count("unit and integration tests", cargo_tests);
    }
    if wanted("browser") && console {
        steps.count("browser tests", || browser::test(&weir));
    }
}

/// All tests but those in documentation, for which each crate would be read once more. Examples are compiled by the lints.
fn workspace_tests() -> std::process::Command {
    let mut command = cargo();
    site::embedded(&mut command).args(["test", "--workspace", "--lib", "--bins", "--tests"]);
    command
}

fn cargo_tests() -> Result<Counts> {
    // Many tests wait for checkpoints and processes; others can use the cores meanwhile.
    let threads = std::thread::available_parallelism().map_or(2, |cores| 2 * cores.get()).to_string();
    let threads = std::env::var("RUST_TEST_THREADS").unwrap_or(threads);
    let mut counts = cargo_test(workspace_tests().arg("--no-fail-fast").env("RUST_TEST_THREADS", threads))?;
    let with_examples = docs::crates_with_tests()?;
    if !with_examples.is_empty() {
        let mut command = cargo();
        command.args(["test", "--doc", "--no-fail-fast"]);
        command.args(with_examples.iter().flat_map(|name| ["--package", name]));
        let more = cargo_test(&mut command)?;
        counts.passed += more.passed;
        counts.failed += more.failed;
        counts.skipped += more.skipped;
    }
    Ok(counts)
}

/// Runs a `cargo test` and adds up what its harnesses report. A test that lacks its data says `skipped:` and counts as skipped.
fn cargo_test(command: &mut std::process::Command) -> Result<Counts> {
    let mut child = command.args(["--", "--show-output"]).stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
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
    Ok(Counts { passed: passed.saturating_sub(skipped), failed, skipped: skipped + ignored })
}
