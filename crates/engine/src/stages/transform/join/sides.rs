//! What all joins of two streams share: encoders of keys and rows, the condition, and the look at an input batch.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
};
use weir_plan::operator::{Change, JoinKind, JoinNode};

use super::{
    condition::Condition,
    encode::{EncodedRows, RowEncoder},
    output::{Arena, NO_ROW, Pairs, numbers, taken},
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::{
        Reason,
        transform::operator::{OperatorContext, Output},
    },
    state::StateError,
};

/// How many candidate pairs are judged at once.
pub const PAIRS_AT_ONCE: usize = 16 * 1024;

/// Both inputs of a join.
#[derive(Debug)]
pub struct Sides {
    pub node: String,
    pub outer: bool,
    pub keys: [RowEncoder; 2],
    pub rows: [RowEncoder; 2],
    pub inputs: [SchemaRef; 2],
    pub condition: Option<Condition>,
    pub output: SchemaRef,
}

/// An input batch, encoded.
pub struct Encoded {
    pub keys: EncodedRows,
    pub rows: EncodedRows,
    /// Rows whose key has no nulls; None if these are all.
    pub valid_keys: Option<NullBuffer>,
}

impl Encoded {
    pub fn has_key(&self, row: usize) -> bool {
        self.valid_keys.as_ref().is_none_or(|valid| valid.is_valid(row))
    }
}

impl Sides {
    pub fn new(node: &JoinNode, context: &OperatorContext) -> Result<Self, EngineError> {
        let failed = |error: ArrowError| EngineError::internal(&context.node, error);
        let [left, right] = &context.inputs[..] else {
            return Err(EngineError::internal(&context.node, "a join has two inputs"));
        };
        let (left_keys, right_keys): (Vec<usize>, Vec<usize>) = node.keys.iter().copied().unzip();
        for (&of_left, &of_right) in left_keys.iter().zip(&right_keys) {
            let (of_left, of_right) = (left.field(of_left), right.field(of_right));
            if of_left.data_type() != of_right.data_type() {
                let message =
                    format!("the keys `{}` and `{}` have different types; cast one of them", of_left.name(), of_right.name());
                return Err(EngineError::internal(&context.node, message));
            }
        }
        let condition = node.condition.as_ref().map(|expr| Condition::compile(&context.node, expr, &context.output));
        Ok(Self {
            node: context.node.clone(),
            outer: node.kind == JoinKind::Left,
            keys: [RowEncoder::new(left, &left_keys).map_err(failed)?, RowEncoder::new(right, &right_keys).map_err(failed)?],
            rows: [RowEncoder::all(left).map_err(failed)?, RowEncoder::all(right).map_err(failed)?],
            inputs: [Arc::clone(left), Arc::clone(right)],
            condition: condition.transpose()?,
            output: Arc::clone(&context.output),
        })
    }

    pub fn encode(&self, side: usize, batch: &Batch) -> Result<Encoded, EngineError> {
        Ok(Encoded {
            keys: self.keys[side].encode(&batch.rows).map_err(|error| self.failed(error))?,
            rows: self.rows[side].encode(&batch.rows).map_err(|error| self.failed(error))?,
            valid_keys: self.keys[side].nulls(&batch.rows),
        })
    }

    /// Judges pairs and keeps those for which the condition holds. `columns` are the columns of left and right rows. Gives, for
    /// each pair it cannot be computed for, its number and the reason.
    pub fn judge(
        &self,
        columns: [&[ArrayRef]; 2],
        pairs: &Pairs,
    ) -> Result<(Option<Vec<bool>>, Vec<(usize, Reason)>), EngineError> {
        let Some(condition) = &self.condition else { return Ok((None, Vec::new())) };
        if pairs.is_empty() {
            return Ok((None, Vec::new()));
        }
        let (left, right) = (numbers(pairs.left.clone()), numbers(pairs.right.clone()));
        let verdict = condition.judge(&self.node, columns, [&left, &right])?;
        Ok((Some(verdict.holds), verdict.failed))
    }

