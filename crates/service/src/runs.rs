//! Runs and their checkpoints.

use std::path::Path;

use weir_api::{
    CheckpointSummary, Cursor, NodeCounters, Page, PageQuery, RunDetail, RunFailure, RunId, RunQuery, RunSummary, Slug,
};
use weir_authz::{Action, Resource, ResourceKind};
use weir_store::{checkpoints as stored, runs};

use crate::{
    Cx, Error, Result,
    run_rows::{rows, since},
};

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
    let pipeline_nodes = counters(run.counters.as_ref())?;
    let newest = stored::list(cx.store(), id, None, SHOWN).await?;
    let folder = cx.services.confinement(run.project).await?.map(|confinement| confinement.base_dir);
    Ok(RunDetail {
        document_hash: run.document_hash.clone(),
        nodes: since(&pipeline_nodes, &counters(run.counters_before.as_ref())?),
        pipeline_rows: rows(&pipeline_nodes),
        pipeline_nodes,
        checkpoints: newest.into_iter().map(checkpoint).collect(),
        failure: run.failure.as_ref().map(|failure| RunFailure {
            domain: failure.domain,
            node: failure.node.clone(),
            message: relative(&failure.message, folder.as_deref()),
            at: Some(failure.at),
        }),
        restarts: u32::try_from(run.lease_epoch.saturating_sub(1)).unwrap_or(u32::MAX),
        worker: run.lease_owner.clone(),
        summary: summary(run)?,
    })
}

/// A message with the paths of the project's files as its documents write them: where the server keeps them is nobody's business.
fn relative(message: &str, folder: Option<&Path>) -> String {
    let Some(folder) = folder else { return message.to_owned() };
    let known = [folder.canonicalize().ok(), std::path::absolute(folder).ok(), Some(folder.to_owned())];
    known.into_iter().flatten().fold(message.to_owned(), |message, folder| {
        let folder = folder.to_string_lossy();
        if folder.len() < 2 { message } else { message.replace(&format!("{folder}/"), "") }
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
        rows: rows(&since(&counters(run.counters.as_ref())?, &counters(run.counters_before.as_ref())?)),
        checkpoints: run.checkpoints,
        last_checkpoint_at: run.last_checkpoint_at,
    })
}

pub(crate) fn slug(name: &str) -> Result<Slug> {
    name.parse().map_err(|e| Error::internal("a stored name", e))
}

/// The worker writes them as a list of [`NodeCounters`].
fn counters(stored: Option<&serde_json::Value>) -> Result<Vec<NodeCounters>> {
    match stored {
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
