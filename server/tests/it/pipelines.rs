//! Pipelines over the API: created, validated, changed, deployed, stopped, deleted.

use crate::common::{Server, until};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use weir_store::runs::{self, NewRun};
use weir_store::{deployments, leases};

const PIPELINES: &str = "/api/v1/projects/main/pipelines";

/// A pipeline that plans: a generator to files.
fn document(name: &str, note: &str) -> String {
    format!(
        "apiVersion: weir/v1
kind: Pipeline
name: {name}
description: {note}
purpose: essential.fraud_detection
basis: legitimate_interest
sources:
  events:
    file: {{ path: events.ndjson }}
    format: json
    schema:
      - {{ name: id, type: int64, required: true, classification: internal }}
      - {{ name: card, type: string, classification: restricted }}
steps:
  safe:
    mask:
      from: events
      columns:
        card: {{ redact: {{}} }}
sinks:
  out:
    from: safe
    file: {{ path: out/events }}
    format: json
    clearance: internal
"
    )
}

#[tokio::test]
async fn a_pipeline_is_created_read_changed_and_deleted() {
    let server = Server::start().await;
    let made = server.post(PIPELINES, &server.admin, json!({ "document": document("clicks", "first"), "note": null })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let location = made.header("location").to_owned();
    assert_eq!(location, "/api/v1/projects/main/pipelines/clicks");

    let read = server.get(&location, &server.admin).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.value()["summary"]["state"], "draft");
    assert_eq!(read.value()["document"], document("clicks", "first"), "exactly as it was written");

    let change = json!({ "document": document("clicks", "second"), "expected_version": 1, "note": "reworded" });
    assert_eq!(server.put(&location, &server.admin, change.clone()).await.status, StatusCode::OK);
    let stale = server.put(&location, &server.admin, change).await;
    assert_eq!(stale.problem(409), "/problems/stale");

    let versions = server.get(&format!("{location}/versions"), &server.admin).await.value();
    let numbers: Vec<&Value> = versions["items"].as_array().unwrap().iter().map(|v| &v["version"]).collect();
    assert_eq!(numbers, [2, 1]);
    let first = server.get(&format!("{location}/versions/1"), &server.admin).await.value();
    assert_eq!(first["document"], document("clicks", "first"));
    let text = server.get(&format!("{location}/document"), &server.admin).await;
    assert_eq!(text.header("content-type"), "application/yaml");
    assert_eq!(text.text(), document("clicks", "second"));
    let graph = server.get(&format!("{location}/graph"), &server.admin).await.value();
    let nodes: Vec<&Value> = graph["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(nodes, ["events", "safe", "out"]);

    assert_eq!(server.delete(&format!("{location}?expected_version=1"), &server.admin).await.problem(409), "/problems/stale");
    assert_eq!(server.delete(&format!("{location}?expected_version=2"), &server.admin).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&location, &server.admin).await.problem(404), "/problems/not-found");
}

#[tokio::test]
async fn a_name_is_given_once() {
    let server = Server::start().await;
    let body = json!({ "document": document("clicks", "x"), "note": null });
    assert_eq!(server.post(PIPELINES, &server.admin, body.clone()).await.status, StatusCode::CREATED);
    assert_eq!(server.post(PIPELINES, &server.admin, body).await.problem(409), "/problems/conflict");
}

#[tokio::test]
async fn all_errors_of_a_document_come_at_once_with_their_places() {
    let server = Server::start().await;
    let broken = document("clicks", "x").replace("redact:", "redcat:").replace("type: int64", "type: integer64");
    let answer = server.post(&format!("{PIPELINES}/validate"), &server.admin, json!({ "document": broken })).await;
    assert_eq!(answer.status, StatusCode::OK);
    let found = answer.value();
    assert_eq!(found["deployable"], false);
    let lines: Vec<u64> =
        found["diagnostics"].as_array().unwrap().iter().filter_map(|d| d["span"]["start"]["line"].as_u64()).collect();
    assert!(lines.contains(&12) && lines.contains(&19), "lines {lines:?}");

    let refused = server.post(PIPELINES, &server.admin, json!({ "document": broken, "note": null })).await;
    assert_eq!(refused.problem(422), "/problems/invalid-document");
    assert!(refused.value()["errors"].as_array().unwrap().len() >= 2);
}

