//! The typed plan: what engines and auditors read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan};
use serde::{Deserialize, Serialize};
use weir_spec::{
    Classification, Column,
    connector::{EventTime, Format, SourceConnector, TableConnector},
    consent::{OnDeny, OnUnknown},
    contract::ContractRef,
    mask::Mask,
    pipeline::{Basis, Batch, Checkpoint, OnMalformed, Sink},
    quality::{Check, OnFail},
    types::Timespan,
};

use crate::{
    operator::{OperatorNode, WindowNode},
    sql::Branch,
};

/// Index into [`Plan::nodes`].
pub type NodeId = usize;

/// A pipeline that may run: every type known, every column traced, no leak.
#[derive(Clone, Debug)]
pub struct Plan {
    pub pipeline: String,
    pub purpose: String,
    pub basis: Basis,
    pub parallelism: usize,
    pub checkpoint: Checkpoint,
    pub batch: Batch,
    /// SHA-256 of the document's canonical JSON together with the contracts it resolves to.
    pub document_hash: [u8; 32],
    /// SHA-256 over what state depends on: node names, kinds, schemas and definitions. State is restored only into an
    /// equal fingerprint.
    pub fingerprint: [u8; 32],
    /// In topological order: sources first, every node after its inputs, sinks last.
    pub nodes: Vec<Node>,
}

/// A source, step or sink with everything known about its rows.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name in the document, or `step#1`, `step#2`, ... for those that a step needs before its last, or `step#windows` for the
    /// window rules of a quality step; unique among the nodes of a plan.
    pub name: String,
    /// The name in the document of what this node belongs to.
    pub step: String,
    pub inputs: Vec<NodeId>,
    pub kind: NodeKind,
    /// The rows that leave this node (for a sink: that enter it).
    pub schema: SchemaRef,
    /// One entry a field of `schema`.
    pub columns: Vec<ColumnFacts>,
    /// The column that names the person a row is about, while it is still there in a readable form.
    pub subject: Option<usize>,
    /// The event-time column, while it is still there.
    pub event_time: Option<usize>,
    /// Its rows are a changelog: each says whether it is added or taken back ([`crate::operator::Change`]).
    pub changes: bool,
}

/// What is known of a column at a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnFacts {
    pub name: String,
    pub classification: Classification,
    pub categories: Vec<String>,
    /// The source columns it comes from, with how.
    pub lineage: Vec<LineageEdge>,
    /// The fields of a struct that is there as its source gives it. Of other structs no field is known apart from the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFacts>,
}

/// What is known of a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFacts {
    pub name: String,
    pub classification: Classification,
    pub categories: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFacts>,
}

/// One edge of column lineage, with OpenLineage's vocabulary (ColumnLineageDatasetFacet 1.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineageEdge {
    /// The source node's name.
    pub source: String,
    pub column: String,
    pub kind: LineageKind,
    /// The value was masked on the way.
    pub masking: bool,
}

/// OpenLineage transformation types: direct (value) and indirect (influence) ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LineageKind {
    Identity,
    Transformation,
    Aggregation,
    Join,
    GroupBy,
    Filter,
    Sort,
    Window,
    Conditional,
}

impl LineageKind {
    /// Whether the value itself flows, rather than an influence on it.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Identity | Self::Transformation | Self::Aggregation)
    }
}

#[derive(Clone, Debug)]
pub enum NodeKind {
    Source(SourceNode),
    /// Reference data; read by lookup joins only and no part of the flow of rows.
    Table(TableNode),
    Quality(QualityNode),
    Consent(ConsentNode),
    Mask(MaskNode),
    Sql(SqlNode),
    Window(WindowNode),
    Operator(OperatorNode),
    Sink(SinkNode),
}

impl NodeKind {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Table(_) => "table",
            Self::Quality(_) => "quality",
            Self::Consent(_) => "consent",
            Self::Mask(_) => "mask",
            Self::Sql(_) => "sql",
            Self::Window(_) => "window",
            Self::Operator(node) => node.operator.as_str(),
            Self::Sink(_) => "sink",
        }
    }
}

#[derive(Clone, Debug)]
pub struct SourceNode {
    pub connector: SourceConnector,
    /// None for sources that are born as rows.
    pub format: Option<Format>,
    pub contract: Option<ContractRef>,
    /// The whole version of the contract, for evidence and quarantine.
    pub contract_version: Option<String>,
    /// The declared columns, in schema order.
    pub declared: Vec<Column>,
    /// Rules of the contract; a row that breaks one is handled by `on_malformed`.
    pub rules: Vec<PlannedRule>,
    pub event_time: Option<EventTime>,
    pub on_malformed: OnMalformed,
}

/// The rows of a file or of a database's table that joins look up, held in memory and read again when it has changed.
#[derive(Clone, Debug)]
pub struct TableNode {
    pub connector: TableConnector,
    pub format: Format,
    /// The declared columns, in schema order.
    pub declared: Vec<Column>,
    /// Rules of the contract; the rows are refused where a row breaks one.
    pub rules: Vec<PlannedRule>,
    /// Columns that tell rows apart; of several rows with equal ones the last counts. Empty where all count.
    pub key: Vec<usize>,
    /// How often it is looked at.
    pub reload: Timespan,
}

#[derive(Clone, Debug)]
pub struct QualityNode {
    pub on_fail: OnFail,
    pub rules: Vec<PlannedRule>,
}

/// A rule bound to its input schema.
#[derive(Clone, Debug)]
pub struct PlannedRule {
    pub name: String,
    pub check: Check,
    /// For [`Check::Expression`]: the typed boolean expression over the input's columns.
    pub expr: Option<Arc<Expr>>,
}

#[derive(Clone, Debug)]
pub struct ConsentNode {
    pub purpose: String,
    pub on_deny: OnDeny,
    pub on_unknown: OnUnknown,
    /// The subject column of the input.
    pub subject: usize,
}

#[derive(Clone, Debug)]
pub struct MaskNode {
    pub masks: Vec<PlannedMask>,
}

#[derive(Clone, Debug)]
pub struct PlannedMask {
    /// Column of the input, and of the output.
    pub column: usize,
    pub mask: Mask,
}

/// A stateless query over its inputs: projections, filters, unions.
#[derive(Clone, Debug)]
pub struct SqlNode {
    /// As written.
    pub text: String,
    /// Analysed and optimised, for display and for other engines; its table scans are named after the input nodes.
    pub logical: LogicalPlan,
    /// The same query flattened, one entry an arm of UNION ALL, in the order of the arms: what the embedded engine executes.
    pub branches: Vec<Branch>,
}

#[derive(Clone, Debug)]
pub struct SinkNode {
    pub sink: Sink,
    /// Where the sink holds the rows as they are now ([`weir_spec::pipeline::SinkMode::Upsert`]).
    pub upsert: Option<Upsert>,
}

/// How changes become the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upsert {
    /// Columns of the sink, in the order of the document.
    pub key: Vec<usize>,
    /// Changes of one key come in the order in which they happened: the last one counts. Otherwise they come in any order within an
    /// epoch, but every row that is taken back is, to the last bit, one that was added: what is left when both are counted counts.
    pub in_order: bool,
}

impl Plan {
    /// The nodes that read from `id`.
    pub fn consumers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.inputs.contains(&id)).map(|(i, _)| i)
    }

    /// Whether a node only watches the rows of its input.
    pub fn is_observer(&self, id: NodeId) -> bool {
        matches!(&self.nodes[id].kind, NodeKind::Operator(node) if node.operator.is_observer())
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}
