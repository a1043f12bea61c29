//! How the project is doing.

use weir_api::{EvidenceState, Overview, PipelineCounts, PipelineState};
use weir_authz::{Action, Resource, ResourceKind};
use weir_store::{
    evidence, heads, quarantine,
    runs::{self, RunFilter},
};

use crate::{Cx, Result, alerts, heads as signing, pipelines, runs as service_runs};

const RECENT: u32 = 8;

/// Counts, recent runs, rates, quarantine and evidence.
pub async fn show(cx: &Cx) -> Result<Overview> {
    let project = cx.project()?.id;
    cx.authorize(Action::PipelineRead, &Resource::in_project(ResourceKind::Pipeline, project)).await?;
    cx.authorize(Action::RunRead, &Resource::in_project(ResourceKind::Run, project)).await?;
    let store = cx.store();
    let filter = RunFilter { limit: RECENT, ..RunFilter::default() };
    let recent = runs::list(store, project, filter).await?;
    let rates = cx.services.live.of_project(project, cx.now());
    // Rows in are those of sources, rows out those that reach a sink: the first and the last nodes of each run say so.
    let nodes = || rates.iter().flat_map(|run| &run.nodes);
    let log = evidence::state(store).await?;
    Ok(Overview {
        pipelines: counts(cx).await?,
        recent_runs: recent.items.into_iter().map(service_runs::summary).collect::<Result<_>>()?,
        rows_in_per_second: nodes()
            .filter(|node| node.kind == weir_api::NodeKind::Source)
            .map(|node| node.rows_in_per_second)
            .sum(),
        rows_out_per_second: nodes()
            .filter(|node| node.kind == weir_api::NodeKind::Sink)
            .map(|node| node.rows_in_per_second)
            .sum(),
        rejects_per_second: nodes().map(|node| node.rejects_per_second).sum(),
        filtered_per_second: nodes().map(|node| node.filtered_per_second).sum(),
        quarantined_rows: quarantine::rows_held(store, project).await?,
        open_alerts: alerts::open_if_permitted(cx, None).await?,
        evidence: EvidenceState {
            leaves: log.range.size(),
            head: heads::latest(store).await?.map(signing::dto),
            last_leaf_at: log.last_leaf_at,
        },
    })
}

async fn counts(cx: &Cx) -> Result<PipelineCounts> {
    let project = cx.project()?.id;
    let mut counts = PipelineCounts::default();
    for known in pipelines::known(cx, project).await? {
        counts.total += 1;
        match known.state {
            PipelineState::Running => counts.running += 1,
            PipelineState::Failed => counts.failed += 1,
            _ => counts.other += 1,
        }
    }
    Ok(counts)
}
