//! The wasm32 target of the compiler in use: from rustup, or built from Debian's package of the very same compiler's sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::shell::{apt_install, cargo, has, output, run, say, target_dir};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Makes sure that the compiler can build for wasm.
pub fn ensure_target() -> Result<()> {
    let sysroot = PathBuf::from(output(Command::new(rustc()).args(["--print", "sysroot"])).context("cannot run rustc")?);
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let installed = || {
        fs::read_dir(&libraries)
            .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
    };
    if installed() {
        return Ok(());
    }
    // Only to try the second way where the first would work.
    let skip_rustup = std::env::var_os("WEIR_WASM_FROM_SOURCE").is_some();
    if has("rustup") && !skip_rustup {
        say(&format!("installing the target {TARGET}"));
        if run(Command::new("rustup").args(["target", "add", TARGET])).is_ok() && installed() {
            return Ok(());
        }
    }
    say(&format!("building the target {TARGET} from the compiler's sources"));
    from_source(&sysroot, &libraries).with_context(|| {
        format!("the compiler cannot build for {TARGET}; where rustup works, `rustup target add {TARGET}` is all it takes")
    })
}

fn rustc() -> PathBuf {
    std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from)
}

fn from_source(sysroot: &Path, libraries: &Path) -> Result<()> {
    let sources = sysroot.join("lib/rustlib/src/rust/library");
    if !sources.join("std/src/lib.rs").is_file() {
        fetch_sources(&sources)?;
    }
    let work = target_dir().join("wasm-target");
    // What another compiler left here would be taken for this one's.
    if work.join("target").exists() {
        fs::remove_dir_all(work.join("target"))?;
    }
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("Cargo.toml"), "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n")?;
    fs::write(work.join("src/lib.rs"), "")?;
    run(cargo().current_dir(&work).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", work.join("target")).args([
        "build",
        "-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test",
        "--release",
        "--target",
        TARGET,
    ]))?;
    // Complete under another name first, so that a copy that was interrupted is not taken for the target.
    let folder = libraries.parent().context("the libraries have a parent folder")?;
    let staged = folder.join("lib.new");
    let copy = || -> std::io::Result<()> {
        if staged.exists() {
            fs::remove_dir_all(&staged)?;
        }
        fs::create_dir_all(&staged)?;
        for file in fs::read_dir(work.join("target").join(TARGET).join("release/deps"))?.flatten() {
            let name = file.file_name();
            if name.to_string_lossy().ends_with(".rlib") && !name.to_string_lossy().starts_with("libempty") {
                fs::copy(file.path(), staged.join(name))?;
            }
        }
        if libraries.exists() {
            fs::remove_dir_all(libraries)?;
        }
        fs::rename(&staged, libraries)
    };
    copy().with_context(|| format!("cannot write to {}; it may belong to another user", folder.display()))?;
    Ok(())
}

/// Debian's `rust-src` of the very version of the compiler in use, which a newer release or its backports may hold.
fn fetch_sources(sources: &Path) -> Result<()> {
    let version = output(Command::new(rustc()).arg("--version")).context("cannot run rustc")?;
    let version = version.split_whitespace().nth(1).context("rustc tells no version")?.to_owned();
    if !has("apt-get") || !has("dpkg-deb") {
        bail!("the sources of rustc {version} are needed at {}", sources.display());
    }
    let mirror = debian_mirror().context("no Debian mirror is configured")?;
    let work = target_dir().join("wasm-target/apt");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    for dir in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(dir))?;
    }
    let list = ["trixie-backports", "trixie", "sid"].map(|suite| format!("deb {mirror} {suite} main\n")).concat();
    fs::write(work.join("sources.list"), list)?;
    let apt = |program: &str| {
        let mut command = Command::new(program);
        for (key, value) in [
            ("Dir::Etc::sourcelist", work.join("sources.list")),
            ("Dir::Etc::sourceparts", work.join("none")),
            ("Dir::State::lists", work.join("lists")),
            ("Dir::Cache", work.join("cache")),
        ] {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        // Signed packages only, whatever the machine's settings say.
        command.args(["-o", "APT::Get::AllowUnauthenticated=false", "-o", "APT::Sandbox::User=root"]);
        command.current_dir(&work);
        command
    };
    if !Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").is_file() {
        apt_install(&["debian-archive-keyring"], "to check packages")?;
    }
    run(apt("apt-get").arg("update"))?;
    let known = output(apt("apt-cache").args(["madison", "rust-src"])).context("apt-cache does not answer")?;
    let package = known
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|candidate| candidate.starts_with(&format!("{version}+")) || candidate.starts_with(&format!("{version}-")))
        .with_context(|| format!("Debian has no rust-src {version}; it has:\n{known}"))?
        .to_owned();
    run(apt("apt-get").args(["download", &format!("rust-src={package}")]))?;
    let deb = fs::read_dir(&work)?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("the package was not downloaded")?;
    let unpacked = work.join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked))?;
    let library = find_library(&unpacked).context("the package holds no library sources")?;
    fs::create_dir_all(sources.parent().context("the sources have a parent folder")?)?;
    // A folder that an interrupted copy left would become the parent of the next one.
    if sources.exists() {
        fs::remove_dir_all(sources)?;
    }
    run(Command::new("cp").arg("-rL").arg(&library).arg(sources))
}

fn debian_mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").ok()?.flatten().map(|file| file.path()));
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| {
        text.lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(str::split_whitespace)
            .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"))
            .map(str::to_owned)
    })
}

fn find_library(dir: &Path) -> Option<PathBuf> {
    let mut stack = vec![dir.to_path_buf()];
    while let Some(dir) = stack.pop() {
        if dir.file_name().is_some_and(|name| name == "library") && dir.join("std/src/lib.rs").is_file() {
            return Some(dir);
        }
        stack.extend(
            fs::read_dir(&dir)
                .ok()?
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    None
}
