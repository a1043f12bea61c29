//! How a project is doing, at one glance.

use crate::http::auth::Scope;
use crate::http::extract::Json;
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::Overview;
use weir_service::overview;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Show how the project is doing
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/overview", tag = "projects", operation_id = "overview.get",
    params(("project" = String, Path)), responses((status = 200, body = Overview), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn get(Scope(cx): Scope) -> ApiResult<Json<Overview>> {
    Ok(Json(overview::show(&cx).await?))
}
