//! The interval join: rows of equal keys whose times are close, `left.time BETWEEN right.time + lower AND right.time + upper`.
//!
//! - A pair is put out as soon as its second row comes.
//! - A left row is kept while right rows that it may match can come: until the watermark passes `left.time - lower`. A right row
//!   is kept until the watermark passes `right.time + upper`. At these very watermarks they are gone, so that what matches does
//!   not depend on when the state happens to be cleaned.
//! - With LEFT, a left row that found nothing is put out with nulls when it is removed, or at once when nothing can come for it.
//! - A row behind the watermark still meets what is kept, as in Flink. It is late when nothing it could match is kept or can come:
//!   when the watermark has passed `time + upper - lower`.
//! - Rows that are put out are older than the watermark by as much as the interval reaches back on either side; the watermark of
//!   the output is held back by the larger of `upper` and `-lower` (zero if both are negative), so that both of the output's times
//!   stay valid event times.
//! - A row whose key has a null matches nothing. A row without time is rejected.

use weir_plan::operator::JoinNode;

use super::{
    output::{Arena, NO_ROW, OUTPUT_ROWS, Pairs},
    rows::KeyRows,
    sides::{Encoded, Leftover, PAIRS_AT_ONCE, Sides, check_time, no_time, refuse_changes, times},
    timers::Timers,
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
    state::{KeyedState, Slot},
};

/// One lane of an interval join.
pub struct IntervalJoin {
    sides: Sides,
    times: [usize; 2],
    lower: i64,
    upper: i64,
    state: KeyedState<KeyRows>,
    timers: Timers,
    watermark: i64,
    arena: Arena,
    /// Keys of rows that were not kept after all.
    unkept: Vec<Slot>,
}

const LEFT: usize = 0;

impl IntervalJoin {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(
        node: &JoinNode,
        times: [usize; 2],
        (lower, upper): (i64, i64),
        context: &OperatorContext,
    ) -> Result<Self, EngineError> {
        refuse_changes(context, "an interval join")?;
        let sides = Sides::new(node, context)?;
        for (schema, time) in context.inputs.iter().zip(times) {
            check_time(&context.node, schema, time)?;
        }
        let mut state = context.open::<KeyRows>("rows")?;
        let timers = Timers::restored(&mut state);
        Ok(Self { sides, times, lower, upper, state, timers, watermark: i64::MIN, arena: Arena::default(), unkept: Vec::new() })
    }

    /// The last watermark at which a row of a side may still meet a new row.
    fn needed_until(&self, side: usize, time: i64) -> i64 {
        if side == LEFT { time.saturating_sub(self.lower) } else { time.saturating_add(self.upper) }
    }

    /// The times of the other side's rows that a row may match.
    fn matching(&self, side: usize, time: i64) -> (i64, i64) {
        if side == LEFT {
            (time.saturating_sub(self.upper), time.saturating_sub(self.lower))
        } else {
            (time.saturating_add(self.lower), time.saturating_add(self.upper))
        }
    }

    /// Finds the candidates of rows from `first` on, until there are many. Gives the row after the last that was looked at.
    fn candidates(
        &mut self,
        side: usize,
        input: &Input<'_>,
        first: usize,
        found: &mut Vec<Candidate>,
    ) -> Result<usize, EngineError> {
        for row in first..input.slots.len() {
            let (Some(slot), Some(time)) = (input.slots[row], input.times[row]) else { continue };
            let (from, to) = self.matching(side, time);
            let entry = self.state.value(slot).map_err(|error| self.sides.state(error))?;
            let Some(entry) = entry else { continue };
            let others = &entry.sides[1 - side];
            let rows = others.rows();
            let start = rows.partition_point(|other| other.time < from);
            for (at, other) in rows.iter().enumerate().skip(start).take_while(|(_, other)| other.time <= to) {
                let stored = self.arena.add_once(slot, at as u32, others.bytes_of(other));
                found.push(Candidate { row: row as u32, stored, slot, at: at as u32, matched: other.count > 0 });
            }
            if found.len() >= PAIRS_AT_ONCE {
                return Ok(row + 1);
            }
        }
        Ok(input.slots.len())
    }

