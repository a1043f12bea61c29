//! Event time: the watermark of each partition and source, which rows come behind it, and which run away from it.
//!
//! - The watermark of a partition is the newest event time seen in it, less `max_delay`. A row is late when its time lies before
//!   the watermark as it stood when the row's predecessor had passed. That depends on the order of rows alone, not on how they
//!   are cut into batches.
//! - The watermark of a source is the least of its partitions' that have begun and are not idle, and never goes back. After a restart
//!   the partitions that counted before it count on, as if they had just been heard.
//! - A row more than `max_ahead` beyond both the clock and the newest row of its source runs away: it moves no watermark and is
//!   quarantined, so that one wrong clock does not make everybody else late.
//!
//! Where operators with state read from the source, they decide what is late, window by window; the source then lets such rows pass,
//! with the watermark that each of them lies behind. Operators that only watch rows decide nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, TimestampMicrosecondArray},
    buffer::BooleanBuffer,
    datatypes::TimestampMicrosecondType,
};
use serde::{Deserialize, Serialize};
use weir_spec::connector::{EventTime, LatePolicy};

use super::Turn;
use crate::{
    batch::Batch,
    counts::RuleCounts,
    error::EngineError,
    ordered::{Cancel, Ordered},
};

/// The watermark of each source that has event time, by the source's node index, in order.
pub type Marks = Arc<[(usize, i64)]>;

/// How a source tells event time. Spans in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct SourceClock {
    pub max_delay: i64,
    pub idle_after: Option<i64>,
    pub max_ahead: i64,
}

impl SourceClock {
    pub fn of(event_time: &EventTime) -> Self {
        let micros = |span: weir_spec::types::Timespan| i64::try_from(span.as_duration().as_micros()).unwrap_or(i64::MAX);
        Self {
            max_delay: micros(event_time.max_delay),
            idle_after: event_time.idle_after.map(micros),
            max_ahead: micros(event_time.max_ahead),
        }
    }
}

/// The event time of all sources, shared by all lanes and entered once by every ticket, in order.
#[derive(Debug)]
pub struct EventClock(Ordered<BTreeMap<usize, SourceTime>>);

#[derive(Debug)]
struct SourceTime {
    /// None for a source without event time: its only watermark is its end.
    clock: Option<SourceClock>,
    known: Known,
    /// Partitions that were heard and have not ended, with the clock's time of their last row.
    heard_at: BTreeMap<String, i64>,
    /// The clock's time of the last ticket; None before the first.
    now: Option<i64>,
    ended: bool,
}

/// What a checkpoint keeps of a source's event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The newest event time of each partition.
    pub newest: BTreeMap<String, i64>,
    /// The source's watermark.
    pub watermark: Option<i64>,
    /// The partitions that count: neither ended nor idle.
    #[serde(default)]
    pub active: BTreeSet<String>,
}

impl SourceTime {
    fn restored(clock: Option<SourceClock>, mut known: Known) -> Self {
        // Until the first ticket tells the time, any will do: nobody asks before.
        let heard_at = std::mem::take(&mut known.active).into_iter().map(|partition| (partition, i64::MIN)).collect();
        Self { clock, known, heard_at, now: None, ended: false }
    }

    /// The clock is at `now`.
    fn tell(&mut self, now: i64) {
        if self.now.replace(now).is_none() {
            self.heard_at.values_mut().for_each(|heard| *heard = now);
        }
    }

    /// Whether a partition counts: it was heard, has not ended and is not idle.
    fn is_active(&self, partition: &str, clock: SourceClock, now: i64) -> bool {
        let heard = self.heard_at.get(partition);
        heard.is_some_and(|&heard| clock.idle_after.is_none_or(|idle| now.saturating_sub(heard) <= idle))
    }

    /// The least watermark of the partitions that count, but for one.
    fn least(&self, clock: SourceClock, now: i64, except: Option<&str>) -> Option<i64> {
        let counts = |partition: &str| except != Some(partition) && self.is_active(partition, clock, now);
        let active = self.known.newest.iter().filter(|(partition, _)| counts(partition));
        active.map(|(_, newest)| newest.saturating_sub(clock.max_delay)).min()
    }

    fn snapshot(&self) -> Known {
        let mut known = self.known.clone();
        if let (Some(clock), Some(now)) = (self.clock, self.now) {
            known.active = self.heard_at.keys().filter(|partition| self.is_active(partition, clock, now)).cloned().collect();
        } else {
            // No ticket since the restart: what was active then is so still.
            known.active = self.heard_at.keys().cloned().collect();
        }
        known
    }

