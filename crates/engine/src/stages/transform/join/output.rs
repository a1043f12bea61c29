//! From places of rows to output columns: rows of the state are copied out once each, decoded together, and taken by number.

use std::sync::Arc;

use ahash::AHashMap;
use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array},
    buffer::{NullBuffer, ScalarBuffer},
    compute::take,
    datatypes::SchemaRef,
    error::ArrowError,
};
use weir_plan::operator::Change;

use super::encode::RowEncoder;
use crate::{error::EngineError, stages::transform::operator::Output, state::Slot};

/// Rows put out at once.
pub const OUTPUT_ROWS: usize = 8192;
/// In place of a row's number: no row, so nulls.
pub const NO_ROW: u32 = u32::MAX;

/// Rows copied out of the state.
#[derive(Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Numbers of rows that are here already, by where they are in the state.
    known: AHashMap<(Slot, u32), u32>,
}

#[expect(clippy::len_without_is_empty, reason = "nobody asks")]
impl Arena {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.known.clear();
    }

    /// Copies a row and gives its number.
    pub fn add(&mut self, row: &[u8]) -> u32 {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
        (self.ends.len() - 1) as u32
    }

    /// As [`Self::add`], but a row at the same place in the state is copied once only.
    pub fn add_once(&mut self, slot: Slot, at: u32, row: &[u8]) -> u32 {
        if let Some(&known) = self.known.get(&(slot, at)) {
            return known;
        }
        let number = self.add(row);
        self.known.insert((slot, at), number);
        number
    }

    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.bytes[std::mem::replace(&mut start, end)..end])
    }

    /// The columns of all rows.
    pub fn decode(&self, encoder: &RowEncoder) -> Result<Vec<ArrayRef>, ArrowError> {
        encoder.decode(self.rows())
    }
}

/// Row numbers for `take`; [`NO_ROW`] becomes null.
pub fn numbers(rows: Vec<u32>) -> UInt32Array {
    if rows.contains(&NO_ROW) {
        let valid = NullBuffer::from_iter(rows.iter().map(|&row| row != NO_ROW));
        let rows: Vec<u32> = rows.into_iter().map(|row| if row == NO_ROW { 0 } else { row }).collect();
        return UInt32Array::new(ScalarBuffer::from(rows), Some(valid));
    }
    UInt32Array::from(rows)
}

/// One column of the rows with these numbers.
pub fn taken(column: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef, ArrowError> {
    if rows.null_count() == rows.len() {
        return Ok(new_null_array(column.data_type(), rows.len()));
    }
    take(column, rows, None)
}

/// Pairs of a left and a right row, by number, on their way out.
#[derive(Debug, Default)]
pub struct Pairs {
    pub left: Vec<u32>,
    pub right: Vec<u32>,
    /// One a pair, or none at all.
    pub changes: Vec<Change>,
}

impl Pairs {
    pub fn push(&mut self, left: u32, right: u32) {
        self.left.push(left);
        self.right.push(right);
    }

    pub fn change(&mut self, left: u32, right: u32, change: Change) {
        self.push(left, right);
        self.changes.push(change);
    }

    pub fn len(&self) -> usize {
        self.left.len()
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Forgets all but the first pairs, which are not changes.
    pub fn truncate(&mut self, pairs: usize) {
        debug_assert!(self.changes.is_empty());
        self.left.truncate(pairs);
        self.right.truncate(pairs);
    }

    /// Puts the pairs out: columns of the left, then of the right.
    pub fn emit(
        self,
        node: &str,
        schema: &SchemaRef,
        left: &[ArrayRef],
        right: &[ArrayRef],
        out: &mut Output,
    ) -> Result<(), EngineError> {
        if self.is_empty() {
            return Ok(());
        }
        let rows = self.left.len();
        let (left_rows, right_rows) = (numbers(self.left), numbers(self.right));
        let columns: Result<Vec<ArrayRef>, ArrowError> = left
            .iter()
            .map(|column| taken(column, &left_rows))
            .chain(right.iter().map(|column| taken(column, &right_rows)))
            .collect();
        let columns = columns.map_err(|error| EngineError::internal(node, error))?;
        let batch = record_batch(node, schema, columns, rows)?;
        if self.changes.is_empty() {
            out.emit(batch);
        } else {
            out.emit_changes(batch, self.changes);
        }
        Ok(())
    }
}

/// A batch of output columns.
pub fn record_batch(node: &str, schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, EngineError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| EngineError::internal(node, error))
}
