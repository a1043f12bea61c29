//! Tables of a database, killed with SIGKILL ten times and restarted at another parallelism each time.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use crate::weir::{files_below, weir};

const KILLS: usize = 10;
/// The document of the command for more kills than a test has time for.
const DOCUMENT: &str = include_str!("../../../tests/chaos/tables.yaml");

fn start(dir: &Path, parallelism: usize) -> Child {
    std::fs::write(dir.join("pipeline.yaml"), DOCUMENT.replace("parallelism: 2", &format!("parallelism: {parallelism}")))
        .unwrap();
    let mut command = weir(dir);
    command.args(["run", "pipeline.yaml", "--data", "data", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(dir: &Path, parallelism: usize) -> serde_json::Value {
    let output = start(dir, parallelism).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rows of a table, sorted.
fn rows(dir: &Path, table: &str) -> Vec<String> {
    let database = Connection::open_with_flags(dir.join("out/bids.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = database.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..width).map(|column| row.get::<_, rusqlite::types::Value>(column));
        values.collect::<Result<Vec<_>, _>>().map(|values| format!("{values:?}"))
    };
    let mut rows: Vec<String> = statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
    rows.sort();
    rows
}

#[test]
fn ten_kills_and_another_parallelism_each_time_leave_the_same_tables() {
    let undisturbed = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let expected = finish(undisturbed.path(), 2);
    let whole = began.elapsed();

    let killed = tempfile::tempdir().unwrap();
    let mut random = 0x5eed_u64;
    for kill in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = whole.mul_f64(0.25 * ((random >> 33) as f64 / f64::from(1u32 << 31)));
        let mut child = start(killed.path(), [2, 3, 1, 4][kill % 4]);
        std::thread::sleep(after.max(Duration::from_millis(50)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let summary = finish(killed.path(), 3);

    assert_eq!(summary["sources"], expected["sources"]);
    for table in ["totals", "top", "bidders", "dear"] {
        let (there, wanted) = (rows(killed.path(), table), rows(undisturbed.path(), table));
        assert!(wanted.len() > 100, "{table}: {} rows", wanted.len());
        assert!(there == wanted, "{table}: {} rows, {} were expected", there.len(), wanted.len());
    }
    let leftovers: Vec<_> = files_below(&killed.path().join("out"))
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
    let verified = weir(killed.path()).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
