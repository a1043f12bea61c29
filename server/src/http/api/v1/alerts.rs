//! Alerts: what runs noticed, and who has taken note.

use crate::http::auth::Scope;
use crate::http::extract::{At, Json, Query};
use crate::http::openapi::{Conflicting, Refusals};
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{AcknowledgeAlert, Alert, AlertId, AlertQuery, Page};
use weir_service::alerts;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(acknowledge))
}

/// List alerts: open ones first, the newest of each first
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/alerts", tag = "alerts", operation_id = "alerts.list",
    params(("project" = String, Path), AlertQuery), responses((status = 200, body = Page<Alert>), Refusals),
    extensions(("x-weir-action" = json!("alert.read")))
)]
async fn list(Scope(cx): Scope, Query(query): Query<AlertQuery>) -> ApiResult<Json<Page<Alert>>> {
    Ok(Json(alerts::list(&cx, query).await?))
}

/// Show an alert
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/alerts/{alert}", tag = "alerts", operation_id = "alerts.get",
    params(("project" = String, Path), ("alert" = String, Path)), responses((status = 200, body = Alert), Refusals),
    extensions(("x-weir-action" = json!("alert.read")))
)]
async fn get(Scope(cx): Scope, At(alert): At<AlertId>) -> ApiResult<Json<Alert>> {
    Ok(Json(alerts::get(&cx, alert).await?))
}

/// Take note of an alert
///
/// It stays open for as long as its cause lasts. A second acknowledgement is refused with 409.
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/alerts/{alert}/acknowledge", tag = "alerts", operation_id = "alerts.acknowledge",
    params(("project" = String, Path), ("alert" = String, Path)), request_body = AcknowledgeAlert,
    responses((status = 200, body = Alert), Conflicting, Refusals),
    extensions(("x-weir-action" = json!("alert.acknowledge")))
)]
async fn acknowledge(Scope(cx): Scope, At(alert): At<AlertId>, Json(body): Json<AcknowledgeAlert>) -> ApiResult<Json<Alert>> {
    Ok(Json(alerts::acknowledge(&cx, alert, body).await?))
}
