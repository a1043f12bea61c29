//! `cargo xtask bench NAME`: builds the harness in release and runs it; each benchmark prints JSON lines.

use std::process::Command;

use anyhow::Result;

use crate::{
    run::{binary, compile},
    shell::{cargo, root, run, say},
};

/// Those that watch the product's binary from outside.
const OF_THE_BINARY: &[&str] = &["latency", "recovery", "slow-sink"];

pub fn bench(name: &str, profile: &str, args: &[String]) -> Result<()> {
    say(&format!("building the benchmarks ({profile})"));
    run(cargo().args(["build", "--profile", profile, "--package", "weir-benches"]))?;
    if OF_THE_BINARY.contains(&name) {
        compile(profile)?;
    }
    run(Command::new(binary(profile).with_file_name("weir-benches")).current_dir(root()).arg(name).args(args))
}
