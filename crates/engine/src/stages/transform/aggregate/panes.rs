//! Which part of its key's state a row goes to, and what becomes of parts when a window closes.
//!
//! ```text
//!  hop(size 10, slide 4):      windows   [0 ........ 10)
//!                                            [4 ........ 14)
//!                                                [8 ........ 18)
//!                              panes     [0 2)[2 4)[4 6)[6 8)[8 10)...
//! ```
//!
//! - **Hop, tumble.** Rows are kept by pane: the time between two neighbouring edges of windows, so that a row changes one accumulator
//!   however many windows it is in; a window merges its panes when it closes. With a slide that does not divide the size there
//!   are two panes a slide ("paired windows", Krishnamurthy, Wu and Franklin, 2006), never more: the greatest common divisor of size
//!   and slide may be far smaller. A tumbling window is one pane.
//! - **Cumulate.** A row goes to the first window that is still open. When that closes, its part is merged into one with the
//!   parts before, from which the next goes on.
//! - **Carried.** The window is in the row.
//!
//! A window is closed when the clock (the watermark, or for processing time the wall clock) has reached its end: all rows
//! with times below it have arrived. Flink calls the same moment "watermark >= end - 1", for its watermark is a time of which
//! no more rows come. A row is late when all its windows are closed; while one is open, it counts there and nowhere else.

use super::{
    accumulator::Accumulator,
    call::Call,
    group::{Group, Part, Values},
};
use crate::stages::transform::window::floor;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Panes {
    Hop {
        size: i64,
        slide: i64,
        offset: i64,
    },
    Cumulate {
        size: i64,
        step: i64,
        offset: i64,
    },
    Session {
        gap: i64,
    },
    /// Start and end are these columns.
    Carried {
        start: usize,
        end: usize,
    },
    /// One part, which changes for ever; its end is when it was last touched.
    Updating {
        ttl: Option<i64>,
    },
}

/// Where a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the part with this start and end, which has to do with the window that ends at `due`.
    Part {
        start: i64,
        end: i64,
        due: i64,
    },
    Late,
    /// Between two windows.
    Outside,
}

/// A window that closed for a key.
pub(super) struct Closed {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) values: Values,
}

impl Panes {
    /// The part for a row of this time. Not for sessions, carried windows and changelogs.
    pub(super) fn place(&self, time: i64, clock: i64) -> Place {
        match *self {
            Self::Hop { size, slide, offset } => {
                let base = floor(time, slide, offset);
                let last = base.saturating_add(size);
                if time >= last {
                    return Place::Outside;
                }
                if last <= clock {
                    return Place::Late;
                }
                let edge = base.saturating_add(if size < slide { size } else { size % slide });
                let (start, end) = match () {
                    () if time < edge => (base, edge),
                    () if size < slide => (base, edge),
                    () => (edge, base.saturating_add(slide)),
                };
                Place::Part { start, end, due: self.next_end(end, clock) }
            }
            Self::Cumulate { size, step, offset } => {
                let start = floor(time, size, offset);
                let end = floor(time.max(clock), step, offset).saturating_add(step);
                match end > start.saturating_add(size) || end <= clock {
                    true => Place::Late,
                    false => Place::Part { start, end, due: end },
                }
            }
            _ => Place::Part { start: 0, end: 0, due: i64::MAX },
        }
    }

    /// The end of the first window that holds a part with this end and is open after `clock`.
    fn next_end(&self, end: i64, clock: i64) -> i64 {
        match *self {
            Self::Hop { size, slide, offset } => {
                let before = (end - 1).max(clock);
                // The grid of ends, brought near zero so that it cannot overflow.
                let grid = (i128::from(offset) + i128::from(size)).rem_euclid(i128::from(slide)) as i64;
                floor(before, slide, grid).saturating_add(slide)
            }
            Self::Cumulate { step, .. } => {
                if end > clock {
                    end
                } else {
                    clock.saturating_add(step)
                }
            }
            // A row at the very end of a session still belongs to it.
            Self::Session { .. } => end.saturating_add(1),
            Self::Carried { .. } => end,
            Self::Updating { ttl } => ttl.map_or(i64::MAX, |ttl| end.saturating_add(ttl)),
        }
    }

    /// When a group wants attention next, `after` having been attended to.
    pub(super) fn due(&self, group: &Group, after: i64) -> i64 {
        group.parts().iter().map(|part| self.next_end(part.end, after)).min().unwrap_or(i64::MAX)
    }

