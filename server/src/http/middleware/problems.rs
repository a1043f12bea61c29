//! Every error below `/api` leaves as a problem document (RFC 9457) that names its request.
//!
//! Handlers attach a [`Problem`] to their response; what the framework itself refuses (no such route, wrong method, a
//! body too large) gets one here.

use super::request_id::RequestId;
use crate::http::problem::{ApiError, CONTENT_TYPE};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use weir_api::Problem;

/// Renders the attached problem, or makes one for a bare error below `/api`.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let path = request.uri().path().to_owned();
    let api = path == "/api" || path.starts_with("/api/");
    let mut response = next.run(request).await;
    let status = response.status();
    if api && response.extensions().get::<Problem>().is_none() && needs_problem(&response) {
        let mut replacement = ApiError::bare(status).into_response();
        // `Allow` of a 405, `Retry-After` and the like belong to the answer.
        for name in [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
            if let Some(value) = response.headers().get(&name) {
                replacement.headers_mut().insert(name, value.clone());
            }
        }
        response = replacement;
    }
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = id;
        problem.instance = Some(path);
        let body = serde_json::to_vec(&problem).expect("invariant: a problem is plain JSON");
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response
}

fn needs_problem(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    (status.is_client_error() || status.is_server_error()) && !kind.contains("json") && !kind.contains("html")
}
