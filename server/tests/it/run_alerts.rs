//! `weir run` with alert steps: what it tells, and that nothing comes twice.

use crate::weir::weir;
use serde_json::{Value, json};
use std::path::Path;

const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: watched
purpose: essential.service
basis: contract
sources:
  payments:
    file: { path: payments.ndjson }
    schema: [ { name: at, type: timestamp }, { name: amount, type: int64 } ]
    event_time: { column: at, max_delay: 0s }
steps:
  large: { alert: { from: payments, when: amount > 100, resolve_after: 10s, message: Somebody pays much } }
sinks:
  out: { from: payments, file: { path: out } }
";

/// One alert that ends, and one that lasts.
const ROWS: &str = "\
{\"at\": \"2026-01-01T00:00:01Z\", \"amount\": 500}
{\"at\": \"2026-01-01T00:00:02Z\", \"amount\": 600}
{\"at\": \"2026-01-01T00:00:30Z\", \"amount\": 1}
{\"at\": \"2026-01-01T00:00:31Z\", \"amount\": 700}
";

fn run(dir: &Path, more: &[&str]) -> Value {
    let ran = weir(dir).args(["run", "watched.yaml", "--data", "data", "--json"]).args(more).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(text.trim_end().ends_with("}}") && text.find("\"alerts\"") > text.find("\"evidence\""), "it comes last: {text}");
    assert!(!String::from_utf8_lossy(&ran.stderr).contains("Somebody pays"), "nobody watches a pipe");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_summary_tells_of_alerts_and_a_fresh_start_raises_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("watched.yaml"), DOCUMENT).unwrap();
    std::fs::write(dir.path().join("payments.ndjson"), ROWS).unwrap();
    let expected = json!({ "raised": 2, "resolved": 1, "open": 1 });
    assert_eq!(run(dir.path(), &[])["alerts"], expected);
    assert_eq!(run(dir.path(), &[])["alerts"], expected, "run again, nothing is new");
    assert_eq!(run(dir.path(), &["--fresh"])["alerts"], expected, "all of it is noticed again, and is the same");

    let verified = weir(dir.path()).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_pipeline_that_only_watches_needs_no_sink() {
    let dir = tempfile::tempdir().unwrap();
    let (document, _) = DOCUMENT.split_once("sinks:").unwrap();
    std::fs::write(dir.path().join("watched.yaml"), document).unwrap();
    std::fs::write(dir.path().join("payments.ndjson"), ROWS).unwrap();
    let summary = run(dir.path(), &[]);
    assert_eq!((&summary["status"], &summary["sinks"]), (&json!("finished"), &json!({})));
    assert_eq!(summary["alerts"], json!({ "raised": 2, "resolved": 1, "open": 1 }));
    assert_eq!(run(dir.path(), &[])["sources"]["payments"]["in"], 4, "the place in the input is kept without a sink");
}
