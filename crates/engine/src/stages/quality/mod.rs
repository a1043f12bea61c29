//! The quality stage: rules that every row must keep. All rules are asked of all rows, so that a rejected row shows every reason.
//! Rules over windows of rows and alerts are measured beside the rows' way, in [`observe`].

pub mod formats;
pub mod metrics;
pub mod observe;
pub mod references;
pub mod rule;
pub mod unique;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::{array::RecordBatch, buffer::BooleanBuffer, datatypes::SchemaRef};
use weir_plan::PlannedRule;
use weir_spec::quality::{Check, OnFail};

use self::{
    rule::RowCheck,
    unique::{Unique, UniqueState},
};
use super::{Processed, Reason, Rejected, RejectedContent, Stage, StageKind, Turn};
use crate::{batch::Batch, checkpoint::OperatorState, counts::RuleCounts, error::EngineError};

/// Rules compiled for one lane. Also used by the contract stage.
pub struct RuleSet {
    rules: Vec<Compiled>,
}

struct Compiled {
    name: String,
    reason: Reason,
    check: RowCheck,
    counts: RuleCounts,
}

/// Which rows failed which rules.
pub struct Findings {
    /// Indices of rules that failed somewhere, with the rows where they did.
    failed: Vec<(usize, BooleanBuffer)>,
    /// Rows that failed any rule.
    pub any: Option<BooleanBuffer>,
}

impl RuleSet {
    /// Compiles the stateless rules among `rules`; `unique` rules are left to [`Unique`].
    pub fn compile(node: &str, rules: &[PlannedRule], schema: &SchemaRef, base_dir: &Path) -> Result<Self, EngineError> {
        let rules = rules
            .iter()
            .filter(|rule| !matches!(rule.check, Check::Unique { .. }))
            .map(|rule| {
                Ok(Compiled {
                    name: rule.name.clone(),
                    reason: Reason::new(rule.name.as_str(), rule::describe(&rule.check)),
                    check: RowCheck::compile(node, rule, schema, base_dir)?,
                    counts: RuleCounts::default(),
                })
            })
            .collect::<Result<_, EngineError>>()?;
        Ok(Self { rules })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Asks every rule of every row.
    pub fn evaluate(&mut self, node: &str, rows: &RecordBatch) -> Result<Findings, EngineError> {
        let mut findings = Findings { failed: Vec::new(), any: None };
        for (index, rule) in self.rules.iter_mut().enumerate() {
            let failed =
                rule.check.failures(rows).map_err(|e| EngineError::internal(node, format!("rule {}: {e}", rule.name)))?;
            rule.counts.evaluated += rows.num_rows() as u64;
            if let Some(failed) = failed {
                rule.counts.failed += failed.count_set_bits() as u64;
                findings.add(index, failed);
            }
        }
        Ok(findings)
    }

    fn reason(&self, rule: usize) -> &Reason {
        &self.rules[rule].reason
    }

    pub fn take_counts(&mut self, into: &mut BTreeMap<String, RuleCounts>) {
        for rule in &mut self.rules {
            *into.entry(rule.name.clone()).or_default() += &std::mem::take(&mut rule.counts);
        }
    }

    /// For each row of `rows`, why it failed.
    pub fn reasons(&self, findings: &Findings, rows: &[u32]) -> Vec<Vec<Reason>> {
        rows.iter().map(|&row| findings.of(row as usize).map(|rule| self.reason(rule).clone()).collect()).collect()
    }
}

impl Findings {
    fn add(&mut self, rule: usize, failed: BooleanBuffer) {
        self.any = Some(match &self.any {
            Some(any) => any | &failed,
            None => failed.clone(),
        });
        self.failed.push((rule, failed));
    }

