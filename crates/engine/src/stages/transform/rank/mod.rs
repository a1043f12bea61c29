//! Ranks: the first rows of each partition in an order, `ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...) <= limit`.
//!
//! Rows of equal order are ranked as they arrived. The state of a partition is one value: its ranked rows, each the bytes of its sort
//! key and of the row, in the order of their ranks.

pub mod keep_first;
pub mod ranked;
pub mod top_n;
pub mod window;

#[cfg(test)]
mod tests;

use weir_plan::operator::{RankBound, RankNode};

use super::operator::{Operator, OperatorContext};
use crate::error::EngineError;

/// The operator of a rank in one lane.
pub fn compile(node: &RankNode, context: &OperatorContext) -> Result<Box<dyn Operator>, EngineError> {
    Ok(match &node.bound {
        RankBound::Window { start, end } => Box::new(window::WindowRank::new(node, (*start, *end), context)?),
        RankBound::KeepFirst { time, ttl } => Box::new(keep_first::KeepFirst::new(node, *time, *ttl, context)?),
        RankBound::Updating { ttl } => Box::new(top_n::TopN::new(node, *ttl, context)?),
    })
}
