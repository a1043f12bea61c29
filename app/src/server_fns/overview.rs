//! What the overview shows, in one answer.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use weir_api::{Overview, PipelineSummary, RunDetail, RunRates};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::request;

/// A pipeline with its newest reading, when it reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineRow {
    pub summary: PipelineSummary,
    pub rates: Option<RunRates>,
    /// The newest run of a pipeline that failed: why.
    pub run: Option<RunDetail>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverviewPage {
    pub overview: Overview,
    pub pipelines: Vec<PipelineRow>,
}

#[server(name = LoadOverview, prefix = "/fn", endpoint = "overview", input = leptos::server_fn::codec::GetUrl)]
pub async fn overview(project: String) -> Result<OverviewPage, Fault> {
    let cx = request::cx_in(&project).await?;
    let overview = weir_service::overview::show(&cx).await.map_err(|error| request::refuse(&cx, error))?;
    Ok(OverviewPage { overview, pipelines: rows(&cx).await? })
}

/// All pipelines of a project as the lists show them.
#[server(prefix = "/fn", endpoint = "pipelines/list", input = leptos::server_fn::codec::GetUrl)]
pub async fn pipelines(project: String) -> Result<Vec<PipelineRow>, Fault> {
    let cx = request::cx_in(&project).await?;
    rows(&cx).await
}

#[cfg(feature = "ssr")]
async fn rows(cx: &weir_service::Cx) -> Result<Vec<PipelineRow>, Fault> {
    use weir_api::{PageQuery, PipelineState};
    let query = PageQuery { after: None, limit: Some(PageQuery::MAX_LIMIT) };
    let list = weir_service::pipelines::list(cx, query).await.map_err(|error| request::refuse(cx, error))?;
    let mut rows = Vec::with_capacity(list.items.len());
    for summary in list.items {
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
        rows.push(PipelineRow { summary, rates, run });
    }
    Ok(rows)
}
