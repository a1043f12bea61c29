//! From document to typed plan, engine-neutral: schemas, SQL, column lineage, classification flow, the leak check.
//!
//! ```text
//! Pipeline + contracts --resolve--> sources --type, node by node in topological order--> Plan
//!                                                        |                                 |
//!                                                 column lineage                     leak check
//! ```
//!
//! A [`Plan`] says what has to happen to data, not how: the embedded engine compiles it to operators, another engine would
//! print it in its own dialect. Planning performs no I/O; contracts come through [`Contracts`].

pub mod plan;

pub use plan::{
    ColumnFacts, ConsentNode, LineageEdge, LineageKind, MaskNode, Node, NodeId, NodeKind, Plan, PlannedMask, PlannedRule, QualityNode,
    SinkNode, SourceNode, SqlNode,
};
