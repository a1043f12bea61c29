//! Stateless SQL: from text to branches, one for each arm of a UNION ALL, each a filter and a projection over one input.
//!
//! ```text
//! text --parse--> syntax tree --subset--> --DataFusion: plan, coerce, simplify--> LogicalPlan --lower--> Vec<Branch>
//! ```

mod columns;
mod context;
mod error;
mod expression;
mod lower;
mod query;
mod stack;
mod subset;

pub(crate) use columns::{column_uses, null_tested_only, text};
pub use context::parser_options;
pub(crate) use error::Issue;
pub(crate) use expression::boolean_expression;
pub use lower::Branch;
pub(crate) use query::{Query, Typed};
pub(crate) use subset::RESERVED_PREFIX;
