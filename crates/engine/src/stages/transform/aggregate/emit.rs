//! Groups as rows of the output: keys from their bytes, windows, and the results of the calls.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::{cast, interleave, take},
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use weir_plan::operator::Change;

use super::{accumulator::Accumulator, call::Call, panes::Closed};
use crate::stages::transform::{
    operator::{ENOUGH_ROWS, Output},
    window::timestamps,
};

/// Rows of one batch put out.
const CHUNK: usize = 8192;

/// What makes rows of the output.
pub(super) struct Emitter {
    output: SchemaRef,
    keys: Option<RowConverter>,
    /// How many of the calls are columns of the output; there may be one more, which counts rows.
    shown: usize,
    /// Compares results, if their types can be.
    results: Option<RowConverter>,
}

/// Windows that closed at some times that follow one another, of all keys.
#[derive(Default)]
pub(super) struct Fired {
    keys: Vec<u8>,
    ends: Vec<usize>,
    rows: Vec<Closed>,
    /// At the how manieth time each row closed.
    times: Vec<u32>,
    time: u32,
}

impl Fired {
    /// What is pushed from now on closed at a later time.
    pub(super) fn later(&mut self) {
        self.time += 1;
    }

    pub(super) fn push(&mut self, key: &[u8], closed: Closed) {
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len());
        self.rows.push(closed);
        self.times.push(self.time);
    }

    /// Whether there is enough to be put out.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ENOUGH_ROWS
    }

    fn key(&self, n: usize) -> &[u8] {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        &self.keys[start..self.ends[n]]
    }

    /// Places of the rows by the time at which they closed, then by the bytes of their keys, then by their windows' starts.
    fn order(&self) -> Vec<u32> {
        let first = if self.rows.is_empty() { &[] } else { self.key(0) };
        let alike = (1..self.rows.len())
            .fold(first.len(), |alike, n| first[..alike].iter().zip(self.key(n)).take_while(|(a, b)| a == b).count());
        // Most comparisons are decided by eight bytes behind those that all have in common.
        let prefix = |key: &[u8]| {
            let mut bytes = [0; 8];
            let rest = &key[alike..key.len().min(alike + 8)];
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(bytes)
        };
        let mut order: Vec<(u32, u64, u32)> =
            self.times.iter().enumerate().map(|(n, time)| (*time, prefix(self.key(n)), n as u32)).collect();
        order.sort_unstable_by(|(earlier, a, m), (later, b, n)| {
            let (m, n) = (*m as usize, *n as usize);
            let prefixes = earlier.cmp(later).then_with(|| a.cmp(b));
            prefixes.then_with(|| self.key(m).cmp(self.key(n))).then_with(|| self.rows[m].start.cmp(&self.rows[n].start))
        });
        order.into_iter().map(|(_, _, n)| n).collect()
    }
}

impl Emitter {
    pub(super) fn new(
        keys: &[usize],
        input: &Schema,
        output: SchemaRef,
        calls: &[Call],
        shown: usize,
    ) -> Result<Self, ArrowError> {
        let keys = keys.iter().map(|&column| SortField::new(input.field(column).data_type().clone())).collect::<Vec<_>>();
        let results: Vec<_> = calls[..shown].iter().map(|call| SortField::new(call.output.clone())).collect();
        let comparable = !results.is_empty() && RowConverter::supports_fields(&results);
        Ok(Self {
            output,
            keys: if keys.is_empty() { None } else { Some(RowConverter::new(keys)?) },
            shown,
            results: if comparable { Some(RowConverter::new(results)?) } else { None },
        })
    }

    /// The keys of a batch's rows; none if there is one group over all.
    pub(super) fn keys(&self, keys: &[usize], batch: &RecordBatch) -> Result<Option<arrow::row::Rows>, ArrowError> {
        let columns: Vec<ArrayRef> = keys.iter().map(|&column| Arc::clone(batch.column(column))).collect();
        self.keys.as_ref().map(|converter| converter.convert_columns(&columns)).transpose()
    }

