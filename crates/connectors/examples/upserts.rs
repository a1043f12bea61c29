//! How fast a table takes changes, on one core: `cargo run --release -p weir-connectors --example upserts [CHANGES] [KEYS]`. One JSON
//! line for each way of putting changes together: lanes' encoding, folding, staging (with its fsync) and the transaction.

use std::{
    error::Error,
    io::{Write, stdout},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use weir_connectors::{
    BaseDir, RowEncoder, SinkContext, SinkWriter,
    sqlite::{TableEncoder, TableWriter},
};
use weir_spec::{connector::SqliteSink, pipeline::SinkMode};

const BATCH: usize = 8192;
const BATCHES_AN_EPOCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |n| n.parse());
    let (changes, keys) = (number(4_000_000)?, number(200_000)?);
    let fields = [("op", DataType::Utf8), ("account", DataType::Utf8), ("n", DataType::Int64), ("total", DataType::Float64)];
    let schema = Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()));
    let folder = std::env::temp_dir().join(format!("weir-upserts-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    for (bench, mode, changes_in_order) in [
        ("sqlite_upsert_in_order", SinkMode::Upsert, true),
        ("sqlite_upsert_counted", SinkMode::Upsert, false),
        ("sqlite_append", SinkMode::Changes, false),
    ] {
        let key = if mode == SinkMode::Upsert { vec!["account".to_owned()] } else { Vec::new() };
        let sink = SqliteSink { path: format!("{bench}.db"), table: "t".into(), key };
        let context = SinkContext { base_dir: BaseDir::unconfined(&folder), run_tag: "bench-t".into(), changes_in_order };
        let mut encoder = TableEncoder::new(&sink, mode, &schema)?;
        let mut writer = TableWriter::new(&sink, mode, &schema, &context)?;
        writer.recover(None)?;
        // Seconds: encoding, folding, staging, the transaction.
        let mut seconds = [0.0; 4];
        let mut counts = vec![0i64; keys];
        let (mut random, mut made, mut epoch) = (1u64, 0, 0);
        while made < changes {
            for _ in 0..BATCHES_AN_EPOCH {
                let rows = batch(&schema, &mut counts, &mut random)?;
                made += rows.num_rows();
                let encoded = timed(&mut seconds[0], || encoder.encode(&rows))?;
                timed(&mut seconds[1], || writer.write(encoded))?;
            }
            epoch += 1;
            let mut sealed = timed(&mut seconds[1], || writer.seal(epoch))?;
            let pre_commit = timed(&mut seconds[2], || sealed.pre_commit())?;
            timed(&mut seconds[3], || sealed.commit(&pre_commit))?;
        }
        let whole: f64 = seconds.iter().sum();
        let [encoding, folding, staging, transaction] = seconds;
        writeln!(
            stdout(),
            "{{\"bench\":\"{bench}\",\"changes\":{made},\"keys\":{keys},\"epochs\":{epoch},\"changes_per_second\":{:.0},\"encoding_s\":{encoding:.2},\
             \"folding_s\":{folding:.2},\"staging_s\":{staging:.2},\"transaction_s\":{transaction:.2}}}",
            made as f64 / whole
        )?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    *seconds += begun.elapsed().as_secs_f64();
    done
}

/// Changes of random accounts' totals, as a GROUP BY puts them out.
fn batch(schema: &Arc<Schema>, counts: &mut [i64], random: &mut u64) -> Result<RecordBatch, Box<dyn Error>> {
    let (mut ops, mut accounts, mut n) = (Vec::new(), Vec::new(), Vec::new());
    while ops.len() + 1 < BATCH {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let account = (*random >> 33) as usize % counts.len();
        let count = &mut counts[account];
        if *count > 0 {
            ops.push("-U");
            accounts.push(account);
            n.push(*count);
        }
        ops.push(if *count > 0 { "+U" } else { "+I" });
        *count += 1;
        accounts.push(account);
        n.push(*count);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(ops)),
        Arc::new(StringArray::from_iter_values(accounts.iter().map(|account| format!("account-{account:08}")))),
        Arc::new(Int64Array::from(n.clone())),
        Arc::new(Float64Array::from_iter_values(n.iter().map(|&n| n as f64 * 1.5))),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
