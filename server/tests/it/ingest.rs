//! Rows posted over HTTP: accepted once they are durable, read once, refused with the reason.

use crate::common::{MAIN, Server, until};
use axum::http::StatusCode;
use serde_json::{Value, json};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Rows posted to `posted/rows` come out in the sink `out`. Checkpoints come every `every`.
fn document(every: &str) -> String {
    format!(
        "apiVersion: weir/v1
kind: Pipeline
name: posted
purpose: essential.service
basis: contract
checkpoint: {{ every: {every} }}
batch: {{ rows: 100, wait: 5ms }}
sources:
  rows:
    http: {{ max_backlog_mib: 1 }}
    schema:
      - {{ name: id, type: int64, required: true }}
sinks:
  out: {{ from: rows, file: {{ path: out }} }}
"
    )
}

fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().filter_map(|row| row["id"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_rows_reach_the_sink_once_and_in_order() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &document("50ms")).await;
    let engineer = server.member("erik", "engineer").await;

    let lines = server.ingest("posted/rows", &engineer, &[NDJSON], "{\"id\": 1}\n{\"id\": 2}\n").await;
    assert_eq!(lines.status, StatusCode::ACCEPTED, "{}", lines.text());
    assert_eq!(lines.value(), json!({ "rows": 2, "first_row": 0, "duplicate": false }));
    let array = server.ingest("posted/rows", &engineer, &[JSON], "[{\"id\": 3},\n {\"id\":\n 4}]").await;
    assert_eq!(array.value(), json!({ "rows": 2, "first_row": 2, "duplicate": false }));

    let once = [NDJSON, ("idempotency-key", "order-7")];
    let first = server.ingest("posted/rows", &engineer, &once, "{\"id\": 5}").await;
    assert_eq!(first.value(), json!({ "rows": 1, "first_row": 4, "duplicate": false }));
    let again = server.ingest("posted/rows", &engineer, &once, "{\"id\": 5}").await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    assert_eq!(again.value(), json!({ "rows": 1, "first_row": 4, "duplicate": true }));
    let other = server.ingest("posted/rows", &engineer, &once, "{\"id\": 6}").await;
    assert_eq!(other.problem(409), "/problems/conflict");

    // The last row tells that all before it have been read.
    server.ingest("posted/rows", &engineer, &[NDJSON], "{\"id\": 99}").await;
    until("row 99 in the sink", async || ids(&server.written("out")).contains(&99).then_some(())).await;
    assert_eq!(ids(&server.written("out")), [1, 2, 3, 4, 5, 99]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_row_is_held_with_its_position_and_the_rest_goes_on() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &document("50ms")).await;
    let body = b"{\"id\": 1}\nnot json\n{\"id\": \"x\"}\n\xff\xfe\n{\"id\": 2}\n".to_vec();
    let answer = server.ingest("posted/rows", &server.admin, &[NDJSON], body).await;
    assert_eq!((answer.status, &answer.value()["rows"]), (StatusCode::ACCEPTED, &json!(5)), "{}", answer.text());
    let held = until("three held rows", async || {
        let page = server.get(&format!("{MAIN}/quarantine?pipeline=posted"), &server.admin).await.value();
        page["items"].as_array().filter(|items| items.len() == 3).cloned()
    })
    .await;
    let mut offsets: Vec<u64> = held.iter().filter_map(|row| row["offset"].as_u64()).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [1, 2, 3]);
    until("the good rows", async || (ids(&server.written("out")) == [1, 2]).then_some(())).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_behind_says_when_to_come_back_and_takes_nothing() {
    let server = Server::start().await;
    let worker = server.work().await;
    // Nothing is committed within the hour, so all that is posted waits.
    server.deploy("posted", &document("1h")).await;
    let body = format!("{{\"id\": 1}}{}\n", " ".repeat(60_000));
    let mut accepted = 0;
    let refused = loop {
        let answer = server.ingest("posted/rows", &server.admin, &[NDJSON], body.clone()).await;
        if answer.status != StatusCode::ACCEPTED {
            break answer;
        }
        assert_eq!(answer.value()["first_row"], accepted);
        accepted += 1;
        assert!(accepted < 40, "two mebibytes wait where one may");
    };
    assert_eq!(refused.problem(429), "/problems/busy");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(refused.value()["retry_after_seconds"], seconds);
    worker.stop().await;
    // The last checkpoint commits what was read by then; what is still in the log waits for the next run.
    assert!(ids(&server.written("out")).len() <= accepted, "nothing of the refused request came through");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_accepted_is_refused_with_the_reason() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &document("50ms")).await;
    let viewer = server.member("vera", "viewer").await;
    let admin = server.admin.clone();
    let gzip = ("content-encoding", "gzip");
    let long_key = "k".repeat(129);
    let large = " ".repeat(65 << 10);
    let cases: Vec<(&str, &str, &str, Vec<(&str, &str)>, &str, u16, &str)> = vec![
        ("too large", "posted/rows", &admin, vec![NDJSON], &large, 413, "/problems/too-large"),
        ("no rows", "posted/rows", &admin, vec![NDJSON], "", 422, "/problems/invalid-request"),
        ("an empty array", "posted/rows", &admin, vec![JSON], "[]", 422, "/problems/invalid-request"),
        ("no array", "posted/rows", &admin, vec![JSON], "{\"id\": 1}", 422, "/problems/invalid-request"),
        ("a cut array", "posted/rows", &admin, vec![JSON], "[{\"id\": 1}", 422, "/problems/invalid-request"),
        ("no media type", "posted/rows", &admin, vec![], "{\"id\": 1}", 415, "/problems/invalid-request"),
        ("compressed", "posted/rows", &admin, vec![NDJSON, gzip], "{\"id\": 1}", 415, "/problems/invalid-request"),
        (
            "a long key",
            "posted/rows",
            &admin,
            vec![NDJSON, ("idempotency-key", &long_key)],
            "{}",
            400,
            "/problems/invalid-request",
        ),
        ("no such source", "posted/nowhere", &admin, vec![NDJSON], "{\"id\": 1}", 404, "/problems/not-found"),
        ("no such pipeline", "absent/rows", &admin, vec![NDJSON], "{\"id\": 1}", 404, "/problems/not-found"),
        ("a path in a name", "posted/..%2Frows", &admin, vec![NDJSON], "{\"id\": 1}", 404, "/problems/not-found"),
        ("no permission", "posted/rows", &viewer, vec![NDJSON], "{\"id\": 1}", 403, "/problems/denied"),
        ("nobody", "posted/rows", "", vec![NDJSON], "{\"id\": 1}", 401, "/problems/unauthenticated"),
    ];
    for (what, target, cookie, headers, body, status, problem) in cases {
        let answer = server.ingest(target, cookie, &headers, body.to_owned()).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
        assert_eq!(answer.problem(status), problem, "{what}");
    }
    server.post(&format!("{MAIN}/pipelines/posted/stop"), &server.admin, json!({})).await;
    let stopped = server.ingest("posted/rows", &server.admin, &[NDJSON], "{\"id\": 1}").await;
    assert_eq!(stopped.problem(409), "/problems/conflict");
    worker.stop().await;
    assert_eq!(ids(&server.written("out")), Vec::<i64>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_belongs_to_no_row() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &document("50ms")).await;
    server.ingest("posted/rows", &server.admin, &[NDJSON], "\u{feff}{\"id\": 1}\n").await;
    server.ingest("posted/rows", &server.admin, &[JSON], "\u{feff}[{\"id\": 2}]").await;
    until("both rows", async || (ids(&server.written("out")) == [1, 2]).then_some(())).await;
    worker.stop().await;
}
