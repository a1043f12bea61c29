//! Quality over time: metrics of windows of rows, rules over them, and control charts of their series.
//!
//! ```text
//!  lane 0   Collector ──partial windows──┐
//!  lane 1   Collector ──partial windows──┼──▶ Merger ──▶ closed windows: metrics, outcomes of rules
//!  lane n   Collector ──partial windows──┘     open windows, control series      │
//!                                              (all the state there is)          ▼
//!                                                                        findings, alerts
//! ```
//!
//! - A [`Plan`](plan::Plan) says what is measured: rules that need the same numbers share one measure.
//! - Each lane has a [`Collector`](window::Collector). It sorts a batch's rows into windows of event time and adds them up; rows go on
//!   unchanged, none is rejected here. [`Collector::take`](window::Collector::take) hands over what it has. It must be called at every
//!   barrier before the merger's state is taken, and at any time between; so lanes have no state of their own, and parallelism may
//!   change.
//! - One [`Merger`](window::Merger) a step adds up what lanes hand over, in any order: every measure is mergeable, and the sum is the same
//!   however rows were cut into lanes and batches (floats and quantiles within rounding; see the tests). When the watermark
//!   has passed a window's end, the window is closed: its metrics are judged by the rules, in the order of windows, and control charts
//!   take their next value. Windows without rows in between are closed too.
//! - Rows for a window that is closed are counted as late ([`Merger::late_rows`](window::Merger::late_rows)) and change nothing.
//! - A closed window carries its measures ([`Window`](window::Window)), which encode to bytes and merge: minutes add up to hours.
//! - Nulls count for completeness only. NaN and infinities are no numbers. A metric that has no value (the mean of no rows) breaks no rule.
//!
//! [`AlertTracker`](alerts::AlertTracker) turns outcomes into alerts, once per cause, with resolution.

pub mod alerts;
pub mod control;
pub mod digest;
pub mod distinct;
pub mod distribution;
mod judge;
pub mod moments;
pub mod plan;
mod reference_file;
pub mod window;

#[cfg(test)]
mod tests;

pub use alerts::{Alert, AlertTracker, Transition};
pub use judge::{Outcome, Verdict};
pub use plan::Plan;
pub use window::{Closed, Collector, Merger, Window};