    /// Puts out the pairs for which the condition holds and, for LEFT, the rows of `lefts` that are in none of them. Pairs are
    /// grouped by their left row, in the order of `lefts`.
    ///
    /// Used where rows have long been taken in. A left row of a pair for which the condition cannot be computed is rejected now.
    pub fn emit_matches(
        &self,
        lefts: &[u32],
        pairs: Pairs,
        columns: [&[ArrayRef]; 2],
        out: &mut Output,
    ) -> Result<(), EngineError> {
        let (holds, failed) = self.judge(columns, &pairs)?;
        if !self.outer && holds.is_none() {
            return self.emit(pairs, columns, out);
        }
        let mut failed = failed.into_iter().peekable();
        let (mut rejected, mut reasons) = (Vec::new(), Vec::new());
        let (mut results, mut next) = (Pairs::default(), 0);
        for &left in lefts {
            let before = results.len();
            let first = next;
            while next < pairs.len() && pairs.left[next] == left {
                if holds.as_ref().is_none_or(|holds| holds[next]) {
                    results.push(left, pairs.right[next]);
                }
                next += 1;
            }
            if let Some((_, reason)) = failed.next_if(|(at, _)| (first..next).contains(at)) {
                while failed.next_if(|(at, _)| *at < next).is_some() {}
                results.truncate(before);
                rejected.push(left);
                reasons.push(vec![reason]);
            } else if self.outer && results.len() == before {
                results.push(left, NO_ROW);
            }
        }
        if !rejected.is_empty() {
            let rejected = numbers(rejected);
            let rows: Result<Vec<ArrayRef>, _> = columns[0].iter().map(|column| taken(column, &rejected)).collect();
            let rows = RecordBatch::try_new(Arc::clone(&self.inputs[0]), rows.map_err(|error| self.failed(error))?);
            out.reject_later(rows.map_err(|error| self.failed(error))?, reasons);
        }
        self.emit(results, columns, out)
    }

    /// The columns of stored rows of a side.
    pub fn decode(&self, side: usize, arena: &Arena) -> Result<Vec<ArrayRef>, EngineError> {
        if arena.len() == 0 {
            let empty = self.inputs[side].fields().iter().map(|field| arrow::array::new_empty_array(field.data_type()));
            return Ok(empty.collect());
        }
        arena.decode(&self.rows[side]).map_err(|error| self.failed(error))
    }

    pub fn emit(&self, pairs: Pairs, columns: [&[ArrayRef]; 2], out: &mut Output) -> Result<(), EngineError> {
        pairs.emit(&self.node, &self.output, columns[0], columns[1], out)
    }

    pub fn failed(&self, error: ArrowError) -> EngineError {
        EngineError::internal(&self.node, error)
    }

    pub fn state(&self, error: StateError) -> EngineError {
        EngineError::state(&self.node, error)
    }
}

/// Refuses an input that takes rows back.
pub fn refuse_changes(context: &OperatorContext, what: &str) -> Result<(), EngineError> {
    match context.input_changes.iter().any(|&changes| changes) {
        true => Err(EngineError::internal(&context.node, format!("{what} takes rows that are only ever inserted"))),
        false => Ok(()),
    }
}

/// Whether a column is a time, in microseconds.
pub fn check_time(node: &str, schema: &SchemaRef, column: usize) -> Result<(), EngineError> {
    match schema.field(column).data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(()),
        other => {
            Err(EngineError::internal(node, format!("`{}` is no time in microseconds but {other}", schema.field(column).name())))
        }
    }
}

/// The times of a batch; None where there is none.
pub fn times(batch: &Batch, column: usize) -> Vec<Option<i64>> {
    batch.rows.column(column).as_primitive::<TimestampMicrosecondType>().iter().collect()
}

/// Times of which some may be stored as numbers: the bounds of a window.
pub fn bounds(node: &str, batch: &Batch, column: usize) -> Result<Vec<Option<i64>>, EngineError> {
    let column = batch.rows.column(column);
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect()),
        _ => {
            let column = cast(column, &micros).map_err(|error| EngineError::internal(node, error))?;
            Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect())
        }
    }
}

/// Why a row without event time is rejected.
pub fn no_time(schema: &SchemaRef, column: usize) -> Reason {
    Reason::new("event_time.missing", format!("`{}` is null, so the row has no place in time", schema.field(column).name()))
}

/// What happened to a row of a batch.
pub fn change_of(batch: &Batch, row: usize) -> Change {
    batch.changes.as_ref().map_or(Change::Insert, |changes| changes[row])
}

/// Rows of one batch that are not absorbed.
#[derive(Debug, Default)]
pub struct Leftover {
    pub late: Vec<u32>,
    pub rejected: Vec<u32>,
    pub reasons: Vec<Vec<Reason>>,
    pub dropped: u64,
}

impl Leftover {
    pub fn reject(&mut self, row: usize, reason: Reason) {
        self.rejected.push(row as u32);
        self.reasons.push(vec![reason]);
    }

    /// Accounts for all rows of a batch: what is not left over was absorbed.
    pub fn settle(self, batch: &Batch, out: &mut Output) {
        let left = self.late.len() + self.rejected.len();
        out.absorbed += batch.num_rows() as u64 - left as u64 - self.dropped;
        out.dropped += self.dropped;
        out.late(batch, self.late);
        out.reject(batch, self.rejected, self.reasons);
    }
}
