//! A sink's part of a lane: rows become bytes, ready to be appended by the writer.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use weir_connectors::{Encoded, RowEncoder};
use weir_plan::{SinkNode, operator::Change};
use weir_spec::pipeline::SinkMode;

use crate::{batch::Batch, counts::NodeCounts, error::EngineError};

/// The column that says what happened to a row, in sinks that take changes: `+I`, `-U`, `+U` or `-D`.
pub const CHANGE_COLUMN: &str = "op";

pub struct SinkStage {
    pub node: String,
    pub encoder: Box<dyn RowEncoder>,
    pub counts: NodeCounts,
    /// As the sink takes it, where each row comes with its change.
    pub with_changes: Option<SchemaRef>,
}

/// What a sink takes of rows with this schema: with their changes before them, if the document says so.
pub fn written_schema(sink: &SinkNode, rows: &SchemaRef) -> SchemaRef {
    match sink.sink.mode {
        SinkMode::Append => Arc::clone(rows),
        // One that replaces rows reads the column and does not write it.
        SinkMode::Changes | SinkMode::Upsert => {
            let change = Arc::new(Field::new(CHANGE_COLUMN, DataType::Utf8, false));
            Arc::new(Schema::new([change].into_iter().chain(rows.fields().iter().cloned()).collect::<Vec<_>>()))
        }
    }
}

impl SinkStage {
    /// Encodes a batch; every row of it is in the result.
    pub fn process(&mut self, batch: &Batch) -> Result<Encoded, EngineError> {
        let with_changes = self.with_changes.as_ref().map(|schema| self.tell_changes(schema, batch)).transpose()?;
        let written = with_changes.as_ref().unwrap_or(&batch.rows);
        let encoded = self.encoder.encode(written).map_err(|e| EngineError::connector(&self.node, e))?;
        let rows = batch.num_rows() as u64;
        let parts: u64 = encoded.parts.iter().map(|part| part.rows).sum();
        if encoded.rows != rows || parts != rows {
            return Err(EngineError::internal(&self.node, format!("{rows} rows went in, {parts} came out encoded")));
        }
        self.counts += NodeCounts { rows_in: rows, out: rows, ..NodeCounts::default() };
        Ok(encoded)
    }

    fn tell_changes(&self, schema: &SchemaRef, batch: &Batch) -> Result<RecordBatch, EngineError> {
        let change = |row: usize| batch.changes.as_ref().map_or(Change::Insert, |changes| changes[row]).as_str();
        let changes: ArrayRef = Arc::new(StringArray::from_iter_values((0..batch.num_rows()).map(change)));
        let columns = [changes].into_iter().chain(batch.rows.columns().iter().cloned()).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|e| EngineError::internal(&self.node, e))
    }
}
