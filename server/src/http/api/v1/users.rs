//! Users of this instance.

use crate::http::auth::{Caller, Scope};
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::{Conflicting, Refusals};
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{CreateUser, CreatedUser, Page, PageQuery, Secret, SetPassword, UpdateUser, User, UserId};
use weir_service::users;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .routes(routes!(set_password))
        .routes(routes!(create_member))
}

/// List the users of this instance
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", operation_id = "users.list",
    params(PageQuery), responses((status = 200, body = Page<User>), Refusals), extensions(("x-weir-action" = json!("user.read")))
)]
async fn list(Caller(cx): Caller, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<User>>> {
    Ok(Json(users::list(&cx, page).await?))
}

/// Show a user
#[utoipa::path(
    get, path = "/api/v1/users/{user}", tag = "users", operation_id = "users.get",
    params(("user" = String, Path)), responses((status = 200, body = User), Refusals),
    extensions(("x-weir-action" = json!("user.read")))
)]
async fn get(Caller(cx): Caller, At(user): At<UserId>) -> ApiResult<Json<User>> {
    Ok(Json(users::get(&cx, user).await?))
}

/// Change a user's name for people, or disable them
#[utoipa::path(
    patch, path = "/api/v1/users/{user}", tag = "users", operation_id = "users.update",
    params(("user" = String, Path)), request_body = UpdateUser, responses((status = 200, body = User), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("user.update")))
)]
async fn update(Caller(cx): Caller, At(user): At<UserId>, Json(body): Json<UpdateUser>) -> ApiResult<Json<User>> {
    Ok(Json(users::update(&cx, user, body).await?))
}

/// Make a user; roles are given project by project
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", operation_id = "users.create", request_body = CreateUser,
    responses((status = 201, body = CreatedUser), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("user.create")))
)]
async fn create(Caller(cx): Caller, Json(body): Json<CreateUser>) -> ApiResult<(StatusCode, Json<CreatedUser>)> {
    Ok((StatusCode::CREATED, Json(users::create(&cx, body).await?)))
}

/// What came of a new password.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PasswordSet {
    /// The random password, when one was made. Shown this once.
    password: Option<Secret>,
}

/// Give a user a new password; all their sessions end and a lockout is lifted
#[utoipa::path(
    put, path = "/api/v1/users/{user}/password", tag = "users", operation_id = "users.set_password",
    params(("user" = String, Path)), request_body = SetPassword, responses((status = 200, body = PasswordSet), Refusals),
    extensions(("x-weir-action" = json!("user.update")))
)]
async fn set_password(Caller(cx): Caller, At(user): At<UserId>, Json(body): Json<SetPassword>) -> ApiResult<Json<PasswordSet>> {
    Ok(Json(PasswordSet { password: users::set_password(&cx, user, body).await? }))
}

/// Make a user who is a member of this project
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/users", tag = "users", operation_id = "users.create_member",
    params(("project" = String, Path)), request_body = CreateUser,
    responses((status = 201, body = CreatedUser), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("user.create")))
)]
async fn create_member(Scope(cx): Scope, Json(body): Json<CreateUser>) -> ApiResult<(StatusCode, Json<CreatedUser>)> {
    Ok((StatusCode::CREATED, Json(users::create(&cx, body).await?)))
}
