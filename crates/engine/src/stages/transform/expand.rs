//! A step that gives rows their windows without aggregating them, as a stage: one row out for each window of a row.

use std::sync::Arc;

use super::window::WindowStage;
use crate::{
    batch::Batch,
    error::EngineError,
    stages::{Processed, Rejected, RejectedContent, Stage, StageKind, Turn},
};

pub struct ExpandStage {
    pub node: String,
    pub windows: WindowStage,
}

impl Stage for ExpandStage {
    fn process(&mut self, batch: Batch, turn: Turn) -> Result<Processed, EngineError> {
        let failed = |e| EngineError::internal(&self.node, e);
        let expanded = self.windows.expand(&batch.rows, turn.now).map_err(failed)?;
        let left = (expanded.timeless.len() + expanded.outside.len()) as u64;
        let mut processed = Processed {
            absorbed: batch.num_rows() as u64 - left,
            emitted: expanded.rows.num_rows() as u64,
            quarantined: expanded.timeless.len() as u64,
            dropped: expanded.outside.len() as u64,
            ..Processed::default()
        };
        if !expanded.timeless.is_empty() {
            let reason = self.windows.timeless(&batch.rows);
            processed.rejected.push(Rejected {
                stage: StageKind::Transform,
                partition: Arc::clone(&batch.origin.partition),
                content: RejectedContent::Rows {
                    rows: batch.take(&expanded.timeless).map_err(failed)?,
                    offsets: expanded.timeless.iter().map(|&row| batch.offset(row as usize)).collect(),
                    reasons: vec![vec![reason]; expanded.timeless.len()],
                },
            });
        }
        let offset = |&row: &u32| (batch.offset(row as usize) - batch.origin.first_row) as u32;
        let offsets = expanded.from.iter().map(offset).collect();
        let changes = batch.changes.as_ref().map(|changes| expanded.from.iter().map(|&row| changes[row as usize]).collect());
        let mut out = Batch::new(expanded.rows, Arc::clone(&batch.origin), Some(offsets));
        out.changes = changes;
        out.behind = batch.behind.as_ref().map(|behind| expanded.from.iter().map(|&row| behind[row as usize]).collect());
        processed.out.push(out);
        Ok(processed)
    }
}
