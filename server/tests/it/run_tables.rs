//! Tables of a database, killed with SIGKILL ten times and restarted at another parallelism each time.

use crate::{
    kills::{found, ten_kills},
    weir::files_below,
};

/// The document of the command for more kills than a test has time for.
const DOCUMENT: &str = include_str!("../../../tests/chaos/tables.yaml");

#[test]
fn ten_kills_and_another_parallelism_each_time_leave_the_same_tables() {
    let runs = ten_kills(DOCUMENT);
    for table in ["totals", "top", "bidders", "dear"] {
        let rows = |dir: &tempfile::TempDir| found(&dir.path().join("out/bids.db"), &format!("SELECT * FROM \"{table}\""));
        let (there, wanted) = (rows(&runs.killed), rows(&runs.undisturbed));
        assert!(wanted.len() > 100, "{table}: {} rows", wanted.len());
        assert!(there == wanted, "{table}: {} rows, {} were expected", there.len(), wanted.len());
    }
    let leftovers: Vec<_> = files_below(&runs.killed.path().join("out"))
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
