//! From chunk to rows: decode, contract, event time. What comes out has the shape the contract promises.

use std::{collections::BTreeMap, sync::Arc};

use arrow::buffer::BooleanBuffer;
use weir_connectors::{Chunk, Malformed, RowDecoder};
use weir_plan::SourceNode;
use weir_spec::{
    connector::{Format, LatePolicy, SourceConnector},
    pipeline::OnMalformed,
};

use super::{
    Processed, Reason, Rejected, RejectedContent, StageKind, Turn,
    event_time::{EventTimeCheck, LATE, Marks},
    guard,
    quality::RuleSet,
};
use crate::{
    batch::{Batch, Origin},
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
};

/// How people count the rows of a source, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Each row is a line.
    Lines,
    /// The first row is behind a header line, and rows may be of several lines.
    BelowHeader,
    Rows,
}

impl Counted {
    pub fn of(source: &SourceNode) -> Self {
        match (&source.connector, source.format) {
            (SourceConnector::File(_), None | Some(Format::Json)) => Self::Lines,
            (SourceConnector::File(config), Some(Format::Csv)) if config.header => Self::BelowHeader,
            _ => Self::Rows,
        }
    }

    /// The place of a row, whose offset counts from 0, in words.
    fn place(self, partition: &str, offset: u64) -> String {
        let number = offset + 1;
        match self {
            Self::Lines => format!("line {number} of {partition}"),
            Self::BelowHeader => format!("row {number} below the header of {partition}"),
            Self::Rows => format!("row {number} of {partition}"),
        }
    }
}

/// A source's part of a lane.
pub struct DecodeStage {
    pub node: String,
    /// Index of the source among the plan's nodes.
    pub index: usize,
    pub decoder: Box<dyn RowDecoder>,
    /// The contract's rules; `required` among them.
    pub contract: RuleSet,
    pub event_time: Option<EventTimeCheck>,
    pub on_malformed: OnMalformed,
    pub counted: Counted,
    pub counts: NodeCounts,
    /// The watermarks after the last chunk.
    pub marks: Marks,
}

impl DecodeStage {
    /// Decodes a chunk and holds its rows against the contract. `done` says that it is the last of its partition.
    pub fn process(&mut self, chunk: &Chunk, partition: &Arc<str>, done: bool, turn: Turn) -> Result<Processed, EngineError> {
        let rows_in = chunk.end.row - chunk.start.row;
        let decoded = self.decoder.decode(chunk).map_err(|e| EngineError::connector(&self.node, e))?;
        let schema = decoded.rows.schema();
        let origin = Arc::new(Origin { source: self.index, partition: Arc::clone(partition), first_row: chunk.start.row });
        let mut batch = Batch::new(decoded.rows, origin, decoded.row_offsets);
        let mut processed = Processed { malformed: decoded.malformed.len() as u64, ..Processed::default() };

        if let Some(first) = decoded.malformed.first() {
            if self.on_malformed == OnMalformed::Fail {
                // The turn is not taken: the run fails and wakes whoever waits for it.
                return Err(self.refused(partition, first));
            }
            if self.on_malformed == OnMalformed::Quarantine {
                processed.rejected.push(Rejected {
                    stage: StageKind::Decode,
                    partition: Arc::clone(partition),
                    content: RejectedContent::Raw(decoded.malformed),
                });
            }
        }
        if let Some(kept) = self.check_contract(&batch, &mut processed)? {
            batch = kept;
        }
        if let Some(kept) = self.check_time(&batch, done, turn, &mut processed)? {
            batch = kept;
        }
        processed.out.push(batch);
        let counts = guard::account(&self.node, rows_in, &processed, &schema)?;
        self.counts += NodeCounts { unnamed: decoded.unnamed, ..counts };
        Ok(processed)
    }

