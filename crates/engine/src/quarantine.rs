//! Rejected rows on their way to the checkpoint: gathered by node, made into segments, sealed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::array::RecordBatch;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use weir_connectors::{MalformedReason, format::json::encode::write_rows};
use weir_plan::{NodeKind, Plan};
use weir_vault::{
    SubjectHasher, SubjectId,
    quarantine::{self, Content, Entry, Reason},
    seal::Sealer,
};

use crate::{
    error::EngineError,
    stages::{Rejected, RejectedContent, StageKind, consent::subject_ids, event_time::LATE},
};

/// A segment is closed at so many rows or bytes.
const SEGMENT_ROWS: usize = 1_000;
const SEGMENT_BYTES: usize = 1 << 20;

/// Sealed rows of one node, with what may be known of them without opening.
#[derive(Clone, Debug)]
pub struct QuarantineSegment {
    pub node: String,
    pub stage: StageKind,
    /// The whole contract the rows were held against, such as `payments@1.4.0`.
    pub contract: Option<String>,
    /// The most sensitive column of the rows.
    pub classification: weir_spec::Classification,
    pub entries: Vec<Entry>,
    /// The people the rows are about, sorted, each once.
    pub subjects: Vec<SubjectId>,
    pub sealed: Vec<u8>,
}

impl QuarantineSegment {
    pub fn rows(&self) -> usize {
        self.entries.len()
    }
}

/// Seals contents under the project's quarantine key.
pub struct QuarantineSealer {
    pub sealer: Sealer,
    pub hasher: Arc<SubjectHasher>,
    pub project: String,
}

/// Gathers the rejected rows of one epoch.
pub struct Collector {
    plan: Arc<Plan>,
    sealer: Arc<QuarantineSealer>,
    open: BTreeMap<(usize, StageKind), Open>,
    closed: Vec<QuarantineSegment>,
    sealed_bytes: usize,
}

#[derive(Default)]
struct Open {
    entries: Vec<Entry>,
    contents: Vec<Content>,
    subjects: BTreeSet<SubjectId>,
    contract: Option<String>,
    bytes: usize,
}

impl Collector {
    pub fn new(plan: Arc<Plan>, sealer: Arc<QuarantineSealer>) -> Self {
        Self { plan, sealer, open: BTreeMap::new(), closed: Vec::new(), sealed_bytes: 0 }
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.sealed_bytes + self.open.values().map(|open| open.bytes).sum::<usize>()
    }

    /// Takes over the rows that `node` rejected; they came from `source`.
    pub fn add(&mut self, epoch: u64, node: usize, source: usize, rejected: Rejected) -> Result<(), EngineError> {
        let stage = rejected.stage;
        let name = self.plan.nodes[source].name.clone();
        let contract = match &self.plan.nodes[source].kind {
            NodeKind::Source(planned) => planned.contract.as_ref().map(|contract| match &planned.contract_version {
                Some(version) => format!("{}@{version}", contract.name),
                None => contract.to_string(),
            }),
            _ => None,
        };
        let partition = rejected.partition.to_string();
        let mut rows: Vec<(Entry, Content, Option<SubjectId>)> = Vec::with_capacity(rejected.len());
        match rejected.content {
            RejectedContent::Raw(malformed) => {
                for row in malformed {
                    let entry = Entry {
                        source: name.clone(),
                        partition: partition.clone(),
                        offset: row.at.row,
                        byte: Some(row.at.byte),
                        reasons: vec![finding(&row.reason)],
                    };
                    rows.push((entry, Content::Raw { base64: BASE64_STANDARD.encode(&row.raw), length: row.raw_length }, None));
                }
            }
            RejectedContent::Rows { rows: batch, offsets, reasons } => {
                let subjects = self.subjects(node, &batch)?;
                let contents = to_json(&self.plan.nodes[node].name, &batch)?;
                for (((content, offset), reasons), subject) in contents.into_iter().zip(offsets).zip(reasons).zip(subjects) {
                    let reasons = reasons
                        .into_iter()
                        .map(|reason| Reason {
                            rule: reason.rule.to_string(),
                            column: self.column(node, &reason.rule),
                            message: reason.detail.to_string(),
                        })
                        .collect();
                    let entry = Entry { source: name.clone(), partition: partition.clone(), offset, byte: None, reasons };
                    rows.push((entry, content, subject));
                }
            }
        }
        for (entry, content, subject) in rows {
            let open = self.open.entry((node, stage)).or_default();
            open.bytes += match &content {
                Content::Row(row) => row.get().len(),
                Content::Raw { base64, .. } => base64.len(),
            } + 200;
            open.entries.push(entry);
            open.contents.push(content);
            open.subjects.extend(subject);
            open.contract.clone_from(&contract);
            if open.entries.len() >= SEGMENT_ROWS || open.bytes >= SEGMENT_BYTES {
                self.close((node, stage), epoch)?;
            }
        }
        Ok(())
    }