    fn mark(&mut self, now: i64) -> i64 {
        self.tell(now);
        if self.ended {
            return i64::MAX;
        }
        let Some(clock) = self.clock else { return i64::MIN };
        let least = self.least(clock, now, None);
        self.known.watermark = self.known.watermark.max(least);
        self.known.watermark.unwrap_or(i64::MIN)
    }
}

/// What the clock says to a batch.
#[derive(Default)]
struct Observed {
    newest_before: Option<i64>,
    /// The source's watermark before the batch.
    watermark: Option<i64>,
    /// The least watermark of its other partitions.
    others: Option<i64>,
    runaway: Option<BooleanBuffer>,
    marks: Marks,
}

impl EventClock {
    /// The clock of these sources, restored from what [`Self::snapshot`] gave.
    pub fn restore(sources: impl IntoIterator<Item = (usize, Option<SourceClock>, Known)>, cancel: Cancel) -> Arc<Self> {
        let sources = sources.into_iter().map(|(source, clock, known)| (source, SourceTime::restored(clock, known))).collect();
        Arc::new(Self(Ordered::new(sources, cancel)))
    }

    /// The watermarks as of a ticket that brings no rows with event time.
    pub fn tick(&self, ticket: u64, now: i64) -> Result<Marks, EngineError> {
        self.0.turn(ticket, 1, |sources| marks(sources, now))
    }

    /// A bounded source has no more rows.
    pub fn end(&self, ticket: u64, source: usize, now: i64) -> Result<Marks, EngineError> {
        self.0.turn(ticket, 1, |sources| {
            if let Some(time) = sources.get_mut(&source) {
                time.ended = true;
            }
            marks(sources, now)
        })
    }

    /// What a checkpoint keeps, as of a barrier's ticket.
    pub fn snapshot(&self, ticket: u64) -> Result<BTreeMap<usize, Known>, EngineError> {
        self.0.turn(ticket, 1, |sources| sources.iter().map(|(&source, time)| (source, time.snapshot())).collect())
    }

    fn observe(
        &self,
        turn: Turn,
        partition: &str,
        done: bool,
        times: &TimestampMicrosecondArray,
    ) -> Result<Observed, EngineError> {
        let newest_here = arrow::compute::max(times);
        self.0.turn(turn.ticket, 1, |sources| {
            sources.values_mut().for_each(|time| time.tell(turn.now));
            let mut observed = Observed::default();
            if let Some(time) = sources.get_mut(&turn.source)
                && let Some(clock) = time.clock
            {
                observed.newest_before = time.known.newest.get(partition).copied();
                observed.watermark = time.known.watermark;
                observed.others = time.least(clock, turn.now, Some(partition));
                let mut newest_here = newest_here;
                let known = time.known.newest.values().max().copied().unwrap_or(i64::MIN);
                let bound = |newest: i64| turn.now.max(newest).saturating_add(clock.max_ahead);
                if newest_here.is_some_and(|newest| newest > bound(known)) {
                    let (rows, accepted) = runaways(times, known, bound);
                    observed.runaway = Some(rows);
                    newest_here = accepted;
                }
                if let Some(here) = newest_here {
                    let newest = time.known.newest.entry(partition.to_owned()).or_insert(here);
                    *newest = here.max(*newest);
                }
                if done {
                    time.heard_at.remove(partition);
                } else if !times.is_empty() {
                    time.heard_at.insert(partition.to_owned(), turn.now);
                }
                // A partition that ends still counts with its last rows, at least for this ticket.
                if done && time.heard_at.is_empty() {
                    let last = time.known.newest.get(partition).map(|newest| newest.saturating_sub(clock.max_delay));
                    time.known.watermark = time.known.watermark.max(last);
                }
            }
            observed.marks = marks(sources, turn.now);
            observed
        })
    }
}

fn marks(sources: &mut BTreeMap<usize, SourceTime>, now: i64) -> Marks {
    sources.iter_mut().map(|(&source, time)| (source, time.mark(now))).collect()
}

/// Rows too far ahead of what came before them, and the newest time of the others.
fn runaways(times: &TimestampMicrosecondArray, mut newest: i64, bound: impl Fn(i64) -> i64) -> (BooleanBuffer, Option<i64>) {
    let mut accepted = None;
    let rows = BooleanBuffer::collect_bool(times.len(), |row| {
        if times.is_null(row) {
            return false;
        }
        let time = times.value(row);
        if time > bound(newest) {
            return true;
        }
        newest = newest.max(time);
        accepted = accepted.max(Some(time));
        false
    });
    (rows, accepted)
}

