//! Rows on their way: an Arrow batch that still knows where each row came from.

use std::sync::Arc;

use arrow::{
    array::{BooleanArray, RecordBatch, UInt32Array},
    buffer::BooleanBuffer,
    compute::{concat_batches, filter_record_batch, interleave_record_batch, take_record_batch},
    datatypes::SchemaRef,
    error::ArrowError,
};
use weir_plan::operator::Change;

/// The chunk of input a batch was decoded from.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the source among the plan's nodes.
    pub source: usize,
    /// The partition's name.
    pub partition: Arc<str>,
    /// Row offset in the partition that the positions of [`Batch::offset`] are relative to.
    pub first_row: u64,
}

/// Rows of one chunk, or of what is left of it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub rows: RecordBatch,
    pub origin: Arc<Origin>,
    /// Row offset of each row, relative to `origin.first_row`; absent while they are 0, 1, 2, ...
    pub offsets: Option<Arc<[u32]>>,
    /// What happened to each row, where rows are changes of a table; absent when all are inserted.
    pub changes: Option<Arc<[Change]>>,
    /// Of a row that came behind the watermark of its source: that watermark; of others `i64::MIN`. Absent when none did, and where
    /// no operator asks.
    pub behind: Option<Arc<[i64]>>,
}

impl Batch {
    pub fn new(rows: RecordBatch, origin: Arc<Origin>, offsets: Option<Vec<u32>>) -> Self {
        Self { rows, origin, offsets: offsets.map(Into::into), changes: None, behind: None }
    }

    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The offset of a row in its partition.
    pub fn offset(&self, row: usize) -> u64 {
        self.origin.first_row + self.offsets.as_ref().map_or(row as u64, |offsets| u64::from(offsets[row]))
    }

    /// The same rows with other columns.
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        debug_assert_eq!(rows.num_rows(), self.num_rows());
        Self { rows, ..self.clone() }
    }

    /// The rows whose bit is set.
    pub fn filter(&self, keep: &BooleanBuffer) -> Result<Self, ArrowError> {
        let kept = keep.count_set_bits();
        if kept == self.num_rows() {
            return Ok(self.clone());
        }
        let rows = filter_record_batch(&self.rows, &BooleanArray::new(keep.clone(), None))?;
        let offsets = match &self.offsets {
            Some(offsets) => keep.set_indices().map(|i| offsets[i]).collect::<Arc<[u32]>>(),
            None => keep.set_indices().map(|i| i as u32).collect(),
        };
        let changes = self.changes.as_ref().map(|changes| keep.set_indices().map(|i| changes[i]).collect());
        let behind = self.behind.as_ref().map(|behind| keep.set_indices().map(|i| behind[i]).collect());
        Ok(Self { rows, origin: Arc::clone(&self.origin), offsets: Some(offsets), changes, behind })
    }

    /// `len` rows from row `first` on, without copying them.
    pub fn slice(&self, first: usize, len: usize) -> Self {
        let offsets = match &self.offsets {
            Some(offsets) => Arc::from(&offsets[first..first + len]),
            None => (first as u32..(first + len) as u32).collect(),
        };
        let changes = self.changes.as_ref().map(|changes| Arc::from(&changes[first..first + len]));
        let behind = self.behind.as_ref().map(|behind| Arc::from(&behind[first..first + len]));
        Self { rows: self.rows.slice(first, len), origin: Arc::clone(&self.origin), offsets: Some(offsets), changes, behind }
    }

    /// Rows of one origin, one batch after the other.
    pub fn concat(schema: &SchemaRef, origin: &Arc<Origin>, batches: &[Self]) -> Result<Self, ArrowError> {
        let rows = concat_batches(schema, batches.iter().map(|batch| &batch.rows))?;
        let offset = |batch: &Self, row: usize| (batch.offset(row) - origin.first_row) as u32;
        let offsets = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| offset(batch, row))).collect();
        let order = batches.iter().enumerate().flat_map(|(which, batch)| (0..batch.num_rows()).map(move |row| (which, row)));
        let (changes, behind) = (changes_of(batches, order.clone()), behind_of(batches, order));
        Ok(Self { rows, origin: Arc::clone(origin), offsets: Some(offsets), changes, behind })
    }

    /// Rows of one origin in the order of their offsets; of rows with the same offset, those of the earlier batch come first.
    pub fn merge(origin: &Arc<Origin>, batches: &[Self]) -> Result<Self, ArrowError> {
        let mut order: Vec<(u64, usize, usize)> = batches
            .iter()
            .enumerate()
            .flat_map(|(which, batch)| (0..batch.num_rows()).map(move |row| (batch.offset(row), which, row)))
            .collect();
        order.sort_unstable();
        let rows: Vec<&RecordBatch> = batches.iter().map(|batch| &batch.rows).collect();
        let rows = interleave_record_batch(&rows, &order.iter().map(|&(_, which, row)| (which, row)).collect::<Vec<_>>())?;
        let offsets = order.iter().map(|(offset, _, _)| (offset - origin.first_row) as u32).collect();
        let order = order.iter().map(|&(_, which, row)| (which, row));
        let (changes, behind) = (changes_of(batches, order.clone()), behind_of(batches, order));
        Ok(Self { rows, origin: Arc::clone(origin), offsets: Some(offsets), changes, behind })
    }

    /// The rows at these indices.
    pub fn take(&self, indices: &[u32]) -> Result<RecordBatch, ArrowError> {
        take_record_batch(&self.rows, &UInt32Array::from(indices.to_vec()))
    }

    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// The changes of these rows of several batches.
