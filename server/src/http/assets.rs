//! The console's static files, out of the binary: revalidated by name, immutable by versioned name.

use super::problem::ApiError;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One embedded file.
pub struct Embedded {
    name: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Whether this binary carries the console's script, so that pages can hydrate.
#[must_use]
pub fn can_hydrate() -> bool {
    ["app.js", "app_bg.wasm"].iter().all(|name| find(name).is_some())
}

/// The folder below `/` from which pages load their files: it changes with their content.
#[must_use]
pub fn pkg_dir() -> String {
    format!("pkg/{SITE_VERSION}")
}

/// `GET /pkg/{*path}`: `weir.css` or `VERSION/weir.css`.
pub async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let (name, versioned) = match path.split_once('/') {
        Some((SITE_VERSION, rest)) => (rest, true),
        _ => (path.as_str(), false),
    };
    match find(name) {
        Some(file) => file.respond(&headers, versioned),
        None => ApiError::bare(StatusCode::NOT_FOUND).into_response(),
    }
}

/// `GET /favicon.ico`: the icon of the console, drawn as SVG.
pub async fn favicon(headers: HeaderMap) -> Response {
    match find("favicon.svg") {
        Some(file) => file.respond(&headers, false),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

fn find(name: &str) -> Option<&'static Embedded> {
    // `app.wasm` is what people ask for; wasm-bindgen writes `app_bg.wasm`.
    let wanted = |file: &&Embedded| file.name == name || (name == "app_bg.wasm" && file.name == "app.wasm");
    EMBEDDED.iter().find(wanted)
}

impl Embedded {
    fn respond(&self, headers: &HeaderMap, versioned: bool) -> Response {
        let cache = if versioned { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut common = HeaderMap::new();
        common.insert(header::ETAG, header::HeaderValue::from_static(self.etag));
        common.insert(header::CACHE_CONTROL, header::HeaderValue::from_static(cache));
        common.insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
        let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
        if known.is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == self.etag)) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        common.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type(self.name)));
        match self.gzip.filter(|_| accepts_gzip(headers)) {
            Some(packed) => {
                common.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
                (common, packed).into_response()
            }
            None => (common, self.plain).into_response(),
        }
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offered = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
    offered.split(',').map(str::trim).any(|coding| match coding.split_once(';') {
        Some(("gzip", q)) => !matches!(q.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"),
        None => coding == "gzip",
        Some(_) => false,
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ext)| ext) {
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
