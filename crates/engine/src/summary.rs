//! What a run did, as one object: `weir run --json` prints it, the console shows it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use weir_plan::{NodeKind, Plan};

use crate::{
    checkpoint::Checkpoint,
    counts::is_zero,
    output::MissingOutput,
    steps::{StepCounts, by_step},
};

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
    /// Of pipelines that have alert steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertSummary>,
    /// Output that earlier runs have written and that was gone when this one began, by sink.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub missing: IndexMap<String, MissingOutput>,
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
            alerts: None,
            missing: IndexMap::new(),
        };
        let counts = |node: usize| last.counts.get(&plan.nodes[node].name).copied().unwrap_or_default();
        for StepCounts { name, node, counts } in by_step(plan, counts) {
            let name = name.to_owned();
            match plan.nodes[node].kind {
                NodeKind::Source(_) => {
                    let source = SourceSummary {
                        rows_in: counts.rows_in,
                        malformed: counts.malformed,
                        quarantined: counts.quarantined,
                        late: counts.late,
                        out: counts.out,
                        unnamed: counts.unnamed,
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
                        flagged: counts.flagged,
                        absorbed: counts.absorbed,
                        emitted: counts.emitted,
                    };
                    summary.steps.insert(name, step);
                }
            }
        }
        summary
    }
}

/// `in = malformed + quarantined + late + out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSummary {
    #[serde(rename = "in")]
    pub rows_in: u64,
    pub malformed: u64,
    /// Ran too far ahead in event time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u64,
    pub late: u64,
    pub out: u64,
    /// Rows with fields that the contract does not name, whatever became of them; the fields are not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unnamed: u64,
}

/// `in + emitted = out + absorbed + quarantined + denied + late + dropped`; only steps with state absorb and emit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSummary {
    #[serde(rename = "in")]
    pub rows_in: u64,
    pub out: u64,
    pub quarantined: u64,
    pub denied: u64,
    pub late: u64,
    pub dropped: u64,
    /// Failed a rule and went on all the same; part of `out`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flagged: u64,
    /// Went into windows, joins, ranks or patterns.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub absorbed: u64,
    /// Made of what was absorbed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub emitted: u64,
}

/// `in = written`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkSummary {
    #[serde(rename = "in")]
    pub rows_in: u64,
    pub written: u64,
}

/// `raised = resolved + open`, and those of which nothing more will be heard because the pipeline was started anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSummary {
    pub raised: u64,
    pub resolved: u64,
    pub open: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSummary {
    pub leaves: u64,
    /// Hex.
    pub root: String,
}
