//! The console for the browser: wasm and its JavaScript glue, in `site/pkg` of the target folder. The server's build embeds them.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    shell::{cargo, run, say, target_dir},
    wasm,
};

/// Builds the site and gives its folder (the one that holds `pkg`).
pub fn build() -> Result<PathBuf> {
    wasm::ensure_target()?;
    say("building the console for the browser");
    run(cargo().args([
        "build",
        "--quiet",
        "--package",
        "weir-app",
        "--lib",
        "--target",
        "wasm32-unknown-unknown",
        "--no-default-features",
        "--features",
        "hydrate",
        "--profile",
        "wasm",
    ]))?;
    let site = target_dir().join("site");
    let package = site.join("pkg");
    fs::create_dir_all(&package)?;
    Bindgen::new()
        .input_path(target_dir().join("wasm32-unknown-unknown/wasm/weir_app.wasm"))
        .web(true)?
        .typescript(false)
        .out_name("app")
        // Function names are two thirds of the file, and only a debugger reads them.
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&package)
        .context("cannot generate the JavaScript glue")?;
    let size = fs::metadata(package.join("app_bg.wasm"))?.len();
    say(&format!("the console is built: {} kB of wasm", size / 1000));
    Ok(site)
}
