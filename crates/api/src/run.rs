//! Runs, what became of their rows, and their checkpoints.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    graph::NodeKind,
    id::{RunId, Slug},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for a worker.
    Pending,
    Running,
    /// Asked to stop, taking its last checkpoint.
    Stopping,
    Stopped,
    Finished,
    Failed,
}

impl RunState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// No worker will touch it again unless it is deployed anew.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::Finished | Self::Failed)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    pub id: RunId,
    pub pipeline: Slug,
    pub version: u32,
    pub state: RunState,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Rows read from all sources, malformed ones included.
    pub rows_in: u64,
    /// Rows written to all sinks.
    pub rows_out: u64,
    /// Rows that ended in quarantine.
    pub rows_quarantined: u64,
    /// Rows denied, late or dropped; not those that an SQL step leaves out, as its `WHERE` says.
    pub rows_refused: u64,
    pub checkpoints: u64,
    pub last_checkpoint_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    pub summary: RunSummary,
    /// SHA-256 of the document that runs, hex.
    pub document_hash: String,
    pub nodes: Vec<NodeCounters>,
    /// The newest ones, newest first.
    pub checkpoints: Vec<CheckpointSummary>,
    pub failure: Option<RunFailure>,
    /// How often it was taken up again after a worker died or a failure was retried.
    pub restarts: u32,
    /// The worker that holds its lease.
    pub worker: Option<String>,
}

/// The fate of every row at one node, since the run's first start. `rows_in` equals the sum of the others: nothing is lost
/// in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeCounters {
    pub node: String,
    pub kind: NodeKind,
    pub rows_in: u64,
    pub rows_out: u64,
    pub quarantined: u64,
    pub denied: u64,
    pub late: u64,
    pub dropped: u64,
    /// Sources only: rows that could not be decoded or broke the contract, whatever became of them.
    pub malformed: u64,
    /// Failures by rule; a row may fail several.
    pub rule_failures: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckpointSummary {
    pub epoch: u64,
    pub at: DateTime<Utc>,
    /// Milliseconds from barrier to commit, when it was measured.
    pub duration_ms: Option<u64>,
    pub rows_in: u64,
    pub rows_out: u64,
    pub positions: Vec<PartitionOffset>,
    /// The leaf of the audit log that holds its decisions.
    pub leaf_index: Option<u64>,
}

/// How far a source's partition has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionOffset {
    pub source: String,
    pub partition: String,
    pub row: u64,
    pub byte: u64,
    pub done: bool,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureDomain {
    /// The document or the data: somebody must change something.
    User,
    /// A disk, a network, another system.
    External,
    /// Weir itself.
    Internal,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunFailure {
    pub domain: FailureDomain,
    pub node: Option<String>,
    /// What happened, where, and what to do. Never holds row data.
    pub message: String,
    pub at: Option<DateTime<Utc>>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct RunQuery {
    /// Of this pipeline only.
    pub pipeline: Option<String>,
    pub after: Option<String>,
    pub limit: Option<u32>,
}
