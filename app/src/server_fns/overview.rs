//! What the overview shows, in one answer.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use weir_api::{Overview, Page, PipelineSummary, RunDetail, RunRates};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::request;

/// A pipeline with its newest reading, when it reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineRow {
    pub summary: PipelineSummary,
    pub rates: Option<RunRates>,
    /// Rows held in quarantine, of all its runs.
    pub held: u64,
    /// The newest run of a pipeline that failed: why.
    pub run: Option<RunDetail>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverviewPage {
    pub overview: Overview,
    /// Those to look at first, not all.
    pub pipelines: Vec<PipelineRow>,
}

/// Pipelines that the overview shows.
#[cfg(feature = "ssr")]
const SHOWN: usize = 12;

#[server(name = LoadOverview, prefix = "/fn", endpoint = "overview", input = leptos::server_fn::codec::GetUrl)]
pub async fn overview(project: String) -> Result<OverviewPage, Fault> {
    let cx = request::cx_in(&project).await?;
    let overview = weir_service::overview::show(&cx).await.map_err(|error| request::refuse(&cx, error))?;
    let shown = weir_service::pipelines::notable(&cx, SHOWN).await.map_err(|error| request::refuse(&cx, error))?;
    Ok(OverviewPage { overview, pipelines: rows(&cx, shown).await? })
}

/// Pipelines that hold all words of `text`, by name, from behind `after`.
#[server(prefix = "/fn", endpoint = "pipelines/list", input = leptos::server_fn::codec::GetUrl)]
pub async fn pipelines(project: String, text: String, after: Option<String>) -> Result<Page<PipelineRow>, Fault> {
    let cx = request::cx_in(&project).await?;
    let query = weir_api::PageQuery { after, limit: None };
    let page = weir_service::pipelines::search(&cx, &text, query).await.map_err(|error| request::refuse(&cx, error))?;
    Ok(Page { items: rows(&cx, page.items).await?, next: page.next })
}

#[cfg(feature = "ssr")]
async fn rows(cx: &weir_service::Cx, list: Vec<PipelineSummary>) -> Result<Vec<PipelineRow>, Fault> {
    use weir_api::PipelineState;
    let held = weir_service::quarantine::held(cx).await.map_err(|error| request::refuse(cx, error))?;
    let mut rows = Vec::with_capacity(list.len());
    for summary in list {
        let rates = match summary.state {
            PipelineState::Running | PipelineState::Stopping => {
                weir_service::live::latest(cx, &summary.name).await.map_err(|error| request::refuse(cx, error))?
            }
            _ => None,
        };
        let run = match (summary.state, &summary.last_run) {
            (PipelineState::Failed, Some(run)) => {
                let run = weir_service::runs::get(cx, run.id).await;
                Some(run.map_err(|error| request::refuse(cx, error))?)
            }
            _ => None,
        };
        let held = held.iter().filter(|held| held.pipeline == summary.name).map(|held| held.rows).sum();
        rows.push(PipelineRow { summary, rates, held, run });
    }
    Ok(rows)
}
