//! Quarantined rows: why they were held, and, by permission, what they hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{RunId, SegmentId, Slug};

/// A row in quarantine, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuarantineEntry {
    /// With `row`, its address.
    pub segment: SegmentId,
    /// Index in the segment, from 0.
    pub row: u32,
    pub pipeline: Slug,
    pub run: RunId,
    /// The stage that held it: `decode`, `contract`, `quality`, `consent`.
    pub stage: String,
    /// The source or step that held it.
    pub node: String,
    /// Every reason, not only the first.
    pub reasons: Vec<QuarantineReason>,
    /// Where it came from.
    pub source: String,
    pub partition: String,
    /// Row in the partition, from 0.
    pub offset: u64,
    /// Byte in the partition where the row begins, when it could not be decoded.
    pub byte: Option<u64>,
    /// The contract it was held against, such as `payments@1.4.0`.
    pub contract: Option<String>,
    pub at: DateTime<Utc>,
}

/// How many rows a node of a pipeline holds in quarantine, of all its runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRows {
    pub pipeline: Slug,
    pub node: String,
    pub rows: u64,
}

/// Names rules, columns and types, never values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuarantineReason {
    /// The rule's name, or the kind of malformation.
    pub rule: String,
    pub column: Option<String>,
    pub message: String,
}

/// A row in quarantine with its content. To read one is recorded in the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuarantineRow {
    pub entry: QuarantineEntry,
    pub content: QuarantineContent,
    /// The audit leaf that records this reading.
    pub leaf_index: Option<u64>,
}

/// What a row holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QuarantineContent {
    /// A decoded row: an object of its columns.
    Row {
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        columns: serde_json::Value,
    },
    /// A row that could not be decoded, as text; cut when it was too long.
    Text {
        text: String,
        /// The row's whole length in bytes.
        length: u64,
    },
    /// A row that is not even text; cut when it was too long.
    Bytes {
        hex: String,
        /// The row's whole length in bytes.
        length: u64,
    },
}

/// Which rows to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct QuarantineQuery {
    pub pipeline: Option<String>,
    pub run: Option<RunId>,
    pub node: Option<String>,
    /// Held by this rule.
    pub rule: Option<String>,
    pub after: Option<String>,
    pub limit: Option<u32>,
}
