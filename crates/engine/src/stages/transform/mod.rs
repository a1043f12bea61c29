//! The transform stage: what `sql` steps do to rows.
//!
//! Queries that look at one row at a time are expressions over batches ([`sql`]). What needs to remember rows (windows, joins, ranks,
//! patterns) is an [`operator::Operator`]: one instance in each keyed lane, fed in ticket order, its state in [`crate::state`].

pub mod operator;
pub mod sql;
