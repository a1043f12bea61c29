//! A sink's part of a lane: rows become bytes, ready to be appended by the writer.

use weir_connectors::{Encoded, RowEncoder};

use crate::{batch::Batch, counts::NodeCounts, error::EngineError};

pub struct SinkStage {
    pub node: String,
    pub encoder: Box<dyn RowEncoder>,
    pub counts: NodeCounts,
}

impl SinkStage {
    /// Encodes a batch; every row of it is in the result.
    pub fn process(&mut self, batch: &Batch) -> Result<Encoded, EngineError> {
        let encoded = self.encoder.encode(&batch.rows).map_err(|e| EngineError::connector(&self.node, e))?;
        let rows = batch.num_rows() as u64;
        let parts: u64 = encoded.parts.iter().map(|part| part.rows).sum();
        if encoded.rows != rows || parts != rows {
            return Err(EngineError::internal(&self.node, format!("{rows} rows went in, {parts} came out encoded")));
        }
        self.counts += NodeCounts { rows_in: rows, out: rows, ..NodeCounts::default() };
        Ok(encoded)
    }
}
