//! A join's further condition, evaluated over many candidate pairs at once.
//!
//! Where it cannot be computed for a pair (a cast of text that is no number, a division by zero), pairs are halved until those
//! are found; the others are judged as if they had been alone.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    logical_expr::{Expr, Operator as Binary},
    physical_expr::PhysicalExpr,
};

use super::output::taken;
use crate::{
    error::EngineError,
    stages::{Reason, quality::rule::physical, transform::sql::reason},
};

/// A condition, compiled for the output's columns.
#[derive(Debug)]
pub struct Condition {
    expr: Arc<dyn PhysicalExpr>,
    /// The output columns that it asks, in the order of `schema`.
    columns: Vec<usize>,
    schema: SchemaRef,
    /// Whether there are values it cannot be computed for.
    pub can_fail: bool,
}

/// What a condition says of pairs.
#[derive(Debug)]
pub struct Verdict {
    /// One a pair: whether it holds.
    pub holds: Vec<bool>,
    /// Numbers of the pairs it cannot be computed for.
    pub failed: Vec<(usize, Reason)>,
}

impl Condition {
    /// `expr` calls the columns of `output` `$0`, `$1`, ...
    pub fn compile(node: &str, expr: &Expr, output: &Schema) -> Result<Self, EngineError> {
        let mut columns = Vec::new();
        for column in expr.column_refs() {
            let number = column.name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
            let number = number.filter(|&number| number < output.fields().len());
            columns.push(
                number.ok_or_else(|| EngineError::internal(node, "the join condition asks for a column that is not there"))?,
            );
        }
        columns.sort_unstable();
        columns.dedup();
        let fields =
            columns.iter().map(|&column| Field::new(format!("${column}"), output.field(column).data_type().clone(), true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let physical = physical(expr, &schema).map_err(|error| EngineError::internal(node, error))?;
        Ok(Self { expr: physical, columns, schema, can_fail: can_fail(expr) })
    }

    /// Judges pairs of left and right rows, given by their numbers.
    pub fn judge(&self, node: &str, sides: [&[ArrayRef]; 2], numbers: [&UInt32Array; 2]) -> Result<Verdict, EngineError> {
        let rows = numbers[0].len();
        let left = sides[0].len();
        let columns = self.columns.iter().map(|&column| match column < left {
            true => taken(&sides[0][column], numbers[0]),
            false => taken(&sides[1][column - left], numbers[1]),
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>().map_err(|error| EngineError::internal(node, error))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| EngineError::internal(node, error))?;
        let (mut holds, mut failed) = (Vec::with_capacity(rows), Vec::new());
        self.evaluate(&batch, 0, &mut holds, &mut failed);
        Ok(Verdict { holds, failed })
    }

    fn evaluate(&self, pairs: &RecordBatch, first: usize, holds: &mut Vec<bool>, failed: &mut Vec<(usize, Reason)>) {
        let rows = pairs.num_rows();
        if rows == 0 {
            return;
        }
        match self.expr.evaluate(pairs).and_then(|answer| answer.into_array(rows)) {
            // A condition that is always null has no type, and never holds.
            Ok(answer) => match answer.as_boolean_opt() {
                Some(answer) => holds.extend(answer.iter().map(|answer| answer == Some(true))),
                None => holds.extend(std::iter::repeat_n(false, rows)),
            },
            Err(error) if rows == 1 => {
                holds.push(false);
                failed.push((first, reason("the join condition", &error)));
            }
            Err(_) => {
                let half = rows / 2;
                self.evaluate(&pairs.slice(0, half), first, holds, failed);
                self.evaluate(&pairs.slice(half, rows - half), first + half, holds, failed);
            }
        }
    }
}

/// Whether an expression may fail on a value. Comparisons and logic over columns and constants cannot.
fn can_fail(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => false,
        Expr::Alias(alias) => can_fail(&alias.expr),
        Expr::Not(expr)
        | Expr::IsNull(expr)
        | Expr::IsNotNull(expr)
        | Expr::IsTrue(expr)
        | Expr::IsFalse(expr)
        | Expr::IsNotTrue(expr)
        | Expr::IsNotFalse(expr) => can_fail(expr),
        Expr::Between(between) => can_fail(&between.expr) || can_fail(&between.low) || can_fail(&between.high),
        Expr::InList(list) => can_fail(&list.expr) || list.list.iter().any(can_fail),
        Expr::BinaryExpr(binary) => {
            let harmless = binary.op.is_logic_operator()
                || matches!(
                    binary.op,
                    Binary::Eq
                        | Binary::NotEq
                        | Binary::Lt
                        | Binary::LtEq
                        | Binary::Gt
                        | Binary::GtEq
                        | Binary::IsDistinctFrom
                        | Binary::IsNotDistinctFrom
                );
            !harmless || can_fail(&binary.left) || can_fail(&binary.right)
        }
        _ => true,
    }
}
