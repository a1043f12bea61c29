//! The operator as a run sees it: batches and times in, rows out, on several lanes, stopped and restored in between.

mod changelog;
mod each_aggregate;
mod windows;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt32Array,
    },
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    row::{RowConverter, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use weir_plan::operator::{AggregateCall, AggregateFunction, AggregateNode, Change, SortKey};
use weir_vault::Key;

use super::AggregateOperator;
use crate::{
    batch::{Batch, Origin},
    stages::transform::operator::{Operator, OperatorContext, Output, Progress, Time},
    state::{LaneState, Settings, key_hash, lane_of},
};

/// Columns of the test's input.
pub(super) const K: usize = 0;
pub(super) const AT: usize = 1;
pub(super) const N: usize = 2;
pub(super) const V: usize = 3;
pub(super) const F: usize = 4;
pub(super) const D: usize = 5;
pub(super) const S: usize = 6;
pub(super) const B: usize = 7;

pub(super) fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(super) fn input() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("at", micros(), true),
        Field::new("n", DataType::Int64, false),
        Field::new("v", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("d", DataType::Decimal128(10, 2), true),
        Field::new("s", DataType::Utf8, true),
        Field::new("b", DataType::Boolean, true),
    ]))
}

/// One row; its number is its place in the input.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: Option<u8>,
    pub(super) at: i64,
    pub(super) value: Option<i64>,
}

pub(super) fn rows(count: impl Into<proptest::collection::SizeRange>, span: i64) -> impl Strategy<Value = Vec<Row>> {
    let row = (prop::option::weighted(0.9, 0u8..4), 0..span, prop::option::weighted(0.8, -5i64..6));
    prop::collection::vec(row.prop_map(|(key, at, value)| Row { key, at, value }), count)
}

pub(super) fn batch(rows: &[(usize, Row)]) -> RecordBatch {
    let float = |value: i64| if value == 5 { f64::NAN } else { value as f64 / 4.0 };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(_, row)| row.key.map(|key| format!("k{key}"))).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, row)| Some(row.at)).collect::<TimestampMicrosecondArray>()),
        Arc::new(rows.iter().map(|(n, _)| *n as i64).collect::<Vec<_>>().into_iter().map(Some).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(_, row)| row.value).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(_, row)| row.value.map(float)).collect::<Float64Array>()),
        Arc::new(
            rows.iter()
                .map(|(_, row)| row.value.map(|value| i128::from(value) * 37))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(10, 2)
                .unwrap(),
        ),
        Arc::new(rows.iter().map(|(_, row)| row.value.map(|value| format!("s{}", value.abs()))).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, row)| row.value.map(|value| value > 0)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(input(), columns).unwrap()
}

pub(super) fn call(function: AggregateFunction, args: &[usize]) -> AggregateCall {
    AggregateCall { function, args: args.to_vec(), distinct: false, filter: None, order: Vec::new() }
}

