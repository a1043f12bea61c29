//! No request waits for ever for its answer to begin. Streams (events, exports) begin at once and are not cut.

use crate::http::problem::ApiError;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;

const USUAL: Duration = Duration::from_secs(30);
const BULK: Duration = Duration::from_secs(600);

/// Answers 503 if the response has not begun in time; the work is dropped, and its transaction with it.
pub async fn limit(request: Request, next: Next) -> Response {
    let limit = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(route) if route.ends_with("/import") || route.ends_with("/verify") || route.ends_with("/bundle") => BULK,
        _ => USUAL,
    };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout(limit).into_response(),
    }
}
