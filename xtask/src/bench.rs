//! `cargo xtask bench NAME`: builds the harness in release and runs it; each benchmark prints one JSON line.

use anyhow::Result;

use crate::shell::{cargo, root, run, say, target_dir};

pub fn bench(name: &str, args: &[String]) -> Result<()> {
    say("building the benchmarks (release)");
    run(cargo().args(["build", "--release", "--package", "weir-benches"]))?;
    run(std::process::Command::new(target_dir().join("release/weir-benches")).current_dir(root()).arg(name).args(args))
}
