//! Alerts and quality over HTTP: listed, acknowledged by permission, found in the audit log; bad questions get problem documents.

use crate::common::{MAIN, Server};
use crate::people::DOCUMENT;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_api::{AlertSeverity, WindowVerdict};
use weir_evidence::Hash;
use weir_evidence::record::CheckpointDecision;
use weir_store::alerts::{AlertChange, AlertEvent};
use weir_store::checkpoints::{self, CheckpointCommit};
use weir_store::documents::{self, DocumentKind};
use weir_store::quality::{NewObservation, NewWindow};
use weir_store::runs::{self, NewRun, RowTotals};
use weir_store::{deployments, leases, projects};

/// 2026-03-01T12:00:00Z in microseconds.
const NOON: i64 = 1_772_366_400_000_000;
const MINUTE: i64 = 60_000_000;

/// The first checkpoint of a run of `people`, as a worker would commit it: three windows, the last one broken, and two alerts.
async fn noticed(server: &Server) {
    server.deploy("people", DOCUMENT).await;
    let store = server.services.store();
    let now = server.services.now();
    let project = projects::by_slug(store, "main").await.unwrap().unwrap().id;
    let document = documents::by_name(store, project, DocumentKind::Pipeline, "people").await.unwrap().unwrap();
    let deployment = deployments::by_document(store, document.id).await.unwrap().unwrap();
    let tx = store.begin().await.unwrap();
    let new = NewRun {
        project,
        deployment: deployment.id,
        document: document.id,
        pipeline: "people".to_owned(),
        version: 1,
        document_hash: "00".repeat(32),
    };
    let run = runs::create(&tx, new, now).await.unwrap();
    let lease = leases::acquire(&tx, run.id, "a worker", Duration::from_secs(30), now).await.unwrap().unwrap();
    let alert = |step: &str, severity, message: &str| AlertEvent {
        step: step.to_owned(),
        cause: "5eed".repeat(8),
        severity,
        message: message.to_owned(),
        detail: Some("row_count is 3, below 100".to_owned()),
        at: NOON,
        change: AlertChange::Raised,
    };
    let window = |n: i64| NewWindow {
        step: "checked".to_owned(),
        start: NOON + n * MINUTE,
        end: NOON + (n + 1) * MINUTE,
        rows: 100,
        late_rows: 0,
        rules: vec![NewObservation {
            rule: "mean(amount)".to_owned(),
            metric: "mean(amount)".to_owned(),
            severity: AlertSeverity::Error,
            observed: Some(n as f64),
            verdict: if n == 2 { WindowVerdict::Broken } else { WindowVerdict::Kept },
            detail: (n == 2).then(|| "mean(amount) is 2, above 1".to_owned()),
        }],
        measures: None,
    };
    let decision = CheckpointDecision {
        run: run.id.to_string(),
        pipeline: "people".to_owned(),
        document: Hash::default(),
        plan: String::new(),
        epoch: 1,
        positions: BTreeMap::new(),
        nodes: BTreeMap::new(),
        rules: BTreeMap::new(),
        consent: BTreeMap::new(),
        masking: Vec::new(),
        lineage_digest: Hash::default(),
        lineage: None,
        sinks: BTreeMap::new(),
        checkpoint: Hash::default(),
    };
    let commit = CheckpointCommit {
        lease,
        renew: None,
        epoch: 1,
        at: now,
        duration_ms: None,
        plan_fingerprint: String::new(),
        content: Vec::new(),
        positions: json!([]),
        counters: json!([]),
        totals: RowTotals::default(),
        new_subject_keys: Vec::new(),
        quarantine: Vec::new(),
        metrics: None,
        windows: (0..3).map(window).collect(),
        alerts: vec![
            alert("volume", AlertSeverity::Critical, "fewer people than usual"),
            alert("amounts", AlertSeverity::Warn, "amounts are high"),
        ],
        decision: Box::new(decision),
    };
    checkpoints::commit(&tx, commit).await.unwrap();
    tx.commit().await.unwrap();
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap()
}

#[tokio::test]
async fn an_alert_is_listed_acknowledged_and_found_in_the_audit_log() {
    let server = Server::start().await;
    noticed(&server).await;
    let viewer = server.member("vera", "viewer").await;
    let engineer = server.member("erik", "engineer").await;
    let compliance = server.member("cora", "compliance").await;

    let page = server.get(&format!("{MAIN}/alerts?severity=error&pipeline=people&state=open"), &viewer).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let page = page.value();
    assert_eq!(items(&page).len(), 1, "{page}");
    let alert = &items(&page)[0];
    assert_eq!(
        (&alert["step"], &alert["state"], &alert["raised_at"]),
        (&json!("volume"), &json!("open"), &json!("2026-03-01T12:00:00Z"))
    );
    let address = format!("{MAIN}/alerts/{}", alert["id"].as_str().unwrap());
    assert_eq!(server.get(&address, &viewer).await.value(), *alert);

    let acknowledge = format!("{address}/acknowledge");
    assert_eq!(server.post(&acknowledge, &viewer, json!({})).await.problem(403), "/problems/denied");
    let done = server.post(&acknowledge, &engineer, json!({ "note": "the feed is down" })).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    assert_eq!(done.value()["acknowledged"]["by"]["name"], "erik");
    assert_eq!(server.post(&acknowledge, &engineer, json!({})).await.problem(409), "/problems/conflict");

    let leaf = alert["raised_leaf"].as_u64().unwrap();
    let entry = server.get(&format!("{MAIN}/audit/{leaf}"), &compliance).await.value();
    assert_eq!((&entry["kind"], &entry["action"]), (&json!("alert"), &json!("alert.raise")));
    assert_eq!(entry["leaf"]["body"]["message"], "fewer people than usual");
    let found = server.get(&format!("{MAIN}/audit?action=alert.acknowledge"), &compliance).await.value();
    let outcomes: Vec<&Value> = items(&found).iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(outcomes, ["allowed", "denied"], "newest first: {found}");
    let overview = server.get(&format!("{MAIN}/overview"), &viewer).await.value();
    assert_eq!(overview["open_alerts"], json!({ "total": 2, "unacknowledged": 1, "worst": "critical" }));
}

