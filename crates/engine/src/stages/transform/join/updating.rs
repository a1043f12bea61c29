//! The regular join: all rows of both inputs, kept until they are taken back or forgotten; the result is a changelog.
//!
//! As in Flink:
//!
//! | a row | joins nothing | joins rows of the other side |
//! | --- | --- | --- |
//! | comes | LEFT, left: `+I` with nulls | `+I` for each; for LEFT, `-D` of the left row with nulls before its first |
//! | is taken back | LEFT, left: `-D` with nulls | `-D` for each; for LEFT, `+I` of the left row with nulls after its last |
//!
//! - Updates of the inputs (`-U`, `+U`) count as `-D` and `+I`; the output has these two only.
//! - Rows may be equal: each is a row of its own, and taking one back takes back one.
//! - A key with a null matches nothing: such a row is dropped, or put out with nulls where it is a left row of LEFT.
//! - Taking back a row that is not there (any more) does nothing; it is dropped. So what is put out is never taken back twice.
//! - With a time to live, a row is forgotten that long after it came, or, for a left row of LEFT, after its last match came or
//!   went. Results with it stay.
//! - A row for which the condition cannot be computed (with any row of its key) is rejected, and takes no part.

use weir_plan::operator::{Change, JoinNode};

use super::{
    output::{Arena, NO_ROW, Pairs},
    rows::{KeyRows, RowList},
    sides::{Encoded, Leftover, PAIRS_AT_ONCE, Sides, change_of},
    timers::Timers,
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
    state::{KeyedState, Slot, key_hash},
};

/// One lane of a regular join.
pub struct UpdatingJoin {
    sides: Sides,
    ttl: Option<i64>,
    /// Whether an input takes rows back, so that they must be found again.
    retracts: [bool; 2],
    /// Whether the output takes rows back.
    changes: bool,
    state: KeyedState<KeyRows>,
    timers: Timers,
    clock: Clock,
    arena: Arena,
    unkept: Vec<Slot>,
}

const LEFT: usize = 0;

/// The time that rows are written at: that of the ticket before, which the first ticket does not have.
#[derive(Debug, Default)]
pub struct Clock {
    pub now: Option<i64>,
    /// Written before the clock was known.
    pub unstamped: Vec<Slot>,
}

/// What rows have for a time until the clock is known.
pub const UNSTAMPED: i64 = i64::MIN;

impl UpdatingJoin {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(node: &JoinNode, ttl: Option<i64>, context: &OperatorContext) -> Result<Self, EngineError> {
        let sides = Sides::new(node, context)?;
        let retracts = [0, 1].map(|side| context.input_changes.get(side).copied().unwrap_or(false));
        let changes = sides.outer || retracts.contains(&true);
        let mut state = context.open::<KeyRows>("rows")?;
        let timers = Timers::restored(&mut state);
        let (clock, arena, unkept) = (Clock::default(), Arena::default(), Vec::new());
        Ok(Self { sides, ttl, retracts, changes, state, timers, clock, arena, unkept })
    }

    /// Pairs rows from `first` on with all rows of their keys, until there are many. Gives the row after the last.
    fn candidates(
        &mut self,
        side: usize,
        slots: &[Option<Slot>],
        first: usize,
        found: &mut Vec<Candidate>,
    ) -> Result<usize, EngineError> {
        for (row, slot) in slots.iter().enumerate().skip(first) {
            let Some(slot) = *slot else { continue };
            let entry = self.state.value(slot).map_err(|error| self.sides.state(error))?;
            let Some(entry) = entry else { continue };
            let others = &entry.sides[1 - side];
            for (at, other) in others.rows().iter().enumerate() {
                let stored = self.arena.add_once(slot, at as u32, others.bytes_of(other));
                found.push(Candidate { row: row as u32, stored, at: at as u32 });
            }
            if found.len() >= PAIRS_AT_ONCE {
                return Ok(row + 1);
            }
        }
        Ok(slots.len())
    }

