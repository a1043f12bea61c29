//! Embeds the console's static files, so that one binary serves them from any place.
//!
//! The stylesheet is always there: `style/main.css` with its imports inlined. Script and wasm come from the folder
//! that `WEIR_SITE_DIR` names (its `pkg/`); without it, pages work without hydration.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WEIR_SITE_DIR");
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));

    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let style = root.join("style");
    println!("cargo:rerun-if-changed={}", style.display());
    if style.join("main.css").is_file() {
        let mut css = String::new();
        inline_css(&style, Path::new("main.css"), &mut css)?;
        files.insert("weir.css".into(), css.into_bytes());
    }
    let icon = style.join("favicon.svg");
    if icon.is_file() {
        files.insert("favicon.svg".into(), std::fs::read(icon)?);
    }
    if let Some(site) = std::env::var_os("WEIR_SITE_DIR").filter(|v| !v.is_empty()) {
        let pkg = PathBuf::from(site).join("pkg");
        println!("cargo:rerun-if-changed={}", pkg.display());
        collect(&pkg, &pkg, &mut files)?;
    }

    let mut all = Sha256::new();
    let mut code = String::from("pub static EMBEDDED: &[Embedded] = &[\n");
    for (index, (name, bytes)) in files.iter().enumerate() {
        let hash = hex(&Sha256::digest(bytes)[..16]);
        all.update(name.as_bytes());
        all.update(hash.as_bytes());
        let plain = out.join(format!("asset{index}"));
        std::fs::write(&plain, bytes)?;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes)?;
        let packed = encoder.finish()?;
        let gzip = if packed.len() < bytes.len() {
            let path = out.join(format!("asset{index}.gz"));
            std::fs::write(&path, packed)?;
            format!("Some(include_bytes!({:?}))", path)
        } else {
            "None".to_owned()
        };
        writeln!(
            code,
            "    Embedded {{ name: {name:?}, etag: {:?}, plain: include_bytes!({plain:?}), gzip: {gzip} }},",
            format!("\"{hash}\""),
        )
        .expect("a String takes every write");
    }
    code.push_str("];\n");
    let version = hex(&all.finalize()[..6]);
    writeln!(code, "/// Changes whenever an embedded file does.\npub const SITE_VERSION: &str = {version:?};")
        .expect("a String takes every write");
    std::fs::write(out.join("assets.rs"), code)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Copies `file` into `css`, each `@import "x.css";` replaced by that file (in its layer, if it names one).
fn inline_css(folder: &Path, file: &Path, css: &mut String) -> std::io::Result<()> {
    let path = folder.join(file);
    println!("cargo:rerun-if-changed={}", path.display());
    let base = file.parent().unwrap_or(Path::new(""));
    for line in std::fs::read_to_string(&path)?.lines() {
        match import(line.trim()) {
            Some((name, None)) => inline_css(folder, &base.join(name), css)?,
            Some((name, Some(layer))) => {
                css.push_str(&format!("@layer {layer} {{\n"));
                inline_css(folder, &base.join(name), css)?;
                css.push_str("}\n");
            }
            None => {
                css.push_str(line);
                css.push('\n');
            }
        }
    }
    Ok(())
}

/// The file and the layer of a CSS import line, if it is one that names a local file.
fn import(line: &str) -> Option<(&str, Option<&str>)> {
    let rest = line.strip_prefix("@import")?.trim_end_matches(';').trim();
    let rest = rest.strip_prefix("url(").unwrap_or(rest).trim_start_matches(['"', '\'']);
    let end = rest.find(['"', '\'', ')'])?;
    let (name, tail) = rest.split_at(end);
    let layer = tail.split_once("layer(").and_then(|(_, t)| t.split_once(')')).map(|(l, _)| l.trim());
    (!name.contains("://")).then_some((name.trim_start_matches("./"), layer))
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(root).expect("found below it").to_string_lossy().replace('\\', "/");
        if [".js", ".wasm", ".css", ".svg", ".ico", ".png", ".woff2"].iter().any(|ext| name.ends_with(ext)) {
            println!("cargo:rerun-if-changed={}", path.display());
            files.insert(name, std::fs::read(path)?);
        }
    }
    Ok(())
}
