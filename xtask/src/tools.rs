//! What the work needs of the machine: looked for before it begins, installed where that is possible, and otherwise named all at once.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::shell::{apt_install, can_install, cargo, has, output, say};

/// What Playwright asks for.
const NODE: u32 = 20;

/// Something that must be there, and how to get it.
pub struct Tool {
    name: &'static str,
    why: &'static str,
    /// Debian packages that bring it.
    packages: &'static [&'static str],
    /// Says what is wrong, if anything is.
    problem: fn() -> Option<String>,
    /// How to get it without Debian's packages.
    otherwise: &'static str,
}

pub const C_COMPILER: Tool = Tool {
    name: "a C compiler",
    why: "SQLite and zstd are compiled from C",
    packages: &["gcc", "libc6-dev"],
    problem: || {
        let found = std::env::var_os("CC").is_some() || ["cc", "gcc", "clang"].into_iter().any(has);
        (!found).then(|| "neither cc, gcc nor clang is on the path".to_owned())
    },
    otherwise: "your system's compiler package",
};

pub const RUSTFMT: Tool = Tool {
    name: "rustfmt",
    why: "the format is checked",
    packages: &[],
    problem: || output(cargo().args(["fmt", "--version"])).is_none().then(|| "`cargo fmt` does not run".to_owned()),
    otherwise: "`rustup component add rustfmt`, or Debian's package rustfmt",
};

pub const CLIPPY: Tool = Tool {
    name: "clippy",
    why: "lints are checked",
    packages: &[],
    problem: || output(cargo().args(["clippy", "--version"])).is_none().then(|| "`cargo clippy` does not run".to_owned()),
    otherwise: "`rustup component add clippy`, or Debian's package rust-clippy",
};

pub const NODE_JS: Tool = Tool {
    name: "Node.js 20 or newer",
    why: "Playwright runs the browser tests",
    packages: &["nodejs"],
    problem: || match output(Command::new("node").arg("--version")) {
        None => Some("`node` does not run".to_owned()),
        Some(version) => is_too_old(&version).then(|| format!("this is {version}")),
    },
    otherwise: "nodejs.org, or Debian 13 or newer",
};

pub const NPM: Tool = Tool {
    name: "npm",
    why: "it installs Playwright",
    packages: &["npm"],
    problem: || {
        let missing: Vec<&str> = ["npm", "npx"].into_iter().filter(|program| !has(program)).collect();
        (!missing.is_empty()).then(|| format!("not on the path: {}", missing.join(", ")))
    },
    otherwise: "it comes with Node.js",
};

pub const CHROMIUM: Tool = Tool {
    name: "Chromium",
    why: "the browser tests drive it",
    packages: &["chromium", "fonts-dejavu-core"],
    problem: || match std::env::var_os("WEIR_CHROMIUM") {
        Some(path) if !Path::new(&path).is_file() => Some(format!("WEIR_CHROMIUM names {}, which is no file", path.display())),
        _ => chromium().is_none().then(|| "neither chromium, chromium-browser nor google-chrome is on the path".to_owned()),
    },
    otherwise: "any Chromium or Chrome, named by WEIR_CHROMIUM",
};

/// The browser of the tests.
pub fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_CHROMIUM") {
        return Some(path.into());
    }
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(crate::shell::find)
}

/// Installs what is missing where that is possible; what is missing then is named in one error.
pub fn ensure(tools: &[&Tool]) -> Result<()> {
    let installable = |tool: &&&Tool| can_install() && !tool.packages.is_empty() && (tool.problem)().is_some();
    for tool in tools.iter().filter(installable) {
        if let Err(error) = apt_install(tool.packages, tool.why) {
            say(&format!("{} could not be installed: {error:#}", tool.name));
        }
    }
    let missing = report(tools.iter().map(|tool| (*tool, (tool.problem)())));
    if !missing.is_empty() {
        bail!("this is missing:\n{}", missing.join("\n"));
    }
    Ok(())
}

fn report<'a>(found: impl Iterator<Item = (&'a Tool, Option<String>)>) -> Vec<String> {
    found
        .filter_map(|(tool, problem)| {
            let problem = problem?;
            let packages = match tool.packages {
                [] => String::new(),
                packages => format!("`apt-get install {}` as root, or ", packages.join(" ")),
            };
            Some(format!("  {}, because {}: {problem}. Get it by {packages}{}.", tool.name, tool.why, tool.otherwise))
        })
        .collect()
}

/// Whether `v18.19.0` is older than what is needed; what is no version counts as old.
fn is_too_old(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_none_or(|major| major < NODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_compared_by_their_first_number() {
        for (version, old) in [("v18.19.0", true), ("v20.0.0", false), ("v20.20.2", false), ("v100.1.0", false), ("what", true)] {
            assert_eq!(is_too_old(version), old, "{version}");
        }
    }

    #[test]
    fn everything_missing_is_told_with_its_reason_and_its_remedy() {
        let told =
            report([(&NODE_JS, Some("this is v18.19.0".to_owned())), (&NPM, None), (&CLIPPY, Some("no".to_owned()))].into_iter());
        assert_eq!(
            told,
            [
                "  Node.js 20 or newer, because Playwright runs the browser tests: this is v18.19.0. Get it by `apt-get install nodejs` as root, or nodejs.org, or Debian 13 or newer.",
                "  clippy, because lints are checked: no. Get it by `rustup component add clippy`, or Debian's package rust-clippy.",
            ]
        );
    }
}
