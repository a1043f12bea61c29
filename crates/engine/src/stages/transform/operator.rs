//! What every operator with state is to the run that drives it.
//!
//! Rows reach an operator's lane by the hash of its keys, in ticket order: first the rows of a ticket, then the time as it stands
//! after them; before a row that came behind the watermark, the time as it stood before that row. So what an operator decides depends
//! on the order of the input alone, not on the speed of threads or the size of batches. A ticket's rows may come in several batches
//! and from several inputs.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use weir_plan::operator::Change;

use crate::{
    batch::Batch,
    counts::RuleCounts,
    error::EngineError,
    observation::Observations,
    stages::Reason,
    state::{KeyedState, LaneState, Settings, Snapshot, StateError, StateValue},
};

/// One operator in one lane.
pub trait Operator: Send {
    /// Takes in rows of an input (index into the node's inputs). Each row must be accounted for in `out`: absorbed, late, dropped or
    /// rejected.
    fn process(&mut self, input: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError>;

    /// Time has come this far. Called after the rows of each ticket, and now and then without rows. What is due may be more than
    /// memory should hold at once, of windows above all, which hold everything back until they close: an operator may stop when
    /// [`ENOUGH_ROWS`] have been put out or more, and is called again, with the same time and before anything else, until it is done.
    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError>;

    /// The least event time that rows put out from now on can have, given the watermark of the input.
    fn output_watermark(&self, watermark: i64) -> i64 {
        watermark
    }

    /// Everything it remembers, by a name that stays the same: what checkpoints hold.
    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)>;

    /// What it has noticed since the last call, to be committed with the rows taken in until now. Of operators that watch.
    fn take_observations(&mut self) -> Observations {
        Observations::default()
    }

    /// How often each rule was asked and failed since the last call. Of operators that watch.
    fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        BTreeMap::new()
    }
}

/// How many rows an operator puts out, roughly, before it lets them go on their way. Very few in tests, so that they see it.
pub const ENOUGH_ROWS: usize = if cfg!(test) { 3 } else { 1 << 15 };

/// How much of what was due at a time an operator has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// There is more: what was put out is to go on first.
    More,
}

impl Progress {
    /// There may be more when there was enough.
    pub fn until_enough(rows: usize) -> Self {
        if rows >= ENOUGH_ROWS { Self::More } else { Self::Done }
    }
}

/// State that checkpoints hold.
pub trait Durable: Send {
    /// The state as it is now, to be written on another thread. Quick.
    fn snapshot(&mut self) -> Box<dyn PendingState>;
}

/// A state at a barrier, on its way to a file.
pub trait PendingState: Send {
    /// Writes it to a file of this name in the state folder. See [`crate::state::Snapshot::write`].
    fn write(self: Box<Self>, name: &str) -> Result<LaneState, StateError>;
}

impl<V: StateValue> Durable for KeyedState<V> {
    fn snapshot(&mut self) -> Box<dyn PendingState> {
        Box::new(KeyedState::snapshot(self))
    }
}

impl<V: StateValue> PendingState for Snapshot<V> {
    fn write(self: Box<Self>, name: &str) -> Result<LaneState, StateError> {
        Snapshot::write(*self, name)
    }
}

/// What an operator is made with, besides its plan.
pub struct OperatorContext {
    /// The node's name, for messages.
    pub node: String,
    /// The schema of each input.
    pub inputs: Vec<SchemaRef>,
    /// Whether an input's rows are changes of a table.
    pub input_changes: Vec<bool>,
    pub output: SchemaRef,
    pub lane: usize,
    pub lanes: usize,
    pub settings: Settings,
    /// What the last checkpoint holds of each state, of all lanes of that run.
    pub restored: BTreeMap<String, Vec<LaneState>>,
}

impl OperatorContext {
    /// The state of this name: empty, or as of the last checkpoint.
    pub fn open<V: StateValue>(&self, name: &str) -> Result<KeyedState<V>, EngineError> {
        match self.restored.get(name) {
            Some(states) => KeyedState::restore(self.settings.clone(), self.lane, self.lanes, states).map_err(|e| self.failed(e)),
            None => Ok(KeyedState::new(self.settings.clone(), self.lane, self.lanes)),
        }
    }

    /// A failure of this node's state.
    pub fn failed(&self, error: StateError) -> EngineError {
        EngineError::state(&self.node, error)
    }
}

/// How far time has come. Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// No row older than this is expected any more; `i64::MIN` before there is one, `i64::MAX` when all sources have ended.
    pub watermark: i64,
    /// The clock, as it was when the ticket was made: the same for all lanes.
    pub now: i64,
}

/// What an operator makes of what it was given.
#[derive(Debug, Default)]
pub struct Output {
    /// Rows put out, in order.
    pub rows: Vec<Emitted>,
    /// Rows of the input taken into the state or into results.
    pub absorbed: u64,
    /// Rows of the input left out on purpose.
    pub dropped: u64,
    /// Rows of the input that came too late; their source's policy says what becomes of them.
    pub late: Vec<RowsOf>,
    /// Rows of the input that cannot be processed.
    pub rejected: Vec<(RowsOf, Vec<Vec<Reason>>)>,
    /// Rows that were absorbed before and turn out to be such: where they came from is known no more.
    pub rejected_later: Vec<(RecordBatch, Vec<Vec<Reason>>)>,
}

/// Rows made by an operator.
#[derive(Clone, Debug)]
pub struct Emitted {
    pub rows: RecordBatch,
    /// One a row; absent when all are inserted.
    pub changes: Option<Arc<[Change]>>,
}

/// Some rows of a batch.
#[derive(Clone, Debug)]
pub struct RowsOf {
    pub batch: Batch,
    pub rows: Vec<u32>,
}

impl Output {
    /// Puts out rows that are all inserted. Nothing happens when there are none.
    pub fn emit(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.rows.push(Emitted { rows, changes: None });
        }
    }

    /// Puts out rows of a changelog.
    pub fn emit_changes(&mut self, rows: RecordBatch, changes: Vec<Change>) {
        debug_assert_eq!(rows.num_rows(), changes.len());
        if rows.num_rows() > 0 {
            self.rows.push(Emitted { rows, changes: Some(changes.into()) });
        }
    }

    pub fn late(&mut self, batch: &Batch, rows: Vec<u32>) {
        if !rows.is_empty() {
            self.late.push(RowsOf { batch: batch.clone(), rows });
        }
    }

    /// Rejects rows that were absorbed before, each with its reasons.
    pub fn reject_later(&mut self, rows: RecordBatch, reasons: Vec<Vec<Reason>>) {
        debug_assert_eq!(rows.num_rows(), reasons.len());
        if rows.num_rows() > 0 {
            self.rejected_later.push((rows, reasons));
        }
    }

    /// Rejects rows, each with its reasons.
    pub fn reject(&mut self, batch: &Batch, rows: Vec<u32>, reasons: Vec<Vec<Reason>>) {
        debug_assert_eq!(rows.len(), reasons.len());
        if !rows.is_empty() {
            self.rejected.push((RowsOf { batch: batch.clone(), rows }, reasons));
        }
    }
}
