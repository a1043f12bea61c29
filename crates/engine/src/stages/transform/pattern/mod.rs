//! MATCH_RECOGNIZE: patterns in the rows of a partition, in the order of their event time.
//!
//! Semantics are those of SQL:2016 (ISO/IEC 9075-2 and TR 19075-5), `ONE ROW PER MATCH`, and of Flink where it has an answer:
//!
//! - Rows are taken in once the watermark has passed them, ordered by time, then by the further sort keys, then by arrival. A row
//!   older than the watermark is late. A row without a time is rejected.
//! - Of all matches that begin with a row the preferred one counts ([`program`]). A match is put out when it is certain: when no preferred
//!   one can come any more, at the end of `WITHIN`, or at the end of the input.
//! - In a definition the row being judged counts as mapped to the variable it is judged for; measures see the whole match.
//! - `WITHIN` bounds the time from the first row to the last, both ends included, as Flink's documentation has it (its
//!   implementation leaves the end out).
//! - A pattern that no row at all can match is refused. So is, when it happens, a skip to a variable without rows, or to the row where the
//!   match began: the run stops, naming the step.
//! - A condition that cannot be computed for a row (a division by zero) does not hold; a measure that cannot be computed is null.
//! - Nulls of partition columns are equal to each other.
//!
//! Beyond Flink: alternation, groups with quantifiers, greedy quantifiers at the end, `A??`, `PREV`.
//!
//! Matches come in the order in which they became certain, then of their partitions' keys: the same order however the input is cut into
//! batches, and at any parallelism within a lane's partitions.
//!
//! # State
//!
//! A partition's rows from the first one on that a match may still begin with, columns that conditions and measures use only
//! ([`partition`]). A pattern that can go on for ever without `WITHIN` keeps what it has matched so far: [`grows_without_bound`] tells
//! beforehand, [`Limits`] stop it. With `PREV`, the last rows of every partition stay.

mod expression;
mod history;
mod matcher;
mod partition;
mod program;
mod stored;
mod value;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    compute::{SortOptions, cast},
    datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use weir_plan::operator::{MatchNode, SortKey};

use super::operator::{Durable, Operator, OperatorContext, Output, Progress, Time};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::Reason,
    state::{KeyedState, Slot, StateError},
};

use matcher::Matcher;
pub use matcher::{Limits, grows_without_bound};
use partition::{Found, Row, Trouble};
pub use stored::Partition;
use value::ColumnCodec;

/// The operator of one lane.
pub struct MatchOperator {
    node: String,
    matcher: Matcher,
    time: usize,
    partition: Vec<usize>,
    keys: Option<RowConverter>,
    order: Option<(Vec<usize>, RowConverter)>,
    /// One for each column that is kept of a row.
    codecs: Vec<ColumnCodec>,
    output: SchemaRef,
    state: KeyedState<Partition>,
    watermark: i64,
    /// When each partition is to be looked at.
    due: BTreeSet<(i64, Slot)>,
    /// The first row of each search that is under way.
    pending: BTreeSet<(i64, Slot)>,
}

impl MatchOperator {
    pub fn new(node: &MatchNode, context: &OperatorContext) -> Result<Self, EngineError> {
        let refused = |message: String| EngineError::Stopped { node: context.node.clone(), message };
        let input = &context.inputs[0];
        if context.input_changes[0] {
            return Err(refused("MATCH_RECOGNIZE takes rows that are only added; its input is a changelog".into()));
        }
        if !matches!(input.field(node.time).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
            let name = input.field(node.time).name();
            return Err(refused(format!("MATCH_RECOGNIZE orders rows by a timestamp first, `{name}` is none")));
        }
        let matcher = Matcher::compile(node, input).map_err(refused)?;
        let internal = |error: ArrowError| EngineError::internal(&context.node, error);
        let field = |column: &usize| SortField::new(input.field(*column).data_type().clone());
        let keys = match node.partition.is_empty() {
            true => None,
            false => Some(RowConverter::new(node.partition.iter().map(field).collect()).map_err(internal)?),
        };
        let codec = |&column: &usize| ColumnCodec::new(input.field(column).data_type());
        let mut state: KeyedState<Partition> = context.open("partitions")?;
        let timers: BTreeSet<(i64, Slot)> = state.take_timers().into_iter().collect();
        Ok(Self {
            node: context.node.clone(),
            time: node.time,
            partition: node.partition.clone(),
            keys,
            order: order(&node.order, input).map_err(internal)?,
            codecs: matcher.kept.iter().map(codec).collect::<Result<_, _>>().map_err(internal)?,
            output: Arc::clone(&context.output),
            matcher,
            state,
            watermark: i64::MIN,
            // Until they are looked at, searches that were under way are known by their first row only, and that soon.
            pending: timers.clone(),
            due: timers,
        })
    }

