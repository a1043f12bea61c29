//! The first row of each partition, once: de-duplication that only appends.
//!
//! By arrival, a row is put out at once when its partition is new. By event time, the row of least time (of equal times the first to
//! come) is put out when the watermark has passed it; a row that the watermark has passed when it comes is late, unless its
//! partition has its row: then it is dropped like all others that are not first.
//!
//! With a time to live, a partition is forgotten that long after its row was put out.

use weir_plan::operator::RankNode;

use super::ranked::{FROM_BATCH, FROM_STATE, Picked, Ranking};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::{
        join::{
            output::{Arena, OUTPUT_ROWS},
            sides::{Leftover, check_time, no_time, refuse_changes, times},
            timers::Timers,
        },
        operator::{Durable, ENOUGH_ROWS, Operator, OperatorContext, Output, Progress, Time},
    },
    state::{
        KeyedState, Slot, StateError, StateValue,
        codec::{Reader, put_bytes},
    },
};

/// What is known of a partition.
#[derive(Clone, Debug)]
pub enum First {
    /// Its row waits for the watermark.
    Waiting { time: i64, row: Box<[u8]> },
    /// Its row was put out at this time of the clock.
    Done { at: i64 },
}

/// In place of the time of the clock before it is known.
const UNSTAMPED: i64 = i64::MIN;

impl StateValue for First {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Waiting { time, row } => {
                out.push(0);
                out.extend_from_slice(&time.to_le_bytes());
                put_bytes(out, row);
            }
            Self::Done { at } => {
                out.push(1);
                out.extend_from_slice(&at.to_le_bytes());
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let first = match reader.u8()? {
            0 => Self::Waiting { time: reader.i64()?, row: reader.bytes()?.into() },
            1 => Self::Done { at: reader.i64()? },
            _ => return Err(StateError::Malformed("neither a waiting row nor one that was put out")),
        };
        reader.finish()?;
        Ok(first)
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Waiting { row, .. } => row.len(),
            Self::Done { .. } => 0,
        }
    }

    /// Of either kind of time; which it is, the value tells.
    fn timer(&self) -> Option<i64> {
        Some(match self {
            Self::Waiting { time, .. } => *time,
            Self::Done { at } => *at,
        })
    }
}

/// One lane of a de-duplication.
pub struct KeepFirst {
    ranking: Ranking,
    time: Option<usize>,
    ttl: Option<i64>,
    state: KeyedState<First>,
    /// By event time: rows that wait.
    waiting: Timers,
    /// By the clock: when partitions were done.
    done: Timers,
    unstamped: Vec<Slot>,
    watermark: i64,
    now: Option<i64>,
}

impl KeepFirst {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(node: &RankNode, time: Option<usize>, ttl: Option<i64>, context: &OperatorContext) -> Result<Self, EngineError> {
        refuse_changes(context, "keeping the first row")?;
        let ranking = Ranking::new(node, context)?;
        if let Some(time) = time {
            check_time(&context.node, &ranking.input, time)?;
        }
        let mut state = context.open::<First>("partitions")?;
        let (mut waiting, mut done) = (Timers::default(), Timers::default());
        if time.is_some() || ttl.is_some() {
            for (at, slot) in state.take_timers() {
                // A partition that is done needs no timer without a time to live; one in the wrong heap is passed over.
                if time.is_some() {
                    waiting.push(at, slot);
                }
                if ttl.is_some() {
                    done.push(at, slot);
                }
            }
        }
        let unstamped = Vec::new();
        Ok(Self { ranking, time, ttl, state, waiting, done, unstamped, watermark: i64::MIN, now: None })
    }

    fn done(&mut self, slot: Slot) {
        if self.ttl.is_some() {
            match self.now {
                Some(now) => self.done.push(now, slot),
                None => self.unstamped.push(slot),
            }
        }
    }

    fn by_arrival(&mut self, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let partitions = self.ranking.partition.encode(&batch.rows).map_err(|error| self.ranking.failed(error))?;
        let at = self.now.unwrap_or(UNSTAMPED);
        let mut picked = Picked::default();
        for row in 0..batch.num_rows() {
            let slot = self.state.slot_or_insert(partitions.get(row), || First::Done { at });
            let (slot, new) = slot.map_err(|error| EngineError::state(&self.ranking.node, error))?;
            if new {
                picked.rows.push((FROM_BATCH, row));
                self.done(slot);
            }
        }
        let first = picked.rows.len() as u64;
        if self.ranking.number {
            picked.numbers = vec![1; picked.rows.len()];
        }
        self.ranking.emit(picked, Some(&batch.rows), &Arena::default(), out)?;
        out.absorbed += first;
        out.dropped += batch.num_rows() as u64 - first;
        Ok(())
    }

