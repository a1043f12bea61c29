//! The transform stage: stateless SQL, compiled to expressions over batches.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    buffer::BooleanBuffer,
    datatypes::SchemaRef,
};
use datafusion::physical_expr::PhysicalExpr;
use weir_plan::SqlNode;

use super::{Processed, Stage, Turn, quality::rule::physical};
use crate::{batch::Batch, error::EngineError};

/// A `sql` step in one lane: one branch for every arm of a UNION ALL.
pub struct SqlStage {
    node: String,
    schema: SchemaRef,
    branches: Vec<Branch>,
}

struct Branch {
    input: usize,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    projection: Vec<Arc<dyn PhysicalExpr>>,
}

impl SqlStage {
    /// `input_schema` gives the schema of a node by its index.
    pub fn compile(
        node: &str,
        sql: &SqlNode,
        schema: &SchemaRef,
        input_schema: impl Fn(usize) -> SchemaRef,
    ) -> Result<Self, EngineError> {
        let failed = |e| EngineError::internal(node, e);
        let branches = sql
            .branches
            .iter()
            .map(|branch| {
                let input = input_schema(branch.input);
                Ok(Branch {
                    input: branch.input,
                    filters: branch.filter.iter().map(|expr| physical(expr, &input)).collect::<Result<_, _>>().map_err(failed)?,
                    projection: branch
                        .projection
                        .iter()
                        .map(|(expr, _)| physical(expr, &input))
                        .collect::<Result<_, _>>()
                        .map_err(failed)?,
                })
            })
            .collect::<Result<_, EngineError>>()?;
        Ok(Self { node: node.to_owned(), schema: Arc::clone(schema), branches })
    }

    /// Rows a branch keeps; None for all.
    fn kept(branch: &Branch, rows: &RecordBatch) -> datafusion::error::Result<Option<BooleanBuffer>> {
        let mut kept: Option<BooleanBuffer> = None;
        for filter in &branch.filters {
            let answer = filter.evaluate(rows)?.into_array(rows.num_rows())?;
            let answer = answer.as_boolean();
            let yes = match answer.nulls() {
                Some(nulls) => answer.values() & nulls.inner(),
                None => answer.values().clone(),
            };
            kept = Some(kept.map_or_else(|| yes.clone(), |kept| &kept & &yes));
        }
        Ok(kept)
    }

    fn project(&self, branch: &Branch, rows: &RecordBatch) -> datafusion::error::Result<RecordBatch> {
        let columns: Vec<ArrayRef> = branch
            .projection
            .iter()
            .map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows()))
            .collect::<datafusion::error::Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl Stage for SqlStage {
    fn process(&mut self, batch: Batch, turn: Turn) -> Result<Processed, EngineError> {
        let mut processed = Processed::default();
        for branch in self.branches.iter().filter(|branch| branch.input == turn.from) {
            let failed = |e: datafusion::error::DataFusionError| EngineError::internal(&self.node, e.strip_backtrace());
            let kept = match Self::kept(branch, &batch.rows).map_err(failed)? {
                Some(kept) => batch.filter(&kept).map_err(|e| EngineError::internal(&self.node, e))?,
                None => batch.clone(),
            };
            processed.dropped += (batch.num_rows() - kept.num_rows()) as u64;
            let rows = self.project(branch, &kept.rows).map_err(failed)?;
            processed.out.push(kept.with_rows(rows));
        }
        Ok(processed)
    }
}
