//! Keeping count while rows are decoded: every row is accepted or refused, and its place is kept.

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};

use super::columns::ColumnBuffer;
use crate::{
    error::ConnectorError,
    source::{Decoded, Malformed, MalformedReason, Offset},
};

pub(crate) struct Tally {
    start: Offset,
    /// Rows accepted so far: the length of every column.
    pub accepted: usize,
    row: u32,
    row_offsets: Option<Vec<u32>>,
    malformed: Vec<Malformed>,
    /// Rows accepted that had fields which the schema does not name.
    unnamed: u64,
}

impl Tally {
    pub fn new(start: Offset, malformed: Vec<Malformed>) -> Self {
        Self { start, accepted: 0, row: 0, row_offsets: None, malformed, unnamed: 0 }
    }

    #[inline]
    pub fn accept(&mut self, unnamed: bool) {
        self.unnamed += u64::from(unnamed);
        if let Some(offsets) = &mut self.row_offsets {
            offsets.push(self.row);
        }
        self.accepted += 1;
        self.row += 1;
    }

    /// Takes what the refused row left in the columns out again. `byte` is where it begins in the chunk.
    #[cold]
    pub fn refuse(&mut self, columns: &mut [ColumnBuffer], byte: usize, raw: &[u8], reason: MalformedReason) {
        columns.iter_mut().for_each(|column| column.truncate(self.accepted));
        let row = self.row;
        self.row_offsets.get_or_insert_with(|| (0..row).collect());
        self.malformed.push(Malformed {
            at: Offset { byte: self.start.byte + byte as u64, row: self.start.row + u64::from(row) },
            reason,
            raw: raw.to_vec(),
            raw_length: raw.len() as u64,
        });
        self.row += 1;
    }

    pub fn finish(self, schema: &SchemaRef, columns: &mut [ColumnBuffer]) -> Result<Decoded, ConnectorError> {
        let failed = |error| ConnectorError::Internal(format!("decoded rows do not form a batch: {error}"));
        let arrays = columns.iter_mut().map(ColumnBuffer::finish).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.accepted));
        let rows = RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(failed)?;
        Ok(Decoded { rows, row_offsets: self.row_offsets, malformed: self.malformed, unnamed: self.unnamed })
    }
}
