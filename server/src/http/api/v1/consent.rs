//! Consent: what a data subject allows, one at a time or by the file.
//!
//! Subjects travel in bodies, never in addresses, so that no log or browser history holds them.

use crate::http::auth::Scope;
use crate::http::extract::Json;
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::body::Body;
use futures::TryStreamExt;
use tokio_util::io::StreamReader;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{ConsentHistory, ConsentRecord, ImportResult, SetConsent, ShowConsent};
use weir_service::consent;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put)).routes(routes!(show)).routes(routes!(import))
}

/// Record what a subject grants, denies or withdraws; running pipelines heed it within a second
#[utoipa::path(
    put, path = "/api/v1/projects/{project}/consent", tag = "consent", operation_id = "consent.put",
    params(("project" = String, Path)), request_body = SetConsent, responses((status = 200, body = ConsentRecord), Refusals),
    extensions(("x-weir-action" = json!("consent.write")))
)]
async fn put(Scope(cx): Scope, Json(body): Json<SetConsent>) -> ApiResult<Json<ConsentRecord>> {
    Ok(Json(consent::set(&cx, body).await?))
}

/// Show what holds for a subject
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/consent/show", tag = "consent", operation_id = "consent.show",
    params(("project" = String, Path)), request_body = ShowConsent, responses((status = 200, body = ConsentHistory), Refusals),
    extensions(("x-weir-action" = json!("consent.read")))
)]
async fn show(Scope(cx): Scope, Json(body): Json<ShowConsent>) -> ApiResult<Json<ConsentHistory>> {
    Ok(Json(consent::show(&cx, body).await?))
}

/// Import consent as CSV: `subject,purpose,state,at,expires_at`
///
/// Lines that cannot be read are reported by number and change nothing; the others take effect.
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/consent/import", tag = "consent", operation_id = "consent.import",
    params(("project" = String, Path)), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportResult), Refusals),
    extensions(("x-weir-action" = json!("consent.write")))
)]
async fn import(Scope(cx): Scope, csv: Body) -> ApiResult<Json<ImportResult>> {
    let mut csv = StreamReader::new(csv.into_data_stream().map_err(std::io::Error::other));
    Ok(Json(consent::import(&cx, &mut csv).await?))
}
