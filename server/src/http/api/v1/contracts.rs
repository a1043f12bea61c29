//! Contracts: registered Open Data Contract Standard documents, by name and version.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::{Conflicting, Refusals};
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{ContractDetail, ContractSummary, Page, PageQuery, RegisterContract, Slug};
use weir_service::contracts;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, register)).routes(routes!(get)).routes(routes!(versions)).routes(routes!(version))
}

/// List the contracts
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/contracts", tag = "contracts", operation_id = "contracts.list",
    params(("project" = String, Path), PageQuery), responses((status = 200, body = Page<ContractSummary>), Refusals),
    extensions(("x-weir-action" = json!("contract.read")))
)]
async fn list(Scope(cx): Scope, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<ContractSummary>>> {
    Ok(Json(contracts::list(&cx, page).await?))
}

/// Register a contract, or a new version of one
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/contracts", tag = "contracts", operation_id = "contracts.register",
    params(("project" = String, Path)), request_body = RegisterContract,
    responses((status = 201, body = ContractDetail), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("contract.write")))
)]
async fn register(Scope(cx): Scope, Json(body): Json<RegisterContract>) -> ApiResult<(StatusCode, Json<ContractDetail>)> {
    Ok((StatusCode::CREATED, Json(contracts::register(&cx, body).await?)))
}

/// Show the newest version of a contract
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/contracts/{contract}", tag = "contracts", operation_id = "contracts.get",
    params(("project" = String, Path), ("contract" = String, Path)), responses((status = 200, body = ContractDetail), Refusals),
    extensions(("x-weir-action" = json!("contract.read")))
)]
async fn get(Scope(cx): Scope, At(name): At<Slug>) -> ApiResult<Json<ContractDetail>> {
    Ok(Json(contracts::get(&cx, &name, None).await?))
}

/// List a contract's versions, newest first
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/contracts/{contract}/versions", tag = "contracts", operation_id = "contracts.versions",
    params(("project" = String, Path), ("contract" = String, Path)),
    responses((status = 200, body = Vec<ContractSummary>), Refusals),
    extensions(("x-weir-action" = json!("contract.read")))
)]
async fn versions(Scope(cx): Scope, At(name): At<Slug>) -> ApiResult<Json<Vec<ContractSummary>>> {
    Ok(Json(contracts::versions(&cx, &name).await?))
}

/// Show one version of a contract
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/contracts/{contract}/versions/{version}", tag = "contracts",
    operation_id = "contracts.version",
    params(("project" = String, Path), ("contract" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = ContractDetail), Refusals),
    extensions(("x-weir-action" = json!("contract.read")))
)]
async fn version(Scope(cx): Scope, At((name, version)): At<(Slug, String)>) -> ApiResult<Json<ContractDetail>> {
    Ok(Json(contracts::get(&cx, &name, Some(&version)).await?))
}
