//! The contract of sinks: encode in lanes, append in order, commit in two phases.

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::error::ConnectorError;

/// Rows made ready for a sink's writer by a lane.
#[derive(Debug, Default)]
pub struct Encoded {
    pub parts: Vec<EncodedPart>,
    pub rows: u64,
}

/// The rows of one partition folder, in order.
#[derive(Debug)]
pub struct EncodedPart {
    /// The partition path below the sink's folder, such as `country=NL/dt=2026-01-31`; empty for none.
    pub path: String,
    pub rows: u64,
    pub payload: EncodedPayload,
}

#[derive(Debug)]
pub enum EncodedPayload {
    Bytes(Vec<u8>),
    /// For formats that only the writer can encode.
    Rows(RecordBatch),
}

/// Turns batches into bytes. One per lane and sink.
pub trait RowEncoder: Send {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Encoded, ConnectorError>;
}

/// What a sink has made durable but not yet visible; stored in the checkpoint, so that a restart can finish it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreCommit {
    pub epoch: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Files that are durable under a temporary name and get their own with the commit.
    pub files: Vec<PreparedFile>,
}

/// A file of a pre-commit. Names are relative to the sink's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedFile {
    pub temporary: String,
    pub path: String,
    pub rows: u64,
    /// As written, compressed if the sink compresses.
    pub bytes: u64,
    /// SHA-256 of the content, hex: whoever has the evidence can tell whether the file is still what was written.
    pub sha256: String,
}

/// A sink, written by one thread, in order. The way of an epoch:
///
/// 1. `seal` sets apart what was written since the last one, without waiting for a disk; writing goes on with the next epoch;
/// 2. on another thread, [`SealedEpoch::pre_commit`] makes it durable under names that readers ignore;
/// 3. the checkpoint that holds the `PreCommit` is committed;
/// 4. [`SealedEpoch::commit`] makes it visible. A restart repeats that for the last checkpoint, so it is idempotent.
pub trait SinkWriter: Send {
    fn write(&mut self, rows: Encoded) -> Result<(), ConnectorError>;

    fn seal(&mut self, epoch: u64) -> Result<Box<dyn SealedEpoch>, ConnectorError>;

    /// Called once before the first write, with the pre-commit of the checkpoint the run resumes from. Finishes that commit
    /// and removes whatever a dead run left uncommitted.
    fn recover(&mut self, last: Option<&PreCommit>) -> Result<(), ConnectorError>;

    /// Whether [`Self::take_back`] can do it. Changes nothing.
    fn can_take_back(&self, commit: &PreCommit) -> Result<(), ConnectorError>;

    /// Hides what a commit has made visible, because the pipeline goes back to an earlier checkpoint; called before [`Self::recover`]
    /// with that one. May be repeated. In a `PreparedFile` without a temporary name the commit is known from the evidence alone.
    fn take_back(&mut self, commit: &PreCommit) -> Result<(), ConnectorError>;
}

/// What a sink has taken in one epoch.
pub trait SealedEpoch: Send {
    /// Called once.
    fn pre_commit(&mut self) -> Result<PreCommit, ConnectorError>;

    /// With what [`Self::pre_commit`] gave.
    fn commit(&mut self, pre_commit: &PreCommit) -> Result<(), ConnectorError>;
}
