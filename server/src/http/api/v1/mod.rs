//! Version 1 of the REST API: one file per resource.
//!
//! A handler extracts who asks and for what, calls the service, and maps the result; no rule lives here.

pub mod alerts;
pub mod audit;
pub mod consent;
pub mod contracts;
pub mod ingest;
pub mod members;
pub mod overview;
pub mod pipelines;
pub mod projects;
pub mod quality;
pub mod quarantine;
pub mod runs;
pub mod session;
pub mod tokens;
pub mod users;

use crate::http::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// All operations, with full paths.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(crate::http::openapi::base())
        .merge(session::routes())
        .merge(projects::routes())
        .merge(overview::routes())
        .merge(pipelines::routes())
        .merge(runs::routes())
        .merge(quality::routes())
        .merge(alerts::routes())
        .merge(quarantine::routes())
        .merge(consent::routes())
        .merge(contracts::routes())
        .merge(audit::routes())
        .merge(ingest::routes())
        .merge(users::routes())
        .merge(members::routes())
        .merge(tokens::routes())
}
