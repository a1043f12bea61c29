//! Consent over HTTP, on a pipeline that runs.

use crate::common::{MAIN, Server, until};
use crate::people::{DOCUMENT, PURPOSE, post_row};
use axum::http::StatusCode;
use serde_json::json;

async fn say(server: &Server, cookie: &str, state: &str) {
    let body = json!({ "subject": "ann@example.com", "purpose": PURPOSE, "state": state });
    let answer = server.put(&format!("{MAIN}/consent"), cookie, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// Waits until the pipeline has decided on so many rows, and returns how many it let through.
async fn passed(server: &Server, decided: u64) -> u64 {
    until("decisions about consent", async || {
        let counters = server.counters("people", "allowed").await?;
        (counters["rows_in"].as_u64()? >= decided).then_some(counters["rows_out"].as_u64()?)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_says_counts_for_the_pipeline_that_runs() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("people", DOCUMENT).await;
    let compliance = server.member("cora", "compliance").await;

    post_row(&server, 1, "ann@example.com", Some("x")).await;
    assert_eq!(passed(&server, 1).await, 0, "nobody has asked her yet");

    let mut decided = 1;
    let mut let_through = 0;
    for (state, passes) in [("granted", true), ("withdrawn", false), ("granted", true), ("denied", false)] {
        say(&server, &compliance, state).await;
        // Rows are posted until one is decided by what she said last; from then on all are.
        let mut took_effect = false;
        for _ in 0..200 {
            post_row(&server, decided, "ann@example.com", Some("x")).await;
            decided += 1;
            let now = passed(&server, decided as u64).await;
            took_effect = (now > let_through) == passes;
            let_through = now;
            if took_effect {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(took_effect, "{state} never took effect");
        for _ in 0..3 {
            post_row(&server, decided, "ann@example.com", Some("x")).await;
            decided += 1;
        }
        let now = passed(&server, decided as u64).await;
        assert_eq!(now, let_through + if passes { 3 } else { 0 }, "{state}");
        let_through = now;
    }
    worker.stop().await;
    assert_eq!(server.written("out").len() as u64, let_through);

    // She is named nowhere in the log of who changed what.
    let log = server.get(&format!("{MAIN}/audit?limit=500"), &compliance).await.text();
    assert!(log.contains("consent.write") && !log.contains("ann@example.com"), "{log}");
}
