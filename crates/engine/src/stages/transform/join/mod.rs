//! Joins: of two streams within an interval, a window, by version or without bound, and of a stream with reference data.
//!
//! ```text
//!   batch ─▶ keys and rows as bytes ─▶ slots of the keys ─▶ candidates: rows of the other side, copied out once each
//!            (encode, vectorised)       (state)                    │
//!                                                                  ▼
//!   output ◀─ take from batch and decoded rows ◀─ pairs that hold ◀─ condition, over many pairs at once
//! ```
//!
//! The state of a key is one value, the rows of both inputs ([`rows`]). Keys are the join's equal columns in Arrow's row format
//! ([`encode`]), by whose hash rows also find their lanes. What time does to keys is driven by [`timers`].

pub mod asof;
pub mod condition;
pub mod encode;
pub mod interval;
pub mod lookup;
mod lookup_source;
pub mod lookup_table;
pub mod output;
pub mod rows;
pub mod sides;
pub mod timers;
pub mod updating;
pub mod window;

#[cfg(test)]
mod lookup_tests;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use weir_plan::operator::{JoinBound, JoinNode};

use super::operator::{Operator, OperatorContext};
use crate::error::EngineError;

/// The operator of a join in one lane. A lookup join needs its table, which all lanes share.
pub fn compile(
    node: &JoinNode,
    context: &OperatorContext,
    table: Option<&Arc<lookup_table::LookupTable>>,
) -> Result<Box<dyn Operator>, EngineError> {
    Ok(match &node.bound {
        JoinBound::Interval { left_time, right_time, lower, upper } => {
            Box::new(interval::IntervalJoin::new(node, [*left_time, *right_time], (*lower, *upper), context)?)
        }
        JoinBound::Window { left, right } => Box::new(window::WindowJoin::new(node, [*left, *right], context)?),
        JoinBound::AsOf { left_time, right_time } => Box::new(asof::AsOfJoin::new(node, [*left_time, *right_time], context)?),
        JoinBound::Lookup => {
            let table = table.ok_or_else(|| EngineError::internal(&context.node, "the table of a lookup join was not opened"))?;
            Box::new(lookup::LookupJoin::new(node, context, table)?)
        }
        JoinBound::Updating { ttl } => Box::new(updating::UpdatingJoin::new(node, *ttl, context)?),
    })
}
