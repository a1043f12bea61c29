//! The audit log: search, proofs, verification and the bundle that proves it elsewhere.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::Refusals;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::AppState;
use crate::http::stream;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{AuditEntry, AuditQuery, ConsistencyProof, Head, InclusionProof, Page, VerifyResult};
use weir_service::audit;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(search))
        .routes(routes!(entry))
        .routes(routes!(proof))
        .routes(routes!(head))
        .routes(routes!(consistency))
        .routes(routes!(verify))
        .routes(routes!(bundle))
}

/// Search the audit log, newest first
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/audit", tag = "audit", operation_id = "audit.search",
    params(("project" = String, Path), AuditQuery), responses((status = 200, body = Page<AuditEntry>), Refusals),
    extensions(("x-weir-action" = json!("audit.read")))
)]
async fn search(Scope(cx): Scope, Query(query): Query<AuditQuery>) -> ApiResult<Json<Page<AuditEntry>>> {
    Ok(Json(audit::search(&cx, query).await?))
}

/// Show one entry with exactly what was hashed
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/audit/{index}", tag = "audit", operation_id = "audit.entry",
    params(("project" = String, Path), ("index" = u64, Path)), responses((status = 200, body = AuditEntry), Refusals),
    extensions(("x-weir-action" = json!("audit.read")))
)]
async fn entry(Scope(cx): Scope, At(index): At<u64>) -> ApiResult<Json<AuditEntry>> {
    Ok(Json(audit::entry(&cx, index).await?))
}

/// Prove that an entry is in the log under the newest signed head (RFC 6962)
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/audit/{index}/proof", tag = "audit", operation_id = "audit.proof",
    params(("project" = String, Path), ("index" = u64, Path)), responses((status = 200, body = InclusionProof), Refusals),
    extensions(("x-weir-action" = json!("audit.read")))
)]
async fn proof(Scope(cx): Scope, At(index): At<u64>) -> ApiResult<Json<InclusionProof>> {
    Ok(Json(audit::proof(&cx, index).await?))
}

/// Show the newest signed tree head
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/audit/head", tag = "audit", operation_id = "audit.head",
    params(("project" = String, Path)), responses((status = 200, body = Head), Refusals),
    extensions(("x-weir-action" = json!("audit.read")))
)]
async fn head(Scope(cx): Scope) -> ApiResult<Json<Head>> {
    let head = audit::head(&cx).await?;
    Ok(Json(head.ok_or_else(|| ApiError::missing("No head has been signed yet; one is signed every minute."))?))
}

/// Two sizes of the log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct Sizes {
    /// The size of the earlier head.
    first: u64,
    /// The size of the later head.
    second: u64,
}

/// Prove that a later head continues an earlier one (RFC 6962)
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/audit/consistency", tag = "audit", operation_id = "audit.consistency",
    params(("project" = String, Path), Sizes), responses((status = 200, body = ConsistencyProof), Refusals),
    extensions(("x-weir-action" = json!("audit.read")))
)]
async fn consistency(Scope(cx): Scope, Query(sizes): Query<Sizes>) -> ApiResult<Json<ConsistencyProof>> {
    Ok(Json(audit::consistency(&cx, sizes.first, sizes.second).await?))
}

/// Read the whole log again and check every leaf and every signed head
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/audit/verify", tag = "audit", operation_id = "audit.verify",
    params(("project" = String, Path)), responses((status = 200, body = VerifyResult), Refusals),
    extensions(("x-weir-action" = json!("audit.verify")))
)]
async fn verify(Scope(cx): Scope) -> ApiResult<Json<VerifyResult>> {
    Ok(Json(audit::verify(&cx).await?))
}

/// Export the log as a bundle that `weir audit verify --bundle` proves offline
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/audit/bundle", tag = "audit", operation_id = "audit.bundle",
    params(("project" = String, Path)), responses((status = 200, body = String, content_type = "application/x-ndjson"), Refusals),
    extensions(("x-weir-action" = json!("audit.export")))
)]
async fn bundle(Scope(cx): Scope) -> ApiResult<impl IntoResponse> {
    Ok(stream::file("audit-bundle.ndjson", audit::export(&cx).await?))
}