    /// Takes what is due out of a group: the windows that close, if there are any, with their results so far.
    pub(super) fn close(&self, group: &mut Group, due: i64, calls: &[Call], closed: &mut Vec<Closed>) {
        match *self {
            Self::Hop { size, slide, .. } => {
                let start = due.saturating_sub(size);
                // The commonest case: a tumbling window, the only one of its key.
                if size == slide
                    && let [part] = group.parts()
                {
                    if part.end == due {
                        let part = group.take_only().expect("invariant: just seen");
                        closed.push(Closed { start, end: due, values: part.values });
                    }
                    return;
                }
                let mut parts = group.take();
                parts.sort_by_key(|part| part.start);
                let mut merged = None;
                let alive = start.saturating_add(slide);
                let mut kept = Vec::with_capacity(parts.len());
                for part in parts {
                    let (within, stays) = (part.start >= start && part.end <= due, part.start >= alive);
                    if within && stays {
                        merge(&mut merged, part.values.clone(), calls);
                    }
                    if stays {
                        kept.push(part);
                    } else if within {
                        merge(&mut merged, part.values, calls);
                    }
                }
                group.put(kept);
                closed.extend(merged.map(|values| Closed { start, end: due, values }));
            }
            Self::Cumulate { size, offset, .. } => {
                let start = floor(due - 1, size, offset);
                let (mut within, mut kept): (Vec<_>, Vec<_>) =
                    group.take().into_iter().partition(|part| part.start == start && part.end <= due);
                within.sort_by_key(|part| part.end);
                let mut merged = None;
                within.into_iter().for_each(|part| merge(&mut merged, part.values, calls));
                if let Some(values) = merged {
                    if due < start.saturating_add(size) {
                        kept.push(Part { start, end: due, values: values.clone() });
                    }
                    closed.push(Closed { start, end: due, values });
                }
                group.put(kept);
            }
            Self::Session { .. } | Self::Carried { .. } => {
                let (due, kept): (Vec<_>, Vec<_>) =
                    group.take().into_iter().partition(|part| self.next_end(part.end, due) <= due);
                closed.extend(due.into_iter().map(|Part { start, end, values }| Closed { start, end, values }));
                group.put(kept);
            }
            Self::Updating { .. } => {
                let kept = group.take().into_iter().filter(|part| self.next_end(part.end, due) > due).collect();
                group.put(kept);
            }
        }
    }
}

/// Merges accumulators, call by call; those in `into` came first.
pub(super) fn merge(into: &mut Option<Values>, other: Values, calls: &[Call]) {
    match into {
        None => *into = Some(other),
        Some(into) => merge_into(into.as_mut_slice(), other, calls),
    }
}

fn merge_into(into: &mut [Accumulator], mut other: Values, calls: &[Call]) {
    for ((mine, theirs), call) in into.iter_mut().zip(other.as_mut_slice()).zip(calls) {
        mine.merge(std::mem::take(theirs), call.kernel.greatest());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_plan::operator::WindowKind;

    use super::*;
    use crate::stages::transform::window::assign;

    proptest! {
        /// A pane lies in the same windows as each of its rows does, and is due when the first open one of them ends.
        #[test]
        fn a_pane_lies_where_its_rows_lie(size in 1i64..40, slide in 1i64..40, offset in -50i64..50, time in -200i64..200, clock in -260i64..260) {
            let panes = Panes::Hop { size, slide, offset };
            let mut windows = Vec::new();
            assign(&WindowKind::Hop { size, slide, offset }, time, &mut windows);
            let open = windows.iter().map(|&(_, end)| end).find(|&end| end > clock);
            match panes.place(time, clock) {
                Place::Outside => prop_assert!(windows.is_empty()),
                Place::Late => prop_assert!(!windows.is_empty() && open.is_none()),
                Place::Part { start, end, due } => {
                    prop_assert!(start <= time && time < end);
                    prop_assert!(windows.iter().all(|&(from, to)| from <= start && end <= to));
                    prop_assert_eq!(Some(due), open);
                    let mut others = Vec::new();
                    assign(&WindowKind::Hop { size, slide, offset }, start, &mut others);
                    prop_assert_eq!(&others, &windows);
                    others.clear();
                    assign(&WindowKind::Hop { size, slide, offset }, end - 1, &mut others);
                    prop_assert_eq!(&others, &windows);
                }
            }
        }

        #[test]
        fn a_row_goes_to_the_first_open_window_that_grows(step in 1i64..8, n in 1i64..8, offset in -50i64..50, time in -200i64..200, clock in -260i64..260) {
            let size = step * n;
            let mut windows = Vec::new();
            assign(&WindowKind::Cumulate { size, step, offset }, time, &mut windows);
            let open = windows.into_iter().find(|&(_, end)| end > clock);
            let placed = match (Panes::Cumulate { size, step, offset }).place(time, clock) {
                Place::Part { start, end, due } => { prop_assert_eq!(end, due); Some((start, end)) }
                _ => None,
            };
            prop_assert_eq!(placed, open);
        }
    }
}
