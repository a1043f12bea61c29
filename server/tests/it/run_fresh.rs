//! `weir run --fresh`: the pipeline begins anew beside what it has committed, and the log tells so.

use std::{path::Path, process::Output};

use crate::weir::{files_below, lines_below, weir};

const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: counted
purpose: essential.service
basis: contract
sources:
  events:
    file: { path: events.ndjson }
    schema:
      - { name: id, type: int64, required: true }
      - { name: at, type: timestamp, required: true }
    event_time: { column: at }
steps:
  checked:
    quality:
      from: events
      rules:
        - unique: { columns: [id], within: 1h }
  totals:
    sql: SELECT count(*) AS n FROM checked
sinks:
  kept: { from: checked, file: { path: out/rows } }
  sums: { from: totals, file: { path: out/totals }, mode: changes }
";

fn run(dir: &Path, more: &[&str]) -> Output {
    weir(dir).args(["run", "counted.yaml", "--data", "data", "--json"]).args(more).output().unwrap()
}

fn finish(dir: &Path, more: &[&str]) -> serde_json::Value {
    let output = run(dir, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn prepare(document: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("counted.yaml"), document).unwrap();
    let rows: String = (0..10).map(|id| format!("{{\"id\":{id},\"at\":\"2026-01-01T00:00:{id:02}Z\"}}\n")).collect();
    std::fs::write(dir.path().join("events.ndjson"), rows).unwrap();
    dir
}

/// The whole log of the project, as a bundle.
fn log(dir: &Path) -> String {
    let exported = weir(dir).args(["audit", "export", "--data", "data"]).output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    String::from_utf8(exported.stdout).unwrap()
}

#[test]
fn state_and_positions_are_forgotten_and_committed_files_stay() {
    let dir = prepare(DOCUMENT);
    let dir = dir.path();
    let first = finish(dir, &[]);
    assert_eq!(first["sinks"]["kept"]["written"], 10);
    let (rows, files) = (lines_below(&dir.join("out/rows")), files_below(&dir.join("out")));

    assert_eq!(finish(dir, &[])["sinks"]["kept"]["written"], 10, "without the flag, it goes on at the end");
    assert_eq!(files_below(&dir.join("out")), files);
    assert!(!log(dir).contains("started anew"));

    let anew = finish(dir, &["--fresh"]);
    assert_eq!(anew["sinks"]["kept"]["written"], 10, "counts begin at nothing, and no row passes for a repeated one");
    assert_eq!(lines_below(&dir.join("out/rows")), [rows.clone(), rows.clone()].concat(), "old files stay, new ones come after");
    assert!(files_below(&dir.join("out")).len() > files.len());
    let totals = lines_below(&dir.join("out/totals"));
    assert!(totals.last().unwrap().contains("\"n\":10"), "the count began at nothing: {totals:?}");
    let log = log(dir);
    assert!(log.contains("pipeline:counted started anew, its checkpoints up to epoch"), "the log tells it");

    finish(dir, &[]);
    assert_eq!(lines_below(&dir.join("out/rows")).len(), 20, "and the run after goes on from the new one");
    let verified = weir(dir).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_refused_resume_names_what_changed_and_the_way_out() {
    let dir = prepare(DOCUMENT);
    let dir = dir.path();
    finish(dir, &[]);
    std::fs::write(dir.join("counted.yaml"), DOCUMENT.replace("count(*) AS n", "count(*) AS n, max(id) AS n2")).unwrap();
    let refused = run(dir, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("totals") && said.contains("weir run --fresh"), "{said}");
    assert_eq!(finish(dir, &["--fresh"])["sinks"]["kept"]["written"], 10);
}