#[tokio::test]
async fn a_leaking_pipeline_is_refused_with_its_path() {
    let server = Server::start().await;
    let leak = document("clicks", "x").replace("from: safe", "from: events");
    let answer = server.post(&format!("{PIPELINES}/validate"), &server.admin, json!({ "document": leak })).await.value();
    assert_eq!(answer["deployable"], false);
    let leaks: Vec<&Value> = answer["diagnostics"].as_array().unwrap().iter().filter(|d| d["code"] == "leak").collect();
    assert_eq!(leaks.len(), 1, "{answer}");
    let told = leaks[0].to_string();
    assert!(told.contains("card") && told.contains("out"), "{told}");
}

#[tokio::test]
async fn a_refused_deployment_of_a_leak_is_on_record() {
    let server = Server::start().await;
    let leak = document("clicks", "x").replace("from: safe", "from: events");
    server.post(PIPELINES, &server.admin, json!({ "document": leak, "note": null })).await;
    let refused = server.post(&format!("{PIPELINES}/clicks/deploy"), &server.admin, json!({})).await;
    assert_eq!(refused.problem(422), "/problems/invalid-document");
    let log = "/api/v1/projects/main/audit?action=pipeline.deploy&outcome=denied";
    let found = server.get(log, &server.admin).await.value();
    let items = found["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{found}");
    assert_eq!((&items[0]["actor_name"], &items[0]["resource"]), (&json!("admin"), &json!("pipeline:clicks")));
    assert_eq!(items[0]["rule"], "plan: leak(card -> out)");
    assert!(items[0]["leaf"]["body"]["after"].as_str().unwrap().starts_with("pipeline:clicks@1 sha256:"), "{found}");
}

#[tokio::test]
async fn a_pipeline_is_deployed_and_stopped() {
    let server = Server::start().await;
    let body = json!({ "document": document("clicks", "x"), "note": null });
    server.post(PIPELINES, &server.admin, body).await;
    let deployed = server.post(&format!("{PIPELINES}/clicks/deploy"), &server.admin, json!({})).await;
    assert_eq!(deployed.status, StatusCode::ACCEPTED, "{}", deployed.text());
    assert_eq!(deployed.value()["version"], 1);
    // No worker runs here, so the pipeline waits for one.
    assert_eq!(deployed.value()["state"], "starting");
    let deleted = server.delete(&format!("{PIPELINES}/clicks?expected_version=1"), &server.admin).await;
    assert_eq!(deleted.problem(409), "/problems/conflict", "what is deployed is not deleted");
    let stopped = server.post(&format!("{PIPELINES}/clicks/stop"), &server.admin, json!({})).await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED, "{}", stopped.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_whose_worker_died_is_put_on_record_by_the_next() {
    let server = Server::start().await;
    server.deploy("clicks", &document("clicks", "x")).await;
    // A worker takes the run and dies; its lease runs out.
    let store = server.services.store();
    let deployment = deployments::shall_run(store).await.unwrap().remove(0);
    let tx = store.begin().await.unwrap();
    let new = NewRun {
        project: deployment.project,
        deployment: deployment.id,
        document: deployment.document,
        pipeline: "clicks".to_owned(),
        version: 1,
        document_hash: "0".repeat(64),
    };
    let now = server.services.now();
    let run = runs::create(&tx, new, now).await.unwrap();
    leases::acquire(&tx, run.id, "dead", Duration::ZERO, now).await.unwrap().expect("nobody else has it");
    tx.commit().await.unwrap();
    let stopped = server.post(&format!("{PIPELINES}/clicks/stop"), &server.admin, json!({})).await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED, "{}", stopped.text());

    let address = format!("/api/v1/projects/main/runs/{}", run.id);
    assert_eq!(server.get(&address, &server.admin).await.value()["summary"]["state"], "stopping");
    let worker = server.work().await;
    until("the end of the run", async || {
        let run = server.get(&address, &server.admin).await.value();
        (run["summary"]["state"] == "stopped").then_some(())
    })
    .await;
    worker.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_a_projects_folder_is_not_followed_out_of_it() {
    let server = Server::start().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("theirs.ndjson"), "{\"id\":1,\"card\":\"4111\"}\n").unwrap();
    let files = server.data.path().join("files/main/in");
    std::fs::create_dir_all(&files).unwrap();
    std::os::unix::fs::symlink(outside.path().join("theirs.ndjson"), files.join("link.ndjson")).unwrap();
    server.deploy("clicks", &document("clicks", "links").replace("path: events.ndjson", "path: in/*.ndjson")).await;

    let supervisor = server.work().await;
    let failure = until("the run's failure", async || {
        let runs = server.get("/api/v1/projects/main/runs?pipeline=clicks", &server.admin).await.value();
        let id = runs["items"][0]["id"].as_str()?.to_owned();
        let run = server.get(&format!("/api/v1/projects/main/runs/{id}"), &server.admin).await.value();
        Some(run["failure"]["message"].as_str()?.to_owned())
    })
    .await;
    supervisor.stop().await;
    assert!(failure.contains("in/link.ndjson: leads to ") && failure.contains("theirs.ndjson"), "{failure}");
    assert!(server.written("out/events").is_empty());
}

