//! How fast rows flow right now.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    graph::NodeKind,
    id::{ProjectId, RunId, Slug},
};

/// The rates of one run, published about once a second while it lives. A reading, not evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunRates {
    pub project: ProjectId,
    pub pipeline: Slug,
    pub run: RunId,
    pub at: DateTime<Utc>,
    pub nodes: Vec<NodeRates>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeRates {
    pub node: String,
    pub kind: NodeKind,
    pub rows_in_per_second: f64,
    pub rows_out_per_second: f64,
    /// Malformed, quarantined, denied, late and dropped rows; not those that an SQL step leaves out, as its `WHERE` says.
    pub rejects_per_second: f64,
    /// Rows that an SQL step leaves out.
    #[serde(default)]
    pub filtered_per_second: f64,
    /// Sources only: rows (or bytes, where rows are unknown) that wait, when the source can tell.
    pub lag: Option<u64>,
    /// Since the pipeline's first start.
    pub rows_in: u64,
    pub rows_out: u64,
    pub rejects: u64,
}
