//! When keys want attention: a heap of times beside the state, made again from it after a restore.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::rows::{OneWindow, RowList, WindowRows};
use crate::{
    stages::transform::operator::{ENOUGH_ROWS, Progress},
    state::{KeyedState, Slot, StateError, StateValue},
};

/// One entry or more a key. The key's value says which of its entries counts; the others are passed over.
#[derive(Debug, Default)]
pub struct Timers(BinaryHeap<Reverse<(i64, Slot)>>);

impl Timers {
    pub fn restored<V: StateValue>(state: &mut KeyedState<V>) -> Self {
        Self(state.take_timers().into_iter().map(Reverse).collect())
    }

    pub fn push(&mut self, at: i64, slot: Slot) {
        if at != i64::MAX {
            self.0.push(Reverse((at, slot)));
        }
    }

    /// The next timer, if it lies before `time`.
    pub fn pop_before(&mut self, time: i64) -> Option<(i64, Slot)> {
        self.0.peek().is_some_and(|Reverse((at, _))| *at < time).then(|| self.0.pop().map(|Reverse(timer)| timer))?
    }

    /// The next timer, if it does not lie behind `time`.
    pub fn pop_until(&mut self, time: i64) -> Option<(i64, Slot)> {
        self.0.peek().is_some_and(|Reverse((at, _))| *at <= time).then(|| self.0.pop().map(|Reverse(timer)| timer))?
    }
}

/// Windows taken out of the state.
pub struct ClosedWindows {
    /// Each with its key, in the order of their ends, starts and keys.
    pub windows: Vec<(Vec<u8>, OneWindow)>,
    pub progress: Progress,
}

/// Takes windows that the watermark has passed out of the state, those that ended first before others, until they hold enough rows.
pub fn take_closed(state: &mut KeyedState<WindowRows>, timers: &mut Timers, watermark: i64) -> Result<ClosedWindows, StateError> {
    let (mut windows, mut rows) = (Vec::new(), 0);
    while rows < ENOUGH_ROWS
        && let Some((end, slot)) = timers.pop_until(watermark)
    {
        let Some(key) = state.key(slot)? else { continue };
        let key = key.to_vec();
        let entry = state.value_mut(slot)?.expect("invariant: a slot with a key has a value");
        let mut closed = entry.take_closed(end);
        match entry.windows.first().map(|window| window.end) {
            Some(_) if closed.is_empty() => {}
            Some(next) => timers.push(next, slot),
            None => {
                state.remove_slot(slot)?;
            }
        }
        rows += closed.iter().flat_map(|window| &window.sides).map(RowList::len).sum::<usize>();
        if let Some(last) = closed.pop() {
            windows.extend(closed.into_iter().map(|window| (key.clone(), window)));
            windows.push((key, last));
        }
    }
    windows.sort_unstable_by(|(one_key, one), (other_key, other)| {
        (one.end, one.start, one_key).cmp(&(other.end, other.start, other_key))
    });
    Ok(ClosedWindows { windows, progress: Progress::until_enough(rows) })
}
