//! Measures joins and ranks: one lane, one thread, one JSON line per case.
//!
//! `cargo run --release -p weir-engine --example join [ROWS] [CASE]`. Rows have the shape of NEXMark's: of fifty, one is a person,
//! three are auctions and 46 are bids, of which half are on the newest auctions.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::logical_expr::col;
use serde_json::json;
use weir_engine::{
    batch::{Batch, Origin},
    stages::transform::{
        join,
        operator::{Operator, OperatorContext, Output, Progress, Time},
        rank,
    },
    state::Settings,
};
use weir_plan::operator::{JoinBound, JoinKind, JoinNode, RankBound, RankNode, SortKey};

const BATCH: usize = 8192;
/// Events a second of event time.
const RATE: i64 = 10_000;

/// Auctions: id, time, expires, seller, category and texts. Bids: auction, time, bidder, price and texts.
fn tables(rows: usize) -> Vec<[RecordBatch; 2]> {
    let mut seed = 42u64;
    let mut random = move |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % below.max(1)
    };
    let mut auctions = 0i64;
    let mut batches = Vec::new();
    let [auction_schema, bid_schema] = schemas();
    for first in (0..rows).step_by(BATCH) {
        let (mut auction, mut bid): ([Vec<i64>; 5], [Vec<i64>; 4]) = Default::default();
        for row in first..(first + BATCH).min(rows) {
            let time = row as i64 * 1_000_000 / RATE;
            match row % 50 {
                0 => {}
                1..=3 => {
                    auctions += 1;
                    let values = [auctions, time, time + random(20_000_000), random(1000), 10 + random(5)];
                    auction.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
                }
                _ => {
                    let of = if random(2) == 0 { auctions / 100 * 100 } else { auctions - random(auctions.min(100)) };
                    let values = [of.max(1), time, random(1000), 1 + random(10_000_000)];
                    bid.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
                }
            }
        }
        batches.push([table(&auction_schema, &auction), table(&bid_schema, &bid)]);
    }
    batches
}

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn schemas() -> [SchemaRef; 2] {
    let of = |names: &[&str]| -> SchemaRef {
        let fields = names.iter().map(|name| match *name {
            "time" | "expires" => Field::new(*name, moment(), true),
            name if name.starts_with("text") => Field::new(name, DataType::Utf8, true),
            name => Field::new(name, DataType::Int64, true),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    [
        of(&["id", "time", "expires", "seller", "category", "text_item", "text_extra"]),
        of(&["auction", "time", "bidder", "price", "text_channel", "text_url", "text_extra"]),
    ]
}

fn table(schema: &SchemaRef, numbers: &[Vec<i64>]) -> RecordBatch {
    let rows = numbers[0].len();
    let columns = schema.fields().iter().enumerate().map(|(n, field)| -> ArrayRef {
        match field.data_type() {
            DataType::Utf8 => {
                let length = [9, 40, 60][n % 3];
                Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:0>length$}"))))
            }
            DataType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from(numbers[n].clone()).with_timezone("UTC")),
            _ => Arc::new(Int64Array::from(numbers[n].clone())),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// These columns, and the windows of ten seconds.
fn windowed(rows: &RecordBatch) -> RecordBatch {
    use arrow::array::AsArray;
    let times = rows.column(1).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    let bound = |end: i64| -> ArrayRef {
        let values = times.values().iter().map(|time| time.div_euclid(10_000_000) * 10_000_000 + end);
        Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
    };
    let fields = rows.schema().fields().iter().cloned().collect::<Vec<_>>();
    let more = ["window_start", "window_end"].map(|name| Arc::new(Field::new(name, moment(), true)));
    let columns = rows.columns().iter().cloned().chain([bound(0), bound(10_000_000)]).collect();
    RecordBatch::try_new(Arc::new(Schema::new([fields, more.to_vec()].concat())), columns).unwrap()
}

fn context(folder: &Path, inputs: &[SchemaRef], number: bool) -> OperatorContext {
    let fields = inputs.iter().flat_map(|schema| schema.fields().iter().cloned());
    let number = number.then(|| Arc::new(Field::new("place", DataType::Int64, true)));
    OperatorContext {
        node: "step".into(),
        inputs: inputs.to_vec(),
        input_changes: vec![false; inputs.len()],
        output: Arc::new(Schema::new(fields.chain(number).collect::<Vec<_>>())),
        lane: 0,
        lanes: 1,
        settings: Settings {
            key: weir_vault::Key::from_bytes(&[7; 32]),
            operator: [1; 32],
            folder: folder.to_owned(),
            memory_limit: None,
        },
        restored: BTreeMap::new(),
    }
}

/// Feeds batches, each to its inputs, and the watermark after it.
fn run(case: &str, mut operator: Box<dyn Operator>, batches: &[Vec<(usize, RecordBatch)>]) {
    let origin = Arc::new(Origin { source: 0, partition: "p".into(), first_row: 0 });
    let (mut rows, mut out_rows, mut slowest) = (0usize, 0usize, 0f64);
    let start = Instant::now();
    for (n, batch) in batches.iter().enumerate() {
        let began = Instant::now();
        let mut out = Output::default();
        for (input, some) in batch {
            rows += some.num_rows();
            operator.process(*input, &Batch::new(some.clone(), Arc::clone(&origin), None), &mut out).unwrap();
        }
        let watermark = (n as i64 + 1) * BATCH as i64 * 1_000_000 / RATE - 1_000_000;
        while operator.advance(Time { watermark, now: watermark }, &mut out).unwrap() == Progress::More {}
        out_rows += out.rows.iter().map(|emitted| emitted.rows.num_rows()).sum::<usize>();
        slowest = slowest.max(began.elapsed().as_secs_f64());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "case": case, "rows": rows, "rows_out": out_rows, "rows_per_second": (rows as f64 / seconds) as u64,
            "slowest_batch_ms": slowest * 1e3,
        })
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rows = args.next().map_or(2_000_000, |rows| rows.parse().unwrap());
    let only = args.next();
    let wanted = |case: &str| only.as_deref().is_none_or(|only| case.contains(only));
    let folder = tempfile::tempdir().unwrap();
    let batches = tables(rows);
    let [auction, bid] = schemas();
    let both = |of: &dyn Fn(&RecordBatch) -> RecordBatch| -> Vec<Vec<(usize, RecordBatch)>> {
        batches.iter().map(|[auction, bid]| vec![(0, of(auction)), (1, of(bid))]).collect()
    };
    let joined = |bound: JoinBound, keys: (usize, usize), condition: bool| JoinNode {
        kind: JoinKind::Inner,
        keys: vec![keys],
        condition: condition.then(|| Arc::new(col("$8").gt_eq(col("$1")).and(col("$8").lt_eq(col("$2"))))),
        bound,
    };
    let updating = JoinBound::Updating { ttl: None };
    let interval = JoinBound::Interval { left_time: 1, right_time: 1, lower: -10_000_000, upper: 0 };
    let as_of = JoinBound::AsOf { left_time: 1, right_time: 1 };
    let plain = both(&RecordBatch::clone);
    let ints = |rows: &RecordBatch| rows.project(&[0, 1, 2, 3]).unwrap();
    for (case, node, inputs, batches) in [
        ("updating", joined(updating.clone(), (0, 0), false), [auction.clone(), bid.clone()], &plain),
        ("updating with a condition", joined(updating.clone(), (0, 0), true), [auction.clone(), bid.clone()], &plain),
        ("interval", joined(interval, (0, 0), false), [auction.clone(), bid.clone()], &plain),
    ] {
        if wanted(case) {
            run(case, join::compile(&node, &context(folder.path(), &inputs, false), None).unwrap(), batches);
        }
    }
    if wanted("updating narrow") {
        let narrow = both(&ints);
        let inputs = [narrow[0][0].1.schema(), narrow[0][1].1.schema()];
        let node = joined(updating, (0, 0), false);
        run("updating narrow", join::compile(&node, &context(folder.path(), &inputs, false), None).unwrap(), &narrow);
    }
    if wanted("as of") {
        // Bids with the newest auction of their bidder as a seller.
        let turned: Vec<_> = batches.iter().map(|[auction, bid]| vec![(1, auction.clone()), (0, bid.clone())]).collect();
        let node = joined(as_of, (2, 3), false);
        run(
            "as of",
            join::compile(&node, &context(folder.path(), &[bid.clone(), auction.clone()], false), None).unwrap(),
            &turned,
        );
    }
    if wanted("window") {
        let with_windows = both(&windowed);
        let inputs = [with_windows[0][0].1.schema(), with_windows[0][1].1.schema()];
        let node = joined(JoinBound::Window { left: (7, 8), right: (7, 8) }, (0, 0), false);
        run("window", join::compile(&node, &context(folder.path(), &inputs, false), None).unwrap(), &with_windows);
    }
    let bids: Vec<Vec<(usize, RecordBatch)>> = batches.iter().map(|[_, bid]| vec![(0, bid.clone())]).collect();
    let by = |column: usize, descending: bool| SortKey { column, descending, nulls_first: false };
    for (case, partition, order, limit, number, bound) in [
        ("last of each", vec![2, 0], vec![by(1, true)], 1, false, RankBound::Updating { ttl: None }),
        ("top ten numbered", vec![0], vec![by(3, true), by(1, false)], 10, true, RankBound::Updating { ttl: None }),
        ("top ten", vec![0], vec![by(3, true), by(1, false)], 10, false, RankBound::Updating { ttl: None }),
        ("highest of each", vec![0], vec![by(3, true), by(1, false)], 1, false, RankBound::Updating { ttl: None }),
        ("first of each", vec![2, 0], vec![], 1, false, RankBound::KeepFirst { time: None, ttl: None }),
    ] {
        if wanted(case) {
            let node = RankNode { partition, order, limit, number, bound };
            let context = context(folder.path(), std::slice::from_ref(&bid), number);
            run(case, rank::compile(&node, &context).unwrap(), &bids);
        }
    }
}
