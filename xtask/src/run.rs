//! `cargo xtask run`: from a fresh clone to a console with running pipelines.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    shell::{cargo, root, run as execute, say, target_dir},
    site, tools,
};

/// Builds the console and the binary; gives the binary's path.
pub fn build(profile: &str) -> Result<PathBuf> {
    tools::ensure(&[&tools::C_COMPILER])?;
    site::build()?;
    say(&format!("building weir (profile {profile}); the first time takes some minutes"));
    compile(profile)
}

/// Builds the binary around a console that is built; gives its path.
pub fn compile(profile: &str) -> Result<PathBuf> {
    let mut command = cargo();
    site::embedded(&mut command).args(["build", "--package", "weir-server", "--bin", "weir", "--profile", profile]);
    execute(&mut command)?;
    Ok(binary(profile))
}

/// Where cargo puts the binary of a profile.
pub fn binary(profile: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    target_dir().join(folder).join("weir")
}

pub fn run(data: &str, listen: &str, profile: &str) -> Result<()> {
    let weir = build(profile)?;
    say("starting weir; Ctrl-C stops it");
    let mut command = Command::new(weir);
    command.current_dir(root()).args(["serve", "--demo", "--data", data, "--listen", listen]);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Replaces this process, so that signals reach weir itself.
        Err(anyhow::Error::from(command.exec()).context("cannot start weir"))
    }
    #[cfg(not(unix))]
    execute(&mut command)
}