/// Event time in one lane of a source.
pub struct EventTimeCheck {
    pub column: usize,
    pub policy: LatePolicy,
    /// Microseconds.
    pub max_delay: i64,
    pub clock: Arc<EventClock>,
    /// Operators downstream say what is late.
    pub judged_later: bool,
    /// Operators downstream ask what rows lie behind; also those that only watch.
    pub told_behind: bool,
    /// Rows asked and found late since they were last taken, whatever became of them.
    pub counts: RuleCounts,
}

/// The name under which late rows are counted and quarantined.
pub const LATE: &str = "late";

/// What event time says of a batch.
#[derive(Debug)]
pub struct Timely {
    pub late: Option<BooleanBuffer>,
    pub runaway: Option<BooleanBuffer>,
    /// See [`Batch::behind`]. Only where operators ask.
    pub behind: Option<Arc<[i64]>>,
    pub marks: Marks,
}

impl EventTimeCheck {
    /// Judges a batch and advances the clock. Must be called once for every ticket of the source, with an empty batch if need
    /// be. `done` says that it is the last of its partition.
    pub fn check(&mut self, batch: &Batch, done: bool, turn: Turn) -> Result<Timely, EngineError> {
        let times = batch.rows.column(self.column).as_primitive::<TimestampMicrosecondType>();
        let observed = self.clock.observe(turn, &batch.origin.partition, done, times)?;
        let late = if self.judged_later {
            None
        } else {
            let late = behind(times, observed.newest_before.unwrap_or(i64::MIN), self.max_delay, observed.runaway.as_ref());
            let runaway = observed.runaway.as_ref().map_or(0, BooleanBuffer::count_set_bits);
            self.counts.evaluated += (times.len() - times.null_count() - runaway) as u64;
            self.counts.failed += late.as_ref().map_or(0, |late| late.count_set_bits() as u64);
            late
        };
        let behind = self.told_behind.then(|| watermarks_behind(times, &observed, self.max_delay)).flatten();
        Ok(Timely { late, runaway: observed.runaway, behind, marks: observed.marks })
    }

    /// How many rows had an event time and how many of them were late, under [`LATE`].
    pub fn take_counts(&mut self, into: &mut BTreeMap<String, RuleCounts>) {
        let counts = std::mem::take(&mut self.counts);
        if counts.evaluated > 0 {
            *into.entry(LATE.to_owned()).or_default() += &counts;
        }
    }
}

