//! Stateless SQL, compiled to expressions over batches.
//!
//! An expression can fail on a value: a cast of text that is no number, a division by zero. Whole batches are evaluated first.
//! Only when that fails, the batch is halved until the rows are found that cannot be computed; they are quarantined, the
//! others go on. What becomes of a row does not depend on the rows that happen to be in its batch.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    buffer::BooleanBuffer,
    datatypes::SchemaRef,
    error::ArrowError,
};
use datafusion::{common::DataFusionError, physical_expr::PhysicalExpr};
use weir_plan::SqlNode;

use crate::{
    batch::Batch,
    error::EngineError,
    stages::{Processed, Reason, Rejected, RejectedContent, Stage, StageKind, Turn, quality::rule::physical},
};

/// A `sql` step in one lane: one branch for every arm of a UNION ALL. The arms over one input are evaluated together.
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

/// Why a branch gives no result for some rows.
enum Failure {
    /// At least one of the rows cannot be computed.
    Rows(Reason),
    Engine(EngineError),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What a branch makes of a batch, piece by piece.
#[derive(Default)]
struct Pieces {
    out: Vec<Batch>,
    dropped: u64,
    /// Rows of the batch that cannot be computed, in order.
    failed: Vec<u32>,
    reasons: Vec<Vec<Reason>>,
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

    /// Filters, then projects. A filter sees a row only if those before it let some row of the batch pass, so that a single
    /// row is never asked for more than the query asks of it.
    fn attempt(&self, branch: &Branch, batch: &Batch) -> Result<Batch, Failure> {
        let rows = batch.num_rows();
        let mut kept: Option<BooleanBuffer> = None;
        for filter in &branch.filters {
            let answer = filter
                .evaluate(&batch.rows)
                .and_then(|answer| answer.into_array(rows))
                .map_err(|error| Failure::Rows(reason("the condition", &error)))?;
            let answer = answer.as_boolean();
            let mut yes = match answer.nulls() {
                Some(nulls) => answer.values() & nulls.inner(),
                None => answer.values().clone(),
            };
            if let Some(kept) = &kept {
                yes = &yes & kept;
            }
            let none = yes.count_set_bits() == 0;
            kept = Some(yes);
            if none {
                break;
            }
        }
        let kept = match kept {
            Some(kept) => batch.filter(&kept).map_err(|e| self.internal(&e))?,
            None => batch.clone(),
        };
        let rows = self.project(branch, &kept.rows)?;
        Ok(kept.with_rows(rows))
    }

    fn project(&self, branch: &Branch, rows: &RecordBatch) -> Result<RecordBatch, Failure> {
        let columns: Vec<ArrayRef> = branch
            .projection
            .iter()
            .zip(self.schema.fields())
            .map(|(expr, field)| {
                // An expression over constants fails even where there is no row to fail on.
                if rows.num_rows() == 0 {
                    return Ok(arrow::array::new_empty_array(field.data_type()));
                }
                expr.evaluate(rows)
                    .and_then(|values| values.into_array(rows.num_rows()))
                    .map_err(|error| Failure::Rows(reason(&format!("the column `{}`", field.name()), &error)))
            })
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|e| self.internal(&e))?)
    }

    /// Evaluates the `len` rows from `first` on; where that fails, each half of them.
    fn evaluate(&self, branch: &Branch, batch: &Batch, first: usize, len: usize, pieces: &mut Pieces) -> Result<(), EngineError> {
        let part = if len == batch.num_rows() { batch.clone() } else { batch.slice(first, len) };
        match self.attempt(branch, &part) {
            Ok(out) => {
                pieces.dropped += (len - out.num_rows()) as u64;
                pieces.out.push(out);
            }
            Err(Failure::Engine(error)) => return Err(error),
            Err(Failure::Rows(reason)) if len <= 1 => {
                pieces.failed.push(first as u32);
                pieces.reasons.push(vec![reason]);
            }
            Err(Failure::Rows(_)) => {
                let half = len / 2;
                self.evaluate(branch, batch, first, half, pieces)?;
                self.evaluate(branch, batch, first + half, len - half, pieces)?;
            }
        }
        Ok(())
    }

    fn internal(&self, error: &ArrowError) -> EngineError {
        EngineError::internal(&self.node, error)
    }
}

/// What could not be computed, and why. What the expression says of the failure would name the value.
pub(crate) fn reason(what: &str, error: &DataFusionError) -> Reason {
    let why = match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "a value does not fit the type of its CAST",
            ArrowError::DivideByZero => "a division by zero",
            ArrowError::ArithmeticOverflow(_) => "a number is out of range",
            _ => "an expression fails on a value",
        },
        _ => "an expression fails on a value",
    };
    Reason::new("sql.error", format!("{what} cannot be computed: {why}"))
}

impl Stage for SqlStage {
    fn process(&mut self, batch: Batch, turn: Turn) -> Result<Processed, EngineError> {
        let mut processed = Processed::default();
        let mut outs = Vec::new();
        for branch in self.branches.iter().filter(|branch| branch.input == turn.from) {
            let mut pieces = Pieces::default();
            self.evaluate(branch, &batch, 0, batch.num_rows(), &mut pieces)?;
            processed.dropped += pieces.dropped;
            if !pieces.failed.is_empty() {
                processed.quarantined += pieces.failed.len() as u64;
                processed.rejected.push(Rejected {
                    stage: StageKind::Transform,
                    partition: Arc::clone(&batch.origin.partition),
                    content: RejectedContent::Rows {
                        rows: batch.take(&pieces.failed).map_err(|e| self.internal(&e))?,
                        offsets: pieces.failed.iter().map(|&row| batch.offset(row as usize)).collect(),
                        reasons: pieces.reasons,
                    },
                });
            }
            outs.push(match <[Batch; 1]>::try_from(pieces.out) {
                Ok([out]) => out,
                Err(pieces) => Batch::concat(&self.schema, &batch.origin, &pieces).map_err(|e| self.internal(&e))?,
            });
        }
        // One batch, even an empty one: later stages count them. What several arms make of a row stays together, so that the
        // order does not depend on where batches end.
        processed.out.push(match <[Batch; 1]>::try_from(outs) {
            Ok([out]) => out,
            Err(outs) => Batch::merge(&batch.origin, &outs).map_err(|e| self.internal(&e))?,
        });
        Ok(processed)
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
