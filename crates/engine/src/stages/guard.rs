//! The wrapper around every stage: schema, row conservation, counts, tracing. No stage can forget what it does here.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;

use super::{Processed, Stage, Turn};
use crate::{
    batch::Batch,
    checkpoint::OperatorState,
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
};

/// A stage that keeps its promises, or stops the run.
pub struct Guarded {
    node: String,
    schema: SchemaRef,
    stage: Box<dyn Stage>,
    counts: NodeCounts,
}

impl Guarded {
    /// Wraps the stage of a node whose output has this schema.
    pub fn new(node: &str, schema: SchemaRef, stage: Box<dyn Stage>) -> Self {
        Self { node: node.to_owned(), schema, stage, counts: NodeCounts::default() }
    }

    /// Processes a batch and checks what came of it. `fan` is how often the stage counts each row (the arms of a UNION ALL that
    /// read from the same input).
    pub fn process(&mut self, batch: Batch, turn: Turn, fan: u64) -> Result<(Processed, NodeCounts), EngineError> {
        let rows_in = batch.num_rows() as u64 * fan;
        let processed = self.stage.process(batch, turn)?;
        let counts = account(&self.node, rows_in, &processed, &self.schema)?;
        self.counts += counts;
        Ok((processed, counts))
    }

    /// The counts since the last call.
    pub fn take_counts(&mut self) -> NodeCounts {
        std::mem::take(&mut self.counts)
    }

    pub fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        self.stage.take_rules()
    }

    pub fn skip(&self, ticket: u64) {
        self.stage.skip(ticket);
    }

    pub fn snapshot(&mut self, ticket: u64, epoch: u64) -> Result<Option<OperatorState>, EngineError> {
        self.stage.snapshot(ticket, epoch)
    }
}

/// Counts what became of `rows_in` rows and refuses a stage that lost one, invented one or changed its schema.
pub fn account(node: &str, rows_in: u64, processed: &Processed, schema: &SchemaRef) -> Result<NodeCounts, EngineError> {
    let counts = NodeCounts {
        rows_in,
        out: processed.rows_out(),
        malformed: processed.malformed,
        quarantined: processed.quarantined,
        denied: processed.denied,
        late: processed.late,
        dropped: processed.dropped,
        absorbed: processed.absorbed,
        emitted: processed.emitted,
        held: processed.rejected.iter().map(|rejected| rejected.len() as u64).sum(),
        unnamed: 0,
        flagged: processed.flagged,
    };
    if !counts.is_conserved() {
        return Err(EngineError::internal(node, format!("rows are not conserved: {counts:?}")));
    }
    for batch in &processed.out {
        let got = batch.rows.schema_ref();
        if !std::sync::Arc::ptr_eq(got, schema) && got.fields() != schema.fields() {
            return Err(EngineError::internal(node, format!("the stage put out {got:?} where its plan says {schema:?}")));
        }
    }
    Ok(counts)
}
