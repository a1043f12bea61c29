//! The console for the browser: wasm and its JavaScript glue, in `site/pkg` of the target folder. The server's build embeds them.

use std::{fs, path::Path, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    shell::{cargo, run, say, target_dir},
    wasm,
};

/// Where the site is built: the folder that holds `pkg`.
fn folder() -> PathBuf {
    target_dir().join("site")
}

/// Tells a build of the server to embed the console. The same for every command, so that none builds anew what another has built.
pub fn embedded(command: &mut Command) -> &mut Command {
    // The server's build reads it, with nothing in it when the console was not built yet.
    let _ = fs::create_dir_all(folder().join("pkg"));
    command.env("WEIR_SITE_DIR", folder())
}

/// Builds the site.
pub fn build() -> Result<()> {
    wasm::ensure_target()?;
    say("building the console for the browser");
    run(cargo().args([
        "build",
        "--quiet",
        "--package",
        "weir-app",
        "--lib",
        "--target",
        wasm::TARGET,
        "--no-default-features",
        "--features",
        "hydrate",
        "--profile",
        "wasm",
    ]))?;
    let made = folder().join("made");
    let package = folder().join("pkg");
    fs::create_dir_all(&made)?;
    fs::create_dir_all(&package)?;
    Bindgen::new()
        .input_path(target_dir().join(wasm::TARGET).join("wasm/weir_app.wasm"))
        .web(true)?
        .typescript(false)
        .out_name("app")
        // Function names are two thirds of the file, and only a debugger reads them.
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&made)
        .context("cannot generate the JavaScript glue")?;
    replace_what_changed(&made, &package)?;
    let size = fs::metadata(package.join("app_bg.wasm"))?.len();
    say(&format!("the console is built: {} kB of wasm", size / 1000));
    Ok(())
}

/// Files that stay as they are keep their time, so that the server is not built again for them.
fn replace_what_changed(made: &Path, package: &Path) -> Result<()> {
    for old in fs::read_dir(package)?.flatten() {
        if old.path().is_file() && !made.join(old.file_name()).exists() {
            fs::remove_file(old.path())?;
        }
    }
    for new in fs::read_dir(made)?.flatten().filter(|new| new.path().is_file()) {
        let target = package.join(new.file_name());
        if fs::read(&target).ok() != Some(fs::read(new.path())?) {
            fs::copy(new.path(), &target)?;
        }
    }
    Ok(())
}
