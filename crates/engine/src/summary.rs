//! What a run did, as one object: `weir run --json` prints it, the console shows it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use weir_plan::{NodeKind, Plan};

use crate::checkpoint::Checkpoint;

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

impl Summary {
    /// The counts as of a checkpoint, node by node in the plan's order.
    pub fn of(plan: &Plan, run: &str, status: &str, last: &Checkpoint, evidence: EvidenceSummary) -> Self {
        let mut summary = Self {
            pipeline: plan.pipeline.clone(),
            run: run.to_owned(),
            status: status.to_owned(),
            seconds: last.seconds,
            checkpoints: last.checkpoints,
            sources: IndexMap::new(),
            steps: IndexMap::new(),
            sinks: IndexMap::new(),
            evidence,
        };
        for node in &plan.nodes {
            let counts = last.counts.get(&node.name).copied().unwrap_or_default();
            let name = node.name.clone();
            match node.kind {
                NodeKind::Source(_) => {
                    let source = SourceSummary {
                        rows_in: counts.rows_in,
                        malformed: counts.malformed,
                        late: counts.late,
                        out: counts.out,
                    };
                    summary.sources.insert(name, source);
                }
                NodeKind::Sink(_) => {
                    summary.sinks.insert(name, SinkSummary { rows_in: counts.rows_in, written: counts.out });
                }
                _ => {
                    let step = StepSummary {
                        rows_in: counts.rows_in,
                        out: counts.out,
                        quarantined: counts.quarantined,
                        denied: counts.denied,
                        late: counts.late,
                        dropped: counts.dropped,
                    };
                    summary.steps.insert(name, step);
                }
            }
        }
        summary
    }
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
