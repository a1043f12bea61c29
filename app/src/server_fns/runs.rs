//! Runs and their checkpoints.

use leptos::prelude::*;
use weir_api::{Page, RunDetail, RunSummary};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::request;

/// Runs, newest first, of all pipelines or of one.
#[server(prefix = "/fn", endpoint = "runs/list", input = leptos::server_fn::codec::GetUrl)]
pub async fn runs(project: String, pipeline: Option<String>, after: Option<String>) -> Result<Page<RunSummary>, Fault> {
    let cx = request::cx_in(&project).await?;
    let query = weir_api::RunQuery { pipeline, after, limit: None };
    weir_service::runs::list(&cx, query).await.map_err(|error| request::refuse(&cx, error))
}

#[server(prefix = "/fn", endpoint = "runs/get", input = leptos::server_fn::codec::GetUrl)]
pub async fn run(project: String, id: String) -> Result<RunDetail, Fault> {
    let cx = request::cx_in(&project).await?;
    let id = request::id(&id, "run")?;
    weir_service::runs::get(&cx, id).await.map_err(|error| request::refuse(&cx, error))
}
