//! SQL: from text to branches of a stateless node, one for each arm of a UNION ALL, or to a chain of nodes with operators.
//!
//! ```text
//! text --parse--> syntax tree --subset--> --DataFusion: plan, coerce, simplify--> LogicalPlan --lower--> Vec<Branch>
//!                      |                                                              |
//!         windows, versions, patterns: `tables`                     with state: `stateful` --> Chain of nodes
//! ```
//!
//! What operators mean, and where that differs from Flink SQL, is written in `SEMANTICS.md`.

pub(crate) mod branches;
mod chain;
mod columns;
mod context;
mod error;
mod expression;
mod extras;
mod failures;
mod growth;
mod lower;
mod query;
mod recognize;
mod stack;
mod stateful;
mod subset;
mod tables;
mod typed_only;

pub(crate) use chain::Chain;
pub(crate) use columns::{column_uses, null_tested_only, text};
pub use context::parser_options;
pub(crate) use error::Issue;
pub(crate) use expression::boolean_expression;
pub use lower::Branch;
pub(crate) use query::Query;
pub(crate) use subset::RESERVED_PREFIX;
