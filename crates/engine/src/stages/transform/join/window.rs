//! The window join: rows of equal keys in equal windows, put out when the watermark passes the window's end.
//!
//! A row whose window has ended is late. A row whose key has a null matches nothing: it is dropped, or put out with nulls at once
//! where it is a left row of LEFT. A row without a window is rejected. Results come in the order of windows, then of keys, then of
//! arrival.

use weir_plan::operator::JoinNode;

use super::{
    output::{Arena, NO_ROW, OUTPUT_ROWS, Pairs},
    rows::{OneWindow, RowList, WindowRows},
    sides::{Encoded, Leftover, PAIRS_AT_ONCE, Sides, bounds, refuse_changes},
    timers::{Timers, take_closed},
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::{
        Reason,
        transform::operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
    },
    state::{KeyedState, Slot},
};

/// One lane of a window join.
pub struct WindowJoin {
    sides: Sides,
    /// Start and end columns of both inputs.
    bounds: [(usize, usize); 2],
    state: KeyedState<WindowRows>,
    timers: Timers,
    watermark: i64,
}

const LEFT: usize = 0;

/// A row that goes into the state.
struct Entrant {
    row: u32,
    slot: Slot,
    start: i64,
    end: i64,
}

impl WindowJoin {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(node: &JoinNode, bounds: [(usize, usize); 2], context: &OperatorContext) -> Result<Self, EngineError> {
        refuse_changes(context, "a window join")?;
        let sides = Sides::new(node, context)?;
        let mut state = context.open::<WindowRows>("rows")?;
        let timers = Timers::restored(&mut state);
        Ok(Self { sides, bounds, state, timers, watermark: i64::MIN })
    }

    /// Rows for which the condition cannot be computed with some row of their window that came before. Pairs are judged again
    /// when the window ends; this is so that such a row is rejected as it comes.
    fn reject_uncomputable(
        &mut self,
        side: usize,
        batch: &Batch,
        entrants: &mut Vec<Entrant>,
        leftover: &mut Leftover,
    ) -> Result<(), EngineError> {
        if !self.sides.condition.as_ref().is_some_and(|condition| condition.can_fail) {
            return Ok(());
        }
        let mut rejected = vec![false; batch.num_rows()];
        let mut next = 0;
        while next < entrants.len() {
            let (mut arena, mut pairs, mut rows) = (Arena::default(), Pairs::default(), Vec::new());
            while next < entrants.len() && rows.len() < PAIRS_AT_ONCE {
                let Entrant { row, slot, start, end } = entrants[next];
                next += 1;
                let entry = self.state.value(slot).map_err(|error| self.sides.state(error))?;
                let Some(window) = entry.and_then(|entry| entry.find(start, end)) else { continue };
                for other in window.sides[1 - side].rows() {
                    let stored = arena.add(window.sides[1 - side].bytes_of(other));
                    rows.push(row);
                    if side == LEFT { pairs.push(row, stored) } else { pairs.push(stored, row) }
                }
            }
            let stored = self.sides.decode(1 - side, &arena)?;
            let columns = if side == LEFT { [batch.rows.columns(), &stored] } else { [&stored, batch.rows.columns()] };
            for (at, reason) in self.sides.judge(columns, &pairs)?.1 {
                let row = rows[at] as usize;
                if !std::mem::replace(&mut rejected[row], true) {
                    leftover.reject(row, reason);
                }
            }
        }
        entrants.retain(|entrant| !rejected[entrant.row as usize]);
        Ok(())
    }