    fn check_contract(&mut self, batch: &Batch, processed: &mut Processed) -> Result<Option<Batch>, EngineError> {
        if self.contract.is_empty() {
            return Ok(None);
        }
        let findings = self.contract.evaluate(&self.node, &batch.rows)?;
        let Some(any) = &findings.any else { return Ok(None) };
        let failed: Vec<u32> = any.set_indices().map(|row| row as u32).collect();
        let reasons = self.contract.reasons(&findings, &failed);
        if self.on_malformed == OnMalformed::Fail {
            let what = reasons[0].iter().map(|reason| &*reason.detail).collect::<Vec<_>>().join("; ");
            return Err(self.malformed(&batch.origin.partition, batch.offset(failed[0] as usize), &what));
        }
        processed.malformed += failed.len() as u64;
        if self.on_malformed == OnMalformed::Quarantine {
            processed.rejected.push(self.reject(StageKind::Contract, batch, &failed, reasons)?);
        }
        self.keep(batch, &!any).map(Some)
    }

    fn check_time(
        &mut self,
        batch: &Batch,
        done: bool,
        turn: Turn,
        processed: &mut Processed,
    ) -> Result<Option<Batch>, EngineError> {
        let Some(event_time) = &mut self.event_time else { return Ok(None) };
        let timely = event_time.check(batch, done, turn)?;
        self.marks = timely.marks;
        let batch = &Batch { behind: timely.behind, ..batch.clone() };
        let policy = self.event_time.as_ref().map(|event_time| event_time.policy).unwrap_or_default();
        let mut keep: Option<BooleanBuffer> = None;
        if let Some(runaway) = timely.runaway {
            let rows: Vec<u32> = runaway.set_indices().map(|row| row as u32).collect();
            processed.quarantined += rows.len() as u64;
            let reason = Reason::new("runaway", "its event time lies further ahead than the source's max_ahead allows");
            processed.rejected.push(self.reject(StageKind::Source, batch, &rows, vec![vec![reason]; rows.len()])?);
            keep = Some(!&runaway);
        }
        if let Some(late) = timely.late.filter(|_| policy != LatePolicy::Pass) {
            let rows: Vec<u32> = late.set_indices().map(|row| row as u32).collect();
            processed.late += rows.len() as u64;
            if policy == LatePolicy::Quarantine {
                let reason = Reason::new(LATE, "came after the watermark had passed its event time");
                processed.rejected.push(self.reject(StageKind::Source, batch, &rows, vec![vec![reason]; rows.len()])?);
            }
            keep = Some(keep.map_or_else(|| !&late, |keep| &keep & &!&late));
        }
        match keep {
            Some(keep) => self.keep(batch, &keep).map(Some),
            None => Ok(batch.behind.is_some().then(|| batch.clone())),
        }
    }

    fn reject(&self, stage: StageKind, batch: &Batch, rows: &[u32], reasons: Vec<Vec<Reason>>) -> Result<Rejected, EngineError> {
        Ok(Rejected {
            stage,
            partition: Arc::clone(&batch.origin.partition),
            content: RejectedContent::Rows {
                rows: batch.take(rows).map_err(|e| EngineError::internal(&self.node, e))?,
                offsets: rows.iter().map(|&row| batch.offset(row as usize)).collect(),
                reasons,
            },
        })
    }

    fn keep(&self, batch: &Batch, keep: &BooleanBuffer) -> Result<Batch, EngineError> {
        batch.filter(keep).map_err(|e| EngineError::internal(&self.node, e))
    }

    fn refused(&self, partition: &str, malformed: &Malformed) -> EngineError {
        let what = malformed.reason.to_string();
        if !malformed.reason.is_of_file() {
            return self.malformed(partition, malformed.at.row, &what);
        }
        let message = format!("{partition}: {what}; the source says `on_malformed: fail`");
        EngineError::Stopped { node: self.node.clone(), message }
    }

    fn malformed(&self, partition: &str, row: u64, what: &str) -> EngineError {
        let place = self.counted.place(partition, row);
        let message = format!("{place} is malformed ({what}), and the source says `on_malformed: fail`");
        EngineError::Stopped { node: self.node.clone(), message }
    }

    pub fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        let mut counts = BTreeMap::new();
        self.contract.take_counts(&mut counts);
        if let Some(event_time) = &mut self.event_time {
            event_time.take_counts(&mut counts);
        }
        counts
    }
}
