//! The lookup join: rows of a stream with the rows that a table of reference data holds when they come.
//!
//! A batch sees one version of the table. Nothing is remembered: when the table changes, what was put out stays, and a row that is
//! taken back is looked up in the table as it is then. A row that finds nothing is dropped, or put out with nulls for LEFT. A row
//! for which the condition cannot be computed with any of the rows it finds is rejected.

use std::sync::Arc;

use arrow::{array::ArrayRef, datatypes::SchemaRef, error::ArrowError};
use weir_plan::operator::{JoinKind, JoinNode};

use super::{
    condition::Condition,
    encode::RowEncoder,
    lookup_table::LookupTable,
    output::{NO_ROW, Pairs, numbers},
    sides::{Leftover, PAIRS_AT_ONCE, change_of},
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::transform::operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
};

/// One lane of a lookup join.
pub struct LookupJoin {
    node: String,
    outer: bool,
    keys: RowEncoder,
    table_keys: Vec<usize>,
    table: Arc<LookupTable>,
    condition: Option<Condition>,
    output: SchemaRef,
}

impl LookupJoin {
    /// The table is one for all lanes.
    pub fn new(node: &JoinNode, context: &OperatorContext, table: &Arc<LookupTable>) -> Result<Self, EngineError> {
        let failed = |error: ArrowError| EngineError::internal(&context.node, error);
        let input = context.inputs.first().ok_or_else(|| EngineError::internal(&context.node, "a lookup join has an input"))?;
        let (keys, table_keys): (Vec<usize>, Vec<usize>) = node.keys.iter().copied().unzip();
        for (&key, &table_key) in keys.iter().zip(&table_keys) {
            let (key, table_key) = (input.field(key), table.schema().field(table_key));
            if key.data_type() != table_key.data_type() {
                let message =
                    format!("the keys `{}` and `{}` have different types; cast one of them", key.name(), table_key.name());
                return Err(EngineError::internal(&context.node, message));
            }
        }
        table.index(&table_keys)?;
        let condition = node.condition.as_ref().map(|expr| Condition::compile(&context.node, expr, &context.output));
        Ok(Self {
            node: context.node.clone(),
            outer: node.kind == JoinKind::Left,
            keys: RowEncoder::new(input, &keys).map_err(failed)?,
            table_keys,
            table: Arc::clone(table),
            condition: condition.transpose()?,
            output: Arc::clone(&context.output),
        })
    }

    /// Puts out rows `first..end` with what they found.
    fn settle(
        &self,
        batch: &Batch,
        (first, end): (usize, usize),
        found: &Pairs,
        table: &[ArrayRef],
        leftover: &mut Leftover,
        out: &mut Output,
    ) -> Result<(), EngineError> {
        let columns = [batch.rows.columns(), table];
        let mut holds = None;
        let mut rejected = vec![false; end - first];
        if let Some(condition) = self.condition.as_ref().filter(|_| !found.is_empty()) {
            let (left, right) = (numbers(found.left.clone()), numbers(found.right.clone()));
            let verdict = condition.judge(&self.node, columns, [&left, &right])?;
            for (at, reason) in verdict.failed {
                let row = found.left[at] as usize;
                if !std::mem::replace(&mut rejected[row - first], true) {
                    leftover.reject(row, reason);
                }
            }
            holds = Some(verdict.holds);
        }
        let (mut results, mut next) = (Pairs::default(), 0);
        for row in first..end {
            let before = results.len();
            while next < found.len() && found.left[next] as usize == row {
                if !rejected[row - first] && holds.as_ref().is_none_or(|holds| holds[next]) {
                    results.push(row as u32, found.right[next]);
                }
                next += 1;
            }
            if results.len() == before && !rejected[row - first] {
                if self.outer {
                    results.push(row as u32, NO_ROW);
                } else {
                    leftover.dropped += 1;
                }
            }
        }
        if batch.changes.is_some() {
            results.changes = results.left.iter().map(|&row| change_of(batch, row as usize)).collect();
        }
        results.emit(&self.node, &self.output, columns[0], columns[1], out)
    }
}

impl Operator for LookupJoin {
    fn process(&mut self, _: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let failed = |error: ArrowError| EngineError::internal(&self.node, error);
        let version = self.table.current();
        let index = version.index(&self.table_keys);
        let index = index.ok_or_else(|| EngineError::internal(&self.node, "the table lacks an index that was asked for"))?;
        let (keys, valid) = (self.keys.encode(&batch.rows).map_err(failed)?, self.keys.nulls(&batch.rows));
        let (mut leftover, mut first) = (Leftover::default(), 0);
        while first < batch.num_rows() {
            let (mut found, mut end) = (Pairs::default(), first);
            while end < batch.num_rows() && found.len() < PAIRS_AT_ONCE {
                if valid.as_ref().is_none_or(|valid| valid.is_valid(end)) {
                    index.rows(keys.get(end)).for_each(|row| found.push(end as u32, row));
                }
                end += 1;
            }
            self.settle(batch, (first, end), &found, version.rows.columns(), &mut leftover, out)?;
            first = end;
        }
        leftover.settle(batch, out);
        Ok(())
    }

    fn advance(&mut self, _: Time, _: &mut Output) -> Result<Progress, EngineError> {
        Ok(Progress::Done)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        Vec::new()
    }
}
