//! Runs: what became of every row, checkpoints, and rates as they change.

use crate::http::auth::{Lasting, Scope};
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::sse;
use crate::http::state::AppState;
use axum::extract::State;
use axum::response::IntoResponse;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{CheckpointSummary, Page, PageQuery, RunDetail, RunId, RunQuery, RunRates, RunSummary};
use weir_service::{live as feed, runs};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(checkpoints)).routes(routes!(live))
}

/// List runs, newest first
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/runs", tag = "runs", operation_id = "runs.list",
    params(("project" = String, Path), RunQuery), responses((status = 200, body = Page<RunSummary>), Refusals),
    extensions(("x-weir-action" = json!("run.read")))
)]
async fn list(Scope(cx): Scope, Query(query): Query<RunQuery>) -> ApiResult<Json<Page<RunSummary>>> {
    Ok(Json(runs::list(&cx, query).await?))
}

/// Show a run: the fate of every row, node by node
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/runs/{run}", tag = "runs", operation_id = "runs.get",
    params(("project" = String, Path), ("run" = String, Path)), responses((status = 200, body = RunDetail), Refusals),
    extensions(("x-weir-action" = json!("run.read")))
)]
async fn get(Scope(cx): Scope, At(run): At<RunId>) -> ApiResult<Json<RunDetail>> {
    Ok(Json(runs::get(&cx, run).await?))
}

/// List a run's checkpoints, newest first
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/runs/{run}/checkpoints", tag = "runs", operation_id = "runs.checkpoints",
    params(("project" = String, Path), ("run" = String, Path), PageQuery),
    responses((status = 200, body = Page<CheckpointSummary>), Refusals),
    extensions(("x-weir-action" = json!("run.read")))
)]
async fn checkpoints(
    Scope(cx): Scope,
    At(run): At<RunId>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<CheckpointSummary>>> {
    Ok(Json(runs::checkpoints(&cx, run, page).await?))
}

/// Follow a run's rates as Server-Sent Events
///
/// Each `rates` event is one reading as JSON, about once a second. An `end` event closes the stream when the run is over.
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/runs/{run}/live", tag = "runs", operation_id = "runs.live",
    params(("project" = String, Path), ("run" = String, Path)),
    responses((status = 200, body = RunRates, content_type = "text/event-stream"), Refusals),
    extensions(("x-weir-action" = json!("run.read")))
)]
async fn live(
    State(state): State<AppState>,
    asked: Lasting,
    Scope(cx): Scope,
    At(run): At<RunId>,
) -> ApiResult<impl IntoResponse> {
    let pipeline = runs::get(&cx, run).await?.summary.pipeline;
    let feed = feed::subscribe(&cx, Some(&pipeline)).await?;
    Ok(sse::run(asked, cx, run, feed, state.stopping()))
}
