//! API tokens: JWTs that act for a user within scopes.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{CreateToken, CreatedToken, Page, PageQuery, TokenId, TokenSummary};
use weir_service::tokens;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// List the project's tokens; without the right to see all, the caller's own
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/tokens", tag = "tokens", operation_id = "tokens.list",
    params(("project" = String, Path), PageQuery), responses((status = 200, body = Page<TokenSummary>), Refusals),
    extensions(("x-weir-action" = json!("token.read")))
)]
async fn list(Scope(cx): Scope, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<TokenSummary>>> {
    Ok(Json(tokens::list(&cx, page).await?))
}

/// Make a token that acts for the caller; the JWT is shown this once
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/tokens", tag = "tokens", operation_id = "tokens.create",
    params(("project" = String, Path)), request_body = CreateToken, responses((status = 201, body = CreatedToken), Refusals),
    extensions(("x-weir-action" = json!("token.create")))
)]
async fn create(Scope(cx): Scope, Json(body): Json<CreateToken>) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    Ok((StatusCode::CREATED, Json(tokens::create(&cx, body).await?)))
}

/// Revoke a token; it works nowhere from now on
#[utoipa::path(
    delete, path = "/api/v1/projects/{project}/tokens/{token}", tag = "tokens", operation_id = "tokens.revoke",
    params(("project" = String, Path), ("token" = String, Path)), responses((status = 204), Refusals),
    extensions(("x-weir-action" = json!("token.revoke")))
)]
async fn revoke(Scope(cx): Scope, At(token): At<TokenId>) -> ApiResult<StatusCode> {
    tokens::revoke(&cx, token).await?;
    Ok(StatusCode::NO_CONTENT)
}
