//! Runs and their checkpoints.

use weir_api::{CheckpointSummary, Page, PageQuery, RunDetail, RunId, RunQuery, RunSummary};

use crate::{Cx, Result};

/// Runs, newest first.
pub async fn list(cx: &Cx, query: RunQuery) -> Result<Page<RunSummary>> {
    let _ = (cx, query);
    todo!()
}

/// One run with the fate of its rows at every node.
pub async fn get(cx: &Cx, id: RunId) -> Result<RunDetail> {
    let _ = (cx, id);
    todo!()
}

/// Checkpoints of a run, newest first.
pub async fn checkpoints(cx: &Cx, id: RunId, query: PageQuery) -> Result<Page<CheckpointSummary>> {
    let _ = (cx, id, query);
    todo!()
}
