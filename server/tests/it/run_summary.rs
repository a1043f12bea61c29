//! `weir run --json`: one summary object, also of a run that fails.

use crate::weir::weir;
use serde_json::{Value, json};

const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: strict
purpose: essential.service
basis: contract
sources:
  events:
    file: { path: events.ndjson }
    schema: [ { name: id, type: int64, required: true } ]
    on_malformed: fail
sinks:
  out: { from: events, file: { path: out } }
";

#[test]
fn a_run_that_fails_says_why_and_still_gives_its_counts() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("strict.yaml"), DOCUMENT).unwrap();
    std::fs::write(dir.path().join("events.ndjson"), "{\"id\": 1}\nnot json\n").unwrap();
    let run = || weir(dir.path()).args(["run", "strict.yaml", "--data", "data", "--json"]).output().unwrap();
    let failed = run();
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains("error: ") && said.contains("events"), "{said}");
    let summary: Value = serde_json::from_slice(&failed.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((&summary["pipeline"], &summary["status"]), (&json!("strict"), &json!("failed")));
    assert_eq!(summary["checkpoints"], 0);
    assert_eq!(summary["sinks"]["out"], json!({ "in": 0, "written": 0 }), "nothing was committed");
    assert!(summary["evidence"]["leaves"].as_u64() > Some(0));

    std::fs::write(dir.path().join("events.ndjson"), "{\"id\": 1}\n{\"id\": 2}\n").unwrap();
    let mended = run();
    assert_eq!(mended.status.code(), Some(0), "{}", String::from_utf8_lossy(&mended.stderr));
    let summary: Value = serde_json::from_slice(&mended.stdout).unwrap();
    assert_eq!(summary["status"], "finished");
    assert_eq!(summary["sinks"]["out"], json!({ "in": 2, "written": 2 }));
    assert_eq!(summary.get("alerts"), None, "there is no alert step to tell of");
}
