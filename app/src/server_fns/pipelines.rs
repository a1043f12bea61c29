//! Pipelines: shown, checked, saved, deployed, stopped, deleted.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use weir_api::{HeldRows, OpenAlerts, PipelineDetail, PipelineVersion, PipelineVersionDetail, RunDetail, RunRates, Validation};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::{links, request};

/// A pipeline with its newest run and its newest reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelinePage {
    pub pipeline: PipelineDetail,
    pub run: Option<RunDetail>,
    pub rates: Option<RunRates>,
    /// Rows held in quarantine, of all its runs, by node.
    pub held: Vec<HeldRows>,
    /// Absent where the reader may not read alerts.
    pub open_alerts: Option<OpenAlerts>,
}

#[server(prefix = "/fn", endpoint = "pipelines/get", input = leptos::server_fn::codec::GetUrl)]
pub async fn pipeline(project: String, name: String) -> Result<PipelinePage, Fault> {
    let cx = request::cx_in(&project).await?;
    let name = request::slug(&name, "pipeline")?;
    let refuse = |error| request::refuse(&cx, error);
    let pipeline = weir_service::pipelines::get(&cx, &name).await.map_err(refuse)?;
    let run = match &pipeline.summary.last_run {
        Some(run) => Some(weir_service::runs::get(&cx, run.id).await.map_err(refuse)?),
        None => None,
    };
    let rates = weir_service::live::latest(&cx, &name).await.map_err(refuse)?;
    let mut held = weir_service::quarantine::held(&cx).await.map_err(refuse)?;
    held.retain(|held| held.pipeline == name);
    let open_alerts = weir_service::alerts::open_if_permitted(&cx, Some(name.as_str())).await.map_err(refuse)?;
    Ok(PipelinePage { pipeline, run, rates, held, open_alerts })
}

/// The versions, newest first.
#[server(prefix = "/fn", endpoint = "pipelines/versions", input = leptos::server_fn::codec::GetUrl)]
pub async fn versions(project: String, name: String) -> Result<Vec<PipelineVersion>, Fault> {
    let cx = request::cx_in(&project).await?;
    let name = request::slug(&name, "pipeline")?;
    let page = weir_service::pipelines::versions(&cx, &name, weir_api::PageQuery::default()).await;
    Ok(page.map_err(|error| request::refuse(&cx, error))?.items)
}

#[server(prefix = "/fn", endpoint = "pipelines/version", input = leptos::server_fn::codec::GetUrl)]
pub async fn version(project: String, name: String, version: u32) -> Result<PipelineVersionDetail, Fault> {
    let cx = request::cx_in(&project).await?;
    let name = request::slug(&name, "pipeline")?;
    weir_service::pipelines::version(&cx, &name, version).await.map_err(|error| request::refuse(&cx, error))
}

/// All findings of a document: structure, plan, leaks.
#[server(prefix = "/fn", endpoint = "pipelines/validate")]
pub async fn validate(project: String, document: String) -> Result<Validation, Fault> {
    let cx = request::cx_in(&project).await?;
    let wanted = weir_api::ValidatePipeline { document: unix_lines(&document) };
    weir_service::pipelines::validate(&cx, wanted).await.map_err(|error| request::refuse(&cx, error))
}

/// Saves a new pipeline, or a new version of `name` made from `expected_version`, and leads to it; with `then=deploy`, to the
/// question whether to deploy it.
#[server(prefix = "/fn", endpoint = "pipelines/save")]
pub async fn save(
    project: String,
    name: Option<String>,
    expected_version: Option<u32>,
    document: String,
    note: Option<String>,
    then: Option<String>,
) -> Result<(), Fault> {
    let cx = request::cx_in(&project).await?;
    let document = unix_lines(&document);
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    let refuse = |error| request::refuse(&cx, error);
    let saved = match name.filter(|name| !name.is_empty()) {
        Some(name) => {
            let name = request::slug(&name, "pipeline")?;
            let wanted = weir_api::UpdatePipeline { document, expected_version: expected_version.unwrap_or(0), note };
            weir_service::pipelines::update(&cx, &name, wanted).await.map_err(refuse)?
        }
        None => {
            let wanted = weir_api::CreatePipeline { document, note };
            weir_service::pipelines::create(&cx, wanted).await.map_err(refuse)?
        }
    };
    let question = if then.as_deref() == Some("deploy") { "deploy" } else { "" };
    leptos_axum::redirect(&links::with_query(&links::pipeline(&project, saved.summary.name.as_str()), [("confirm", question)]));
    Ok(())
}

#[server(prefix = "/fn", endpoint = "pipelines/deploy")]
pub async fn deploy(project: String, name: String, version: u32, #[server(default)] fresh: bool) -> Result<(), Fault> {
    let cx = request::cx_in(&project).await?;
    let slug = request::slug(&name, "pipeline")?;
    let wanted = weir_api::DeployPipeline { version: Some(version), fresh };
    weir_service::pipelines::deploy(&cx, &slug, wanted).await.map_err(|error| request::refuse(&cx, error))?;
    leptos_axum::redirect(&links::pipeline(&project, &name));
    Ok(())
}

#[server(prefix = "/fn", endpoint = "pipelines/stop")]
pub async fn stop(project: String, name: String) -> Result<(), Fault> {
    let cx = request::cx_in(&project).await?;
    let slug = request::slug(&name, "pipeline")?;
    weir_service::pipelines::stop(&cx, &slug).await.map_err(|error| request::refuse(&cx, error))?;
    leptos_axum::redirect(&links::pipeline(&project, &name));
    Ok(())
}

#[server(prefix = "/fn", endpoint = "pipelines/delete")]
pub async fn delete(project: String, name: String, expected_version: u32) -> Result<(), Fault> {
    let cx = request::cx_in(&project).await?;
    let slug = request::slug(&name, "pipeline")?;
    weir_service::pipelines::delete(&cx, &slug, expected_version).await.map_err(|error| request::refuse(&cx, error))?;
    leptos_axum::redirect(&links::pipelines(&project));
    Ok(())
}

/// Forms send `\r\n`; documents are kept as editors write them, so that positions and hashes agree.
#[cfg(feature = "ssr")]
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}
