//! The transform stage: what `sql` steps do to rows.
//!
//! Queries that look at one row at a time are expressions over batches ([`sql`]). What needs to remember rows (windows, joins, ranks,
//! patterns) is an [`operator::Operator`]: one instance in each keyed lane, fed in ticket order, its state in [`crate::state`].

pub mod aggregate;
pub mod driver;
pub mod expand;
pub mod join;
pub mod operator;
pub mod pattern;
pub mod rank;
pub mod sql;
pub mod window;

use std::sync::Arc;

use weir_plan::operator as planned;

use self::{join::lookup_table::LookupTable, operator::OperatorContext};
use crate::error::EngineError;

/// The operator of a node, for one lane. `table` is the reference data of a lookup join.
pub fn build(
    planned: &planned::Operator,
    context: &OperatorContext,
    table: Option<&Arc<LookupTable>>,
) -> Result<Box<dyn operator::Operator>, EngineError> {
    Ok(match planned {
        planned::Operator::Aggregate(node) => Box::new(aggregate::AggregateOperator::new(node, context)?),
        planned::Operator::Join(node) => join::compile(node, context, table)?,
        planned::Operator::Rank(node) => rank::compile(node, context)?,
        planned::Operator::Match(node) => Box::new(pattern::MatchOperator::new(node, context)?),
        planned::Operator::Measure(_) | planned::Operator::Alert(_) => {
            return Err(EngineError::internal(&context.node, "what watches rows is no transform"));
        }
    })
}