    /// Closes what is open and gives all segments of the epoch.
    pub fn take(&mut self, epoch: u64) -> Result<Vec<QuarantineSegment>, EngineError> {
        let keys: Vec<_> = self.open.keys().copied().collect();
        for key in keys {
            self.close(key, epoch)?;
        }
        self.sealed_bytes = 0;
        Ok(std::mem::take(&mut self.closed))
    }

    fn close(&mut self, key: (usize, StageKind), epoch: u64) -> Result<(), EngineError> {
        let Some(open) = self.open.remove(&key) else { return Ok(()) };
        let node = &self.plan.nodes[key.0];
        let failed = |e: &dyn std::fmt::Display| EngineError::internal(&node.name, e);
        let plain = quarantine::encode(&open.contents).map_err(|e| failed(&e))?;
        let aad = quarantine::aad(&self.sealer.project, &self.plan.pipeline, &node.step, epoch);
        let sealed = self.sealer.sealer.seal(&aad, &plain).map_err(|e| failed(&e))?;
        let sealed = sealed.into_bytes();
        self.sealed_bytes += sealed.len();
        self.closed.push(QuarantineSegment {
            // A step with state is several nodes; people know it by its own name.
            node: node.step.clone(),
            stage: key.1,
            contract: open.contract,
            classification: self.classification(key.0),
            entries: open.entries,
            subjects: open.subjects.into_iter().collect(),
            sealed,
        });
        Ok(())
    }

    /// What a node rejects is a row of its input; of a source, a row of its own.
    fn classification(&self, node: usize) -> weir_spec::Classification {
        let inputs = &self.plan.nodes[node].inputs;
        let rows = if inputs.is_empty() { vec![node] } else { inputs.clone() };
        let columns = rows.iter().flat_map(|&row| &self.plan.nodes[row].columns);
        columns.map(|column| column.classification).max().unwrap_or_default()
    }

    /// The columns that a rule of a node is about; None where it names none, as an expression.
    fn column(&self, node: usize, rule: &str) -> Option<String> {
        let planned = &self.plan.nodes[node];
        let rules = match &planned.kind {
            NodeKind::Source(source) => &source.rules,
            NodeKind::Quality(quality) => &quality.rules,
            NodeKind::Consent(consent) => return planned.columns.get(consent.subject).map(|column| column.name.clone()),
            _ => return None,
        };
        match rules.iter().find(|known| known.name == rule) {
            Some(known) => Some(known.check.columns().join(", ")).filter(|columns| !columns.is_empty()),
            None => {
                let time = planned.event_time.map(|column| planned.columns[column].name.clone())?;
                (rule == LATE || rule == format!("event_time({time})")).then_some(time)
            }
        }
    }

    fn subjects(&self, node: usize, rows: &RecordBatch) -> Result<Vec<Option<SubjectId>>, EngineError> {
        let inputs = &self.plan.nodes[node].inputs;
        let column = inputs.iter().chain([&node]).find_map(|&input| {
            let planned = &self.plan.nodes[input];
            planned.subject.filter(|_| planned.schema.fields() == rows.schema().fields())
        });
        let Some(column) = column else { return Ok(vec![None; rows.num_rows()]) };
        let subjects = subject_ids(&self.plan.nodes[node].name, rows, column, &self.sealer.hasher)?;
        Ok(subjects.iter().map(|subject| subject.copied()).collect())
    }
}

fn to_json(node: &str, rows: &RecordBatch) -> Result<Vec<Content>, EngineError> {
    let mut bytes = Vec::new();
    write_rows(&mut bytes, rows).map_err(|e| EngineError::connector(node, e))?;
    bytes
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line)
                .map(Content::Row)
                .map_err(|_| EngineError::internal(node, "a rejected row has no JSON form"))
        })
        .collect()
}

/// A malformation as quarantine shows it: its kind and column are what it is tagged with.
fn finding(reason: &MalformedReason) -> Reason {
    let tagged = serde_json::to_value(reason).unwrap_or_default();
    let text = |key: &str| tagged.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    Reason { rule: text("kind").unwrap_or_else(|| "malformed".to_owned()), column: text("column"), message: reason.to_string() }
}
