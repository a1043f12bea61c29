//! Ingest: rows posted to an `http` source of a deployed pipeline, accepted once they are durable.

#![allow(clippy::result_large_err, reason = "a refusal carries its whole problem document; it is made once a request")]

use crate::http::auth::Scope;
use crate::http::extract::{At, Json};
use crate::http::openapi::{Conflicting, Refusals};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{IngestReceipt, Slug};
use weir_service::ingest::{self, IngestFormat};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(append))
}

/// Post rows to a pipeline's `http` source
///
/// The body is NDJSON (`application/x-ndjson`) or one JSON array (`application/json`). 202 means that every row is on disk and will be
/// read exactly once. A repeated `Idempotency-Key` appends nothing again. 429 with `Retry-After` means that the pipeline is
/// behind and nothing was taken over.
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/ingest/{pipeline}/{source}", tag = "ingest", operation_id = "ingest.append",
    params(
        ("project" = String, Path), ("pipeline" = String, Path), ("source" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition of this request harmless")
    ),
    request_body(content((String = "application/x-ndjson"), (Vec<serde_json::Value> = "application/json"))),
    responses(
        (status = 202, body = IngestReceipt),
        Conflicting,
        (status = 415, description = "Neither NDJSON nor a JSON array, or compressed", body = weir_api::Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = weir_api::Problem, content_type = "application/problem+json"),
        (status = 429, description = "The pipeline is behind", body = weir_api::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        Refusals
    ),
    extensions(("x-weir-action" = json!("ingest.write")))
)]
async fn append(
    State(state): State<AppState>,
    Scope(cx): Scope,
    At((pipeline, source)): At<(Slug, String)>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<IngestReceipt>)> {
    let format = format_of(&headers)?;
    uncompressed(&headers)?;
    let key = idempotency_key(&headers)?;
    let rows =
        Limited::new(body, state.ingest_limit()).collect().await.map_err(|error| unreadable(&*error, state.ingest_limit()))?;
    let receipt = ingest::append(&cx, &pipeline, &source, format, key, rows.to_bytes().into()).await?;
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}

fn format_of(headers: &HeaderMap) -> ApiResult<IngestFormat> {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    match stated.split(';').next().unwrap_or("").trim() {
        "application/x-ndjson" | "application/jsonl" | "application/json-lines" => Ok(IngestFormat::NdJson),
        "application/json" => Ok(IngestFormat::JsonArray),
        _ => Err(ApiError::unreadable(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type",
            "Send application/x-ndjson (one object a line) or application/json (one array of objects).".to_owned(),
        )),
    }
}

/// Compressed bytes are no rows; taken as such, all of them would end in quarantine.
fn uncompressed(headers: &HeaderMap) -> ApiResult<()> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(ApiError::unreadable(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding",
            "Send the rows uncompressed.".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=128).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::unreadable(
            StatusCode::BAD_REQUEST,
            "Idempotency-Key",
            "Use 1 to 128 characters of ASCII, such as a UUID.".to_owned(),
        )),
    }
}

fn unreadable(error: &(dyn std::error::Error + Send + Sync + 'static), limit: usize) -> ApiError {
    match error.is::<http_body_util::LengthLimitError>() {
        true => ApiError::too_large(limit),
        false => ApiError::bare(StatusCode::BAD_REQUEST),
    }
}
