//! Which windows a time falls into, and the columns `window_start`, `window_end` and `window_time` of rows that carry their windows.
//!
//! Windows are half open, `[start, end)`, in microseconds. A window's place is found by division that rounds down, so that times before
//! 1970 fall into windows as others do. Windows that would reach beyond the range of a 64-bit time end at its limits.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt32Array},
    buffer::NullBuffer,
    compute::{cast, take_record_batch},
    datatypes::{
        DataType, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    },
    error::ArrowError,
};
use weir_plan::operator::{TimeBasis, WindowKind, WindowNode};

use crate::stages::Reason;

/// Appends the windows of a time as `(start, end)`, the earliest first. A session window is that of the row alone.
///
/// A time has no window where windows have gaps between them (`slide` above `size`).
pub fn assign(window: &WindowKind, time: i64, windows: &mut Vec<(i64, i64)>) {
    match *window {
        WindowKind::Tumble { size, offset } => {
            let start = floor(time, size, offset);
            windows.push((start, start.saturating_add(size)));
        }
        WindowKind::Hop { size, slide, offset } => {
            let from = windows.len();
            let mut start = floor(time, slide, offset);
            while time < start.saturating_add(size) {
                windows.push((start, start.saturating_add(size)));
                match start.checked_sub(slide) {
                    Some(before) => start = before,
                    None => break,
                }
            }
            windows[from..].reverse();
        }
        WindowKind::Cumulate { size, step, offset } => {
            let start = floor(time, size, offset);
            let mut end = floor(time, step, offset).saturating_add(step);
            while end <= start.saturating_add(size) {
                windows.push((start, end));
                match end.checked_add(step) {
                    Some(next) => end = next,
                    None => break,
                }
            }
        }
        WindowKind::Session { gap } => windows.push((time, time.saturating_add(gap))),
    }
}

/// The last multiple of `step`, counted from `offset`, that is not after `time`.
pub(crate) fn floor(time: i64, step: i64, offset: i64) -> i64 {
    let step = step.max(1);
    let past = (i128::from(time) - i128::from(offset)).rem_euclid(i128::from(step)) as i64;
    time.saturating_sub(past)
}

/// Times of a timestamp column in microseconds, with its nulls. What is finer is rounded down.
pub(crate) fn micros(column: &ArrayRef) -> Result<TimestampMicrosecondArray, ArrowError> {
    let scaled = |factor: i64, values: &[i64], nulls: Option<&NullBuffer>| {
        let values = values.iter().map(|&value| value.saturating_mul(factor)).collect::<Vec<_>>();
        TimestampMicrosecondArray::new(values.into(), nulls.cloned())
    };
    Ok(match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => column.as_primitive::<TimestampMicrosecondType>().clone(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            scaled(1_000_000, column.as_primitive::<TimestampSecondType>().values(), column.nulls())
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(1_000, column.as_primitive::<TimestampMillisecondType>().values(), column.nulls())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().unary(|value| value.div_euclid(1_000))
        }
        other => return Err(ArrowError::InvalidArgumentError(format!("a time must be a timestamp, not {other}"))),
    })
}

/// Microseconds as a column of this timestamp type.
pub(crate) fn timestamps(micros: Vec<i64>, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let zone = match to {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let array = TimestampMicrosecondArray::from(micros).with_timezone_opt(zone);
    if array.data_type() == to { Ok(Arc::new(array)) } else { cast(&array, to) }
}

/// Why a row without event time cannot go on.
pub(crate) fn no_time(column: &str) -> Reason {
    Reason::new("time", format!("column `{column}` is null, so the row belongs to no window"))
}

/// What became of a batch: rows with their windows, and the numbers of the rows that have none.
#[derive(Debug)]
pub struct Expanded {
    pub rows: RecordBatch,
    /// For each row put out, the row it was.
    pub from: Vec<u32>,
    /// Rows without a time, to be rejected.
    pub timeless: Vec<u32>,
    /// Rows that fall between windows.
    pub outside: Vec<u32>,
}

/// Adds windows to rows, one row for each window of a row. Without state.
#[derive(Debug)]
pub struct WindowStage {
    node: WindowNode,
    output: SchemaRef,
}

impl WindowStage {
    /// `output` is the input's columns and the three of the window.
    pub fn new(node: WindowNode, output: SchemaRef) -> Self {
        Self { node, output }
    }

    /// The column that rows are rejected for, if there is one.
    pub fn time_column(&self) -> Option<usize> {
        match self.node.time {
            TimeBasis::Event(column) => Some(column),
            TimeBasis::Processing => None,
        }
    }

    /// The reason for the rows in [`Expanded::timeless`].
    pub fn timeless(&self, input: &RecordBatch) -> Reason {
        no_time(self.time_column().map_or("", |column| input.schema_ref().field(column).name()))
    }

    /// Expands a batch; `now` is the time of rows that go by the clock.
    pub fn expand(&self, input: &RecordBatch, now: i64) -> Result<Expanded, ArrowError> {
        let times = self.time_column().map(|column| micros(input.column(column))).transpose()?;
        let (mut from, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let (mut timeless, mut outside) = (Vec::new(), Vec::new());
        let (mut windows, mut last) = (Vec::new(), None);
        for row in 0..input.num_rows() {
            let time = match &times {
                Some(times) if times.is_null(row) => {
                    timeless.push(row as u32);
                    continue;
                }
                Some(times) => times.value(row),
                None => now,
            };
            if last != Some(time) {
                last = Some(time);
                windows.clear();
                assign(&self.node.window, time, &mut windows);
            }
            if windows.is_empty() {
                outside.push(row as u32);
            }
            for &(start, end) in &windows {
                from.push(row as u32);
                starts.push(start);
                ends.push(end);
            }
        }
        let unchanged = from.len() == input.num_rows() && timeless.is_empty() && outside.is_empty();
        let rows = if unchanged { input.clone() } else { take_record_batch(input, &UInt32Array::from(from.clone()))? };
        let mut columns = rows.columns().to_vec();
        let last: Vec<i64> = ends.iter().map(|end| end - 1).collect();
        for micros in [starts, ends, last] {
            columns.push(timestamps(micros, self.output.field(columns.len()).data_type())?);
        }
        Ok(Expanded { rows: RecordBatch::try_new(Arc::clone(&self.output), columns)?, from, timeless, outside })
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
