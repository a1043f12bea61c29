//! Members: who has which roles in a project.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{AddMember, Member, Page, PageQuery, SetMember, UserId};
use weir_service::members;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(set))
}

/// List the members of a project with their roles
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/members", tag = "members", operation_id = "members.list",
    params(("project" = String, Path), PageQuery), responses((status = 200, body = Page<Member>), Refusals),
    extensions(("x-weir-action" = json!("member.read")))
)]
async fn list(Scope(cx): Scope, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<Member>>> {
    Ok(Json(members::list(&cx, page).await?))
}

/// Take an existing user into this project
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/members", tag = "members", operation_id = "members.add",
    params(("project" = String, Path)), request_body = AddMember, responses((status = 201, body = Member), Refusals),
    extensions(("x-weir-action" = json!("member.write")))
)]
async fn add(Scope(cx): Scope, Json(body): Json<AddMember>) -> ApiResult<(StatusCode, Json<Member>)> {
    Ok((StatusCode::CREATED, Json(members::add(&cx, body).await?)))
}

/// Set the roles of a user in this project; none removes the membership
#[utoipa::path(
    put, path = "/api/v1/projects/{project}/members/{user}", tag = "members", operation_id = "members.set",
    params(("project" = String, Path), ("user" = String, Path)), request_body = SetMember,
    responses((status = 200, body = Member), (status = 204, description = "No longer a member"), Refusals),
    extensions(("x-weir-action" = json!("member.write")))
)]
async fn set(Scope(cx): Scope, At(user): At<UserId>, Json(body): Json<SetMember>) -> ApiResult<Response> {
    Ok(match members::set(&cx, user, body).await? {
        Some(member) => Json(member).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
