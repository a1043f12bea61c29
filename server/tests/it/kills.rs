//! A document run undisturbed, and again with ten SIGKILLs and another parallelism after each.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

use crate::weir::weir;

const KILLS: usize = 10;

/// What both left.
pub struct Runs {
    pub undisturbed: TempDir,
    pub killed: TempDir,
}

/// Runs a document of `parallelism: 2` both ways. Both have read the same, and the evidence of the killed one verifies.
pub fn ten_kills(document: &str) -> Runs {
    let runs = Runs { undisturbed: tempfile::tempdir().unwrap(), killed: tempfile::tempdir().unwrap() };
    let began = Instant::now();
    let expected = finish(document, runs.undisturbed.path(), 2);
    let whole = began.elapsed();

    let killed = runs.killed.path();
    let mut random = 0x5eed_u64;
    for kill in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = whole.mul_f64(0.25 * ((random >> 33) as f64 / f64::from(1u32 << 31)));
        let mut child = start(document, killed, [2, 3, 1, 4][kill % 4]);
        std::thread::sleep(after.max(Duration::from_millis(50)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let summary = finish(document, killed, 3);

    assert_eq!(summary["sources"], expected["sources"]);
    let verified = weir(killed).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    runs
}

fn start(document: &str, dir: &Path, parallelism: usize) -> Child {
    std::fs::write(dir.join("pipeline.yaml"), document.replace("parallelism: 2", &format!("parallelism: {parallelism}")))
        .unwrap();
    let mut command = weir(dir);
    command.args(["run", "pipeline.yaml", "--data", "data", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(document: &str, dir: &Path, parallelism: usize) -> Value {
    let output = start(document, dir, parallelism).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a query finds in a database, sorted.
pub fn found(database: &Path, query: &str) -> Vec<String> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..width).map(|column| row.get::<_, rusqlite::types::Value>(column));
        values.collect::<Result<Vec<_>, _>>().map(|values| format!("{values:?}"))
    };
    let mut rows: Vec<String> = statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
    rows.sort();
    rows
}
