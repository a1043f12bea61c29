//! The whole server as one router.

use super::state::AppState;
use super::{api, console, health, middleware, openapi};
use axum::Router;
use axum::routing::get;

/// API, documentation, console and health, behind the middleware that all of them share.
pub fn router(state: &AppState) -> Router {
    let (api, mut document) = api::v1::routes().split_for_parts();
    openapi::describe_responses(&mut document);
    let own = Router::new()
        .merge(api)
        .route("/api/schemas/pipeline.json", get(api::schemas::pipeline))
        .route("/api/schemas/contract.json", get(api::schemas::contract))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .merge(console::routes(state))
        .with_state(state.clone())
        .merge(openapi::routes(document));
    middleware::apply(own, state)
}

/// The OpenAPI document that `/api/openapi.json` serves.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = api::v1::routes().into_openapi();
    openapi::describe_responses(&mut document);
    document
}