    fn classify(
        &mut self,
        side: usize,
        batch: &Batch,
        encoded: &Encoded,
        leftover: &mut Leftover,
        unmatched: &mut Vec<u32>,
    ) -> Result<Vec<Entrant>, EngineError> {
        let (start, end) = self.bounds[side];
        let starts = bounds(&self.sides.node, batch, start)?;
        let ends = bounds(&self.sides.node, batch, end)?;
        let mut entrants = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let (Some(start), Some(end)) = (starts[row], ends[row]) else {
                leftover.reject(row, no_window());
                continue;
            };
            if end <= self.watermark {
                leftover.late.push(row as u32);
            } else if encoded.has_key(row) {
                let slot = self.state.slot_or_insert(encoded.keys.get(row), WindowRows::default);
                let (slot, _) = slot.map_err(|error| self.sides.state(error))?;
                entrants.push(Entrant { row: row as u32, slot, start, end });
            } else if self.sides.outer && side == LEFT {
                unmatched.push(row as u32);
            } else {
                leftover.dropped += 1;
            }
        }
        Ok(entrants)
    }

    /// Joins the rows of windows that have ended.
    fn put_out(&self, closed: &[(Vec<u8>, OneWindow)], out: &mut Output) -> Result<(), EngineError> {
        let mut pending = Pending::default();
        for (_, window) in closed {
            let [left, right] = &window.sides;
            if left.is_empty() || (right.is_empty() && !self.sides.outer) {
                continue;
            }
            let mut first = pending.add_rights(right);
            for (at, row) in left.rows().iter().enumerate() {
                let number = pending.left.add(left.bytes_of(row));
                pending.lefts.push(number);
                (0..right.len() as u32).for_each(|other| pending.pairs.push(number, first + other));
                if pending.is_full() {
                    pending.flush(&self.sides, out)?;
                    if at + 1 < left.len() {
                        first = pending.add_rights(right);
                    }
                }
            }
        }
        pending.flush(&self.sides, out)
    }
}

/// Why a row without a window is rejected.
pub fn no_window() -> Reason {
    Reason::new("event_time.missing", "the row has no window: its window's start or end is null")
}

/// Pairs that wait to be judged and put out.
#[derive(Default)]
struct Pending {
    left: Arena,
    right: Arena,
    lefts: Vec<u32>,
    pairs: Pairs,
}

impl Pending {
    /// Gives the number of the first.
    fn add_rights(&mut self, rows: &RowList) -> u32 {
        let first = self.right.len() as u32;
        rows.rows().iter().for_each(|row| {
            self.right.add(rows.bytes_of(row));
        });
        first
    }

    fn is_full(&self) -> bool {
        self.pairs.len() >= PAIRS_AT_ONCE || self.lefts.len() >= OUTPUT_ROWS
    }

    fn flush(&mut self, sides: &Sides, out: &mut Output) -> Result<(), EngineError> {
        if self.lefts.is_empty() {
            return Ok(());
        }
        let Self { left, right, lefts, pairs } = std::mem::take(self);
        let (left, right) = (sides.decode(LEFT, &left)?, sides.decode(1, &right)?);
        sides.emit_matches(&lefts, pairs, [&left, &right], out)
    }
}

impl Operator for WindowJoin {
    fn process(&mut self, side: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let encoded = self.sides.encode(side, batch)?;
        let (mut leftover, mut unmatched) = (Leftover::default(), Vec::new());
        let mut entrants = self.classify(side, batch, &encoded, &mut leftover, &mut unmatched)?;
        let made: Vec<Slot> = entrants.iter().map(|entrant| entrant.slot).collect();
        self.reject_uncomputable(side, batch, &mut entrants, &mut leftover)?;
        for Entrant { row, slot, start, end } in &entrants {
            let entry = self.state.value_mut(*slot).map_err(|error| self.sides.state(error))?;
            let entry = entry.expect("invariant: the slot was found for this batch");
            let (window, first) = entry.window(*start, *end);
            let list = &mut window.sides[side];
            list.insert(list.len(), 0, 0, 0, [encoded.rows.get(*row as usize), &[]]);
            if first {
                self.timers.push(*end, *slot);
            }
        }
        if entrants.len() < made.len() {
            for slot in made {
                let entry = self.state.value(slot).map_err(|error| self.sides.state(error))?;
                if entry.is_some_and(|entry| entry.windows.is_empty()) {
                    self.state.remove_slot(slot).map_err(|error| self.sides.state(error))?;
                }
            }
        }
        if !unmatched.is_empty() {
            let right = self.sides.decode(1, &Arena::default())?;
            let mut pairs = Pairs::default();
            unmatched.into_iter().for_each(|row| pairs.push(row, NO_ROW));
            self.sides.emit(pairs, [batch.rows.columns(), &right], out)?;
        }
        leftover.settle(batch, out);
        Ok(())
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.watermark = self.watermark.max(time.watermark);
        let closed = take_closed(&mut self.state, &mut self.timers, self.watermark).map_err(|error| self.sides.state(error))?;
        self.put_out(&closed.windows, out)?;
        Ok(closed.progress)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("rows", &mut self.state)]
    }
}