/// Calls with the SQL that says the same to DataFusion.
pub(super) fn calls() -> Vec<(AggregateCall, &'static str)> {
    use AggregateFunction::*;
    let distinct = |call: AggregateCall| AggregateCall { distinct: true, ..call };
    let filter = |call: AggregateCall| AggregateCall { filter: Some(B), ..call };
    let by_n = |call: AggregateCall, descending| AggregateCall {
        order: vec![SortKey { column: N, descending, nulls_first: false }],
        ..call
    };
    vec![
        (call(Count, &[]), "count(*)"),
        (call(Count, &[V]), "count(v)"),
        (call(Sum, &[V]), "sum(v)"),
        (call(Sum, &[F]), "sum(f)"),
        (call(Sum, &[D]), "sum(d)"),
        (call(Avg, &[F]), "avg(f)"),
        (call(Avg, &[D]), "avg(d)"),
        (call(Min, &[V]), "min(v)"),
        (call(Max, &[D]), "max(d)"),
        (call(Min, &[S]), "min(s)"),
        (call(Max, &[S]), "max(s)"),
        (call(Max, &[AT]), "max(at)"),
        (call(Stddev, &[D]), "stddev(d)"),
        (call(VariancePop, &[V]), "var_pop(v)"),
        (call(BoolAnd, &[B]), "bool_and(b)"),
        (call(BoolOr, &[B]), "bool_or(b)"),
        (distinct(call(Count, &[V])), "count(DISTINCT v)"),
        (distinct(call(Count, &[S])), "count(DISTINCT s)"),
        (distinct(call(Sum, &[V])), "sum(DISTINCT v)"),
        (filter(call(Count, &[])), "count(*) FILTER (WHERE b)"),
        (filter(call(Sum, &[V])), "sum(v) FILTER (WHERE b)"),
        (by_n(call(FirstValue, &[V]), false), "first_value(v ORDER BY n) FILTER (WHERE v IS NOT NULL)"),
        (by_n(call(LastValue, &[S]), false), "last_value(s ORDER BY n) FILTER (WHERE s IS NOT NULL)"),
        (by_n(call(FirstValue, &[V]), true), "first_value(v ORDER BY n DESC) FILTER (WHERE v IS NOT NULL)"),
        (by_n(call(StringAgg { separator: "|".into() }, &[S]), false), "string_agg(s, '|' ORDER BY n)"),
        (by_n(call(ArrayAgg, &[V]), true), "array_agg(v ORDER BY n DESC)"),
    ]
}

/// What DataFusion says of rows with the columns of [`input`] and `ws`, `we`: one line a group, and the type of each call's result.
pub(super) fn oracle(table: RecordBatch, keys: &[&str]) -> (Vec<String>, SchemaRef) {
    let calls: Vec<&str> = calls().iter().map(|(_, sql)| *sql).collect();
    let sql = format!("SELECT {keys}, {} FROM t GROUP BY {keys}", calls.join(", "), keys = keys.join(", "));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let config = datafusion::prelude::SessionConfig::new().with_target_partitions(1);
        let context = SessionContext::new_with_config(config);
        context.register_batch("t", table).unwrap();
        let frame = context.sql(&sql).await.unwrap();
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.unwrap();
        let all = concat_batches(batches.first().map_or(&schema, |batch| batch.schema_ref()), &batches).unwrap();
        let mut lines = lines(&all);
        lines.sort();
        (lines, schema)
    })
}

/// Rows as text, floats to six digits.
pub(super) fn lines(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let text = |column: &ArrayRef, row: usize| {
        let text = ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
        match column.data_type() {
            DataType::Float64 if column.is_valid(row) => format!("{:.6}", text.parse::<f64>().unwrap() + 0.0),
            _ => text,
        }
    };
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| text(column, row)).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The operator on several lanes.
pub(super) struct Run {
    node: AggregateNode,
    output: SchemaRef,
    folder: tempfile::TempDir,
    changes: bool,
    pub(super) time: Time,
    lanes: Vec<AggregateOperator>,
    checkpoints: usize,
}

/// What a step put out.
#[derive(Default, Debug)]
pub(super) struct Step {
    pub(super) rows: Vec<(Change, String)>,
    pub(super) late: Vec<usize>,
    pub(super) absorbed: u64,
    pub(super) dropped: u64,
    pub(super) rejected: u64,
}

impl Run {
    pub(super) fn new(node: AggregateNode, output: SchemaRef, changes: bool, lanes: usize) -> Self {
        let time = Time { watermark: i64::MIN, now: 0 };
        let mut run =
            Self { node, output, folder: tempfile::tempdir().unwrap(), changes, time, lanes: Vec::new(), checkpoints: 0 };
        run.start(lanes, BTreeMap::new());
        run
    }