    fn settle(
        &mut self,
        side: usize,
        batch: &Batch,
        input: &Input<'_>,
        (first, end): (usize, usize),
        found: Vec<Candidate>,
        leftover: &mut Leftover,
        out: &mut Output,
    ) -> Result<(), EngineError> {
        let stored = self.sides.decode(1 - side, &self.arena)?;
        let columns = if side == LEFT { [batch.rows.columns(), &stored] } else { [&stored, batch.rows.columns()] };
        let mut pairs = Pairs::default();
        for candidate in &found {
            if side == LEFT { pairs.push(candidate.row, candidate.stored) } else { pairs.push(candidate.stored, candidate.row) }
        }
        let (holds, failed) = self.sides.judge(columns, &pairs)?;
        let mut rejected = vec![false; if failed.is_empty() { 0 } else { end - first }];
        for (at, reason) in failed {
            let row = found[at].row as usize;
            if !std::mem::replace(&mut rejected[row - first], true) {
                leftover.reject(row, reason);
            }
        }
        if !self.changes && holds.is_none() {
            // The common case: everything that was found goes out.
            for row in first..end {
                if let Some(slot) = input.slots[row] {
                    self.keep(side, slot, input.encoded.rows.get(row), 0)?;
                }
            }
            return self.sides.emit(pairs, columns, out);
        }
        let mut results = Pairs::default();
        let mut next = 0;
        for row in first..end {
            let candidates = next;
            while next < found.len() && found[next].row as usize == row {
                next += 1;
            }
            if rejected.get(row - first) == Some(&true) {
                self.unkept.extend(input.slots[row]);
                continue;
            }
            let matches = found[candidates..next].iter().enumerate();
            let matches =
                matches.filter(|(at, _)| holds.as_ref().is_none_or(|holds| holds[candidates + at])).map(|(_, found)| *found);
            self.apply(side, batch, input, row, matches, leftover, &mut results)?;
        }
        if !self.changes {
            results.changes.clear();
        }
        self.sides.emit(results, columns, out)
    }

    /// Takes in one row, or takes it back, and puts out what follows from it.
    fn apply(
        &mut self,
        side: usize,
        batch: &Batch,
        input: &Input<'_>,
        row: usize,
        matches: impl Iterator<Item = Candidate>,
        leftover: &mut Leftover,
        results: &mut Pairs,
    ) -> Result<(), EngineError> {
        let back = change_of(batch, row).is_retraction();
        let change = if back { Change::Delete } else { Change::Insert };
        let number = row as u32;
        let Some(slot) = input.slots[row] else {
            if self.sides.outer && side == LEFT {
                results.change(number, NO_ROW, change);
            }
            return Ok(());
        };
        let bytes = input.encoded.rows.get(row);
        let taken = if back { self.take_back(side, slot, bytes)? } else { None };
        if back && taken.is_none() {
            leftover.dropped += 1;
            self.unkept.push(slot);
            return Ok(());
        }
        if side == LEFT {
            let before = results.len();
            matches.for_each(|found| results.change(number, found.stored, change));
            let count = (results.len() - before) as u32;
            if self.sides.outer && taken.unwrap_or(count) == 0 {
                results.change(number, NO_ROW, change);
            }
            return if back { Ok(()) } else { self.keep(side, slot, bytes, count) };
        }
        if !self.sides.outer {
            matches.for_each(|found| results.change(found.stored, number, change));
        } else {
            let now = self.clock.now.unwrap_or(UNSTAMPED);
            let mut touched = false;
            for found in matches {
                let entry = self.state.value_mut(slot).map_err(|error| self.sides.state(error))?;
                let left = entry.expect("invariant: candidates are in the state").sides[LEFT].row_mut(found.at as usize);
                left.time = now;
                touched = true;
                if back {
                    left.count = left.count.saturating_sub(1);
                    results.change(found.stored, number, Change::Delete);
                    if left.count == 0 {
                        results.change(found.stored, NO_ROW, Change::Insert);
                    }
                } else {
                    if left.count == 0 {
                        results.change(found.stored, NO_ROW, Change::Delete);
                    }
                    left.count = left.count.saturating_add(1);
                    results.change(found.stored, number, Change::Insert);
                }
            }
            if touched && self.ttl.is_some() && self.clock.now.is_none() {
                self.clock.unstamped.push(slot);
            }
        }
        if back { Ok(()) } else { self.keep(side, slot, bytes, 0) }
    }

