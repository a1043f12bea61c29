//! The decision record of a checkpoint: everything that was decided about the rows since the one before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash::Hash;

/// Committed in the same transaction as the checkpoint it describes. Counts are of this checkpoint alone, not running totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointDecision {
    pub run: String,
    pub pipeline: String,
    /// The SHA-256 of the pipeline document.
    pub document: Hash,
    /// The plan's fingerprint.
    pub plan: String,
    /// The checkpoint's number within the pipeline's life.
    pub epoch: u64,
    /// Source name -> how far each partition has been read.
    pub positions: BTreeMap<String, Vec<SourcePosition>>,
    /// Source, step or sink name -> its rows.
    pub nodes: BTreeMap<String, NodeCounts>,
    /// Step name -> rule name -> its result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, BTreeMap<String, RuleResult>>,
    /// Step name -> its consent decisions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consent: BTreeMap<String, ConsentCounts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masking: Vec<MaskingOperation>,
    /// The SHA-256 of the canonical column lineage.
    pub lineage_digest: Hash,
    /// The lineage itself, on the first checkpoint of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Vec<ColumnLineage>>,
    /// Sink name -> what it has prepared to commit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, SinkCommit>,
    /// The SHA-256 of the checkpoint's content.
    pub checkpoint: Hash,
}

/// How far a partition has been read: the next byte and the next row, both from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// A file's path relative to the source, a topic partition, `0`.
    pub partition: String,
    pub byte: u64,
    pub row: u64,
}

/// Where the rows of a node went. Each row that came in is under exactly one of the other headings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct NodeCounts {
    #[serde(rename = "in")]
    pub rows_in: u64,
    #[serde(rename = "out")]
    pub rows_out: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denied: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Could not be decoded or broke its contract, at a source; what became of it is the source's `on_malformed`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub malformed: u64,
    /// Went into the state of an operator (a window, a join, a pattern), or into what it put out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub absorbed: u64,
    /// Made by an operator from rows it had absorbed; part of `out`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub emitted: u64,
}

impl NodeCounts {
    /// Row conservation: no row appeared from nowhere and none vanished.
    pub fn is_conserved(&self) -> bool {
        let left = [self.rows_out, self.absorbed, self.quarantined, self.denied, self.late, self.dropped, self.malformed];
        let left = left.into_iter().try_fold(0u64, u64::checked_add);
        left.is_some() && left == self.rows_in.checked_add(self.emitted)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleResult {
    /// Rows that the rule looked at.
    pub evaluated: u64,
    pub failed: u64,
}

/// The decisions of a consent step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentCounts {
    pub purpose: String,
    /// The greatest consent version that these decisions heeded.
    pub version: u64,
    /// Decision (`granted`, `denied`, `withdrawn`, `expired`, `unknown`) -> rows.
    pub decisions: BTreeMap<String, u64>,
}

/// One column masked by one operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskingOperation {
    pub step: String,
    pub column: String,
    /// `hash`, `token`, `encrypt`, ...
    pub operator: String,
    /// The id of the key, for keyed operators; `subject` where every subject has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    pub rows: u64,
}

/// Where one column of a sink comes from, in OpenLineage's terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnLineage {
    /// Sink and column.
    pub sink: String,
    pub column: String,
    pub inputs: Vec<LineageInput>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageInput {
    pub source: String,
    pub column: String,
    #[serde(rename = "type")]
    pub kind: LineageType,
    /// `IDENTITY`, `TRANSFORMATION`, `AGGREGATION`; `JOIN`, `GROUP_BY`, `FILTER`, `SORT`, `WINDOW`, `CONDITIONAL`.
    pub subtype: String,
    /// Whether a masking operator lies between.
    pub masking: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LineageType {
    /// The value comes from it.
    Direct,
    /// It decides whether or how the value appears.
    Indirect,
}

/// What a sink has prepared to commit with this checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkCommit {
    pub rows: u64,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileCommit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCommit {
    /// Relative to the sink's folder.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
