//! The wrapper around every operator with state: schema, row conservation, lateness by policy, and where its rows come from.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use weir_spec::connector::LatePolicy;

use super::operator::{Operator, Output, PendingState, Progress, RowsOf, Time};
use crate::{
    batch::{Batch, Origin},
    counts::NodeCounts,
    error::EngineError,
    stages::{Processed, Reason, Rejected, RejectedContent, StageKind, guard},
    state::{LaneState, StateError},
};

/// An operator in one lane.
pub struct OperatorStage {
    pub node: String,
    /// Index among the plan's nodes.
    pub index: usize,
    pub schema: SchemaRef,
    pub operator: Box<dyn Operator>,
    /// What becomes of late rows, by the source they come from.
    pub late: Arc<BTreeMap<usize, LatePolicy>>,
    /// Where rows are said to come from that it puts out, or rejects after it had absorbed them.
    pub partition: Arc<str>,
    /// How many such rows there were so far: their offset.
    pub emitted: u64,
    pub counts: NodeCounts,
    /// How far it was told that time has come.
    pub watermark: i64,
}

/// State of an operator as of a barrier, to be written on another thread.
pub struct PendingKeyed {
    /// Index among the plan's nodes.
    pub node: usize,
    pub name: &'static str,
    pub lane: usize,
    state: Box<dyn PendingState>,
}

impl PendingKeyed {
    /// Writes it to a file of this name.
    pub fn write(self, file: &str) -> Result<LaneState, StateError> {
        self.state.write(file)
    }
}

impl OperatorStage {
    /// Takes in rows, `after` which time will have come so far. Before a row that came behind the watermark, time goes on to what
    /// it was then: whether a row is late does not depend on which others came in its batch.
    pub fn process(&mut self, input: usize, batch: &Batch, after: Time) -> Result<(Processed, NodeCounts), EngineError> {
        let mut output = Output::default();
        let mut begin = 0;
        for (row, behind) in batch.behind.iter().flat_map(|behind| behind.iter().enumerate()) {
            let watermark = after.watermark.min(*behind);
            if watermark > self.watermark {
                if row > begin {
                    self.operator.process(input, &batch.slice(begin, row - begin), &mut output)?;
                }
                begin = row;
                self.watermark = watermark;
                while self.operator.advance(Time { watermark, ..after }, &mut output)? == Progress::More {}
            }
        }
        match begin {
            0 => self.operator.process(input, batch, &mut output)?,
            _ => self.operator.process(input, &batch.slice(begin, batch.num_rows() - begin), &mut output)?,
        }
        self.account(batch.num_rows() as u64, output)
    }

    /// Lets the operator act on the time. To be called again until it is done; what it put out may go on in between.
    pub fn advance(&mut self, time: Time) -> Result<(Processed, NodeCounts, Progress), EngineError> {
        let mut output = Output::default();
        self.watermark = self.watermark.max(time.watermark);
        let progress = self.operator.advance(time, &mut output)?;
        let (processed, counts) = self.account(0, output)?;
        Ok((processed, counts, progress))
    }

    pub fn take_counts(&mut self) -> NodeCounts {
        std::mem::take(&mut self.counts)
    }

    /// The state as it is now.
    pub fn snapshot(&mut self, node: usize, lane: usize) -> Vec<PendingKeyed> {
        let states = self.operator.states().into_iter();
        states.map(|(name, state)| PendingKeyed { node, name, lane, state: state.snapshot() }).collect()
    }

    fn account(&mut self, rows_in: u64, output: Output) -> Result<(Processed, NodeCounts), EngineError> {
        let mut processed = Processed { absorbed: output.absorbed, dropped: output.dropped, ..Processed::default() };
        for rows in output.late {
            processed.late += rows.rows.len() as u64;
            if self.late.get(&rows.batch.origin.source).copied().unwrap_or_default() == LatePolicy::Quarantine {
                let reason = Reason::new("late", "came after all windows it belongs to had been closed");
                let reasons = vec![vec![reason]; rows.rows.len()];
                processed.rejected.push(self.rejected(&rows, reasons)?);
            }
        }
        for (rows, reasons) in output.rejected {
            processed.quarantined += rows.rows.len() as u64;
            processed.rejected.push(self.rejected(&rows, reasons)?);
        }
        for (rows, reasons) in output.rejected_later {
            // Absorbed once, they come out again here, the other way.
            let count = rows.num_rows() as u64;
            processed.emitted += count;
            processed.quarantined += count;
            let offsets = (self.emitted..self.emitted + count).collect();
            self.emitted += count;
            processed.rejected.push(Rejected {
                stage: StageKind::Transform,
                partition: Arc::clone(&self.partition),
                content: RejectedContent::Rows { rows, offsets, reasons },
            });
        }
        for emitted in output.rows {
            let rows = emitted.rows.num_rows() as u64;
            processed.emitted += rows;
            let origin = Arc::new(Origin { source: self.index, partition: Arc::clone(&self.partition), first_row: self.emitted });
            self.emitted += rows;
            let mut batch = Batch::new(emitted.rows, origin, None);
            batch.changes = emitted.changes;
            processed.out.push(batch);
        }
        let counts = guard::account(&self.node, rows_in, &processed, &self.schema)?;
        self.counts += counts;
        Ok((processed, counts))
    }

    fn rejected(&self, rows: &RowsOf, reasons: Vec<Vec<Reason>>) -> Result<Rejected, EngineError> {
        let RowsOf { batch, rows } = rows;
        Ok(Rejected {
            stage: StageKind::Transform,
            partition: Arc::clone(&batch.origin.partition),
            content: RejectedContent::Rows {
                rows: batch.take(rows).map_err(|e| EngineError::internal(&self.node, e))?,
                offsets: rows.iter().map(|&row| batch.offset(row as usize)).collect(),
                reasons,
            },
        })
    }
}
