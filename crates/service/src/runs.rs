//! Runs and their checkpoints.

use weir_api::{
    CheckpointSummary, Cursor, NodeCounters, Page, PageQuery, RunDetail, RunFailure, RunId, RunQuery, RunSummary, Slug,
};
use weir_authz::{Action, Resource, ResourceKind};
use weir_store::{checkpoints as stored, runs};

use crate::{Cx, Error, Result};

/// Checkpoints that a run's detail shows.
const SHOWN: u32 = 20;

/// Runs, newest first.
pub async fn list(cx: &Cx, query: RunQuery) -> Result<Page<RunSummary>> {
    let project = cx.project()?.id;
    cx.authorize(Action::RunRead, &Resource::in_project(ResourceKind::Run, project)).await?;
    let limit = PageQuery { after: None, limit: query.limit }.limit();
    let filter = runs::RunFilter { pipeline: query.pipeline, state: None, after: query.after.map(Cursor), limit };
    let page = runs::list(cx.store(), project, filter).await?;
    let items = page.items.into_iter().map(summary).collect::<Result<_>>()?;
    Ok(Page { items, next: page.next })
}

/// One run with the fate of its rows at every node.
pub async fn get(cx: &Cx, id: RunId) -> Result<RunDetail> {
    let run = find(cx, id).await?;
    let newest = stored::list(cx.store(), id, None, SHOWN).await?;
    Ok(RunDetail {
        document_hash: run.document_hash.clone(),
        nodes: counters(&run)?,
        checkpoints: newest.into_iter().map(checkpoint).collect(),
        failure: run.failure.as_ref().map(|failure| RunFailure {
            domain: failure.domain,
            node: failure.node.clone(),
            message: failure.message.clone(),
            at: Some(failure.at),
        }),
        restarts: u32::try_from(run.lease_epoch.saturating_sub(1)).unwrap_or(u32::MAX),
        worker: run.lease_owner.clone(),
        summary: summary(run)?,
    })
}

/// Checkpoints of a run, newest first.
pub async fn checkpoints(cx: &Cx, id: RunId, query: PageQuery) -> Result<Page<CheckpointSummary>> {
    find(cx, id).await?;
    let before = query.after.as_deref().map(str::parse::<u64>).transpose().map_err(|_| Error::bad_cursor())?;
    let limit = query.limit();
    let mut found = stored::list(cx.store(), id, before, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| Cursor(last.epoch.to_string()));
    Ok(Page { items: found.into_iter().map(checkpoint).collect(), next })
}

async fn find(cx: &Cx, id: RunId) -> Result<runs::Run> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Run, project).id(id);
    cx.authorize(Action::RunRead, &resource).await?;
    runs::by_id(cx.store(), id).await?.filter(|run| run.project == project).ok_or_else(|| Error::missing(&resource))
}

pub(crate) fn summary(run: runs::Run) -> Result<RunSummary> {
    Ok(RunSummary {
        id: run.id,
        pipeline: slug(&run.pipeline)?,
        version: run.version,
        state: run.state,
        created_at: run.created_at,
        started_at: run.started_at,
        ended_at: run.ended_at,
        rows_in: run.totals.rows_in,
        rows_out: run.totals.rows_out,
        rows_quarantined: run.totals.rows_quarantined,
        rows_refused: run.totals.rows_refused,
        checkpoints: run.checkpoints,
        last_checkpoint_at: run.last_checkpoint_at,
    })
}

pub(crate) fn slug(name: &str) -> Result<Slug> {
    name.parse().map_err(|e| Error::internal("a stored name", e))
}

/// The worker writes them as a list of [`NodeCounters`].
fn counters(run: &runs::Run) -> Result<Vec<NodeCounters>> {
    match &run.counters {
        Some(counters) => serde_json::from_value(counters.clone()).map_err(|e| Error::internal("a run's counters", e)),
        None => Ok(Vec::new()),
    }
}

/// The worker writes positions as a list of [`PartitionOffset`](weir_api::PartitionOffset).
fn checkpoint(info: stored::CheckpointInfo) -> CheckpointSummary {
    CheckpointSummary {
        epoch: info.epoch,
        at: info.at,
        duration_ms: info.duration_ms,
        rows_in: info.rows_in,
        rows_out: info.rows_out,
        positions: serde_json::from_value(info.positions).unwrap_or_default(),
        leaf_index: Some(info.leaf_seq),
    }
}