    fn of(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        self.failed.iter().filter(move |(_, failed)| failed.value(row)).map(|(rule, _)| *rule)
    }
}

/// A `quality` step in one lane.
pub struct QualityStage {
    node: String,
    on_fail: OnFail,
    rules: RuleSet,
    unique: Vec<Unique>,
}

impl QualityStage {
    pub fn new(node: &str, on_fail: OnFail, rules: RuleSet, unique: Vec<Unique>) -> Self {
        Self { node: node.to_owned(), on_fail, rules, unique }
    }
}

impl Stage for QualityStage {
    fn process(&mut self, batch: Batch, turn: Turn) -> Result<Processed, EngineError> {
        let findings = self.rules.evaluate(&self.node, &batch.rows)?;
        let mut any = findings.any.clone();
        let mut repeated = Vec::new();
        for unique in &mut self.unique {
            // A row that failed another rule is not remembered as seen, unless it goes on all the same.
            let ignore = if self.on_fail == OnFail::Flag { None } else { any.as_ref() };
            let failed = unique.repeats(&self.node, &batch.rows, ignore, turn)?;
            if let Some(failed) = &failed {
                any = Some(any.map_or_else(|| failed.clone(), |any| &any | failed));
            }
            repeated.push(failed);
        }
        let Some(any) = any else { return Ok(Processed::pass(batch)) };

        let failed: Vec<u32> = any.set_indices().map(|row| row as u32).collect();
        let count = failed.len() as u64;
        let reasons = |stage: &Self| {
            let mut reasons = stage.rules.reasons(&findings, &failed);
            for (unique, repeats) in stage.unique.iter().zip(&repeated) {
                let Some(repeats) = repeats else { continue };
                for (reasons, &row) in reasons.iter_mut().zip(&failed) {
                    if repeats.value(row as usize) {
                        reasons.push(unique.reason().clone());
                    }
                }
            }
            reasons
        };
        match self.on_fail {
            OnFail::Flag => Ok(Processed { flagged: count, ..Processed::pass(batch) }),
            OnFail::Stop => {
                let first = failed[0] as usize;
                let rules: Vec<_> = reasons(self)[0].iter().map(|reason| reason.rule.to_string()).collect();
                Err(EngineError::Stopped {
                    node: self.node.clone(),
                    message: format!(
                        "row {} of {}, counted from 1, fails {}, and the step says `on_fail: stop`",
                        batch.offset(first) + 1,
                        batch.origin.partition,
                        rules.join(", ")
                    ),
                })
            }
            OnFail::Drop => {
                Ok(Processed { out: vec![keep(&self.node, &batch, &!&any)?], dropped: count, ..Processed::default() })
            }
            OnFail::Quarantine => {
                let rows = batch.take(&failed).map_err(|e| EngineError::internal(&self.node, e))?;
                let offsets = failed.iter().map(|&row| batch.offset(row as usize)).collect();
                Ok(Processed {
                    rejected: vec![Rejected {
                        stage: StageKind::Quality,
                        partition: Arc::clone(&batch.origin.partition),
                        content: RejectedContent::Rows { rows, offsets, reasons: reasons(self) },
                    }],
                    out: vec![keep(&self.node, &batch, &!&any)?],
                    quarantined: count,
                    ..Processed::default()
                })
            }
        }
    }

    fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        let mut counts = BTreeMap::new();
        self.rules.take_counts(&mut counts);
        for unique in &mut self.unique {
            unique.take_counts(&mut counts);
        }
        counts
    }

    fn skip(&self, ticket: u64) {
        self.unique.iter().for_each(|unique| unique.skip(ticket));
    }

    fn snapshot(&mut self, ticket: u64, epoch: u64) -> Result<Option<OperatorState>, EngineError> {
        if self.unique.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        for unique in &mut self.unique {
            files.extend(unique.snapshot(&self.node, ticket, epoch)?);
        }
        Ok(Some(OperatorState::Files(files)))
    }
}

fn keep(node: &str, batch: &Batch, keep: &BooleanBuffer) -> Result<Batch, EngineError> {
    batch.filter(keep).map_err(|e| EngineError::internal(node, e))
}

/// State shared by the lanes of a quality step: one a `unique` rule.
pub type UniqueStates = Vec<Arc<UniqueState>>;
