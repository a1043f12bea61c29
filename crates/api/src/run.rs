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
    /// What became of the rows that this run has read; not of those of the runs that it goes on from.
    #[serde(flatten)]
    pub rows: RunRows,
    pub checkpoints: u64,
    pub last_checkpoint_at: Option<DateTime<Utc>>,
}

/// What became of the rows of one run, or of all runs of a pipeline. No row is missing:
/// `rows_in + rows_made = rows_out + rows_quarantined + rows_refused + rows_filtered + rows_absorbed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRows {
    /// Rows read from all sources, malformed ones included.
    pub rows_in: u64,
    /// Rows written to all sinks.
    pub rows_out: u64,
    /// Rows held in quarantine, whatever for: malformed, against a rule, without consent, late.
    pub rows_quarantined: u64,
    /// Rows denied or dropped, and malformed or late ones where the document says not to keep them.
    pub rows_refused: u64,
    /// Rows that SQL steps left out, as their `WHERE` says.
    #[serde(default)]
    pub rows_filtered: u64,
    /// Rows that went into windows, joins and patterns, or on to nowhere.
    #[serde(default)]
    pub rows_absorbed: u64,
    /// Rows that windows, joins and patterns put out, and rows that went more than one way, for each way but one.
    #[serde(default)]
    pub rows_made: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    pub summary: RunSummary,
    /// SHA-256 of the document that runs, hex.
    pub document_hash: String,
    /// The nodes in this run.
    pub nodes: Vec<NodeCounters>,
    /// What became of the rows since the pipeline's first start, this run included.
    pub pipeline_rows: RunRows,
    /// The nodes since the pipeline's first start, this run included.
    pub pipeline_nodes: Vec<NodeCounters>,
    /// The newest ones, newest first.
    pub checkpoints: Vec<CheckpointSummary>,
    pub failure: Option<RunFailure>,
    /// How often it was taken up again after a worker died or a failure was retried.
    pub restarts: u32,
    /// The worker that holds its lease.
    pub worker: Option<String>,
}

/// The fate of every row at one node. `rows_in + emitted` equals the sum of `rows_out`, `quarantined`, `denied`, `late`, `dropped`,
/// `filtered`, `malformed` and `absorbed`: nothing is lost in silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeCounters {
    pub node: String,
    pub kind: NodeKind,
    pub rows_in: u64,
    pub rows_out: u64,
    /// Against a rule or without consent, and sealed away.
    pub quarantined: u64,
    pub denied: u64,
    pub late: u64,
    /// Left out by a rule that says so.
    pub dropped: u64,
    /// SQL steps only: left out, as their `WHERE` says.
    #[serde(default)]
    pub filtered: u64,
    /// Went into the state of a window, a join or a pattern, or into what it put out.
    #[serde(default)]
    pub absorbed: u64,
    /// Made of rows that were absorbed.
    #[serde(default)]
    pub emitted: u64,
    /// Of the quarantined, malformed and late rows, those that are held in quarantine.
    #[serde(default)]
    pub held: u64,
    /// It looks at rows beside their way, and takes none of them.
    #[serde(default)]
    pub observer: bool,
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
    /// Since the pipeline's first start.
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
