//! Errors of the HTTP layer as problem documents (RFC 9457).
//!
//! The problem travels in the response's extensions until `middleware::problems` writes it out with its request id.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use weir_api::{FieldError, Problem, ProblemError};

/// The media type of problem documents.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub struct ApiError(pub Problem);

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(name: &str, title: &str, status: StatusCode, detail: impl Into<String>) -> Self {
        let mut problem = Problem::new(name, title, status.as_u16());
        problem.detail = Some(detail.into());
        Self(problem)
    }

    /// The request cannot be read: which part, and why.
    #[must_use]
    pub fn unreadable(status: StatusCode, field: &str, message: String) -> Self {
        let mut error = Self::new("invalid-request", "The request cannot be read", status, message.clone());
        error.0.errors.push(ProblemError::Field(FieldError { field: field.to_owned(), message }));
        error
    }

    /// A body beyond what this address takes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("At most {limit} bytes are accepted here; send less at once.");
        Self::new("too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// A request that another site's page sent with our user's cookie.
    #[must_use]
    pub fn cross_site() -> Self {
        Self::new(
            "cross-site",
            "The request did not come from this console",
            StatusCode::FORBIDDEN,
            "Changes, and readings that leave a record, with a session cookie are accepted from this server's own pages only. Reload the page and try again; \
             programs use a token in the Authorization header.",
        )
    }

    /// Nothing of that kind is there.
    #[must_use]
    pub fn missing(detail: &str) -> Self {
        Self::new("not-found", "Not found", StatusCode::NOT_FOUND, detail)
    }

    /// No answer in time.
    #[must_use]
    pub fn timeout(limit: Duration) -> Self {
        let detail = format!("No answer within {} seconds; nothing was changed. Try again later.", limit.as_secs());
        let mut error = Self::new("timeout", "The request took too long", StatusCode::SERVICE_UNAVAILABLE, detail);
        error.0.retry_after_seconds = Some(5);
        error
    }

    /// A fault of ours; the log knows more, by the request id.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "The server failed at this. Its log names the cause under the request id.";
        Self::new("internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// A refusal by the framework, which says no more than its status.
    #[must_use]
    pub fn bare(status: StatusCode) -> Self {
        let (name, title, detail) = match status {
            StatusCode::NOT_FOUND => ("not-found", "Not found", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method-not-allowed", "Method not allowed", "This address does not take that method; see `Allow`.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("too-large", "The body is too large", "The body exceeds what this address accepts; send less at once.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported-media-type", "Unsupported media type", "Send the body as application/json.")
            }
            status if status.is_server_error() => return Self(Problem { status: status.as_u16(), ..Self::internal().0 }),
            _ => ("invalid-request", "The request cannot be read", "The request is not one this address understands."),
        };
        Self::new(name, title, status, detail)
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<weir_service::Error> for ApiError {
    fn from(error: weir_service::Error) -> Self {
        if let weir_service::Error::Internal(cause) = &error {
            tracing::error!(cause, "internal error");
        }
        Self(error.problem())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"weir\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.0.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.0);
        response
    }
}