/// Rows whose time lies before the watermark that their predecessors left.
fn behind(
    times: &TimestampMicrosecondArray,
    mut newest: i64,
    max_delay: i64,
    runaway: Option<&BooleanBuffer>,
) -> Option<BooleanBuffer> {
    let mut late = None;
    for row in 0..times.len() {
        if times.is_null(row) || runaway.is_some_and(|runaway| runaway.value(row)) {
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

/// For each row that lies behind the watermark of the source as the row before it left that, this watermark.
fn watermarks_behind(times: &TimestampMicrosecondArray, observed: &Observed, max_delay: i64) -> Option<Arc<[i64]>> {
    let mut newest = observed.newest_before.unwrap_or(i64::MIN);
    let mut watermark = observed.watermark.unwrap_or(i64::MIN);
    let mut behind = None;
    for row in 0..times.len() {
        if times.is_null(row) || observed.runaway.as_ref().is_some_and(|runaway| runaway.value(row)) {
            continue;
        }
        let time = times.value(row);
        if time < watermark {
            behind.get_or_insert_with(|| vec![i64::MIN; times.len()])[row] = watermark;
        }
        newest = newest.max(time);
        let own = newest.saturating_sub(max_delay);
        watermark = watermark.max(observed.others.map_or(own, |others| own.min(others)));
    }
    behind.map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(times: &[i64]) -> TimestampMicrosecondArray {
        TimestampMicrosecondArray::from(times.to_vec())
    }

    #[test]
    fn lateness_depends_on_order_not_on_batches() {
        let all = [10, 20, 14, 15, 30, 24, 25, 26, 29, 31];
        let late_in = |cuts: &[usize]| {
            let (mut newest, mut start, mut late) = (i64::MIN, 0, Vec::new());
            for &end in cuts.iter().chain([&all.len()]) {
                if let Some(rows) = behind(&array(&all[start..end]), newest, 5, None) {
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
    fn late_rows_are_counted_whether_or_not_they_go_on() {
        use arrow::{
            array::RecordBatch,
            datatypes::{DataType, Field, Schema, TimeUnit},
        };
        for policy in [LatePolicy::Pass, LatePolicy::Drop, LatePolicy::Quarantine] {
            let times = TimestampMicrosecondArray::from(vec![Some(10), Some(20), Some(5), None]).with_timezone("UTC");
            let field = Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
            let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(times)]).unwrap();
            let origin = crate::batch::Origin { source: 0, partition: "p".into(), first_row: 0 };
            let batch = Batch::new(rows, Arc::new(origin), None);
            let source = SourceClock { max_delay: 0, idle_after: None, max_ahead: i64::MAX };
            let clock = EventClock::restore([(0, Some(source), Known::default())], Cancel::default());
            let mut check = EventTimeCheck {
                column: 0,
                policy,
                max_delay: 0,
                clock,
                judged_later: false,
                told_behind: false,
                counts: RuleCounts::default(),
            };
            let timely = check.check(&batch, false, Turn { ticket: 0, source: 0, from: 0, now: 0 }).unwrap();
            assert_eq!(timely.late.map(|late| late.set_indices().collect::<Vec<_>>()), Some(vec![2]), "{policy:?}");
            let mut counts = BTreeMap::new();
            check.take_counts(&mut counts);
            assert_eq!(counts, BTreeMap::from([(LATE.to_owned(), RuleCounts { evaluated: 3, failed: 1 })]), "{policy:?}");
        }
    }

    #[test]
    fn a_row_without_time_is_not_late_and_moves_nothing() {
        let times = TimestampMicrosecondArray::from(vec![Some(10), None, Some(5)]);
        assert_eq!(behind(&times, i64::MIN, 0, None).map(|late| late.set_indices().collect::<Vec<_>>()), Some(vec![2]));
    }

    #[test]
    fn the_watermark_a_row_lies_behind_does_not_depend_on_batches() {
        let all = [10, 20, 14, 15, 30, 24, 25, 26, 29, 31];
        let late = vec![(2, 15), (5, 25)];
        let found = |cuts: &[usize], others: Option<&[i64]>| {
            let mut probe = Probe::new(None, FAR);
            if let Some(others) = others {
                probe.rows(0, "b", others);
            }
            let (mut start, mut found) = (0, Vec::new());
            for &end in cuts.iter().chain([&all.len()]) {
                let (turn, times) = (probe.turn(0), array(&all[start..end]));
                let observed = probe.clock.observe(turn, "a", false, &times).unwrap();
                let behind = watermarks_behind(&times, &observed, 5);
                let behind = behind.iter().flat_map(|behind| behind.iter().enumerate());
                found.extend(behind.filter(|(_, mark)| **mark > i64::MIN).map(|(row, mark)| (start + row, *mark)));
                start = end;
            }
            found
        };
        for cut in 0..=all.len() {
            assert_eq!(found(&[cut], None), late, "cut at {cut}");
            assert_eq!(
                found(&[cut], Some(&[27])),
                [(0, 22), (1, 22), (2, 22), (3, 22)],
                "cut at {cut}, behind a partition at 22"
            );
        }
        assert_eq!(found(&[1, 2, 3, 4, 5, 6, 7, 8, 9], None), late);
    }

    /// A clock of one source (node 0), asked batch by batch; the watermark after each.
    struct Probe {
        source: SourceClock,
        clock: Arc<EventClock>,
        ticket: u64,
    }

    impl Probe {
        fn new(idle_after: Option<i64>, max_ahead: i64) -> Self {
            let source = SourceClock { max_delay: 5, idle_after, max_ahead };
            Self { source, clock: EventClock::restore([(0, Some(source), Known::default())], Cancel::default()), ticket: 0 }
        }

        fn turn(&mut self, now: i64) -> Turn {
            self.ticket += 1;
            Turn { ticket: self.ticket - 1, source: 0, from: 0, now }
        }

        fn rows(&mut self, now: i64, partition: &str, times: &[i64]) -> (i64, Vec<usize>) {
            let turn = self.turn(now);
            let observed = self.clock.observe(turn, partition, false, &array(times)).unwrap();
            let runaway = observed.runaway.map(|rows| rows.set_indices().collect()).unwrap_or_default();
            (observed.marks[0].1, runaway)
        }

        fn done(&mut self, now: i64, partition: &str, times: &[i64]) -> i64 {
            let turn = self.turn(now);
            self.clock.observe(turn, partition, true, &array(times)).unwrap().marks[0].1
        }

        /// The clock of a run that begins from what this one would have kept at a barrier.
        fn restarted(mut self) -> Self {
            let turn = self.turn(0);
            let kept = serde_json::to_value(&self.clock.snapshot(turn.ticket).unwrap()[&0]).unwrap();
            let known: Known = serde_json::from_value(kept).unwrap();
            Self { clock: EventClock::restore([(0, Some(self.source), known)], Cancel::default()), ticket: 0, ..self }
        }

        fn tick(&mut self, now: i64) -> i64 {
            let turn = self.turn(now);
            self.clock.tick(turn.ticket, now).unwrap()[0].1
        }
    }

    const FAR: i64 = 1_000_000;

    #[test]
    fn the_slowest_partition_holds_the_watermark_until_it_is_idle() {
        let mut probe = Probe::new(Some(100), FAR);
        assert_eq!(probe.rows(0, "a", &[50]).0, 45);
        assert_eq!(probe.rows(0, "b", &[20]).0, 45, "a watermark never goes back");
        assert_eq!(probe.rows(50, "a", &[90]).0, 45, "b holds it");
        assert_eq!(probe.tick(100), 45);
        assert_eq!(probe.tick(101), 85, "b has been silent for longer than it may");
        assert_eq!(probe.rows(102, "b", &[60]).0, 85);
        assert_eq!(probe.rows(103, "b", &[95]).0, 85);
        assert_eq!(probe.rows(104, "a", &[120]).0, 90, "b counts again");
    }

    #[test]
    fn after_a_restart_a_partition_that_was_active_holds_the_watermark_until_it_is_heard_or_idle() {
        for heard in [true, false] {
            let mut probe = Probe::new(Some(100), FAR);
            probe.rows(0, "a", &[20]);
            probe.rows(0, "b", &[20]);
            let mut probe = probe.restarted();
            assert_eq!(probe.rows(1_000, "a", &[90]).0, 15, "b was active when the run ended");
            assert_eq!(probe.tick(1_100), 15);
            match heard {
                true => assert_eq!(probe.rows(1_101, "b", &[50]).0, 45),
                false => assert_eq!(probe.rows(1_101, "a", &[91]).0, 86, "silent since the restart for longer than it may"),
            }
        }
        let mut probe = Probe::new(None, FAR);
        probe.rows(0, "a", &[20]);
        probe.rows(0, "b", &[20]);
        let mut probe = probe.restarted().restarted();
        assert_eq!(probe.rows(1_000, "a", &[90]).0, 15, "nothing makes it idle");
        assert_eq!(probe.rows(1_001, "b", &[50]).0, 45);
    }

    #[test]
    fn after_a_restart_a_partition_that_was_idle_or_had_ended_holds_nobody() {
        let mut probe = Probe::new(Some(100), FAR);
        probe.rows(0, "idle", &[20]);
        probe.done(0, "ended", &[20]);
        assert_eq!(probe.rows(101, "a", &[40]).0, 35);
        let mut probe = probe.restarted();
        assert_eq!(probe.rows(1_000, "a", &[90]).0, 85);
    }

    #[test]
    fn a_partition_that_has_ended_holds_nobody() {
        let mut probe = Probe::new(None, FAR);
        assert_eq!(probe.rows(0, "a", &[10]).0, 5);
        assert_eq!(probe.rows(0, "b", &[40]).0, 5);
        assert_eq!(probe.done(0, "a", &[]), 35);
        assert_eq!(probe.done(0, "b", &[60]), 55);
    }

    #[test]
    fn a_row_from_the_far_future_moves_nothing() {
        let mut probe = Probe::new(None, 100);
        assert_eq!(probe.rows(0, "a", &[10, 5_000, 20]), (15, vec![1]));
        assert_eq!(probe.rows(0, "a", &[121]), (15, vec![0]), "more than 100 beyond the newest row and the clock");
        assert_eq!(probe.rows(0, "a", &[120, 210]), (205, vec![]), "a little at a time is no jump");
        assert_eq!(probe.rows(4_950, "a", &[5_000]), (4_995, vec![]), "the clock has come near");
    }

    #[test]
    fn the_end_of_a_source_is_the_end_of_time() {
        let mut probe = Probe::new(None, FAR);
        probe.rows(0, "a", &[10]);
        let turn = probe.turn(0);
        assert_eq!(probe.clock.end(turn.ticket, 0, 0).unwrap()[0].1, i64::MAX);
    }
}
