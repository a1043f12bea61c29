//! The headers that tell a browser what a page of ours may do, and the nonce that lets our own scripts run.

use crate::http::state::AppState;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;

/// The number used once that this response's inline scripts carry; in the request's extensions.
#[derive(Clone, Debug)]
pub struct CspNonce(pub Arc<str>);

const PERMISSIONS: &str = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
     payment=(), usb=(), browsing-topics=()";

/// Adds the headers to every response; a handler's own value for one of them stands.
pub async fn set(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let nonce: Arc<str> = uuid::Uuid::new_v4().simple().to_string().into();
    request.extensions_mut().insert(CspNonce(Arc::clone(&nonce)));
    let docs = request.uri().path().starts_with("/api/docs");
    let dynamic = !request.uri().path().starts_with("/pkg/");
    let mut response = next.run(request).await;

    let headers = response.headers_mut();
    let policy = if docs { docs_policy() } else { page_policy(&nonce) };
    default(headers, header::CONTENT_SECURITY_POLICY, &policy);
    default(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(headers, header::REFERRER_POLICY, "same-origin");
    default(headers, header::X_FRAME_OPTIONS, "DENY");
    default(headers, HeaderName::from_static("permissions-policy"), PERMISSIONS);
    default(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    default(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if state.public().is_https() {
        default(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
    if dynamic {
        default(headers, header::CACHE_CONTROL, "no-store");
    }
    response
}

fn default(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.entry(name).or_insert_with(|| HeaderValue::from_str(value).expect("invariant: our header values are plain ASCII"));
}

/// Scripts by nonce, wasm, and nothing from elsewhere. Style attributes are allowed: the graph places its nodes by them.
fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self' 'nonce-{nonce}'; \
         style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    )
}

/// Swagger UI brings its own files and writes styles into the page.
fn docs_policy() -> String {
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        .to_owned()
}
