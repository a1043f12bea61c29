//! Rates as Server-Sent Events.

use crate::common::{MAIN, Server};
use crate::people::DOCUMENT;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_pushed_while_the_pipeline_runs_and_the_stream_ends_with_the_server() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("people", DOCUMENT).await;
    let request = Request::get(format!("{MAIN}/pipelines/people/live")).header("cookie", &server.admin);
    let response = server.open(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains("\n\n") {
        let frame = body.frame().await.expect("the stream goes on").unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let event = seen.split("\n\n").next().unwrap();
    assert!(event.contains("event: rates"), "{event}");
    let reading = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let reading: Value = serde_json::from_str(reading).unwrap();
    let nodes: Vec<&str> = reading["nodes"].as_array().unwrap().iter().filter_map(|node| node["node"].as_str()).collect();
    assert_eq!(reading["pipeline"], "people");
    assert_eq!(nodes, ["rows", "checked", "allowed", "safe", "out"]);
    server.stopping.cancel();
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&rest).ends_with("event: end\ndata: {}\n\n"), "{rest:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_listen_any_more_does_not_listen_on() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("people", DOCUMENT).await;
    let made = serde_json::json!({ "name": "ears", "scopes": ["run.read", "pipeline.read"], "expires_in_seconds": null });
    let made = server.post(&format!("{MAIN}/tokens"), &server.admin, made).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let (jwt, id) = (made.value()["jwt"].as_str().unwrap().to_owned(), made.value()["token"]["id"].as_str().unwrap().to_owned());
    let request = Request::get(format!("{MAIN}/pipelines/people/live")).header("authorization", format!("Bearer {jwt}"));
    let response = server.open(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    server.delete(&format!("{MAIN}/tokens/{id}"), &server.admin).await;
    // Without this the stream would last two minutes.
    let rest = tokio::time::timeout(std::time::Duration::from_secs(60), response.into_body().collect()).await;
    let rest = rest.expect("it ends by itself").unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&rest).contains("event: end"), "there is more, but not for this one");
    worker.stop().await;
}
