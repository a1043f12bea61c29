//! Alert steps: a condition on rows, or a broken window rule, raises an alert once per cause.
//!
//! An alert on rows is resolved when no row of its cause was seen for `resolve_after`: when the watermark (or, without event time, the
//! clock) has come so far, or when the next such row is itself so much later. A row behind the watermark counts as seen when the
//! watermark stood where it did. When all input has ended, time has come as far as the newest row; what that does not resolve stays
//! open. An alert on a window rule is resolved by the next window that keeps the rule, and by nothing else.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch},
    buffer::BooleanBuffer,
    datatypes::TimestampMicrosecondType,
    error::ArrowError,
    row::{RowConverter, SortField},
};
use datafusion::physical_expr::PhysicalExpr;
use weir_plan::operator::{AlertNode, AlertOn, TimeBasis};
use weir_vault::Mac;

use super::{Clock, ObserverContext, piece::Piece, times};
use crate::{
    batch::Batch,
    counts::RuleCounts,
    error::EngineError,
    observation::{AlertChange, AlertEvent, Observations, WindowVerdict},
    stages::{
        quality::{
            metrics::{AlertTracker, Transition},
            rule::physical,
        },
        transform::operator::{Durable, Operator, Output, Progress, Time},
    },
    state::{
        StateError,
        codec::{Reader, put_bytes},
    },
};

/// The name under which rows are counted whose condition cannot be computed. They raise nothing.
const COMPUTABLE: &str = "computable";

/// See the [module](self).
pub struct AlertOperator {
    node: String,
    /// As the document names it.
    step: String,
    planned: AlertNode,
    on: On,
    causes: Mac,
    tracker: AlertTracker,
    /// The newest event time of all rows, those that raise nothing included.
    newest: i64,
    watermark: i64,
    clock: Clock,
    counts: RuleCounts,
    noticed: Vec<AlertEvent>,
    state: Piece,
}

enum On {
    Rows { when: Arc<dyn PhysicalExpr>, key: Vec<usize>, converter: Option<RowConverter>, time: TimeBasis, after: i64 },
    Rule(String),
}

impl AlertOperator {
    pub fn new(planned: &AlertNode, context: &ObserverContext<'_>) -> Result<Self, EngineError> {
        let operator = context.operator;
        let schema = &operator.inputs[0];
        let internal = |e: &dyn std::fmt::Display| EngineError::internal(&operator.node, e);
        let on = match &planned.on {
            AlertOn::Rule(rule) => On::Rule(rule.clone()),
            AlertOn::Rows { when, key, time, resolve_after } => {
                let fields = key.iter().map(|&column| SortField::new(schema.field(column).data_type().clone())).collect();
                let converter = (!key.is_empty()).then(|| RowConverter::new(fields)).transpose().map_err(|e| internal(&e))?;
                let when = physical(when, schema).map_err(|e| internal(&e))?;
                On::Rows { when, key: key.clone(), converter, time: *time, after: *resolve_after }
            }
        };
        let state = Piece::open(operator, "alerts")?;
        let (newest, tracker) = match state.bytes() {
            [] => (i64::MIN, AlertTracker::default()),
            bytes => decode(bytes).map_err(|e| operator.failed(e))?,
        };
        Ok(Self {
            node: operator.node.clone(),
            step: context.step.to_owned(),
            planned: planned.clone(),
            on,
            causes: context.causes.clone(),
            tracker,
            newest,
            watermark: i64::MIN,
            clock: Clock::new(),
            counts: RuleCounts::default(),
            noticed: Vec::new(),
            state,
        })
    }

    fn rows(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let On::Rows { when, key, converter, time, after } = &self.on else { return Ok(()) };
        let (is_true, failed) = truths(when, rows)?;
        self.counts.evaluated += rows.num_rows() as u64;
        self.counts.failed += failed;
        let times = times(*time, rows, self.clock.now())?;
        let keys: Vec<ArrayRef> = key.iter().map(|&column| Arc::clone(rows.column(column))).collect();
        let asked = is_true.count_set_bits() > 0;
        let keys = converter.as_ref().filter(|_| asked).map(|converter| converter.convert_columns(&keys)).transpose()?;
        let mut transitions = Vec::new();
        for (row, time) in times.into_iter().enumerate() {
            self.newest = self.newest.max(time.unwrap_or(i64::MIN));
            if !is_true.value(row) {
                continue;
            }
            let values = keys.as_ref().map(|keys| keys.row(row));
            let cause = cause(&self.causes, &self.step, values.as_ref().map_or(&[][..], |values| values.as_ref()));
            // Time does not go back. A row without a time is seen when the newest one before it was.
            let at = time.map_or(self.newest, |time| time.max(self.watermark));
            let at = if at == i64::MIN { self.clock.now() } else { at };
            transitions.extend(self.tracker.seen_again(&cause, at, *after));
        }
        self.noticed(transitions, None);
        Ok(())
    }

