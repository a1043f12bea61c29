//! How fast the one lane of an observer takes rows in: prints one JSON line for each case.
//!
//! `cargo run --release -p weir-engine --example observe [ROWS]`. Rows are payments: time, card, amount, country.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::logical_expr::{col, lit};
use serde_json::json;
use weir_engine::{
    batch::{Batch, Origin},
    stages::{
        quality::observe::{ObserverContext, build},
        transform::operator::{OperatorContext, Output, Time},
    },
    state::Settings,
};
use weir_plan::operator::{AlertNode, AlertOn, MeasureNode, Operator, TimeBasis};
use weir_spec::{
    metric::{Metric, RuleSeverity, WindowCheck, WindowQuality, WindowRule},
    types::Timespan,
};
use weir_vault::{Key, Mac};

const BATCH: usize = 8192;
/// Rows of one second of event time.
const RATE: i64 = 500_000;

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("at", time, true),
        Field::new("card", DataType::Int64, true),
        Field::new("amount", DataType::Float64, true),
        Field::new("country", DataType::Utf8, true),
    ]))
}

fn batches(rows: usize) -> Vec<Batch> {
    let origin = Arc::new(Origin { source: 0, partition: "bench".into(), first_row: 0 });
    let batch = |from: usize| {
        let rows = (from..(from + BATCH).min(rows)).map(|row| row as i64);
        let times = rows.clone().map(|row| row * 1_000_000 / RATE);
        let mixed = |row: i64| row.wrapping_mul(2_654_435_761).rem_euclid(1_000_003);
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
        let card: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| mixed(row) % 50_000)));
        let amount: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| mixed(row) as f64 / 100.0)));
        let country: ArrayRef =
            Arc::new(StringArray::from_iter(rows.map(|row| (row % 50 > 0).then(|| ["de", "fr", "it"][(row % 3) as usize]))));
        Batch::new(RecordBatch::try_new(schema(), vec![at, card, amount, country]).unwrap(), Arc::clone(&origin), None)
    };
    (0..rows).step_by(BATCH).map(batch).collect()
}

fn measure(metrics: Vec<Metric>) -> Operator {
    let rule = |metric: Metric| WindowRule {
        name: metric.to_string(),
        severity: RuleSeverity::Error,
        check: WindowCheck::Bounds { metric, min: Some(0.0), max: None },
    };
    let rules: Vec<WindowRule> = metrics.into_iter().map(rule).collect();
    Operator::Measure(MeasureNode {
        withheld: vec![None; rules.len()],
        measures_withheld: vec![false; rules.len()],
        quality: WindowQuality { over: Timespan::from_millis(1_000), rules },
        time: TimeBasis::Event(0),
    })
}

fn run(case: &str, planned: &Operator, output: SchemaRef, batches: &[Batch], folder: &Path) {
    let settings = Settings { key: Key::generate().unwrap(), operator: [0; 32], folder: folder.to_owned(), memory_limit: None };
    let operator = OperatorContext {
        node: case.to_owned(),
        inputs: vec![schema()],
        input_changes: vec![false],
        output,
        lane: 0,
        lanes: 1,
        settings,
        restored: BTreeMap::new(),
    };
    let context = ObserverContext { operator: &operator, step: case, base_dir: folder, causes: Mac::new(b"key") };
    let mut operator = build(planned, &context).unwrap().unwrap();
    let began = Instant::now();
    let mut rows = 0;
    for batch in batches {
        let mut out = Output::default();
        operator.process(0, batch, &mut out).unwrap();
        rows += batch.num_rows() as i64;
        operator.advance(Time { watermark: rows * 1_000_000 / RATE, now: 0 }, &mut out).unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let noticed = operator.take_observations();
    println!(
        "{}",
        json!({
            "case": case,
            "rows_per_second": (rows as f64 / seconds).round(),
            "windows": noticed.windows.len(),
            "alerts": noticed.alerts.len(),
        })
    );
}

fn main() {
    let rows = std::env::args().nth(1).map_or(4_000_000, |rows| rows.parse().unwrap());
    let batches = batches(rows);
    let folder = tempfile::tempdir().unwrap();
    let outcomes: SchemaRef = {
        let data_type = |column: &str| match column {
            "window_start" | "window_end" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "rows" => DataType::Int64,
            "observed" => DataType::Float64,
            _ => DataType::Utf8,
        };
        Arc::new(Schema::new(MeasureNode::OUTPUT.map(|column| Field::new(column, data_type(column), true)).to_vec()))
    };
    let amount = || "amount".to_owned();
    let mean = Metric::Mean { column: amount() };
    let completeness = Metric::Completeness { column: "country".to_owned() };
    let uniqueness = Metric::Uniqueness { columns: vec!["card".to_owned()] };
    let quantile = Metric::Quantile { column: amount(), q: 0.99 };
    for (case, metrics) in [
        ("row_count", vec![Metric::RowCount]),
        ("mean", vec![mean.clone()]),
        ("completeness", vec![completeness.clone()]),
        ("uniqueness", vec![uniqueness.clone()]),
        ("quantile", vec![quantile.clone()]),
        ("all of them", vec![Metric::RowCount, mean, completeness, uniqueness, quantile]),
    ] {
        run(case, &measure(metrics), Arc::clone(&outcomes), &batches, folder.path());
    }
    for (case, above) in [("alert on one row of a thousand", 9_990.0), ("alert on one row of ten", 9_000.0)] {
        let on = AlertOn::Rows {
            when: Arc::new(col("amount").gt(lit(above))),
            key: vec![1],
            time: TimeBasis::Event(0),
            resolve_after: 1_000_000,
        };
        let alert = Operator::Alert(AlertNode { on, severity: RuleSeverity::Error, message: String::new() });
        run(case, &alert, Arc::new(Schema::empty()), &batches, folder.path());
    }
}
