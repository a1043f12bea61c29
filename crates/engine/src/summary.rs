//! What a run did, as one object: `weir run --json` prints it, the console shows it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Counts are of the pipeline's whole life, resumed runs included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub pipeline: String,
    pub run: String,
    pub status: String,
    pub seconds: f64,
    pub checkpoints: u64,
    pub sources: IndexMap<String, SourceSummary>,
    pub steps: IndexMap<String, StepSummary>,
    pub sinks: IndexMap<String, SinkSummary>,
    pub evidence: EvidenceSummary,
}

/// `in = malformed + late + out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSummary {
    #[serde(rename = "in")]
    pub rows_in: u64,
    pub malformed: u64,
    pub late: u64,
    pub out: u64,
}

/// `in = out + quarantined + denied + late + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSummary {
    #[serde(rename = "in")]
    pub rows_in: u64,
    pub out: u64,
    pub quarantined: u64,
    pub denied: u64,
    pub late: u64,
    pub dropped: u64,
}

/// `in = written`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkSummary {
    #[serde(rename = "in")]
    pub rows_in: u64,
    pub written: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSummary {
    pub leaves: u64,
    /// Hex.
    pub root: String,
}
