//! Running other programs, and where things are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project's root").to_path_buf()
}

/// Where builds go: one folder for all checkouts of one user, so that a second checkout finds its dependencies built.
/// `CARGO_TARGET_DIR` overrides.
pub fn target_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR") {
        return root().join(dir);
    }
    match cache_dir() {
        Some(cache) => cache.join("target"),
        None => root().join("target"),
    }
}

/// Where things are kept that can be made again, for all checkouts of one user.
pub fn cache_dir() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(cache.join("weir"))
}

/// Cargo, in the project's root, building into [`target_dir`].
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    // Set by the cargo that runs this program, for it alone.
    for key in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(key);
    }
    // A fresh clone gains nothing from incremental builds and pays for them.
    if std::env::var_os("CI").is_some() && std::env::var_os("CARGO_INCREMENTAL").is_none() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Says what is being done.
pub fn say(what: &str) {
    eprintln!("\u{1b}[1m==> {what}\u{1b}[0m");
}

/// Runs a command; its failure is an error that shows the command.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and gives its standard output; None when it fails or does not exist.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program is on the path.
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Whether a program is on the path.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

pub fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Whether this is a Debian on which packages may be installed.
pub fn can_install() -> bool {
    has("apt-get") && output(Command::new("id").arg("-u")).as_deref() == Some("0")
}

/// Installs Debian packages where that is possible, and otherwise says which are missing.
pub fn apt_install(packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    if !can_install() {
        bail!("{why}: please install {list} (Debian: `sudo apt-get install {list}`) and try again");
    }
    say(&format!("installing {list}"));
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-o", "Dpkg::Use-Pty=0"]).args(args).args(packages.iter().filter(|_| args.contains(&"install")));
        run(command.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
    };
    if apt(&["install", "--yes", "--no-install-recommends"]).is_err() {
        apt(&["update"])?;
        apt(&["install", "--yes", "--no-install-recommends"])
            .with_context(|| format!("{why}: the packages {list} are missing and could not be installed"))?;
    }
    Ok(())
}
