//! Event time: the watermark of each partition, and which rows come behind it.
//!
//! The watermark of a partition is the newest event time seen in it, less `max_delay`. A row is late when its time lies before
//! the watermark as it stood when the row's predecessor had passed. That definition depends on the order of rows alone, not on
//! how they are cut into batches.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, AsArray, TimestampMicrosecondArray},
    buffer::BooleanBuffer,
    datatypes::TimestampMicrosecondType,
};
use weir_spec::connector::{EventTime, LatePolicy};

use super::Turn;
use crate::{
    batch::Batch,
    error::EngineError,
    ordered::{Cancel, Ordered},
};

/// The newest event time of each partition of a source, microseconds; shared by all lanes.
#[derive(Debug)]
pub struct Watermarks(Ordered<BTreeMap<String, i64>>);

impl Watermarks {
    /// Restored from what [`Self::snapshot`] gave.
    pub fn restore(newest: BTreeMap<String, i64>, cancel: Cancel) -> Arc<Self> {
        Arc::new(Self(Ordered::new(newest, cancel)))
    }

    pub fn skip(&self, ticket: u64) {
        self.0.skip(ticket);
    }

    pub fn snapshot(&self, ticket: u64) -> Result<BTreeMap<String, i64>, EngineError> {
        self.0.turn(ticket, 1, |newest| newest.clone())
    }

    /// The newest event time over all partitions, for the console.
    pub fn newest(&self) -> Option<i64> {
        self.0.peek(|newest| newest.values().max().copied())
    }
}

/// Event time in one lane of a source.
pub struct EventTimeCheck {
    pub column: usize,
    pub policy: LatePolicy,
    /// Microseconds.
    pub max_delay: i64,
    pub watermarks: Arc<Watermarks>,
}

impl EventTimeCheck {
    pub fn new(column: usize, event_time: &EventTime, watermarks: Arc<Watermarks>) -> Self {
        let max_delay = i64::try_from(event_time.max_delay.as_duration().as_micros()).unwrap_or(i64::MAX);
        Self { column, policy: event_time.late, max_delay, watermarks }
    }

    /// The late rows of a batch, None when there are none. Advances the partition's watermark. Must be called once for every
    /// ticket of the source, with an empty batch if need be.
    pub fn late(&self, batch: &Batch, turn: Turn) -> Result<Option<BooleanBuffer>, EngineError> {
        let times = batch.rows.column(self.column).as_primitive::<TimestampMicrosecondType>();
        let newest_here = arrow::compute::max(times);
        let newest_before = self.watermarks.0.turn(turn.ticket, 1, |newest| {
            let before = newest.get(&*batch.origin.partition).copied();
            if let Some(here) = newest_here.filter(|&here| before.is_none_or(|before| here > before)) {
                newest.insert(batch.origin.partition.to_string(), here);
            }
            before
        })?;
        if self.policy == LatePolicy::Pass {
            return Ok(None);
        }
        Ok(behind(times, newest_before.unwrap_or(i64::MIN), self.max_delay))
    }
}

/// Rows whose time lies before the watermark that their predecessors left.
fn behind(times: &TimestampMicrosecondArray, mut newest: i64, max_delay: i64) -> Option<BooleanBuffer> {
    let mut late = None;
    for row in 0..times.len() {
        if times.is_null(row) {
            continue;
        }
        let time = times.value(row);
        if time < newest.saturating_sub(max_delay) {
            late.get_or_insert_with(|| vec![false; times.len()])[row] = true;
        }
        newest = newest.max(time);
    }
    late.map(BooleanBuffer::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_depends_on_order_not_on_batches() {
        let all = [10, 20, 14, 15, 30, 24, 25, 26, 29, 31];
        let late_in = |cuts: &[usize]| {
            let (mut newest, mut start, mut late) = (i64::MIN, 0, Vec::new());
            for &end in cuts.iter().chain([&all.len()]) {
                let times = TimestampMicrosecondArray::from(all[start..end].to_vec());
                if let Some(rows) = behind(&times, newest, 5) {
                    late.extend(rows.set_indices().map(|row| start + row));
                }
                newest = newest.max(all[start..end].iter().copied().max().unwrap_or(i64::MIN));
                start = end;
            }
            late
        };
        assert_eq!(late_in(&[]), [2, 5]);
        for cut in 0..=all.len() {
            assert_eq!(late_in(&[cut]), [2, 5], "cut at {cut}");
        }
        assert_eq!(late_in(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), [2, 5]);
    }

    #[test]
    fn a_row_without_time_is_not_late_and_moves_nothing() {
        let times = TimestampMicrosecondArray::from(vec![Some(10), None, Some(5)]);
        assert_eq!(behind(&times, i64::MIN, 0).map(|late| late.set_indices().collect::<Vec<_>>()), Some(vec![2]));
    }
}
