//! Projects: the boundary of roles, keys and documents.

use crate::http::auth::{Caller, Scope};
use crate::http::extract::Json;
use crate::http::openapi::{Conflicting, Refusals};
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{CreateProject, Project, UpdateProject};
use weir_service::projects;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update))
}

/// List the projects that the caller may see
#[utoipa::path(
    get, path = "/api/v1/projects", tag = "projects", operation_id = "projects.list",
    responses((status = 200, body = Vec<Project>), Refusals), extensions(("x-weir-action" = json!("project.read")))
)]
async fn list(Caller(cx): Caller) -> ApiResult<Json<Vec<Project>>> {
    Ok(Json(projects::list(&cx).await?))
}

/// Make a project with its own keys; the caller becomes its administrator
#[utoipa::path(
    post, path = "/api/v1/projects", tag = "projects", operation_id = "projects.create", request_body = CreateProject,
    responses((status = 201, body = Project), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("project.create")))
)]
async fn create(Caller(cx): Caller, Json(body): Json<CreateProject>) -> ApiResult<(StatusCode, Json<Project>)> {
    Ok((StatusCode::CREATED, Json(projects::create(&cx, body).await?)))
}

/// Show a project
#[utoipa::path(
    get, path = "/api/v1/projects/{project}", tag = "projects", operation_id = "projects.get",
    params(("project" = String, Path)), responses((status = 200, body = Project), Refusals),
    extensions(("x-weir-action" = json!("project.read")))
)]
async fn get(Scope(cx): Scope) -> ApiResult<Json<Project>> {
    Ok(Json(projects::get(&cx).await?))
}

/// Change a project's title
#[utoipa::path(
    patch, path = "/api/v1/projects/{project}", tag = "projects", operation_id = "projects.update",
    params(("project" = String, Path)), request_body = UpdateProject, responses((status = 200, body = Project), Refusals),
    extensions(("x-weir-action" = json!("project.update")))
)]
async fn update(Scope(cx): Scope, Json(body): Json<UpdateProject>) -> ApiResult<Json<Project>> {
    Ok(Json(projects::update(&cx, body).await?))
}
