//! `cargo xtask fuzz`: the targets of `benches/fuzz`, with coverage feedback, on the stable compiler.
//!
//! The compiler's coverage pass is switched on by flags, and libFuzzer comes with a crate, so neither a nightly compiler nor cargo-fuzz is
//! needed. What is found goes to the cache: corpora grow from run to run, inputs that break a target are kept and named.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{cache_dir, cargo, output, root, run, say, show, target_dir};

/// Counters on every edge, and comparisons told to the fuzzer.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Fuzzes each wanted target for so long; an error names those that broke.
pub fn fuzz(seconds: u64, wanted: &[String]) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = wanted.iter().find(|target| !known.contains(target)) {
        bail!("there is no target `{unknown}`; the targets are {}", known.join(", "));
    }
    let programs = build()?;
    let mut broken = Vec::new();
    for target in known.iter().filter(|target| wanted.is_empty() || wanted.contains(target)) {
        if !one(&programs, target, seconds)? {
            broken.push(target.as_str());
        }
    }
    ensure!(broken.is_empty(), "inputs were found that break {}", broken.join(", "));
    Ok(())
}

fn folder() -> PathBuf {
    root().join("benches/fuzz")
}

fn targets() -> Result<Vec<String>> {
    let entries = fs::read_dir(folder().join("targets")).context("cannot list the fuzz targets")?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Builds the targets; gives the folder of their programs.
fn build() -> Result<PathBuf> {
    let host = output(Command::new("rustc").args(["--print", "host-tuple"])).context("rustc does not tell its host")?;
    say("building the fuzz targets with coverage; the first time takes some minutes");
    // With a target named, the flags do not reach build scripts, and the artifacts lie apart from all others.
    run(cargo().current_dir(folder()).env("RUSTFLAGS", COVERAGE).args([
        "build",
        "--quiet",
        "--profile",
        "fuzz",
        "--target",
        &host,
    ]))?;
    Ok(target_dir().join(host).join("fuzz"))
}

/// Runs a target; false when it broke.
fn one(programs: &Path, target: &str, seconds: u64) -> Result<bool> {
    let kept = cache_dir().unwrap_or_else(target_dir).join("fuzz").join(target);
    let (corpus, findings) = (kept.join("corpus"), kept.join("findings"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&findings)?;
    say(&format!("fuzzing {target} for {seconds} s"));
    let mut command = Command::new(programs.join(target));
    command
        .arg(&corpus)
        .arg(folder().join("seeds").join(target))
        .args([&format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"])
        .args(["-print_final_stats=1", "-verbosity=0", &format!("-artifact_prefix={}/", findings.display())]);
    let report = command.output().with_context(|| format!("cannot start `{}`", show(&command)))?;
    let said = String::from_utf8_lossy(&report.stderr);
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or("?").trim();
    let inputs = fs::read_dir(&corpus)?.count();
    if report.status.success() {
        println!("{{\"fuzz\":\"{target}\",\"runs\":{runs},\"seconds\":{seconds},\"corpus\":{inputs},\"findings\":0}}");
        return Ok(true);
    }
    // The last lines tell what broke and where the input was put.
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("stat::")).collect();
    eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    println!("{{\"fuzz\":\"{target}\",\"runs\":{runs},\"seconds\":{seconds},\"corpus\":{inputs},\"findings\":1}}");
    Ok(false)
}
