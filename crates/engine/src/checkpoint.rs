//! What is written down at a barrier, so that a later run goes on as if nothing had happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_connectors::{PartitionPosition, PreCommit};
use weir_evidence::{
    Hash, canonical,
    record::{
        self, CheckpointDecision, ColumnLineage, ConsentCounts, FileCommit, LineageInput, LineageType, MaskingOperation,
        RuleResult, SinkCommit, SourcePosition,
    },
};
use weir_plan::{LineageKind, NodeKind, Plan};
use weir_spec::mask::Mask;

use crate::{
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
    host::Host,
    observation::Observations,
    quarantine::QuarantineSegment,
    state::{LaneState, files_needed},
};

/// The state of a pipeline at a barrier. Everything by node name, so that it can be matched with a changed document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The layout of this structure.
    pub version: u32,
    /// Counts barriers over the pipeline's whole life, from 1.
    pub epoch: u64,
    /// How many checkpoints have been committed, this one included.
    pub checkpoints: u64,
    /// Seconds the pipeline has run, over all runs.
    pub seconds: f64,
    /// What each node that has state was when it made that state.
    pub definitions: BTreeMap<String, String>,
    pub positions: BTreeMap<String, Vec<PartitionPosition>>,
    pub states: BTreeMap<String, OperatorState>,
    pub pre_commits: BTreeMap<String, PreCommit>,
    /// How much each sink has been given in all. Absent of sinks whose checkpoints were all written by a Weir that did not count it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Output>,
    /// Counts of the pipeline's whole life.
    pub counts: BTreeMap<String, NodeCounts>,
    /// By step.
    pub rules: BTreeMap<String, BTreeMap<String, RuleCounts>>,
    /// Committed before all state had been read of the checkpoint that its run began from: of that state it may have some that is
    /// damaged, and the files of the checkpoint before that one are still there to go back to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

impl Checkpoint {
    pub const VERSION: u32 = 2;

    /// The files in the state folder that it needs.
    pub fn state_files(&self) -> impl Iterator<Item = &str> {
        self.states.values().flat_map(|state| -> Box<dyn Iterator<Item = &str>> {
            match state {
                OperatorState::Inline(_) => Box::new(std::iter::empty()),
                OperatorState::Files(files) => Box::new(files.iter().map(|file| file.name.as_str())),
                OperatorState::Keyed(states) => Box::new(files_needed(states.values().flatten()).into_iter()),
            }
        })
    }
}

/// The files that a sink has made visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The epoch from which on they are counted.
    pub since: u64,
    pub files: u64,
}

/// The state of one operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorState {
    /// Small state, within the checkpoint.
    Inline(serde_json::Value),
    /// Files in the pipeline's state folder, each written once and never changed.
    Files(Vec<StateFile>),
    /// Keyed state by its name, one entry a lane of the run that wrote it.
    Keyed(BTreeMap<String, Vec<LaneState>>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    pub name: String,
    pub bytes: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// The latest event time in the file, microseconds; the file is dropped when it is no longer needed.
    pub max_time: i64,
}

/// All that one checkpoint commits at once.
#[derive(Debug)]
pub struct CheckpointCommit {
    pub checkpoint: Checkpoint,
    /// When the last lane reached the barrier.
    pub began_at: std::time::Instant,
    /// Rows rejected since the checkpoint before, sealed.
    pub quarantine: Vec<QuarantineSegment>,
    /// What was noticed since the checkpoint before.
    pub observations: Observations,
    /// What was decided since the checkpoint before; becomes a leaf of the evidence log.
    pub decision: CheckpointDecision,
}

