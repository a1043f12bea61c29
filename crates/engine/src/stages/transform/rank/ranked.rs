//! Ranked rows in state, and rows of ranks on their way out.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions},
    compute::{SortOptions, interleave},
    datatypes::SchemaRef,
    error::ArrowError,
};
use weir_plan::operator::{Change, RankNode};

use crate::{
    error::EngineError,
    stages::transform::{
        join::{
            encode::RowEncoder,
            output::Arena,
            rows::{RowList, StoredRow},
        },
        operator::{OperatorContext, Output},
    },
};

/// What all ranks share.
#[derive(Debug)]
pub struct Ranking {
    pub node: String,
    pub partition: RowEncoder,
    pub order: RowEncoder,
    pub rows: RowEncoder,
    pub limit: usize,
    pub number: bool,
    pub input: SchemaRef,
    pub output: SchemaRef,
}

impl Ranking {
    pub fn new(node: &RankNode, context: &OperatorContext) -> Result<Self, EngineError> {
        let failed = |error: ArrowError| EngineError::internal(&context.node, error);
        let [input] = &context.inputs[..] else { return Err(EngineError::internal(&context.node, "a rank has one input")) };
        let order =
            node.order.iter().map(|key| (key.column, SortOptions { descending: key.descending, nulls_first: key.nulls_first }));
        Ok(Self {
            node: context.node.clone(),
            partition: RowEncoder::new(input, &node.partition).map_err(failed)?,
            order: RowEncoder::sorted(input, order).map_err(failed)?,
            rows: RowEncoder::all(input).map_err(failed)?,
            limit: usize::try_from(node.limit).unwrap_or(usize::MAX),
            number: node.number,
            input: Arc::clone(input),
            output: Arc::clone(&context.output),
        })
    }

    pub fn failed(&self, error: ArrowError) -> EngineError {
        EngineError::internal(&self.node, error)
    }

    /// Puts out rows of a batch and of the arena.
    pub fn emit(&self, picked: Picked, batch: Option<&RecordBatch>, arena: &Arena, out: &mut Output) -> Result<(), EngineError> {
        if picked.rows.is_empty() {
            return Ok(());
        }
        let stored = match arena.len() {
            0 => Vec::new(),
            _ => arena.decode(&self.rows).map_err(|error| self.failed(error))?,
        };
        let rows = picked.rows.len();
        let mut columns = Vec::with_capacity(self.output.fields().len());
        for column in 0..self.input.fields().len() {
            let from: Vec<&dyn Array> = [batch.map(|batch| batch.column(column)), stored.get(column)]
                .into_iter()
                .flatten()
                .map(|column: &ArrayRef| column.as_ref())
                .collect();
            columns.push(
                match (batch, from.len()) {
                    (Some(_), 2) => interleave(&from, &picked.rows),
                    _ => {
                        let rows: Vec<(usize, usize)> = picked.rows.iter().map(|&(_, row)| (0, row)).collect();
                        interleave(&from, &rows)
                    }
                }
                .map_err(|error| self.failed(error))?,
            );
        }
        if self.number {
            columns.push(Arc::new(Int64Array::from(picked.numbers)) as ArrayRef);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options).map_err(|error| self.failed(error))?;
        if picked.changes.is_empty() {
            out.emit(batch);
        } else {
            out.emit_changes(batch, picked.changes);
        }
        Ok(())
    }
}

/// Rows to put out: from the batch (0) or the arena (1), and their place there.
#[derive(Debug, Default)]
pub struct Picked {
    pub rows: Vec<(usize, usize)>,
    /// Their ranks from 1, where these are asked for.
    pub numbers: Vec<i64>,
    /// One a row, or none at all.
    pub changes: Vec<Change>,
}

/// A row's place among the rows of the batch and those copied out of the state.
pub const FROM_BATCH: usize = 0;
pub const FROM_STATE: usize = 1;

/// The sort key of a stored row: the first `tag` of its bytes.
pub fn sort_key<'a>(list: &'a RowList, row: &StoredRow) -> &'a [u8] {
    &list.bytes_of(row)[..row.tag as usize]
}

/// A stored row without its sort key.
pub fn row_bytes<'a>(list: &'a RowList, row: &StoredRow) -> &'a [u8] {
    &list.bytes_of(row)[row.tag as usize..]
}

/// Where a row with this sort key goes: behind all that are equal.
pub fn place(list: &RowList, key: &[u8]) -> usize {
    match list.rows().last() {
        // Rows often come in order.
        Some(last) if sort_key(list, last) <= key => list.len(),
        _ => list.rows().partition_point(|row| sort_key(list, row) <= key),
    }
}
