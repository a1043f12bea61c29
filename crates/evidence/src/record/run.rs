//! The beginning of the log and of runs, and their ends.

use serde::{Deserialize, Serialize};

use crate::{hash::Hash, key::PublicKey};

/// Binds the log's identity and first key into its first leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogStarted {
    pub log_id: String,
    pub public_key: PublicKey,
    /// The version of Weir that began it.
    pub weir: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    pub run: String,
    pub pipeline: String,
    /// The SHA-256 of the pipeline document.
    pub document: Hash,
    /// The plan's fingerprint; a checkpoint restores only into the same plan.
    pub plan: String,
    pub purpose: String,
    /// The lawful basis as the document names it.
    pub basis: String,
    pub parallelism: u32,
    /// The epoch of the checkpoint it goes on from; none for a fresh run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
    /// The version of Weir that runs it.
    pub weir: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnded {
    pub run: String,
    pub pipeline: String,
    pub status: RunStatus,
    /// The last checkpoint's epoch; none if the run never reached one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Why, where it did not finish. Names stages and columns, never values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A run could not go on from a checkpoint, and went back to one before it: what its sinks had made visible after that was taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointDiscarded {
    pub run: String,
    pub pipeline: String,
    /// The checkpoint that nothing goes on from any more.
    pub epoch: u64,
    /// What is damaged: a record, a state file.
    pub reason: String,
    /// The checkpoint that the run goes on from instead.
    pub resumed_from: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Its bounded sources ended.
    Finished,
    /// Someone asked it to stop; it can go on from its last checkpoint.
    Stopped,
    Failed,
}
