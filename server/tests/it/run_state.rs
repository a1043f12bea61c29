//! Windows, a join, a rank and totals, killed with SIGKILL ten times and restarted at another parallelism each time.

use std::{collections::BTreeMap, path::Path};

use crate::{kills::ten_kills, weir::lines_below};

/// The document of the command for more kills than a test has time for.
const DOCUMENT: &str = include_str!("../../../tests/chaos/state.yaml");

/// How often each row is there after all changes.
fn rows(dir: &Path, sink: &str) -> BTreeMap<String, i64> {
    let mut there = BTreeMap::new();
    for line in lines_below(&dir.join("out").join(sink)) {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        let change = row.remove("op").is_some_and(|op| op.as_str().unwrap().starts_with('-'));
        *there.entry(serde_json::to_string(&row).unwrap()).or_default() += if change { -1 } else { 1 };
    }
    there.retain(|_, count| *count != 0);
    there
}

#[test]
fn ten_kills_and_another_parallelism_each_time_change_nothing() {
    let runs = ten_kills(DOCUMENT);
    for sink in ["windows", "pairs", "top", "sums"] {
        let (there, wanted) = (rows(runs.killed.path(), sink), rows(runs.undisturbed.path(), sink));
        assert!(wanted.len() > 100, "{sink}: {} rows", wanted.len());
        assert!(there == wanted, "{sink}: {} rows, {} were expected", there.len(), wanted.len());
    }
}
