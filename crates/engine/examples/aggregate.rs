//! How fast one lane groups rows: prints one JSON line for each case. `cargo run --release -p weir-engine --example aggregate [rows]`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use weir_engine::{
    batch::{Batch, Origin},
    stages::transform::{
        aggregate::AggregateOperator,
        operator::{Operator, OperatorContext, Output, Progress, Time},
    },
    state::Settings,
};
use weir_plan::operator::{AggregateCall, AggregateFunction, AggregateNode, Grouping, TimeBasis, WindowKind};
use weir_vault::Key;

const SECOND: i64 = 1_000_000;
const BATCH: usize = 8192;
/// Rows of one second of event time.
const RATE: i64 = 500_000;

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn input() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("at", micros(), false),
        Field::new("value", DataType::Int64, false),
    ]))
}

/// Batches of rows in nearly the order of time; keys are spread evenly by a fixed sequence.
fn batches(rows: usize, keys: u64) -> Vec<Batch> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let origin = Arc::new(Origin { source: 0, partition: "bench".into(), first_row: 0 });
    let batch = |from: usize| {
        let rows = from..(from + BATCH).min(rows);
        let key: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|_| (next() % keys) as i64)));
        let times = rows.clone().map(|row| row as i64 * SECOND / RATE - (row as i64 * 7919 % 1000));
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times));
        let value: ArrayRef =
            Arc::new(Int64Array::from_iter_values(rows.map(|row| (row as i64).wrapping_mul(2_654_435_761) % 10_000)));
        Batch::new(RecordBatch::try_new(input(), vec![key, at, value]).unwrap(), Arc::clone(&origin), None)
    };
    (0..rows).step_by(BATCH).map(batch).collect()
}

fn call(function: AggregateFunction, args: &[usize], distinct: bool) -> AggregateCall {
    AggregateCall { function, args: args.to_vec(), distinct, filter: None, order: Vec::new() }
}

fn run(name: &str, rows: usize, keys: u64, grouping: Grouping, calls: Vec<AggregateCall>, restless: i64) {
    let folder = tempfile::tempdir().unwrap();
    let mut fields = vec![Field::new("key", DataType::Int64, false)];
    if !matches!(grouping, Grouping::Updating { .. }) {
        fields.extend(["window_start", "window_end", "window_time"].map(|name| Field::new(name, micros(), false)));
    }
    fields.extend(calls.iter().enumerate().map(|(n, _)| Field::new(format!("c{n}"), DataType::Int64, true)));
    let context = OperatorContext {
        node: name.into(),
        inputs: vec![input()],
        input_changes: vec![false],
        output: Arc::new(Schema::new(fields)),
        lane: 0,
        lanes: 1,
        settings: Settings {
            key: Key::from_bytes(&[7; 32]),
            operator: [1; 32],
            folder: folder.path().into(),
            memory_limit: None,
        },
        restored: BTreeMap::new(),
    };
    let node = AggregateNode { keys: vec![0], grouping, calls, min_rows: None };
    let mut operator = AggregateOperator::new(&node, &context).unwrap();
    let batches = batches(rows, keys);
    let (begin, mut put_out, mut longest) = (Instant::now(), 0, 0.0f64);
    for (n, batch) in batches.iter().enumerate() {
        let step = Instant::now();
        let mut out = Output::default();
        operator.process(0, batch, &mut out).unwrap();
        let newest = (n * BATCH + batch.num_rows()) as i64 * SECOND / RATE;
        while operator.advance(Time { watermark: newest - restless, now: newest }, &mut out).unwrap() == Progress::More {}
        put_out += out.rows.iter().map(|rows| rows.rows.num_rows()).sum::<usize>();
        longest = longest.max(step.elapsed().as_secs_f64());
    }
    let mut out = Output::default();
    while operator.advance(Time { watermark: i64::MAX, now: i64::MAX }, &mut out).unwrap() == Progress::More {}
    put_out += out.rows.iter().map(|rows| rows.rows.num_rows()).sum::<usize>();
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        r#"{{"case":"{name}","rows":{rows},"keys":{keys},"rows_per_second":{:.0},"rows_out":{put_out},"longest_step_ms":{:.1}}}"#,
        rows as f64 / seconds,
        longest * 1e3,
    );
}

fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let window = |window| Grouping::Window { window, time: TimeBasis::Event(1) };
    let tumble = || window(WindowKind::Tumble { size: 10 * SECOND, offset: 0 });
    let count = || vec![call(AggregateFunction::Count, &[], false)];
    for keys in [1_000, 100_000, 5_000_000] {
        run("tumble_10s_count", rows, keys, tumble(), count(), 1_000);
    }
    let several = vec![
        call(AggregateFunction::Count, &[], false),
        call(AggregateFunction::Sum, &[2], false),
        call(AggregateFunction::Min, &[2], false),
        call(AggregateFunction::Max, &[2], false),
    ];
    run("tumble_10s_count_sum_min_max", rows, 100_000, tumble(), several, 1_000);
    let hop = || window(WindowKind::Hop { size: 10 * SECOND, slide: 2 * SECOND, offset: 0 });
    for keys in [1_000, 100_000] {
        run("hop_10s_2s_count", rows, keys, hop(), count(), 1_000);
    }
    run("session_100ms_count", rows, 100_000, window(WindowKind::Session { gap: SECOND / 10 }), count(), 1_000);
    let distinct = || vec![call(AggregateFunction::Count, &[2], true)];
    run("tumble_10s_count_distinct", rows, 1_000, tumble(), distinct(), 1_000);
    run("updating_count", rows, 100_000, Grouping::Updating { ttl: None }, count(), 1_000);
}
