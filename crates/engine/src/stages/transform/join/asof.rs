//! The as-of join: the right input is a versioned stream, and a left row meets the last version of its key that is not newer than
//! itself.
//!
//! - A left row waits until the watermark has passed its time, so that no version can come which it should have met. It is late if
//!   the watermark has passed it when it comes.
//! - Of versions with one time, the last to come counts. A deletion on the right (`-D`) ends the versions: rows after it meet none.
//! - Of the versions that are not newer than the watermark, the newest of each key is kept. A version that comes and is older than
//!   that one is late; it could not be met any more. One that is behind the watermark but newer than what is kept serves the rows
//!   that are still to be decided.
//! - A left row that meets no version, or one for which the condition does not hold, is dropped, or put out with nulls for LEFT. One
//!   for which the condition cannot be computed is rejected when it is decided.
//! - A row whose key has a null matches nothing. A row without time is rejected.
//!
//! Results are in the order of the left rows' times.

use weir_plan::operator::{Change, JoinNode};

use super::{
    output::{Arena, NO_ROW, OUTPUT_ROWS, Pairs},
    rows::KeyRows,
    sides::{Leftover, Sides, change_of, check_time, no_time, times},
    timers::Timers,
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
    state::{KeyedState, Slot},
};

/// One lane of an as-of join.
pub struct AsOfJoin {
    sides: Sides,
    times: [usize; 2],
    state: KeyedState<KeyRows>,
    timers: Timers,
    watermark: i64,
}

const LEFT: usize = 0;
const RIGHT: usize = 1;
/// The count of a version that is a deletion.
const DELETED: u32 = 1;

/// A left row that was decided, and its version.
struct Decided {
    time: i64,
    left: u32,
    right: u32,
}

impl AsOfJoin {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(node: &JoinNode, times: [usize; 2], context: &OperatorContext) -> Result<Self, EngineError> {
        if context.input_changes.first() == Some(&true) {
            return Err(EngineError::internal(
                &context.node,
                "the left input of an as-of join takes rows that are only ever inserted",
            ));
        }
        let sides = Sides::new(node, context)?;
        for (schema, time) in context.inputs.iter().zip(times) {
            check_time(&context.node, schema, time)?;
        }
        let mut state = context.open::<KeyRows>("rows")?;
        let timers = Timers::restored(&mut state);
        Ok(Self { sides, times, state, timers, watermark: i64::MIN })
    }

    /// Decides the left rows of the entry in a slot that the watermark has passed, and removes versions nobody can meet.
    fn decide(&mut self, slot: Slot, at: i64, arenas: &mut [Arena; 2], decided: &mut Vec<Decided>) -> Result<(), EngineError> {
        let watermark = self.watermark;
        let Some(entry) = self.state.value_mut(slot).map_err(|error| self.sides.state(error))? else { return Ok(()) };
        if entry.timer != at {
            return Ok(());
        }
        let [left, versions] = &mut entry.sides;
        let passed = left.rows().partition_point(|row| row.time < watermark);
        for row in &left.rows()[..passed] {
            let newer = versions.rows().partition_point(|version| version.time <= row.time);
            let right = match newer.checked_sub(1).filter(|&at| versions.rows()[at].count != DELETED) {
                Some(at) => arenas[RIGHT].add_once(slot, at as u32, versions.bytes(at)),
                None => NO_ROW,
            };
            decided.push(Decided { time: row.time, left: arenas[LEFT].add(left.bytes_of(row)), right });
        }
        left.remove_first(passed);
        let reached = versions.rows().partition_point(|version| version.time <= watermark);
        let gone = reached.saturating_sub(1);
        versions.remove_first(gone);
        entry.timer = next_timer(entry);
        let (timer, empty) = (entry.timer, entry.is_empty());
        if empty {
            self.state.remove_slot(slot).map_err(|error| self.sides.state(error))?;
        } else {
            self.timers.push(timer, slot);
        }
        Ok(())
    }
}

/// When the watermark has passed this, a left row can be decided or a version is superseded.
fn next_timer(entry: &KeyRows) -> i64 {
    let waiting = entry.sides[LEFT].rows().first().map_or(i64::MAX, |row| row.time);
    let superseded = entry.sides[RIGHT].rows().get(1).map_or(i64::MAX, |version| version.time);
    waiting.min(superseded)
}

impl Operator for AsOfJoin {
    fn process(&mut self, side: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let encoded = self.sides.encode(side, batch)?;
        let times = times(batch, self.times[side]);
        let mut leftover = Leftover::default();
        let mut unmatched = Pairs::default();
        for (row, time) in times.into_iter().enumerate() {
            let Some(time) = time else {
                leftover.reject(row, no_time(&self.sides.inputs[side], self.times[side]));
                continue;
            };
            if side == LEFT && time < self.watermark {
                leftover.late.push(row as u32);
                continue;
            }
            let change = change_of(batch, row);
            if !encoded.has_key(row) || change == Change::UpdateBefore {
                if side == LEFT && self.sides.outer {
                    unmatched.push(row as u32, NO_ROW);
                } else {
                    leftover.dropped += 1;
                }
                continue;
            }
            let slot = self.state.slot_or_insert(encoded.keys.get(row), KeyRows::default);
            let (slot, _) = slot.map_err(|error| self.sides.state(error))?;
            let entry = self.state.value_mut(slot).map_err(|error| self.sides.state(error))?;
            let entry = entry.expect("invariant: the slot was just found");
            let list = &mut entry.sides[side];
            if side == RIGHT {
                let reached = list.rows().partition_point(|version| version.time <= self.watermark);
                if reached > 0 && list.rows()[reached - 1].time > time {
                    leftover.late.push(row as u32);
                    continue;
                }
            }
            match change {
                Change::Delete => list.insert_by_time(time, DELETED, 0, &[]),
                _ => list.insert_by_time(time, 0, 0, encoded.rows.get(row)),
            }
            let timer = next_timer(entry);
            if timer < entry.timer {
                entry.timer = timer;
                self.timers.push(timer, slot);
            }
        }
        if !unmatched.is_empty() {
            let right = self.sides.decode(RIGHT, &Arena::default())?;
            self.sides.emit(unmatched, [batch.rows.columns(), &right], out)?;
        }
        leftover.settle(batch, out);
        Ok(())
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.watermark = self.watermark.max(time.watermark);
        let (mut arenas, mut decided) = (<[Arena; 2]>::default(), Vec::new());
        while let Some((at, slot)) = self.timers.pop_before(self.watermark) {
            self.decide(slot, at, &mut arenas, &mut decided)?;
        }
        if decided.is_empty() {
            return Ok(Progress::Done);
        }
        let rows: Vec<&[u8]> = arenas[LEFT].rows().collect();
        decided.sort_by_key(|row| (row.time, rows[row.left as usize]));
        let (left, right) = (self.sides.decode(LEFT, &arenas[LEFT])?, self.sides.decode(RIGHT, &arenas[RIGHT])?);
        for some in decided.chunks(OUTPUT_ROWS) {
            let (mut lefts, mut pairs) = (Vec::with_capacity(some.len()), Pairs::default());
            for Decided { left, right, .. } in some {
                lefts.push(*left);
                if *right != NO_ROW {
                    pairs.push(*left, *right);
                }
            }
            self.sides.emit_matches(&lefts, pairs, [&left, &right], out)?;
        }
        Ok(Progress::Done)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("rows", &mut self.state)]
    }
}
