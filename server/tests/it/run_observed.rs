//! What people are told of windows and alerts, killed with SIGKILL ten times and restarted at another parallelism each time.

use crate::kills::{found, ten_kills};

/// The document of the command for more kills than a test has time for.
const DOCUMENT: &str = include_str!("../../../tests/chaos/observed.yaml");

/// Without names, times of the clock and places in the log.
const WINDOWS: &str =
    "SELECT step, rule, start_at, end_at, rows, late_rows, metric, severity, observed, verdict, detail FROM quality_windows";
const ALERTS: &str = "SELECT step, severity, message, detail, raised_at, seen_at, seen, ended, ended_at FROM alerts";

#[test]
fn ten_kills_and_another_parallelism_each_time_tell_the_same() {
    let runs = ten_kills(DOCUMENT);
    for (query, least) in [(WINDOWS, 500), (ALERTS, 20)] {
        let rows = |dir: &tempfile::TempDir| found(&dir.path().join("data/weir.db"), query);
        let (there, wanted) = (rows(&runs.killed), rows(&runs.undisturbed));
        assert!(wanted.len() > least, "{} rows", wanted.len());
        let first = there.iter().zip(&wanted).find(|(there, wanted)| there != wanted);
        assert!(there == wanted, "{} rows, {} were expected; {first:?}", there.len(), wanted.len());
    }
}
