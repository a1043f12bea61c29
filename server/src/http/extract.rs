//! Extractors that refuse in problem documents. They bear axum's names, so that the OpenAPI document reads their types.

use super::problem::ApiError;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON body, read or written.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The parameters behind `?`.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The parameters in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(match rejection {
                JsonRejection::JsonDataError(error) => {
                    ApiError::unreadable(StatusCode::UNPROCESSABLE_ENTITY, "body", error.body_text())
                }
                JsonRejection::JsonSyntaxError(error) => {
                    ApiError::unreadable(StatusCode::BAD_REQUEST, "body", error.body_text())
                }
                other => ApiError::bare(other.status()),
            }),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::from_request_parts(parts, state).await.map(|found| Self(found.0)).map_err(
            |rejection: QueryRejection| ApiError::unreadable(StatusCode::BAD_REQUEST, "query", rejection.body_text()),
        )
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    /// A path that cannot be one of ours (a run that is no UUID, a pipeline that is no slug) is simply not found.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|found| Self(found.0))
            .map_err(|_: PathRejection| ApiError::bare(StatusCode::NOT_FOUND))
    }
}
