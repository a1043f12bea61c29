//! What every request passes on its way in and out, in the order of [`apply`].

pub mod csrf;
pub mod panics;
pub mod problems;
pub mod request_id;
pub mod security_headers;
pub mod timeouts;
pub mod tracing;

use super::state::AppState;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

/// The most bytes any request may carry; routes set their own, smaller limits below it.
pub const LARGEST_BODY: usize = 256 << 20;

/// Wraps `router`; the last line is the outermost.
pub fn apply(router: Router, state: &AppState) -> Router {
    router
        .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
        .layer(from_fn_with_state(state.clone(), csrf::protect))
        .layer(from_fn(timeouts::limit))
        .layer(CatchPanicLayer::custom(panics::respond))
        .layer(from_fn(problems::render))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(state.clone(), security_headers::set))
        .layer(from_fn(tracing::record))
        .layer(from_fn(request_id::assign))
}
