//! When keys want attention: a heap of times beside the state, made again from it after a restore.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::rows::{OneWindow, WindowRows};
use crate::state::{KeyedState, Slot, StateError, StateValue};

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

/// Takes the windows that the watermark has passed out of the state, in the order of their ends, starts and keys.
pub fn take_closed(
    state: &mut KeyedState<WindowRows>,
    timers: &mut Timers,
    watermark: i64,
) -> Result<Vec<(Vec<u8>, OneWindow)>, StateError> {
    let mut closed = Vec::new();
    while let Some((_, slot)) = timers.pop_until(watermark) {
        let Some(key) = state.key(slot)? else { continue };
        let key = key.to_vec();
        let entry = state.value_mut(slot)?.expect("invariant: a slot with a key has a value");
        let mut windows = entry.take_closed(watermark);
        match entry.windows.first().map(|window| window.end) {
            Some(_) if windows.is_empty() => {}
            Some(next) => timers.push(next, slot),
            None => {
                state.remove_slot(slot)?;
            }
        }
        if let Some(last) = windows.pop() {
            closed.extend(windows.into_iter().map(|window| (key.clone(), window)));
            closed.push((key, last));
        }
    }
    closed.sort_unstable_by(|(one_key, one), (other_key, other)| {
        (one.end, one.start, one_key).cmp(&(other.end, other.start, other_key))
    });
    Ok(closed)
}
