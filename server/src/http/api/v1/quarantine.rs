//! Quarantine: why rows were held and, by permission, what they hold. Every reading is audited by the service.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use crate::http::stream;
use axum::response::IntoResponse;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{Page, QuarantineEntry, QuarantineQuery, QuarantineRow, SegmentId};
use weir_service::quarantine;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(entry)).routes(routes!(content)).routes(routes!(export))
}

/// List quarantined rows with their reasons, without their content
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/quarantine", tag = "quarantine", operation_id = "quarantine.list",
    params(("project" = String, Path), QuarantineQuery), responses((status = 200, body = Page<QuarantineEntry>), Refusals),
    extensions(("x-weir-action" = json!("quarantine.list")))
)]
async fn list(Scope(cx): Scope, Query(query): Query<QuarantineQuery>) -> ApiResult<Json<Page<QuarantineEntry>>> {
    Ok(Json(quarantine::list(&cx, query).await?))
}

/// Show why one row is held, without its content
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/quarantine/{segment}/{row}", tag = "quarantine", operation_id = "quarantine.entry",
    params(("project" = String, Path), ("segment" = String, Path), ("row" = u32, Path)),
    responses((status = 200, body = QuarantineEntry), Refusals),
    extensions(("x-weir-action" = json!("quarantine.list")))
)]
async fn entry(Scope(cx): Scope, At((segment, row)): At<(SegmentId, u32)>) -> ApiResult<Json<QuarantineEntry>> {
    Ok(Json(quarantine::entry(&cx, segment, row).await?))
}

/// Open one row with its content; the reading is recorded in the audit log
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/quarantine/{segment}/{row}/content", tag = "quarantine",
    operation_id = "quarantine.content",
    params(("project" = String, Path), ("segment" = String, Path), ("row" = u32, Path)),
    responses((status = 200, body = QuarantineRow), Refusals),
    extensions(("x-weir-action" = json!("quarantine.read")))
)]
async fn content(Scope(cx): Scope, At((segment, row)): At<(SegmentId, u32)>) -> ApiResult<Json<QuarantineRow>> {
    Ok(Json(quarantine::read(&cx, segment, row).await?))
}

/// Export quarantined rows with their content, one JSON object a line; each row that is opened is recorded in the audit log
///
/// All rows that match, or `limit` of them. With a session cookie it is answered to this server's own pages only, because a reading
/// leaves a record.
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/quarantine/export", tag = "quarantine", operation_id = "quarantine.export",
    params(("project" = String, Path), QuarantineQuery),
    responses((status = 200, body = QuarantineRow, content_type = "application/x-ndjson"), Refusals),
    extensions(("x-weir-action" = json!("quarantine.export")))
)]
async fn export(Scope(cx): Scope, Query(query): Query<QuarantineQuery>) -> ApiResult<impl IntoResponse> {
    let wanted = query.limit;
    let first = quarantine::export(&cx, query.clone()).await?;
    let pages = stream::pages(first, wanted, move |after, limit| {
        let (cx, query) = (cx.clone(), QuarantineQuery { after: Some(after.0), limit, ..query.clone() });
        async move { quarantine::export(&cx, query).await }
    });
    Ok(stream::ndjson("quarantine.ndjson", pages))
}
