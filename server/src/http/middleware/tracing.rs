//! A span for every request and one line when it ends.
//!
//! Spans name the route's template, never the path or the query as sent: those can hold a person's name.

use super::request_id::RequestId;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;
use tracing::Instrument;

/// Runs the rest of the stack within a span of this request.
pub async fn record(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let id = request.extensions().get::<RequestId>().map_or("", |id| id.0.as_str());
    let span = tracing::info_span!("request", id, method = %request.method(), route);
    let quiet = matches!(route.as_str(), "/healthz" | "/readyz" | "/pkg/{*path}");
    async move {
        let started = Instant::now();
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let ms = started.elapsed().as_secs_f64() * 1e3;
        match status {
            500.. => tracing::error!(status, ms, "request failed"),
            _ if quiet => tracing::debug!(status, ms, "request done"),
            _ => tracing::info!(status, ms, "request done"),
        }
        response
    }
    .instrument(span)
    .await
}