fn changes_of(batches: &[Batch], rows: impl Iterator<Item = (usize, usize)>) -> Option<Arc<[Change]>> {
    batches.iter().any(|batch| batch.changes.is_some()).then(|| {
        rows.map(|(which, row)| batches[which].changes.as_ref().map_or(Change::Insert, |changes| changes[row])).collect()
    })
}

/// The watermarks that these rows of several batches lie behind.
fn behind_of(batches: &[Batch], rows: impl Iterator<Item = (usize, usize)>) -> Option<Arc<[i64]>> {
    batches
        .iter()
        .any(|batch| batch.behind.is_some())
        .then(|| rows.map(|(which, row)| batches[which].behind.as_ref().map_or(i64::MIN, |behind| behind[row])).collect())
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array},
        datatypes::Int64Type,
    };

    use super::*;

    #[test]
    fn filtering_keeps_each_rows_offset() {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(100..110));
        let rows = RecordBatch::try_from_iter([("v", values)]).unwrap();
        let origin = Arc::new(Origin { source: 0, partition: "p".into(), first_row: 1_000 });
        let batch = Batch::new(rows, origin, None);

        let even = batch.filter(&BooleanBuffer::collect_bool(10, |i| i % 2 == 0)).unwrap();
        let last = even.filter(&BooleanBuffer::collect_bool(5, |i| i >= 3)).unwrap();

        use arrow::array::AsArray;
        assert_eq!(last.rows.column(0).as_primitive::<Int64Type>().values(), &[106, 108]);
        assert_eq!((last.offset(0), last.offset(1)), (1_006, 1_008));

        let apart = [batch.slice(0, 2), last.slice(1, 1), even.slice(0, 0)];
        let together = Batch::concat(&batch.schema(), &batch.origin, &apart).unwrap();
        assert_eq!(together.rows.column(0).as_primitive::<Int64Type>().values(), &[100, 101, 108]);
        assert_eq!([0, 1, 2].map(|row| together.offset(row)), [1_000, 1_001, 1_008]);

        let merged = Batch::merge(&batch.origin, &[last, batch.slice(6, 1), batch.slice(5, 4)]).unwrap();
        assert_eq!((0..merged.num_rows()).map(|row| merged.offset(row) - 1_000).collect::<Vec<_>>(), [5, 6, 6, 6, 7, 8, 8]);
    }
}