    /// Joins the rows `first..end` of a batch with their candidates, and puts them into the state.
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
            pair(&mut pairs, side, candidate.row, candidate.stored);
        }
        let (holds, failed) = self.sides.judge(columns, &pairs)?;
        let mut state = vec![Fate::Unmatched; end - first];
        for (at, reason) in failed {
            let row = found[at].row as usize;
            if state[row - first] != Fate::Rejected {
                state[row - first] = Fate::Rejected;
                leftover.reject(row, reason);
            }
        }
        let mut matched = Pairs::default();
        let mut next = 0;
        for row in first..end {
            while next < found.len() && found[next].row as usize == row {
                let candidate = found[next];
                if state[row - first] != Fate::Rejected && holds.as_ref().is_none_or(|holds| holds[next]) {
                    state[row - first] = Fate::Matched;
                    pair(&mut matched, side, candidate.row, candidate.stored);
                    if self.sides.outer && side != LEFT && !candidate.matched {
                        let entry = self.state.value_mut(candidate.slot).map_err(|error| self.sides.state(error))?;
                        entry.expect("invariant: candidates are in the state").sides[LEFT].row_mut(candidate.at as usize).count =
                            1;
                    }
                }
                next += 1;
            }
            let fate = state[row - first];
            let Some(time) = input.times[row].filter(|_| fate != Fate::Rejected) else {
                self.unkept.extend(input.slots[row]);
                continue;
            };
            let until = self.needed_until(side, time);
            let pads = self.sides.outer && side == LEFT && fate == Fate::Unmatched;
            match input.slots[row] {
                Some(slot) if until >= self.watermark => {
                    let count = u32::from(fate == Fate::Matched);
                    let entry = self.state.value_mut(slot).map_err(|error| self.sides.state(error))?;
                    let entry = entry.expect("invariant: the slot was found for this batch");
                    entry.sides[side].insert_by_time(time, count, 0, input.encoded.rows.get(row));
                    if until < entry.timer {
                        entry.timer = until;
                        self.timers.push(until, slot);
                    }
                }
                // Nothing can come for it any more, or ever.
                slot => {
                    self.unkept.extend(slot);
                    if pads {
                        pair(&mut matched, side, row as u32, NO_ROW);
                    }
                }
            }
        }
        self.sides.emit(matched, columns, out)
    }

    /// Removes what the watermark has passed from the entry in a slot, and gives left rows that found nothing.
    fn clean(&mut self, slot: Slot, at: i64, unmatched: &mut Vec<(i64, u32)>) -> Result<(), EngineError> {
        let (lower, upper, watermark) = (self.lower, self.upper, self.watermark);
        let Some(entry) = self.state.value_mut(slot).map_err(|error| self.sides.state(error))? else { return Ok(()) };
        if entry.timer != at {
            return Ok(());
        }
        let [left, right] = &mut entry.sides;
        // Both are in the order of their times, so what is passed comes first.
        let passed = left.rows().partition_point(|row| row.time.saturating_sub(lower) < watermark);
        if self.sides.outer {
            for row in left.rows()[..passed].iter().filter(|row| row.count == 0) {
                unmatched.push((row.time, self.arena.add(left.bytes_of(row))));
            }
        }
        left.remove_first(passed);
        let gone = right.rows().partition_point(|row| row.time.saturating_add(upper) < watermark);
        right.remove_first(gone);
        let next_left = left.rows().first().map(|row| row.time.saturating_sub(lower));
        let next_right = right.rows().first().map(|row| row.time.saturating_add(upper));
        entry.timer = next_left.into_iter().chain(next_right).min().unwrap_or(i64::MAX);
        let (timer, empty) = (entry.timer, entry.is_empty());
        if empty {
            self.state.remove_slot(slot).map_err(|error| self.sides.state(error))?;
        } else {
            self.timers.push(timer, slot);
        }
        Ok(())
    }
}

/// A batch on its way into the join.
struct Input<'a> {
    encoded: &'a Encoded,
    /// None for rows that take no part.
    times: Vec<Option<i64>>,
    /// None for rows that take no part, and those with a null in their key.
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Copy)]
struct Candidate {
    row: u32,
    stored: u32,
    slot: Slot,
    at: u32,
    matched: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unmatched,
    Matched,
    Rejected,
}

/// Adds the pair of a row of the batch, which is of `side`, and a stored one.
fn pair(pairs: &mut Pairs, side: usize, row: u32, stored: u32) {
    if side == LEFT { pairs.push(row, stored) } else { pairs.push(stored, row) }
}

impl Operator for IntervalJoin {
    fn process(&mut self, side: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let encoded = self.sides.encode(side, batch)?;
        let mut leftover = Leftover::default();
        let mut input = Input { encoded: &encoded, times: times(batch, self.times[side]), slots: vec![None; batch.num_rows()] };
        let span = self.upper.saturating_sub(self.lower);
        for row in 0..batch.num_rows() {
            let Some(time) = input.times[row] else {
                leftover.reject(row, no_time(&self.sides.inputs[side], self.times[side]));
                continue;
            };
            if time.saturating_add(span) < self.watermark {
                leftover.late.push(row as u32);
                input.times[row] = None;
            } else if encoded.has_key(row) {
                let slot = self.state.slot_or_insert(encoded.keys.get(row), KeyRows::default);
                input.slots[row] = Some(slot.map_err(|error| self.sides.state(error))?.0);
            } else if !(self.sides.outer && side == LEFT) {
                leftover.dropped += 1;
                input.times[row] = None;
            }
        }
        let mut first = 0;
        while first < batch.num_rows() {
            let mut found = Vec::new();
            self.arena.clear();
            let end = self.candidates(side, &input, first, &mut found)?;
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

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.watermark = self.watermark.max(time.watermark);
        let mut unmatched = Vec::new();
        self.arena.clear();
        while let Some((at, slot)) = self.timers.pop_before(self.watermark) {
            self.clean(slot, at, &mut unmatched)?;
        }
        if !unmatched.is_empty() {
            // In an order that does not depend on where the rows were kept.
            let rows: Vec<&[u8]> = self.arena.rows().collect();
            unmatched.sort_unstable_by_key(|&(time, number)| (time, rows[number as usize]));
            let left = self.sides.decode(LEFT, &self.arena)?;
            let right = self.sides.decode(1, &Arena::default())?;
            for some in unmatched.chunks(OUTPUT_ROWS) {
                let mut pairs = Pairs::default();
                some.iter().for_each(|&(_, number)| pairs.push(number, NO_ROW));
                self.sides.emit(pairs, [&left, &right], out)?;
            }
        }
        self.arena.clear();
        Ok(Progress::Done)
    }

    fn output_watermark(&self, watermark: i64) -> i64 {
        match watermark {
            i64::MAX => i64::MAX,
            _ => watermark.saturating_sub(self.upper.max(self.lower.saturating_neg()).max(0)),
        }
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("rows", &mut self.state)]
    }
}
