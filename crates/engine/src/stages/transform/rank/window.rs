//! Ranks within windows: put out when the watermark passes the window's end, append only.
//!
//! A row whose window has ended is late; one without a window is rejected. Results come in the order of windows, then of
//! partitions, then of ranks; where very many rows are due at once, in several such sequences.

use weir_plan::operator::RankNode;

use super::ranked::{FROM_STATE, Picked, Ranking, place, row_bytes};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::{
        join::{
            output::{Arena, OUTPUT_ROWS},
            rows::{OneWindow, WindowRows},
            sides::{Leftover, bounds, refuse_changes},
            timers::{Timers, take_closed},
            window::no_window,
        },
        operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
    },
    state::KeyedState,
};

/// One lane of a rank within windows.
pub struct WindowRank {
    ranking: Ranking,
    bounds: (usize, usize),
    state: KeyedState<WindowRows>,
    timers: Timers,
    watermark: i64,
}

impl WindowRank {
    /// Its state is empty, or as of the last checkpoint.
    pub fn new(node: &RankNode, bounds: (usize, usize), context: &OperatorContext) -> Result<Self, EngineError> {
        refuse_changes(context, "a rank within windows")?;
        let mut state = context.open::<WindowRows>("rows")?;
        let timers = Timers::restored(&mut state);
        Ok(Self { ranking: Ranking::new(node, context)?, bounds, state, timers, watermark: i64::MIN })
    }

    fn put_out(&self, closed: &[(Vec<u8>, OneWindow)], out: &mut Output) -> Result<(), EngineError> {
        let (mut arena, mut picked) = (Arena::default(), Picked::default());
        for (_, window) in closed {
            let list = &window.sides[0];
            for (rank, row) in list.rows().iter().enumerate() {
                picked.rows.push((FROM_STATE, arena.add(row_bytes(list, row)) as usize));
                if self.ranking.number {
                    picked.numbers.push(rank as i64 + 1);
                }
                if picked.rows.len() >= OUTPUT_ROWS {
                    self.ranking.emit(std::mem::take(&mut picked), None, &arena, out)?;
                    arena.clear();
                }
            }
        }
        self.ranking.emit(picked, None, &arena, out)
    }
}

impl Operator for WindowRank {
    fn process(&mut self, _: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let failed = |error| EngineError::internal(&self.ranking.node, error);
        let partitions = self.ranking.partition.encode(&batch.rows).map_err(failed)?;
        let order = self.ranking.order.encode(&batch.rows).map_err(failed)?;
        let rows = self.ranking.rows.encode(&batch.rows).map_err(failed)?;
        let starts = bounds(&self.ranking.node, batch, self.bounds.0)?;
        let ends = bounds(&self.ranking.node, batch, self.bounds.1)?;
        let mut leftover = Leftover::default();
        for row in 0..batch.num_rows() {
            let (Some(start), Some(end)) = (starts[row], ends[row]) else {
                leftover.reject(row, no_window());
                continue;
            };
            if end <= self.watermark {
                leftover.late.push(row as u32);
                continue;
            }
            let key = order.get(row);
            let state_failed = |error| EngineError::state(&self.ranking.node, error);
            let (slot, _) = self.state.slot_or_insert(partitions.get(row), WindowRows::default).map_err(state_failed)?;
            // Most rows do not rank: look before the page counts as changed.
            let window = self.state.value(slot).map_err(state_failed)?.and_then(|entry| entry.find(start, end));
            let at = window.map_or(0, |window| place(&window.sides[0], key));
            if at >= self.ranking.limit && window.is_some() {
                continue;
            }
            let entry = self.state.value_mut(slot).map_err(state_failed)?;
            let (window, first) = entry.expect("invariant: the slot was just found").window(start, end);
            if self.ranking.limit > 0 {
                let list = &mut window.sides[0];
                list.insert(at, 0, 0, key.len() as u32, [key, rows.get(row)]);
                if list.len() > self.ranking.limit {
                    list.remove(self.ranking.limit);
                    list.close_gaps();
                }
            }
            if first {
                self.timers.push(end, slot);
            }
        }
        leftover.settle(batch, out);
        Ok(())
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.watermark = self.watermark.max(time.watermark);
        let closed = take_closed(&mut self.state, &mut self.timers, self.watermark);
        let closed = closed.map_err(|error| EngineError::state(&self.ranking.node, error))?;
        self.put_out(&closed.windows, out)?;
        Ok(closed.progress)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("rows", &mut self.state)]
    }
}
