//! Windows, a join, a rank and totals, killed with SIGKILL ten times and restarted at another parallelism each time.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crate::weir::{lines_below, weir};

const KILLS: usize = 10;
/// The document of the command for more kills than a test has time for.
const DOCUMENT: &str = include_str!("../../../tests/chaos/state.yaml");

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
    for sink in ["windows", "pairs", "top", "sums"] {
        let (there, wanted) = (rows(killed.path(), sink), rows(undisturbed.path(), sink));
        assert!(wanted.len() > 100, "{sink}: {} rows", wanted.len());
        assert!(there == wanted, "{sink}: {} rows, {} were expected", there.len(), wanted.len());
    }
    let verified = weir(killed.path()).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