#[tokio::test]
async fn a_series_is_shown_window_by_window() {
    let server = Server::start().await;
    noticed(&server).await;
    let viewer = server.member("vera", "viewer").await;
    let rules = server.get(&format!("{MAIN}/pipelines/people/quality"), &viewer).await.value();
    assert_eq!((&rules[0]["rule"], &rules[0]["windows"], &rules[0]["broken"]), (&json!("mean(amount)"), &json!(3), &json!(1)));
    let series = format!("{MAIN}/pipelines/people/quality/series?step=checked&rule=mean(amount)");
    let found = server.get(&series, &viewer).await.value();
    let verdicts: Vec<&Value> = found["points"].as_array().unwrap().iter().map(|point| &point["verdict"]).collect();
    assert_eq!(verdicts, ["kept", "kept", "broken"]);
    assert_eq!(found["points"][2]["detail"], "mean(amount) is 2, above 1");
    let cut = server.get(&format!("{series}&from=2026-03-01T12:01:00Z&until=2026-03-01T12:02:00Z"), &viewer).await.value();
    assert_eq!(cut["points"].as_array().unwrap().len(), 1, "{cut}");
    assert_eq!((&cut["points"][0]["value"], &cut["points"][0]["no_value"]), (&json!(1.0), &Value::Null));
    assert_eq!(server.get(&format!("{series}&resolution=window"), &viewer).await.value(), found);
}

#[tokio::test]
async fn a_series_is_shown_by_hours_and_days_which_say_why_they_have_no_value() {
    let server = Server::start().await;
    noticed(&server).await;
    let viewer = server.member("vera", "viewer").await;
    let series = format!("{MAIN}/pipelines/people/quality/series?step=checked&rule=mean(amount)");
    for (resolution, seconds, start, end) in [
        ("hour", 3_600.0, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"),
        ("day", 86_400.0, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
    ] {
        let found = server.get(&format!("{series}&resolution={resolution}"), &viewer).await.value();
        assert_eq!(found["bucket_seconds"], seconds);
        let points = found["points"].as_array().unwrap();
        assert_eq!(points.len(), 1, "{found}");
        let point = &points[0];
        assert_eq!((&point["start"], &point["end"]), (&json!(start), &json!(end)));
        assert_eq!((&point["windows"], &point["broken"], &point["rows"]), (&json!(3), &json!(1), &json!(300)));
        assert_eq!((&point["value"], &point["no_value"]), (&Value::Null, &json!("not_kept")));
        assert_eq!((&point["low"], &point["high"]), (&json!(0.0), &json!(2.0)));
    }
}

#[tokio::test]
async fn bad_questions_get_problem_documents() {
    let server = Server::start().await;
    noticed(&server).await;
    let admin = &server.admin;
    let alert = items(&server.get(&format!("{MAIN}/alerts"), admin).await.value())[0]["id"].as_str().unwrap().to_owned();
    let series = format!("{MAIN}/pipelines/people/quality/series?step=checked&rule=mean(amount)");
    let cases: &[(Method, String, Option<Value>, u16)] = &[
        (Method::GET, format!("{MAIN}/alerts?severity=bad"), None, 400),
        (Method::GET, format!("{MAIN}/alerts?state=closed"), None, 400),
        (Method::GET, format!("{MAIN}/alerts?after=nowhere"), None, 422),
        (Method::GET, format!("{MAIN}/alerts/no-id"), None, 404),
        (Method::GET, format!("{MAIN}/alerts/{}", weir_api::AlertId::generate()), None, 404),
        (Method::POST, format!("{MAIN}/alerts/{alert}/acknowledge"), Some(json!({ "note": "x".repeat(501) })), 422),
        (Method::POST, format!("{MAIN}/alerts/{alert}/acknowledge"), Some(json!({ "nots": "x" })), 422),
        (Method::GET, format!("{MAIN}/pipelines/people/quality/series?step=checked"), None, 400),
        (Method::GET, format!("{series}&points=0"), None, 422),
        (Method::GET, format!("{series}&resolution=week"), None, 400),
        (Method::GET, format!("{series}&from=yesterday"), None, 400),
        (Method::GET, format!("{series}&from=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z"), None, 422),
        (Method::GET, format!("{MAIN}/pipelines/people/quality/series?step=checked&rule=none"), None, 404),
        (Method::GET, format!("{MAIN}/pipelines/nobody/quality"), None, 404),
    ];
    for (method, path, body, status) in cases {
        let answer = server.send(method.clone(), path, admin, body.clone()).await;
        assert_eq!(answer.status.as_u16(), *status, "{method} {path}: {}", answer.text());
        answer.problem(*status);
    }
}