    /// Rows of the node that measures windows.
    fn outcomes(&mut self, rows: &RecordBatch) {
        let On::Rule(rule) = &self.on else { return };
        let cause = cause(&self.causes, &self.step, rule.as_bytes());
        let text = |column: usize| rows.column(column).as_string::<i32>();
        let (rules, verdicts, details) = (text(0), text(7), text(8));
        let ends = rows.column(4).as_primitive::<TimestampMicrosecondType>();
        for row in (0..rows.num_rows()).filter(|&row| rules.value(row) == rule).collect::<Vec<_>>() {
            let end = ends.value(row);
            let transition = match verdicts.value(row) {
                verdict if verdict == WindowVerdict::Broken.as_str() => self.tracker.seen(&cause, end),
                verdict if verdict == WindowVerdict::Kept.as_str() => self.tracker.gone(&cause, end),
                _ => None,
            };
            let detail = details.is_valid(row).then(|| details.value(row));
            self.noticed(transition, detail);
        }
    }

    fn noticed(&mut self, transitions: impl IntoIterator<Item = Transition>, detail: Option<&str>) {
        let AlertNode { severity, message, .. } = &self.planned;
        self.noticed.extend(transitions.into_iter().map(|transition| {
            let (cause, at, change, detail) = match transition {
                Transition::Raised { cause, at } => (cause, at, AlertChange::Raised, detail),
                Transition::Resolved { cause, at, alert } => {
                    let change = AlertChange::Resolved { raised_at: alert.raised_at, seen_at: alert.seen_at, count: alert.count };
                    (cause, at, change, None)
                }
            };
            AlertEvent {
                step: self.step.clone(),
                cause: hex::encode(cause),
                severity: *severity,
                message: message.clone(),
                detail: detail.map(str::to_owned),
                at,
                change,
            }
        }));
    }
}

impl Operator for AlertOperator {
    fn process(&mut self, _input: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        match self.on {
            On::Rows { .. } => self.rows(&batch.rows).map_err(|e| EngineError::internal(&self.node, e))?,
            On::Rule(_) => self.outcomes(&batch.rows),
        }
        out.absorbed += batch.num_rows() as u64;
        Ok(())
    }

    fn advance(&mut self, time: Time, _out: &mut Output) -> Result<Progress, EngineError> {
        self.clock.told(time.now);
        let On::Rows { time: basis, after, .. } = self.on else { return Ok(Progress::Done) };
        let come = match basis {
            TimeBasis::Processing => self.clock.now(),
            TimeBasis::Event(_) if time.watermark == i64::MAX => self.newest,
            TimeBasis::Event(_) => {
                self.watermark = self.watermark.max(time.watermark);
                time.watermark
            }
        };
        let transitions = self.tracker.expire(come, after);
        self.noticed(transitions, None);
        Ok(Progress::Done)
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        let mut bytes = self.newest.to_le_bytes().to_vec();
        let mut alerts = Vec::new();
        self.tracker.encode(&mut alerts);
        put_bytes(&mut bytes, &alerts);
        self.state.set(bytes);
        vec![("alerts", &mut self.state)]
    }

    fn take_observations(&mut self) -> Observations {
        Observations { windows: Vec::new(), alerts: std::mem::take(&mut self.noticed) }
    }

    fn take_rules(&mut self) -> BTreeMap<String, RuleCounts> {
        let counts = std::mem::take(&mut self.counts);
        (counts.evaluated > 0).then(|| (COMPUTABLE.to_owned(), counts)).into_iter().collect()
    }
}

fn decode(bytes: &[u8]) -> Result<(i64, AlertTracker), StateError> {
    let mut reader = Reader::new(bytes);
    let newest = reader.i64()?;
    let tracker = AlertTracker::decode(reader.bytes()?)?;
    reader.finish()?;
    Ok((newest, tracker))
}

/// Tells causes of a step from one another, and says nothing about the values to whoever lacks the key.
fn cause(causes: &Mac, step: &str, values: &[u8]) -> [u8; 32] {
    let mut message = Vec::with_capacity(step.len() + values.len() + 2);
    put_bytes(&mut message, step.as_bytes());
    message.extend_from_slice(values);
    causes.mac(&message)
}

/// Rows for which the condition is true, and how many there are for which it cannot be computed. Rows are asked together; where that
/// fails, in halves, so that a row's answer does not depend on the others.
fn truths(when: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<(BooleanBuffer, u64), ArrowError> {
    let len = rows.num_rows();
    match when.evaluate(rows).and_then(|answer| answer.into_array(len)) {
        Ok(answer) => {
            let answer = answer.as_boolean();
            let is_true = match answer.nulls() {
                Some(nulls) => answer.values() & nulls.inner(),
                None => answer.values().clone(),
            };
            Ok((is_true, 0))
        }
        Err(_) if len <= 1 => Ok((BooleanBuffer::new_unset(len), len as u64)),
        Err(_) => {
            let (first, failed) = truths(when, &rows.slice(0, len / 2))?;
            let (second, also) = truths(when, &rows.slice(len / 2, len - len / 2))?;
            let mut both = BooleanBufferBuilder::new(len);
            both.append_buffer(&first);
            both.append_buffer(&second);
            Ok((both.finish(), failed + also))
        }
    }
}