/// The decision record of a checkpoint: what was decided about the rows since the one before. `counts` and `rules` are indexed
/// like the plan's nodes; `first` says that this is the run's first checkpoint, which tells the lineage in full.
pub fn decision(
    plan: &Plan,
    run: &str,
    checkpoint: &Checkpoint,
    counts: &[NodeCounts],
    rules: &[BTreeMap<String, RuleCounts>],
    host: &dyn Host,
    first: bool,
) -> Result<CheckpointDecision, EngineError> {
    let internal = |e: &dyn std::fmt::Display| EngineError::internal("checkpoint", e);
    let mut decision = CheckpointDecision {
        run: run.to_owned(),
        pipeline: plan.pipeline.clone(),
        document: Hash::from_bytes(plan.document_hash),
        plan: hex::encode(plan.fingerprint),
        epoch: checkpoint.epoch,
        positions: checkpoint
            .positions
            .iter()
            .map(|(source, positions)| (source.clone(), positions.iter().map(position).collect()))
            .collect(),
        nodes: BTreeMap::new(),
        rules: BTreeMap::new(),
        consent: BTreeMap::new(),
        masking: Vec::new(),
        lineage_digest: Hash::default(),
        lineage: None,
        sinks: BTreeMap::new(),
        checkpoint: Hash::of(&serde_json::to_vec(checkpoint).map_err(|e| internal(&e))?),
    };
    for ((node, counts), rules) in plan.nodes.iter().zip(counts).zip(rules) {
        decision.nodes.insert(node.name.clone(), node_counts(counts));
        match &node.kind {
            NodeKind::Consent(planned) => {
                let version = host.consent(&planned.purpose)?.read().version();
                let mut decisions: BTreeMap<String, u64> = rules
                    .iter()
                    .filter_map(|(rule, counts)| Some((rule.strip_prefix("consent.")?.to_owned(), counts.failed)))
                    .collect();
                let others: u64 = decisions.values().sum();
                decisions.insert("granted".to_owned(), counts.rows_in - others);
                decision
                    .consent
                    .insert(node.name.clone(), ConsentCounts { purpose: planned.purpose.clone(), version, decisions });
            }
            NodeKind::Mask(planned) => {
                decision.masking.extend(planned.masks.iter().map(|mask| MaskingOperation {
                    step: node.name.clone(),
                    column: node.schema.field(mask.column).name().clone(),
                    operator: mask.mask.key().to_owned(),
                    key_id: mask_key_id(&mask.mask, &plan.purpose, host),
                    rows: counts.out,
                }));
            }
            NodeKind::Sink(_) => {
                if let Some(pre_commit) = checkpoint.pre_commits.get(&node.name) {
                    decision.sinks.insert(node.name.clone(), sink_commit(pre_commit));
                }
            }
            _ if !rules.is_empty() => {
                let results = rules
                    .iter()
                    .map(|(rule, counts)| (rule.clone(), RuleResult { evaluated: counts.evaluated, failed: counts.failed }));
                // Row rules and window rules of a step, which have different names, stand together.
                decision.rules.entry(node.step.clone()).or_default().extend(results);
            }
            _ => {}
        }
    }
    let lineage = lineage(plan);
    decision.lineage_digest = Hash::of(&canonical::to_vec(&lineage).map_err(|e| internal(&e))?);
    decision.lineage = first.then_some(lineage);
    Ok(decision)
}

/// The key a mask works with, as evidence names it.
fn mask_key_id(mask: &Mask, purpose: &str, host: &dyn Host) -> Option<String> {
    match mask {
        Mask::Hash => Some(host.project_keys().hash_key(purpose).id().to_string()),
        Mask::Token { .. } => Some(host.project_keys().token_key(purpose).id().to_string()),
        Mask::Encrypt => Some("subject".to_owned()),
        Mask::Redact { .. } | Mask::Null | Mask::Partial { .. } | Mask::Generalize { .. } => None,
    }
}

fn position(position: &PartitionPosition) -> SourcePosition {
    SourcePosition { partition: position.partition.clone(), byte: position.offset.byte, row: position.offset.row }
}

fn node_counts(counts: &NodeCounts) -> record::NodeCounts {
    record::NodeCounts {
        rows_in: counts.rows_in,
        rows_out: counts.out,
        quarantined: counts.quarantined,
        denied: counts.denied,
        late: counts.late,
        dropped: counts.dropped,
        malformed: counts.malformed,
        absorbed: counts.absorbed,
        emitted: counts.emitted,
    }
}

fn sink_commit(pre_commit: &PreCommit) -> SinkCommit {
    SinkCommit {
        rows: pre_commit.rows,
        bytes: pre_commit.bytes,
        files: pre_commit
            .files
            .iter()
            .map(|file| FileCommit {
                path: file.path.clone(),
                rows: file.rows,
                bytes: file.bytes,
                sha256: file.sha256.parse().ok(),
            })
            .collect(),
    }
}

/// Where each column of each sink comes from.
fn lineage(plan: &Plan) -> Vec<ColumnLineage> {
    let sinks = plan.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Sink(_)));
    sinks
        .flat_map(|sink| {
            sink.columns.iter().map(|column| ColumnLineage {
                sink: sink.name.clone(),
                column: column.name.clone(),
                inputs: column
                    .lineage
                    .iter()
                    .map(|edge| LineageInput {
                        source: edge.source.clone(),
                        column: edge.column.clone(),
                        kind: if edge.kind.is_direct() { LineageType::Direct } else { LineageType::Indirect },
                        subtype: subtype(edge.kind).to_owned(),
                        masking: edge.masking,
                    })
                    .collect(),
            })
        })
        .collect()
}

fn subtype(kind: LineageKind) -> &'static str {
    match kind {
        LineageKind::Identity => "IDENTITY",
        LineageKind::Transformation => "TRANSFORMATION",
        LineageKind::Aggregation => "AGGREGATION",
        LineageKind::Join => "JOIN",
        LineageKind::GroupBy => "GROUP_BY",
        LineageKind::Filter => "FILTER",
        LineageKind::Sort => "SORT",
        LineageKind::Window => "WINDOW",
        LineageKind::Conditional => "CONDITIONAL",
    }
}
