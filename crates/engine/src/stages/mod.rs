//! The stages, in the order in which data meets them. The engine, the docs and the console all use this order:
//!
//! `source -> decode -> contract -> quality -> consent -> mask -> transform -> features -> model -> sink`
//!
//! A [`Stage`] takes a batch and says what became of each row. Rows it does not pass on are data too: they leave with their
//! reasons. `Err` means that the infrastructure failed. Every stage runs inside a [`guard::Guarded`], which checks its schema
//! and the conservation of rows and keeps its counts, so that no stage can forget.

pub mod consent;
pub mod decode;
pub mod event_time;
pub mod guard;
pub mod mask;
pub mod quality;
pub mod sink;
pub mod transform;

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use weir_connectors::Malformed;

use crate::{batch::Batch, checkpoint::OperatorState, counts::RuleCounts, error::EngineError};

/// The name of a stage, as quarantine and evidence show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    Source,
    Decode,
    Contract,
    Quality,
    Consent,
    Mask,
    Transform,
    Features,
    Model,
    Sink,
}

/// A place in the run's one sequence of input.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub ticket: u64,
    /// Index among the plan's nodes of the source whose rows the ticket carries.
    pub source: usize,
    /// Index of the node that the batch comes from.
    pub from: usize,
    /// The clock when the ticket was made, microseconds since 1970-01-01T00:00:00Z: the same in all lanes.
    pub now: i64,
}

/// One operator in one lane.
pub trait Stage: Send {
    /// Decides the fate of every row of `batch`.
    fn process(&mut self, batch: Batch, turn: Turn) -> Result<Processed, EngineError>;

    /// How often each rule was asked and failed since the last call.
    fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        BTreeMap::new()
    }

    /// Called in every lane for tickets that will not reach this stage.
    fn skip(&self, _ticket: u64) {}

    /// Called at a barrier, in one lane only: the state as of that ticket.
    fn snapshot(&mut self, _ticket: u64, _epoch: u64) -> Result<Option<OperatorState>, EngineError> {
        Ok(None)
    }
}

/// What became of a batch: the counts and `out` together account for every row.
#[derive(Debug, Default)]
pub struct Processed {
    pub out: Vec<Batch>,
    pub malformed: u64,
    pub quarantined: u64,
    pub denied: u64,
    pub late: u64,
    pub dropped: u64,
    /// Rows of `out` that failed a rule.
    pub flagged: u64,
    /// Rows taken into state, or into rows made of them.
    pub absorbed: u64,
    /// Rows of `out` made from rows absorbed.
    pub emitted: u64,
    /// Rows to be sealed, for whichever of the counts keeps its rows.
    pub rejected: Vec<Rejected>,
}

impl Processed {
    /// All rows go on.
    pub fn pass(batch: Batch) -> Self {
        Self { out: vec![batch], ..Self::default() }
    }

    /// Rows that went on.
    pub fn rows_out(&self) -> u64 {
        self.out.iter().map(|batch| batch.num_rows() as u64).sum()
    }
}

/// Rows on their way to the quarantine.
#[derive(Debug)]
pub struct Rejected {
    pub stage: StageKind,
    pub partition: Arc<str>,
    pub content: RejectedContent,
}

#[derive(Debug)]
pub enum RejectedContent {
    /// Decoded rows, each with its offset and its reasons.
    Rows { rows: RecordBatch, offsets: Vec<u64>, reasons: Vec<Vec<Reason>> },
    /// Rows that never became rows.
    Raw(Vec<Malformed>),
}

impl Rejected {
    pub fn len(&self) -> usize {
        match &self.content {
            RejectedContent::Rows { offsets, .. } => offsets.len(),
            RejectedContent::Raw(rows) => rows.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a row was rejected. Names rules and columns, never values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule's name, or the kind of the finding, such as `late` or `consent.withdrawn`.
    pub rule: Arc<str>,
    /// In words.
    pub detail: Arc<str>,
}

impl Reason {
    pub fn new(rule: impl Into<Arc<str>>, detail: impl Into<Arc<str>>) -> Self {
        Self { rule: rule.into(), detail: detail.into() }
    }
}
