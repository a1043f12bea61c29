//! Extractors that refuse in problem documents. `Json` and `Query` bear axum's names, so that the OpenAPI document reads them.

use super::problem::ApiError;
use axum::body::HttpBody;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use weir_api::{AlertId, RunId, SegmentId, Slug, TokenId, UserId};

/// A JSON body, read or written.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The parameters behind `?`.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The parameters in the path, without the project: that one is `auth::Scope`'s to read.
#[derive(Debug)]
pub struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(match rejection {
                JsonRejection::JsonDataError(error) => {
                    ApiError::unreadable(StatusCode::UNPROCESSABLE_ENTITY, "body", error.body_text())
                }
                JsonRejection::JsonSyntaxError(error) => ApiError::unreadable(StatusCode::BAD_REQUEST, "body", error.body_text()),
                other => ApiError::bare(other.status()),
            }),
        }
    }
}

/// A JSON body that may be left out where it would say nothing.
#[derive(Debug)]
pub struct MaybeJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_absent = !request.headers().contains_key(header::CONTENT_TYPE) && request.body().is_end_stream();
        if is_absent {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(value)| Self(value))
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
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|found| Self(found.0))
            .map_err(|rejection: QueryRejection| ApiError::unreadable(StatusCode::BAD_REQUEST, "query", rejection.body_text()))
    }
}

impl<S: Send + Sync, T: FromPath> FromRequestParts<S> for At<T> {
    type Rejection = ApiError;

    /// A path that cannot be one of ours (a run that is no UUID, a pipeline that is no slug) is simply not found.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let missing = || ApiError::bare(StatusCode::NOT_FOUND);
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let values: Vec<&str> = params.iter().filter(|(name, _)| *name != "project").map(|(_, value)| value).collect();
        T::from_path(&values).map(At).ok_or_else(missing)
    }
}

/// What the parameters of a path can be read as.
pub trait FromPath: Sized {
    fn from_path(values: &[&str]) -> Option<Self>;
}

macro_rules! from_path {
    ($($name:ty),*) => {$(
        impl FromPath for $name {
            fn from_path(values: &[&str]) -> Option<Self> {
                let [one] = values else { return None };
                one.parse().ok()
            }
        }
    )*};
}

from_path!(AlertId, Slug, RunId, SegmentId, TokenId, UserId, u64);

impl<A: FromStr, B: FromStr> FromPath for (A, B) {
    fn from_path(values: &[&str]) -> Option<Self> {
        let [one, other] = values else { return None };
        Some((one.parse().ok()?, other.parse().ok()?))
    }
}