/// Rows that are posted, with a limit to how many may wait, into a folder.
fn posted(backlog_mib: u64, folder: &str) -> String {
    format!(
        "apiVersion: weir/v1\nkind: Pipeline\nname: posted\npurpose: essential.service\nbasis: contract\n\
         checkpoint: {{ every: 50ms }}\nbatch: {{ rows: 100, wait: 5ms }}\n\
         sources:\n  rows: {{ http: {{ max_backlog_mib: {backlog_mib} }}, schema: [ {{ name: id, type: int64, required: true }} ] }}\n\
         sinks:\n  out: {{ from: rows, file: {{ path: {folder} }} }}\n"
    )
}

async fn change(server: &Server, version: u32, document: String) {
    let body = json!({ "document": document, "expected_version": version, "note": null });
    let changed = server.put(&format!("{PIPELINES}/posted"), &server.admin, body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
}

/// Waits until a run of this version has this state.
async fn until_run(server: &Server, version: u32, state: &str) {
    until(&format!("version {version} {state}"), async || {
        let runs = server.get("/api/v1/projects/main/runs?pipeline=posted", &server.admin).await.value();
        let run = &runs["items"][0];
        assert_ne!(run["state"], "failed", "{run}");
        (run["version"] == version && run["state"] == state).then_some(())
    })
    .await;
}

async fn post_id(server: &Server, id: u32) {
    let row = json!({ "id": id }).to_string();
    let answer = server.ingest("posted/rows", &server.admin, &[("content-type", "application/x-ndjson")], row).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
}

async fn until_written(server: &Server, folder: &str, ids: &[u32]) {
    until(&format!("{ids:?} in {folder}"), async || {
        let written = server.written(folder);
        (written.iter().map(|row| row["id"].as_u64().unwrap() as u32).collect::<Vec<_>>() == ids).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_fast_a_source_may_be_is_changed_without_losing_its_place() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &posted(64, "out")).await;
    post_id(&server, 1).await;
    until_written(&server, "out", &[1]).await;
    change(&server, 1, posted(1, "out")).await;
    let deployed = server.post(&format!("{PIPELINES}/posted/deploy"), &server.admin, json!({})).await;
    assert_eq!(deployed.status, StatusCode::ACCEPTED, "{}", deployed.text());
    until_run(&server, 2, "running").await;
    post_id(&server, 2).await;
    until_written(&server, "out", &[1, 2]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_could_not_go_on_is_refused_before_the_run_is_stopped() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &posted(64, "out")).await;
    until_run(&server, 1, "running").await;
    change(&server, 1, posted(64, "elsewhere")).await;
    let deploy = format!("{PIPELINES}/posted/deploy");
    // Whether it has made a checkpoint by now or not.
    let refused = server.post(&deploy, &server.admin, json!({})).await;
    assert_eq!(refused.problem(409), "/problems/conflict");
    let detail = refused.value()["detail"].as_str().unwrap().to_owned();
    for told in ["`out`", "\"out\"", "\"elsewhere\"", "fresh", "new", "Version 1 runs on"] {
        assert!(detail.contains(told), "{told}: {detail}");
    }
    post_id(&server, 1).await;
    until_written(&server, "out", &[1]).await;
    assert_eq!(server.post(&deploy, &server.admin, json!({})).await.problem(409), "/problems/conflict");
    let fresh = json!({ "fresh": true });
    let refused = server.post(&deploy, &server.admin, fresh.clone()).await;
    assert_eq!(refused.problem(409), "/problems/conflict", "what runs is stopped first");
    until_run(&server, 1, "running").await;

    server.post(&format!("{PIPELINES}/posted/stop"), &server.admin, json!({})).await;
    until_run(&server, 1, "stopped").await;
    assert_eq!(server.post(&deploy, &server.admin, json!({})).await.problem(409), "/problems/conflict", "stopped or not");
    let deployed = server.post(&deploy, &server.admin, fresh).await;
    assert_eq!(deployed.status, StatusCode::ACCEPTED, "{}", deployed.text());
    until_run(&server, 2, "running").await;
    post_id(&server, 2).await;
    until_written(&server, "elsewhere", &[2]).await;
    assert_eq!(server.written("out").len(), 1, "what was written stays");
    let found = server.get("/api/v1/projects/main/audit?action=pipeline.deploy", &server.admin).await.text();
    assert!(found.contains("anew, checkpoints up to epoch"), "it is on record: {found}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_posted_to_a_pipeline_goes_with_it() {
    let server = Server::start().await;
    let worker = server.work().await;
    server.deploy("posted", &posted(64, "out")).await;
    post_id(&server, 1).await;
    until_written(&server, "out", &[1]).await;
    let ingest = server.data.path().join("ingest");
    let folders = || std::fs::read_dir(&ingest).unwrap().count();
    assert_eq!(folders(), 1);
    server.post(&format!("{PIPELINES}/posted/stop"), &server.admin, json!({})).await;
    until_run(&server, 1, "stopped").await;
    let left = std::fs::read_dir(&ingest).unwrap().next().unwrap().unwrap().path();
    let deleted = server.delete(&format!("{PIPELINES}/posted?expected_version=1"), &server.admin).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{}", deleted.text());
    assert_eq!(folders(), 0);
    assert_eq!(server.written("out").len(), 1, "what it has written stays");
    let found = server.get("/api/v1/projects/main/audit?action=pipeline.delete", &server.admin).await.text();
    assert!(found.contains("removed: rows posted to deployment"), "{found}");
    worker.stop().await;

    // A process that was killed in between has left it behind; so may be the folder of nobody we know.
    std::fs::create_dir_all(left.join("rows")).unwrap();
    std::fs::create_dir_all(ingest.join(uuid::Uuid::nil().to_string())).unwrap();
    let worker = server.work().await;
    assert!(!left.exists());
    assert_eq!(folders(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn what_has_no_body_is_deployed_by_default() {
    let server = Server::start().await;
    server.post(PIPELINES, &server.admin, json!({ "document": document("clicks", "x"), "note": null })).await;
    let deployed = server.send(axum::http::Method::POST, &format!("{PIPELINES}/clicks/deploy"), &server.admin, None).await;
    assert_eq!(deployed.status, StatusCode::ACCEPTED, "{}", deployed.text());
    assert_eq!(deployed.value()["version"], 1);
}
