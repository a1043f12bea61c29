//! Pipelines: documents with versions, deployed and stopped.

use crate::http::auth::{Lasting, Scope};
use crate::http::extract::{At, Json, MaybeJson, Query};
use crate::http::openapi::{Conflicting, Refusals};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::sse;
use crate::http::state::AppState;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{
    CreatePipeline, DeletePipeline, DeployPipeline, Deployment, Graph, Page, PageQuery, PipelineDetail, PipelineSummary,
    PipelineVersion, PipelineVersionDetail, RunRates, Slug, UpdatePipeline, ValidatePipeline, Validation,
};
use weir_service::{live as feed, pipelines};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(validate))
        .routes(routes!(get, update, delete))
        .routes(routes!(versions))
        .routes(routes!(version))
        .routes(routes!(document))
        .routes(routes!(graph))
        .routes(routes!(live))
        .routes(routes!(deploy))
        .routes(routes!(stop))
}

/// List the pipelines
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines", tag = "pipelines", operation_id = "pipelines.list",
    params(("project" = String, Path), PageQuery), responses((status = 200, body = Page<PipelineSummary>), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn list(Scope(cx): Scope, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<PipelineSummary>>> {
    Ok(Json(pipelines::list(&cx, page).await?))
}

/// Create a pipeline from its document
///
/// A document with errors is refused with 422, each error with its line and column.
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/pipelines", tag = "pipelines", operation_id = "pipelines.create",
    params(("project" = String, Path)), request_body = CreatePipeline,
    responses((status = 201, body = PipelineDetail), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("pipeline.create")))
)]
async fn create(
    Scope(cx): Scope,
    Json(body): Json<CreatePipeline>,
) -> ApiResult<(StatusCode, [(HeaderName, String); 1], Json<PipelineDetail>)> {
    let made = pipelines::create(&cx, body).await?;
    let location = format!("/api/v1/projects/{}/pipelines/{}", cx.project()?.slug, made.summary.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(made)))
}

/// Check a document: all its errors and warnings, and its graph
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/pipelines/validate", tag = "pipelines", operation_id = "pipelines.validate",
    params(("project" = String, Path)), request_body = ValidatePipeline, responses((status = 200, body = Validation), Refusals),
    extensions(("x-weir-action" = json!("pipeline.validate")))
)]
async fn validate(Scope(cx): Scope, Json(body): Json<ValidatePipeline>) -> ApiResult<Json<Validation>> {
    Ok(Json(pipelines::validate(&cx, body).await?))
}

/// Show a pipeline with its newest document
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}", tag = "pipelines", operation_id = "pipelines.get",
    params(("project" = String, Path), ("pipeline" = String, Path)), responses((status = 200, body = PipelineDetail), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn get(Scope(cx): Scope, At(name): At<Slug>) -> ApiResult<Json<PipelineDetail>> {
    Ok(Json(pipelines::get(&cx, &name).await?))
}

/// Save a new version of a pipeline's document
#[utoipa::path(
    put, path = "/api/v1/projects/{project}/pipelines/{pipeline}", tag = "pipelines", operation_id = "pipelines.update",
    params(("project" = String, Path), ("pipeline" = String, Path)), request_body = UpdatePipeline,
    responses((status = 200, body = PipelineDetail), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("pipeline.update")))
)]
async fn update(Scope(cx): Scope, At(name): At<Slug>, Json(body): Json<UpdatePipeline>) -> ApiResult<Json<PipelineDetail>> {
    Ok(Json(pipelines::update(&cx, &name, body).await?))
}

