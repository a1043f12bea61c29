//! A pipeline as the console draws it.

use serde::{Deserialize, Serialize};
use weir_spec::Classification;

/// Nodes in data order, and the edges between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
}

/// A source, a step or a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphNode {
    /// Its name in the document; unique in the graph.
    pub name: String,
    pub kind: NodeKind,
    /// The stage's operator or connector key: `file`, `generator`, `quality`, `mask`, `stdout`.
    pub operator: String,
    /// What it does one after the other, where it is more than one operator: `aggregate`, `sql`.
    pub parts: Vec<String>,
    /// One line on what it does here: `5 rules`, `payments@1`, `SELECT ...`.
    pub summary: String,
    /// What leaves it (for a sink: what it receives). Empty when the document does not tell.
    pub columns: Vec<GraphColumn>,
    /// Sinks only: the most sensitive column it may hold.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Classification>))]
    pub clearance: Option<Classification>,
    /// The lane it is drawn in: 0 for sources, then one more than its deepest input.
    pub depth: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Source,
    #[default]
    Step,
    Sink,
}

/// A column with what is known of its sensitivity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphColumn {
    pub name: String,
    /// As documents write it: `string`, `decimal(12,2)`.
    pub data_type: String,
    pub required: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Classification))]
    pub classification: Classification,
    pub categories: Vec<String>,
    /// The operator that masked it on its way, if one did.
    pub masked_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphEdge {
    pub from: String,
    pub to: String,
    /// The most sensitive column that flows here, when it is known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Classification>))]
    pub classification: Option<Classification>,
}
