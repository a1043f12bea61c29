//! Quality over time: what the rules over windows of a pipeline measured.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{QualityQuery, QualityRule, QualitySeries, Slug};
use weir_service::quality;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rules)).routes(routes!(series))
}

/// List the rules over windows of a pipeline, each with its newest window
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/quality", tag = "quality", operation_id = "quality.rules",
    params(("project" = String, Path), ("pipeline" = String, Path)),
    responses((status = 200, body = Vec<QualityRule>), Refusals),
    extensions(("x-weir-action" = json!("quality.read")))
)]
async fn rules(Scope(cx): Scope, At(pipeline): At<Slug>) -> ApiResult<Json<Vec<QualityRule>>> {
    Ok(Json(quality::rules(&cx, &pipeline).await?))
}

/// Show what a rule measured over time: by window, or added up to hours or days
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/quality/series", tag = "quality", operation_id = "quality.series",
    params(("project" = String, Path), ("pipeline" = String, Path), QualityQuery),
    responses((status = 200, body = QualitySeries), Refusals),
    extensions(("x-weir-action" = json!("quality.read")))
)]
async fn series(Scope(cx): Scope, At(pipeline): At<Slug>, Query(query): Query<QualityQuery>) -> ApiResult<Json<QualitySeries>> {
    Ok(Json(quality::series(&cx, &pipeline, query).await?))
}
