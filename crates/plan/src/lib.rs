//! From document to typed plan, engine-neutral: schemas, SQL, column lineage, classification flow, the leak check.
//!
//! ```text
//! Pipeline + contracts --resolve--> sources --type, node by node in topological order--> Plan
//!                                                        |                                 |
//!                                                 column lineage                     leak check
//! ```
//!
//! A [`Plan`] says what has to happen to data, not how: the embedded engine compiles it to operators, another engine would
//! print it in its own dialect. Planning performs no I/O; contracts come through [`Lookup`].
//!
//! Choices that a reader would otherwise have to guess:
//! - A column computed from others is as sensitive as the most sensitive of them, and so is one computed under a condition on
//!   them (CASE, COALESCE, NULLIF). Only masking operators lower a class; functions such as `substr` or a digest never do.
//! - Masks on top of one another do not add up: the best of them counts, judged from the class before all of them.
//! - A filter does not raise the class of what passes it, but which rows are there tells of the filtered column. Where that
//!   column is above the clearance of a sink behind it, a confidential one is a warning and a restricted one an error, unless it
//!   is only tested for null.
//! - Joins, the order of ranks and aggregates, groups of computed values and the conditions of patterns are filters in this sense, and
//!   so are quality rules that take rows away, as far as they name values. `SEMANTICS.md` has the whole table.
//! - The optional side of a left join tells by its nulls which keys were met: it is as sensitive as they are. A column that is equal to
//!   another by a join is as sensitive as that.
//! - The condition of an alert, and a filter before what watches rows, tell whoever sees alerts: on a column above internal that is a
//!   warning. Numbers of window rules that would show values of such a column are withheld.
//! - Quality rules are no filter lineage: what they reject is quarantined or counted. Consent is, by the subject column.
//! - Masking by redact or null removes data categories; a keyed hash or token leaves `user.unique_id.pseudonymous`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod consent;
mod copies;
pub mod describe;
mod flow;
mod hash;
mod indirect;
mod keys;
mod leak;
mod lookup;
mod observe;
pub mod operator;
mod origin;
mod path;
pub mod plan;
mod planner;
pub mod purpose;
mod range;
mod remedy;
mod rules;
pub mod schema;
mod source;
pub mod sql;
mod steps;
mod suggest;
mod table_sink;
mod tells;

pub use describe::{PlanView, column_lineage_facet, describe};
pub use lookup::Lookup;
pub use plan::{
    ColumnFacts, ConsentNode, LineageEdge, LineageKind, MaskNode, Node, NodeId, NodeKind, Plan, PlannedMask, PlannedRule,
    QualityNode, SinkNode, SourceNode, SqlNode, TableNode, Upsert,
};
pub use planner::{Planned, plan, plan_parsed};
pub use purpose::PurposePolicy;
pub use sql::Branch;