    /// Stores a row.
    fn keep(&mut self, side: usize, slot: Slot, bytes: &[u8], count: u32) -> Result<(), EngineError> {
        let tag = if self.retracts[side] { key_hash(bytes) as u32 } else { 0 };
        let now = self.clock.now.unwrap_or(UNSTAMPED);
        let entry = self.state.value_mut(slot).map_err(|error| self.sides.state(error))?;
        let entry = entry.expect("invariant: the slot was found for this batch");
        let list = &mut entry.sides[side];
        list.insert(list.len(), now, count, tag, [bytes, &[]]);
        if let Some(ttl) = self.ttl {
            match self.clock.now {
                None => self.clock.unstamped.push(slot),
                Some(now) if now.saturating_add(ttl) < entry.timer => {
                    entry.timer = now.saturating_add(ttl);
                    self.timers.push(entry.timer, slot);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Removes a row that equals these bytes, the oldest of them. Gives its number of matches, or None if there is none.
    fn take_back(&mut self, side: usize, slot: Slot, bytes: &[u8]) -> Result<Option<u32>, EngineError> {
        let tag = key_hash(bytes) as u32;
        let entry = self.state.value_mut(slot).map_err(|error| self.sides.state(error))?;
        let list = &mut entry.expect("invariant: the slot was found for this batch").sides[side];
        let Some(at) = list.rows().iter().position(|row| row.tag == tag && list.bytes_of(row) == bytes) else {
            return Ok(None);
        };
        let taken = list.remove(at);
        list.close_gaps();
        self.unkept.push(slot);
        Ok(Some(taken.count))
    }

    /// Forgets rows of the entry in a slot whose time to live is over.
    fn forget(&mut self, slot: Slot, at: i64, now: i64, ttl: i64) -> Result<(), EngineError> {
        let Some(entry) = self.state.value_mut(slot).map_err(|error| self.sides.state(error))? else { return Ok(()) };
        if entry.timer != at {
            return Ok(());
        }
        for side in &mut entry.sides {
            side.retain(|row| row.time.saturating_add(ttl) > now);
        }
        entry.timer = oldest(&entry.sides).map_or(i64::MAX, |oldest| oldest.saturating_add(ttl));
        let timer = entry.timer;
        if timer == i64::MAX {
            self.state.remove_slot(slot).map_err(|error| self.sides.state(error))?;
        } else {
            self.timers.push(timer, slot);
        }
        Ok(())
    }

    /// Gives rows that were written before the clock was known their time.
    fn stamp(&mut self, now: i64, ttl: i64) -> Result<(), EngineError> {
        for slot in std::mem::take(&mut self.clock.unstamped) {
            let Some(entry) = self.state.value_mut(slot).map_err(|error| self.sides.state(error))? else { continue };
            for side in &mut entry.sides {
                for at in 0..side.len() {
                    if side.rows()[at].time == UNSTAMPED {
                        side.row_mut(at).time = now;
                    }
                }
            }
            let due = oldest(&entry.sides).map_or(i64::MAX, |oldest| oldest.saturating_add(ttl));
            if due < entry.timer {
                entry.timer = due;
                self.timers.push(due, slot);
            }
        }
        Ok(())
    }
}

fn oldest(sides: &[RowList; 2]) -> Option<i64> {
    sides.iter().flat_map(RowList::rows).map(|row| row.time).min()
}

struct Input<'a> {
    encoded: &'a Encoded,
    /// None for rows with a null in their key.
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Copy)]
struct Candidate {
    row: u32,
    stored: u32,
    at: u32,
}

impl Operator for UpdatingJoin {
    fn process(&mut self, side: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        if batch.changes.is_some() && !self.retracts[side] {
            return Err(EngineError::internal(&self.sides.node, "changes came from an input that was to have none"));
        }
        let encoded = self.sides.encode(side, batch)?;
        let mut leftover = Leftover::default();
        let mut input = Input { encoded: &encoded, slots: Vec::with_capacity(batch.num_rows()) };
        for row in 0..batch.num_rows() {
            let slot = if encoded.has_key(row) {
                let slot = self.state.slot_or_insert(encoded.keys.get(row), KeyRows::default);
                Some(slot.map_err(|error| self.sides.state(error))?.0)
            } else {
                leftover.dropped += u64::from(!(self.sides.outer && side == LEFT));
                None
            };
            input.slots.push(slot);
        }
        let mut first = 0;
        while first < batch.num_rows() {
            let mut found = Vec::new();
            self.arena.clear();
            let end = self.candidates(side, &input.slots, first, &mut found)?;
            self.settle(side, batch, &input, (first, end), found, &mut leftover, out)?;
            first = end;
        }
        self.arena.clear();
        for slot in std::mem::take(&mut self.unkept) {
            if self.state.value(slot).map_err(|error| self.sides.state(error))?.is_some_and(KeyRows::is_empty) {
                self.state.remove_slot(slot).map_err(|error| self.sides.state(error))?;
            }
        }
        leftover.settle(batch, out);
        Ok(())
    }

    fn advance(&mut self, time: Time, _: &mut Output) -> Result<Progress, EngineError> {
        let Some(ttl) = self.ttl else { return Ok(Progress::Done) };
        // The clock of a machine may go back; time to live does not.
        let now = self.clock.now.map_or(time.now, |before| before.max(time.now));
        self.clock.now = Some(now);
        self.stamp(now, ttl)?;
        while let Some((at, slot)) = self.timers.pop_until(now) {
            self.forget(slot, at, now, ttl)?;
        }
        Ok(Progress::Done)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("rows", &mut self.state)]
    }
}
