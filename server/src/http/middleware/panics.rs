//! A panic in a handler becomes a 500 problem; its message stays out of the answer, for it may hold data.

use crate::http::problem::ApiError;
use axum::response::{IntoResponse, Response};
use std::any::Any;

/// The answer to a request whose handler panicked. The panic hook has logged where it happened.
pub fn respond(_payload: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal().into_response()
}
