//! `/healthz` (the process lives) and `/readyz` (it can do its work), for whoever watches over the process.

use super::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

/// Answers while the process can answer at all.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when the database answers and the server is not shutting down, else 503.
pub async fn readyz(State(state): State<AppState>) -> impl IntoResponse {
    if state.stopping().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match state.services().store().ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
