//! Quality over time: metrics of windows of rows, rules over them, and control charts of their series. What each number means is in
//! `METRICS.md` beside this folder.
//!
//! ```text
//!  lanes of the input ──all rows──▶ one lane: OpenWindows ──▶ closed windows: metrics, outcomes of rules ──▶ observations
//!                                     windows, control series                                         └──▶ alerts on rules
//! ```
//!
//! - A [`Plan`](plan::Plan) says what is measured: rules that need the same numbers share one measure.
//! - [`OpenWindows`] adds rows to windows of event time (or of the clock), one by one and in order, in a lane of its own. Lanes could
//!   add up their share and hand over partial windows, but the sum of floats and a digest depend, in their last digits, on how rows
//!   are cut into parts; a verdict may not. Batches reach the one lane without being copied;
//!   `cargo run --release -p weir-engine --example observe` tells how many rows it takes in.
//! - When time has passed a window's end, the window is closed: its metrics are judged by the rules, in the order of windows, and
//!   control charts take their next value. Windows without rows in between are closed too.
//! - Rows for a window that is closed are counted as late and change nothing.
//! - A closed window carries its measures ([`measures`]), which encode to bytes and merge: minutes add up to hours.
//! - Nulls count for completeness only. NaN and infinities are no numbers. A metric that has no value (the mean of no rows) breaks no rule.
//!
//! [`AlertTracker`](alerts::AlertTracker) turns outcomes into alerts, once per cause, with resolution.

pub mod alerts;
pub mod control;
pub mod digest;
pub mod distinct;
pub mod distribution;
mod judge;
pub mod measured;
pub mod measures;
pub mod moments;
pub mod number;
pub mod plan;
mod reference_file;
pub mod window;

#[cfg(test)]
mod tests;

pub use alerts::{Alert, AlertTracker, Transition};
pub use judge::{Finding, Outcome, Verdict};
pub use plan::Plan;
pub use window::{Closed, OpenWindows, Window};