    fn by_time(&mut self, column: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let partitions = self.ranking.partition.encode(&batch.rows).map_err(|error| self.ranking.failed(error))?;
        let rows = self.ranking.rows.encode(&batch.rows).map_err(|error| self.ranking.failed(error))?;
        let mut leftover = Leftover::default();
        for (row, time) in times(batch, column).into_iter().enumerate() {
            let Some(time) = time else {
                leftover.reject(row, no_time(&self.ranking.input, column));
                continue;
            };
            let failed = |error| EngineError::state(&self.ranking.node, error);
            let key = partitions.get(row);
            let known = match self.state.slot_of(key).map_err(failed)? {
                Some(slot) => self.state.value(slot).map_err(failed)?.map(|first| (slot, first)),
                None => None,
            };
            let slot = match known {
                Some((_, First::Done { .. })) => {
                    leftover.dropped += 1;
                    continue;
                }
                _ if time < self.watermark => {
                    leftover.late.push(row as u32);
                    continue;
                }
                Some((_, First::Waiting { time: first, .. })) if *first <= time => {
                    leftover.dropped += 1;
                    continue;
                }
                Some((slot, First::Waiting { .. })) => {
                    let waiting = First::Waiting { time, row: rows.get(row).into() };
                    *self.state.value_mut(slot).map_err(failed)?.expect("invariant: the slot was just found") = waiting;
                    slot
                }
                None => {
                    let waiting = || First::Waiting { time, row: rows.get(row).into() };
                    self.state.slot_or_insert(key, waiting).map_err(failed)?.0
                }
            };
            self.waiting.push(time, slot);
        }
        leftover.settle(batch, out);
        Ok(())
    }

    /// Puts out rows that the watermark has passed, in the order of their times.
    fn put_out(&mut self, out: &mut Output) -> Result<Progress, EngineError> {
        let (mut arena, mut passed) = (Arena::default(), Vec::new());
        let at = self.now.unwrap_or(UNSTAMPED);
        while passed.len() < ENOUGH_ROWS
            && let Some((time, slot)) = self.waiting.pop_before(self.watermark)
        {
            let value = self.state.value(slot).map_err(|error| EngineError::state(&self.ranking.node, error))?;
            match value {
                Some(First::Waiting { time: first, row }) if *first == time => passed.push((time, arena.add(row))),
                _ => continue,
            }
            let value = self.state.value_mut(slot).map_err(|error| EngineError::state(&self.ranking.node, error))?;
            *value.expect("invariant: the slot was just found") = First::Done { at };
            self.done(slot);
        }
        let rows: Vec<&[u8]> = arena.rows().collect();
        passed.sort_unstable_by_key(|&(time, number)| (time, rows[number as usize]));
        for some in passed.chunks(OUTPUT_ROWS) {
            let mut part = Arena::default();
            let mut picked = Picked::default();
            for &(_, number) in some {
                picked.rows.push((FROM_STATE, part.add(rows[number as usize]) as usize));
                if self.ranking.number {
                    picked.numbers.push(1);
                }
            }
            self.ranking.emit(picked, None, &part, out)?;
        }
        Ok(Progress::until_enough(passed.len()))
    }

    /// Forgets partitions whose time to live is over.
    fn forget(&mut self, now: i64, ttl: i64) -> Result<(), EngineError> {
        let failed = |error| EngineError::state(&self.ranking.node, error);
        for slot in std::mem::take(&mut self.unstamped) {
            if let Some(First::Done { at }) = self.state.value_mut(slot).map_err(failed)?
                && *at == UNSTAMPED
            {
                *at = now;
                self.done.push(now, slot);
            }
        }
        while let Some((timer, slot)) = self.done.pop_until(now.saturating_sub(ttl)) {
            if matches!(self.state.value(slot).map_err(failed)?, Some(First::Done { at }) if *at == timer) {
                self.state.remove_slot(slot).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Operator for KeepFirst {
    fn process(&mut self, _: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        match self.time {
            Some(column) => self.by_time(column, batch, out),
            None => self.by_arrival(batch, out),
        }
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        // The clock of a machine may go back; time to live does not.
        let now = self.now.map_or(time.now, |before| before.max(time.now));
        self.now = Some(now);
        self.watermark = self.watermark.max(time.watermark);
        let progress = self.put_out(out)?;
        if let Some(ttl) = self.ttl {
            self.forget(now, ttl)?;
        }
        Ok(progress)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("partitions", &mut self.state)]
    }
}