    fn start(&mut self, lanes: usize, restored: BTreeMap<String, Vec<LaneState>>) {
        let operator = |lane| {
            let settings = Settings {
                key: Key::from_bytes(&[7; 32]),
                operator: [1; 32],
                folder: self.folder.path().to_owned(),
                memory_limit: None,
            };
            let context = OperatorContext {
                node: "test".into(),
                inputs: vec![input()],
                input_changes: vec![self.changes],
                output: Arc::clone(&self.output),
                lane,
                lanes,
                settings,
                restored: restored.clone(),
            };
            AggregateOperator::new(&self.node, &context).unwrap()
        };
        self.lanes = (0..lanes).map(operator).collect();
        for lane in &mut self.lanes {
            let mut out = Output::default();
            while lane.advance(self.time, &mut out).unwrap() == Progress::More {}
            assert!(out.rows.is_empty(), "nothing is due that was not before");
        }
    }

    /// A checkpoint, and a run that goes on from it.
    pub(super) fn restore(&mut self, lanes: usize) {
        self.checkpoints += 1;
        let mut restored: BTreeMap<String, Vec<LaneState>> = BTreeMap::new();
        for (lane, operator) in self.lanes.iter_mut().enumerate() {
            for (name, state) in operator.states() {
                let written = state.snapshot().write(&format!("{name}-{lane}-{}", self.checkpoints)).unwrap();
                restored.entry(name.to_owned()).or_default().push(written);
            }
        }
        self.start(lanes, restored);
    }

    pub(super) fn process(&mut self, rows: &RecordBatch, changes: Option<&[Change]>) -> Step {
        let mut step = Step::default();
        let fields = self.node.keys.iter().map(|&key| SortField::new(rows.column(key).data_type().clone())).collect();
        let columns: Vec<_> = self.node.keys.iter().map(|&key| Arc::clone(rows.column(key))).collect();
        let keys = RowConverter::new(fields).unwrap();
        let keys = (!columns.is_empty()).then(|| keys.convert_columns(&columns).unwrap());
        let lanes = self.lanes.len();
        let lane = |row: usize| lane_of(key_hash(keys.as_ref().map_or(&[], |keys| keys.row(row).data())), lanes);
        for n in 0..lanes {
            let mine: Vec<u32> = (0..rows.num_rows()).filter(|&row| lane(row) == n).map(|row| row as u32).collect();
            let part = take_record_batch(rows, &UInt32Array::from(mine.clone())).unwrap();
            let mut batch = Batch::new(part, Arc::new(Origin { source: 0, partition: "p".into(), first_row: 0 }), None);
            batch.changes = changes.map(|changes| mine.iter().map(|&row| changes[row as usize]).collect());
            let mut out = Output::default();
            self.lanes[n].process(0, &batch, &mut out).unwrap();
            step.add(out, &self.output);
        }
        let accounted = step.absorbed + step.dropped + step.rejected + step.late.len() as u64;
        assert_eq!(accounted, rows.num_rows() as u64, "every row is accounted for");
        step
    }

    pub(super) fn advance(&mut self, watermark: i64, now: i64) -> Step {
        self.time = Time { watermark, now };
        let mut step = Step::default();
        for lane in &mut self.lanes {
            let mut out = Output::default();
            while lane.advance(self.time, &mut out).unwrap() == Progress::More {}
            let mut one = Step::default();
            one.add(out, &self.output);
            step.rows.extend(one.rows);
        }
        step
    }
}

impl Step {
    fn add(&mut self, out: Output, schema: &SchemaRef) {
        for emitted in out.rows {
            assert_eq!(emitted.rows.schema_ref(), schema);
            let changes =
                emitted.changes.map_or_else(|| vec![Change::Insert; emitted.rows.num_rows()], |changes| changes.to_vec());
            self.rows.extend(changes.into_iter().zip(lines(&emitted.rows)));
        }
        for late in out.late {
            let rows = late.batch.take(&late.rows).unwrap();
            let numbers = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(rows.column(N)).clone();
            self.late.extend(numbers.values().iter().map(|&n| n as usize));
        }
        self.absorbed += out.absorbed;
        self.dropped += out.dropped;
        self.rejected += out.rejected.iter().map(|(rows, _)| rows.rows.len() as u64).sum::<u64>();
    }
}