    fn internal(&self) -> impl Fn(ArrowError) -> EngineError {
        |error| EngineError::internal(&self.node, error)
    }

    fn state_failed(&self) -> impl Fn(StateError) -> EngineError {
        |error| EngineError::state(&self.node, error)
    }

    /// Columns as the bytes of rows; empty ones where there are no columns.
    fn bytes(
        &self,
        rows: &RecordBatch,
        columns: &[usize],
        by: Option<&RowConverter>,
    ) -> Result<Option<arrow::row::Rows>, EngineError> {
        let Some(by) = by else { return Ok(None) };
        let columns: Vec<ArrayRef> = columns.iter().map(|&column| rows.column(column).clone()).collect();
        by.convert_columns(&columns).map(Some).map_err(self.internal())
    }

    /// Looks at a partition and notes when to look again.
    fn visit(&mut self, slot: Slot, woken_at: i64, found: &mut Vec<(Arc<[u8]>, Found)>) -> Result<(), EngineError> {
        self.pending.remove(&(woken_at, slot));
        let Some(partition) = self.state.value(slot).map_err(|e| EngineError::state(&self.node, e))? else { return Ok(()) };
        if let Some(since) = partition.body().pending_since() {
            self.pending.remove(&(since, slot));
        }
        self.due.remove(&(partition.body().wake_at(), slot));
        let partition = self.state.value_mut(slot).map_err(|e| EngineError::state(&self.node, e))?;
        let body = partition.expect("invariant: it was there a line above").body_mut();
        let mut new = Vec::new();
        body.visit(&self.matcher, self.watermark, &mut new).map_err(|trouble| stopped(&self.node, &trouble))?;
        let (empty, wake_at, since) = (body.is_empty(), body.wake_at(), body.pending_since());
        if !new.is_empty() {
            let key = self.state.key(slot).map_err(|e| EngineError::state(&self.node, e))?;
            let key: Arc<[u8]> = key.expect("invariant: it has a value").into();
            found.extend(new.into_iter().map(|match_| (Arc::clone(&key), match_)));
        }
        if empty {
            self.state.remove_slot(slot).map_err(self.state_failed())?;
            return Ok(());
        }
        if let Some(since) = since {
            self.pending.insert((since, slot));
        }
        // A partition that holds rows for PREV only waits for nothing.
        if wake_at != i64::MAX || since.is_some() {
            self.due.insert((wake_at, slot));
        }
        Ok(())
    }

    fn emit(&self, mut found: Vec<(Arc<[u8]>, Found)>, out: &mut Output) -> Result<(), ArrowError> {
        if found.is_empty() {
            return Ok(());
        }
        // Stable: matches of one partition stay in the order of their first rows.
        found.sort_by(|(a_key, a), (b_key, b)| (a.decided_at, a_key).cmp(&(b.decided_at, b_key)));
        let mut columns = Vec::new();
        if let Some(keys) = &self.keys {
            let parser = keys.parser();
            columns = keys.convert_rows(found.iter().map(|(key, _)| parser.parse(key)))?;
        }
        for (n, measure) in self.matcher.measures.iter().enumerate() {
            let parts: Vec<&[_]> = found.iter().map(|(_, found)| &*found.parts[n]).collect();
            columns.push(measure.value.evaluate_all(&parts)?);
        }
        for (column, field) in columns.iter_mut().zip(self.output.fields()) {
            if column.data_type() != field.data_type() {
                *column = cast(column, field.data_type())?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
        out.emit(RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)?);
        Ok(())
    }
}

fn stopped(node: &str, trouble: &Trouble) -> EngineError {
    EngineError::Stopped { node: node.to_owned(), message: trouble.to_string() }
}

/// The sort keys behind the time.
fn order(keys: &[SortKey], input: &SchemaRef) -> Result<Option<(Vec<usize>, RowConverter)>, ArrowError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let field = |key: &SortKey| {
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        SortField::new_with_options(input.field(key.column).data_type().clone(), options)
    };
    let converter = RowConverter::new(keys.iter().map(field).collect())?;
    Ok(Some((keys.iter().map(|key| key.column).collect(), converter)))
}

