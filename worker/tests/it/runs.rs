//! What a run does with rows, and what it leaves on record.

use serde_json::{Value, json};
use weir_engine::{EngineError, Status};
use weir_store::{evidence, quarantine};
use weir_worker::WorkerError;

use crate::harness::Instance;

const PAYMENTS: &str = "
apiVersion: weir/v1
kind: Pipeline
name: payments
purpose: essential.fraud_detection
basis: legitimate_interest
parallelism: 2
checkpoint: { every: 50ms }
batch: { rows: 3, wait: 5ms }
sources:
  input:
    file: { path: input.ndjson }
    schema:
      - { name: id, type: int64, required: true }
      - { name: email, type: string, classification: confidential, categories: [user.contact.email] }
      - { name: amount, type: float64 }
    subject: email
steps:
  checked:
    quality:
      from: input
      rules:
        - between: { column: amount, min: 0, max: 100 }
        - format: { column: email, is: email }
        - unique: { columns: [id], within: 1h }
  safe:
    mask: { from: checked, columns: { email: { hash: {} } } }
  picked:
    sql: SELECT id, email, amount * 2 AS double FROM safe WHERE id <> 4
sinks:
  out: { from: picked, file: { path: out }, format: json }
";

fn rows(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_written_or_accounted_for() {
    let weir = Instance::new().await;
    let mut input = rows(&[
        json!({"id": 1, "email": "a@example.org", "amount": 1.5}),
        json!({"id": 2, "email": "b@example.org", "amount": 200}),
        json!({"id": 3, "email": "not an address", "amount": -1}),
        json!({"id": 4, "email": "d@example.org", "amount": 4}),
        json!({"id": 1, "email": "e@example.org", "amount": 5}),
        json!({"id": "six", "email": "f@example.org"}),
        json!({"id": 7, "email": null, "amount": 7}),
    ]);
    input.push_str("{\"id\": 8, \n");
    weir.write("input.ndjson", &input);

    let outcome = weir.run(PAYMENTS).await.unwrap();
    assert_eq!(outcome.status, Status::Finished);
    let summary = serde_json::to_value(&outcome.summary).unwrap();
    assert_eq!(summary["sources"]["input"], json!({"in": 8, "malformed": 2, "late": 0, "out": 6}));
    assert_eq!(summary["steps"]["checked"], json!({"in": 6, "out": 3, "quarantined": 3, "denied": 0, "late": 0, "dropped": 0}));
    assert_eq!(summary["steps"]["picked"], json!({"in": 3, "out": 2, "quarantined": 0, "denied": 0, "late": 0, "dropped": 1}));
    assert_eq!(summary["sinks"]["out"], json!({"in": 2, "written": 2}));

    let out: Vec<Value> = weir.output("out").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        out.iter().map(|row| (&row["id"], &row["double"])).collect::<Vec<_>>(),
        [(&json!(1), &json!(3.0)), (&json!(7), &json!(14.0))]
    );
    assert_eq!(out[0]["email"].as_str().unwrap().len(), 64, "a keyed hash");
    assert_eq!(out[1]["email"], Value::Null);

    let project = weir.cx().await.project().unwrap().id;
    let held = quarantine::list(weir.services.store(), project, quarantine::SegmentFilter { limit: 100, ..Default::default() })
        .await
        .unwrap();
    let mut reasons: Vec<(u64, Vec<String>)> = held
        .items
        .iter()
        .flat_map(|segment| serde_json::from_str::<Vec<weir_vault::quarantine::Entry>>(&segment.entries).unwrap())
        .map(|entry| (entry.offset, entry.reasons.iter().map(|reason| reason.rule.clone()).collect()))
        .collect();
    reasons.sort();
    let expected = [
        (1, vec!["between(amount)"]),
        (2, vec!["between(amount)", "format(email)"]),
        (4, vec!["unique(id)"]),
        (5, vec!["wrong_type"]),
        (7, vec!["syntax"]),
    ];
    assert_eq!(reasons, expected.map(|(row, rules)| (row, rules.into_iter().map(str::to_owned).collect())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_nothing_to_do_and_counts_stay() {
    let weir = Instance::new().await;
    weir.write("input.ndjson", rows(&[json!({"id": 1, "email": "a@example.org", "amount": 1})]));
    let first = weir.run(PAYMENTS).await.unwrap().summary;
    let second = weir.run(PAYMENTS).await.unwrap().summary;
    assert_eq!((first.sources, first.sinks), (second.sources, second.sinks));
    assert_eq!(weir.output("out").len(), 1);
    assert!(second.evidence.leaves > first.evidence.leaves, "the second run is on record too");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_run_verifies_and_holds_its_decisions() {
    let weir = Instance::new().await;
    weir.write("input.ndjson", rows(&[json!({"id": 1, "email": "a@example.org", "amount": 1})]));
    let summary = weir.run(PAYMENTS).await.unwrap().summary;
    let log = evidence::state(weir.services.store()).await.unwrap();
    assert_eq!(summary.evidence.leaves, log.range.size() - 1, "the run's end comes after its last checkpoint");
    let mut kinds = Vec::new();
    for seq in 0..log.range.size() {
        let leaf = evidence::by_seq(weir.services.store(), seq).await.unwrap().unwrap();
        if leaf.run.is_some() {
            kinds.push(leaf.kind);
        }
    }
    assert_eq!(kinds, ["run_started", "checkpoint", "run_ended"]);
    let verified = weir_service::audit::verify(&weir.cx().await).await.unwrap();
    assert!(serde_json::to_value(&verified).unwrap().to_string().contains("true"), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_document_runs_nothing_and_names_the_path() {
    let weir = Instance::new().await;
    weir.write("input.ndjson", "");
    let leaking = PAYMENTS.replace("from: picked", "from: checked");
    let Err(WorkerError::Document(findings)) = weir.run(&leaking).await else { panic!("a leak must not run") };
    let leak = findings.iter().find(|finding| finding.code == "leak").unwrap();
    assert!(leak.notes.iter().any(|note| note.contains("email")), "{leak:?}");
    assert!(!weir.path("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_malformed_fail_ends_the_run_and_commits_nothing_of_it() {
    let weir = Instance::new().await;
    weir.write("input.ndjson", "{\"id\": 1, \"amount\": 1}\nnot json\n");
    let strict = PAYMENTS.replace("    subject: email\n", "    subject: email\n    on_malformed: fail\n");
    let Err(WorkerError::Engine(EngineError::Stopped { message, .. })) = weir.run(&strict).await else {
        panic!("the run must fail")
    };
    assert!(message.contains("line 2 of input.ndjson is malformed"), "{message}");
    assert!(weir.output("out").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_where_state_depends_on_it_is_refused_by_name() {
    let weir = Instance::new().await;
    weir.write("input.ndjson", rows(&[json!({"id": 1, "email": "a@example.org", "amount": 1})]));
    weir.run(PAYMENTS).await.unwrap();
    weir.write("other.ndjson", "");
    let changed = PAYMENTS.replace("input.ndjson", "other.ndjson");
    let Err(WorkerError::Engine(EngineError::Resume(message))) = weir.run(&changed).await else {
        panic!("the state must be refused")
    };
    assert!(message.contains("`input`") && message.contains("input.ndjson"), "{message}");
    let harmless = PAYMENTS.replace("max: 100", "max: 1000");
    weir.run(&harmless).await.unwrap();
}
