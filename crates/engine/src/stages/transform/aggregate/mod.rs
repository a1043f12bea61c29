//! GROUP BY over windows, and without: groups, their accumulators, and when they are put out.
//!
//! ```text
//!  batch ─▶ place rows (panes) ─▶ take groups out of the state (work) ─▶ one loop per call (fold) ─▶ put groups back
//!  time  ─▶ timers that are due ─▶ close windows (panes) ─▶ results (finish) ─▶ rows by window end, then by key (emit)
//! ```
//!
//! # What is defined
//!
//! - **A window closes** when the watermark reaches its end: all rows with times below the end have arrived. A row at the very end of a
//!   session (its last row plus the gap) still belongs to it, so a session closes when the watermark is beyond its end. What is put out
//!   never depends on how far the watermark ran between two rows that are in time. Windows without rows put out nothing.
//! - **Late** is a row all of whose windows are closed; of the others it counts in those that are open. A row that touches an open
//!   session is never late. A row without time is rejected. A row between two windows (slide above size) is dropped.
//! - **Null** arguments are left out by all aggregates but `count(*)` and `array_agg`, as in Flink. Over no values `count` is 0 and all
//!   others are null. A null key is a key like any other.
//! - **NaN** is a value: it is greater than all others for `min` and `max`, equal to itself for DISTINCT (whatever its bits), and makes
//!   sums, averages and variances NaN. Percentiles leave it out. Negative zero is below zero, and distinct from it, as in Flink.
//! - **Overflow.** Integers and decimals are summed in 128 bits; a sum or average that does not fit into the type of its column is null.
//!   (Flink does so for decimals and lets integers wrap.) Averages of decimals are cut off, not rounded, at the scale of the result.
//! - **Order.** `first_value`, `last_value`, `array_agg` and `string_agg` go by their ORDER BY, then by arrival.
//! - **Changelogs.** A group whose rows were all taken back is deleted, the one group without keys too. A change that changes no
//!   result puts out nothing. Groups change once a batch. Over input that takes rows back, `approx_distinct` and
//!   `approx_percentile` are exact. A value is taken back once for each time it was added; one that is not there is left out.
//!
//! # What the exchange must do
//!
//! State is kept by the key columns in Arrow row format, in their order, hashed by [`crate::state::key_hash`]: rows must reach the
//! lane that [`crate::state::lane_of`] says for that hash, so that they find their state after a restore at another parallelism. Without
//! keys that is the lane of the empty key. After a restore, time must be told ([`super::operator::Operator::advance`]) before rows.

mod accumulator;
mod call;
mod codec;
mod emit;
mod finish;
mod fold;
mod group;
mod operator;
mod panes;
mod sketch;
mod words;
mod work;

#[cfg(test)]
mod tests;

pub use operator::AggregateOperator;