impl Operator for MatchOperator {
    fn process(&mut self, _input: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        let rows = &batch.rows;
        let times = rows.column(self.time).as_primitive::<TimestampMicrosecondType>();
        let keys = self.bytes(rows, &self.partition, self.keys.as_ref())?;
        let order = match &self.order {
            Some((columns, converter)) => self.bytes(rows, columns, Some(converter))?,
            None => None,
        };
        let judged = self.matcher.judge_rows(rows).map_err(self.internal())?;
        let kept = self.matcher.kept.iter().zip(&self.codecs).map(|(&column, codec)| codec.values(rows.column(column)));
        let mut kept = kept.collect::<Result<Vec<_>, _>>().map_err(self.internal())?;
        let (mut late, mut timeless) = (Vec::new(), Vec::new());
        for n in 0..rows.num_rows() {
            if times.is_null(n) {
                timeless.push(n as u32);
                continue;
            }
            let time = times.value(n);
            if time < self.watermark {
                late.push(n as u32);
                continue;
            }
            let mut truths = 0;
            for (variable, holds) in &judged {
                truths |= u64::from(holds.value(n)) << variable;
            }
            let row = Row {
                time,
                order: order.as_ref().map(|order| order.row(n).as_ref().into()).unwrap_or_default(),
                truths,
                known: 0,
                values: kept.iter_mut().map(|column| std::mem::take(&mut column[n])).collect(),
            };
            let key = keys.as_ref().map(|keys| keys.row(n));
            let key = key.as_ref().map_or(&[][..], |key| key.as_ref());
            let (slot, _) = self.state.slot_or_insert(key, Partition::default).map_err(self.state_failed())?;
            let partition = self.state.value_mut(slot).map_err(|e| EngineError::state(&self.node, e))?;
            let body = partition.expect("invariant: it was found or made a line above").body_mut();
            let before = body.wake_at();
            let refused = body.insert(row, &self.matcher);
            let after = body.wake_at();
            if refused.map_err(|trouble| stopped(&self.node, &trouble))?.is_some() {
                late.push(n as u32);
                continue;
            }
            if after != before {
                let since = body.pending_since();
                self.due.remove(&(before, slot));
                self.pending.remove(&(before, slot));
                self.pending.extend(since.map(|since| (since, slot)));
            }
            self.due.insert((after, slot));
            out.absorbed += 1;
        }
        out.late(batch, late);
        let name = rows.schema_ref().field(self.time).name();
        let reason = Reason::new("event_time", format!("`{name}` is null, so the row has no place in the order of a pattern"));
        let reasons = vec![vec![reason]; timeless.len()];
        out.reject(batch, timeless, reasons);
        Ok(())
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.watermark = self.watermark.max(time.watermark);
        let mut found = Vec::new();
        let ended = self.watermark == i64::MAX;
        while let Some(&(at, slot)) = self.due.first().filter(|(at, _)| ended || *at < self.watermark) {
            self.due.pop_first();
            self.visit(slot, at, &mut found)?;
        }
        self.emit(found, out).map_err(self.internal())?;
        Ok(Progress::Done)
    }

    /// No match in the making ends before the first row of the earliest search.
    fn output_watermark(&self, watermark: i64) -> i64 {
        self.pending.first().map_or(watermark, |(since, _)| watermark.min(*since))
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("partitions", &mut self.state)]
    }
}