/// Delete a pipeline and its versions; its evidence stays
#[utoipa::path(
    delete, path = "/api/v1/projects/{project}/pipelines/{pipeline}", tag = "pipelines", operation_id = "pipelines.delete",
    params(("project" = String, Path), ("pipeline" = String, Path), DeletePipeline),
    responses((status = 204), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("pipeline.delete")))
)]
async fn delete(Scope(cx): Scope, At(name): At<Slug>, Query(seen): Query<DeletePipeline>) -> ApiResult<StatusCode> {
    pipelines::delete(&cx, &name, seen.expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List a pipeline's versions, newest first
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/versions", tag = "pipelines", operation_id = "pipelines.versions",
    params(("project" = String, Path), ("pipeline" = String, Path), PageQuery),
    responses((status = 200, body = Page<PipelineVersion>), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn versions(Scope(cx): Scope, At(name): At<Slug>, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<PipelineVersion>>> {
    Ok(Json(pipelines::versions(&cx, &name, page).await?))
}

/// Show one version of a pipeline with its document
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/versions/{version}", tag = "pipelines",
    operation_id = "pipelines.version",
    params(("project" = String, Path), ("pipeline" = String, Path), ("version" = u32, Path)),
    responses((status = 200, body = PipelineVersionDetail), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn version(Scope(cx): Scope, At((name, version)): At<(Slug, u32)>) -> ApiResult<Json<PipelineVersionDetail>> {
    Ok(Json(pipelines::version(&cx, &name, version).await?))
}

/// Download the newest document as it was written
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/document", tag = "pipelines", operation_id = "pipelines.document",
    params(("project" = String, Path), ("pipeline" = String, Path)),
    responses((status = 200, body = String, content_type = "application/yaml"), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn document(Scope(cx): Scope, At(name): At<Slug>) -> ApiResult<impl IntoResponse> {
    Ok(([(header::CONTENT_TYPE, "application/yaml")], pipelines::export(&cx, &name).await?))
}

/// Show a pipeline as a graph: nodes, edges, columns and their classifications
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/graph", tag = "pipelines", operation_id = "pipelines.graph",
    params(("project" = String, Path), ("pipeline" = String, Path)), responses((status = 200, body = Graph), Refusals),
    extensions(("x-weir-action" = json!("pipeline.read")))
)]
async fn graph(Scope(cx): Scope, At(name): At<Slug>) -> ApiResult<Json<Graph>> {
    let missing = "The newest document does not plan, so it has no graph; its diagnostics say why.";
    Ok(Json(pipelines::get(&cx, &name).await?.graph.ok_or_else(|| ApiError::missing(missing))?))
}

/// Deploy a version of a pipeline
///
/// A pipeline that leaks, or that otherwise has errors, is refused with 422 and the whole path of the leak; a version that could not go
/// on where the pipeline stands with 409, and what runs goes on. `fresh` begins anew.
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/pipelines/{pipeline}/deploy", tag = "pipelines", operation_id = "pipelines.deploy",
    params(("project" = String, Path), ("pipeline" = String, Path)), request_body = Option<DeployPipeline>,
    responses((status = 202, body = Deployment), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("pipeline.deploy")))
)]
async fn deploy(
    Scope(cx): Scope,
    At(name): At<Slug>,
    MaybeJson(body): MaybeJson<DeployPipeline>,
) -> ApiResult<(StatusCode, Json<Deployment>)> {
    Ok((StatusCode::ACCEPTED, Json(pipelines::deploy(&cx, &name, body).await?)))
}

/// Stop a pipeline after a last checkpoint
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/pipelines/{pipeline}/stop", tag = "pipelines", operation_id = "pipelines.stop",
    params(("project" = String, Path), ("pipeline" = String, Path)), responses((status = 202, body = Deployment), Refusals),
    extensions(("x-weir-action" = json!("pipeline.stop")))
)]
async fn stop(Scope(cx): Scope, At(name): At<Slug>) -> ApiResult<(StatusCode, Json<Deployment>)> {
    Ok((StatusCode::ACCEPTED, Json(pipelines::stop(&cx, &name).await?)))
}

/// Follow a pipeline's rates as Server-Sent Events
///
/// Each `rates` event is one reading as JSON, about once a second while a run lives.
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/pipelines/{pipeline}/live", tag = "pipelines", operation_id = "pipelines.live",
    params(("project" = String, Path), ("pipeline" = String, Path)),
    responses((status = 200, body = RunRates, content_type = "text/event-stream"), Refusals),
    extensions(("x-weir-action" = json!("run.read")))
)]
async fn live(
    State(state): State<AppState>,
    asked: Lasting,
    Scope(cx): Scope,
    At(name): At<Slug>,
) -> ApiResult<impl IntoResponse> {
    Ok(sse::pipeline(asked, feed::subscribe(&cx, Some(&name)).await?, state.stopping()))
}
