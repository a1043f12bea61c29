//! The consent stage: a row goes on only if the person it is about allows the purpose, now.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use weir_spec::consent::{OnDeny, OnUnknown};
use weir_vault::{SubjectHasher, Subjects};

use super::{Processed, Reason, Rejected, RejectedContent, Stage, StageKind, Turn};
use crate::{batch::Batch, consent_table::Verdict, counts::RuleCounts, error::EngineError, host::LiveConsent};

/// A `consent` step in one lane.
pub struct ConsentStage {
    node: String,
    purpose: String,
    subject: usize,
    on_deny: OnDeny,
    on_unknown: OnUnknown,
    table: LiveConsent,
    hasher: Arc<SubjectHasher>,
    asked: u64,
    verdicts: BTreeMap<&'static str, u64>,
}

impl ConsentStage {
    pub fn new(node: &str, planned: &weir_plan::ConsentNode, table: LiveConsent, hasher: Arc<SubjectHasher>) -> Self {
        Self {
            node: node.to_owned(),
            purpose: planned.purpose.clone(),
            subject: planned.subject,
            on_deny: planned.on_deny,
            on_unknown: planned.on_unknown,
            table,
            hasher,
            asked: 0,
            verdicts: BTreeMap::new(),
        }
    }
}

/// What a step does with a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Deny,
    Quarantine,
}

impl Stage for ConsentStage {
    fn process(&mut self, batch: Batch, _turn: Turn) -> Result<Processed, EngineError> {
        let subjects = subject_ids(&self.node, &batch.rows, self.subject, &self.hasher)?;
        let now = chrono::Utc::now().timestamp();
        if self.table.read().is_due(now) {
            self.table.write().advance(now);
        }
        self.asked += subjects.len() as u64;
        let mut refused: Vec<(u32, Verdict, Fate)> = Vec::new();
        {
            let table = self.table.read();
            for (row, verdict) in table.verdicts(&subjects, now).into_iter().enumerate() {
                if verdict == Verdict::Granted {
                    continue;
                }
                let fate = match verdict {
                    Verdict::Unknown => match self.on_unknown {
                        OnUnknown::Deny => Fate::Deny,
                        OnUnknown::Quarantine => Fate::Quarantine,
                        OnUnknown::Allow => Fate::Pass,
                    },
                    _ => match self.on_deny {
                        OnDeny::Drop => Fate::Deny,
                        OnDeny::Quarantine => Fate::Quarantine,
                    },
                };
                refused.push((row as u32, verdict, fate));
            }
        }
        for (_, verdict, _) in &refused {
            *self.verdicts.entry(rule(*verdict)).or_default() += 1;
        }
        refused.retain(|(_, _, fate)| *fate != Fate::Pass);
        if refused.is_empty() {
            return Ok(Processed::pass(batch));
        }

        let failed = |e| EngineError::internal(&self.node, e);
        let mut gone = refused.iter().map(|(row, _, _)| *row as usize).peekable();
        let keep = BooleanBuffer::collect_bool(batch.num_rows(), |row| gone.next_if_eq(&row).is_none());
        let mut processed = Processed { out: vec![batch.filter(&keep).map_err(failed)?], ..Processed::default() };
        let quarantined: Vec<_> = refused.iter().filter(|(_, _, fate)| *fate == Fate::Quarantine).collect();
        processed.quarantined = quarantined.len() as u64;
        processed.denied = refused.len() as u64 - processed.quarantined;
        if !quarantined.is_empty() {
            let rows: Vec<u32> = quarantined.iter().map(|(row, _, _)| *row).collect();
            processed.rejected.push(Rejected {
                stage: StageKind::Consent,
                partition: Arc::clone(&batch.origin.partition),
                content: RejectedContent::Rows {
                    rows: batch.take(&rows).map_err(failed)?,
                    offsets: rows.iter().map(|&row| batch.offset(row as usize)).collect(),
                    reasons: quarantined.iter().map(|(_, verdict, _)| vec![reason(*verdict, &self.purpose)]).collect(),
                },
            });
        }
        Ok(processed)
    }

    fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        let evaluated = std::mem::take(&mut self.asked);
        let refused = std::mem::take(&mut self.verdicts);
        let mut counts: BTreeMap<_, _> =
            refused.into_iter().map(|(rule, failed)| (rule.to_owned(), RuleCounts { evaluated, failed })).collect();
        if evaluated > 0 && counts.is_empty() {
            counts.insert("consent".to_owned(), RuleCounts { evaluated, failed: 0 });
        }
        counts
    }
}

fn rule(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "consent.granted",
        Verdict::Denied => "consent.denied",
        Verdict::Withdrawn => "consent.withdrawn",
        Verdict::Expired => "consent.expired",
        Verdict::Unknown => "consent.unknown",
    }
}

fn reason(verdict: Verdict, purpose: &str) -> Reason {
    let what = match verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "the person denied",
        Verdict::Withdrawn => "the person withdrew consent to",
        Verdict::Expired => "consent has expired for",
        Verdict::Unknown => "the person has not said anything about",
    };
    Reason::new(rule(verdict), format!("{what} {purpose}"))
}

/// The person each row is about, as a keyed hash.
pub fn subject_ids(node: &str, rows: &RecordBatch, column: usize, hasher: &SubjectHasher) -> Result<Subjects, EngineError> {
    hasher.hash_array(rows.column(column)).map_err(|e| EngineError::internal(node, e))
}