    fn key_columns<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        let Some(converter) = &self.keys else { return Ok(Vec::new()) };
        let (keys, parser): (Vec<_>, _) = (keys.collect(), converter.parser());
        let columns = converter.convert_rows(keys.iter().map(|key| parser.parse(key)))?;
        columns.into_iter().enumerate().map(|(n, column)| as_type(column, self.output.field(n).data_type())).collect()
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)
    }

    /// Puts out windows, in their order.
    pub(super) fn windows(&self, fired: &Fired, calls: &[Call], out: &mut Output) -> Result<(), ArrowError> {
        for chunk in fired.order().chunks(CHUNK) {
            let rows = || chunk.iter().map(|&n| &fired.rows[n as usize]);
            let mut columns = self.key_columns(chunk.iter().map(|&n| fired.key(n as usize)))?;
            let times: [Vec<i64>; 3] = [
                rows().map(|row| row.start).collect(),
                rows().map(|row| row.end).collect(),
                rows().map(|row| row.end.saturating_sub(1)).collect(),
            ];
            for times in times {
                columns.push(timestamps(times, self.output.field(columns.len()).data_type())?);
            }
            for (n, call) in calls[..self.shown].iter().enumerate() {
                let values: Vec<&Accumulator> = rows().map(|row| &row.values.as_slice()[n]).collect();
                columns.push(call.finish(&values)?);
            }
            out.emit(self.batch(columns, chunk.len())?);
        }
        Ok(())
    }

    /// The results of groups as they stand; `values` has, for each call, the accumulator of each group.
    pub(super) fn results(&self, values: &[Vec<Accumulator>], calls: &[Call]) -> Result<Vec<ArrayRef>, ArrowError> {
        let shown = calls[..self.shown].iter().zip(values);
        shown.map(|(call, values)| call.finish(&values.iter().collect::<Vec<_>>())).collect()
    }

    /// Puts out how groups changed. `keys` are their keys' bytes, `was` and `is` say which are seen before and after.
    pub(super) fn changes<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
        (was, before): (&[bool], &[ArrayRef]),
        (is, after): (&[bool], &[ArrayRef]),
        out: &mut Output,
    ) -> Result<(), ArrowError> {
        let same = match &self.results {
            Some(converter) => {
                let (before, after) = (converter.convert_columns(before)?, converter.convert_columns(after)?);
                (0..was.len()).map(|n| before.row(n) == after.row(n)).collect()
            }
            // Without calls there is nothing that could change.
            None => vec![self.shown == 0; was.len()],
        };
        let (mut rows, mut changes): (Vec<(usize, usize)>, Vec<Change>) = (Vec::new(), Vec::new());
        for n in 0..was.len() {
            match (was[n], is[n]) {
                (false, true) => {
                    rows.push((1, n));
                    changes.push(Change::Insert);
                }
                (true, true) if !same[n] => {
                    rows.extend([(0, n), (1, n)]);
                    changes.extend([Change::UpdateBefore, Change::UpdateAfter]);
                }
                (true, false) => {
                    rows.push((0, n));
                    changes.push(Change::Delete);
                }
                _ => {}
            }
        }
        let of = UInt32Array::from_iter_values(rows.iter().map(|&(_, n)| n as u32));
        let mut columns = Vec::with_capacity(self.output.fields().len());
        for column in self.key_columns(keys)? {
            columns.push(take(&column, &of, None)?);
        }
        for (before, after) in before.iter().zip(after) {
            columns.push(interleave(&[before, after], &rows)?);
        }
        let batch = self.batch(columns, rows.len())?;
        if changes.iter().all(|change| *change == Change::Insert) {
            out.emit(batch);
        } else {
            out.emit_changes(batch, changes);
        }
        Ok(())
    }
}

fn as_type(column: ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == to { Ok(column) } else { cast(&column, to) }
}
