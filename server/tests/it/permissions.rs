//! Who is refused what, with which answer, and that each refusal is on record.

use crate::common::Server;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

/// Denied entries of the audit log for an action.
async fn denied(server: &Server, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/projects/main/audit?outcome=denied&action={action}");
    let answer = server.get(&path, &server.admin).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.value()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_viewer_who_deploys_is_refused_and_the_refusal_is_in_the_audit_log() {
    let server = Server::start().await;
    let viewer = server.member("vera", "viewer").await;
    let id = server.get("/api/v1/session", &viewer).await.value()["id"].as_str().unwrap().to_owned();
    let document = include_str!("data/valid.yaml");
    let made = server.post("/api/v1/projects/main/pipelines", &server.admin, json!({ "document": document, "note": null })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());

    let refused = server.post("/api/v1/projects/main/pipelines/clicks/deploy", &viewer, json!({})).await;
    assert_eq!(refused.problem(403), "/problems/denied");

    let entries = denied(&server, "pipeline.deploy").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["request_id"], refused.header("x-request-id"), "the entry names the very request");
    assert!(entries[0].to_string().contains(&id), "the entry names who it was");
    assert_eq!(entries[0]["outcome"], "denied");
}

#[tokio::test]
async fn what_a_viewer_may_not_do_is_forbidden_and_what_they_may_not_see_is_missing() {
    let server = Server::start().await;
    let viewer = server.member("vera", "viewer").await;
    let main = "/api/v1/projects/main";
    let cases: &[(Method, String, Option<Value>, u16)] = &[
        (Method::GET, format!("{main}/pipelines"), None, 200),
        (Method::GET, format!("{main}/runs"), None, 200),
        (Method::GET, format!("{main}/quarantine"), None, 200),
        (Method::GET, format!("{main}/alerts"), None, 200),
        (Method::POST, format!("{main}/pipelines"), Some(json!({ "document": "x", "note": null })), 403),
        (Method::POST, format!("{main}/contracts"), Some(json!({ "document": "x" })), 403),
        (Method::GET, format!("{main}/audit"), None, 403),
        (Method::GET, format!("{main}/audit/head"), None, 403),
        (Method::POST, format!("{main}/audit/verify"), None, 403),
        (Method::GET, format!("{main}/audit/bundle"), None, 403),
        (Method::GET, format!("{main}/quarantine/export"), None, 403),
        (Method::POST, format!("{main}/consent/show"), Some(json!({ "subject": "c-1" })), 403),
        (Method::PUT, format!("{main}/consent"), Some(json!({ "subject": "c-1", "purpose": "p", "state": "granted" })), 403),
        (Method::POST, format!("{main}/users"), Some(json!({ "name": "eve", "roles": ["admin"] })), 403),
        (Method::GET, "/api/v1/users".to_owned(), None, 403),
        (Method::GET, "/api/v1/projects/elsewhere/pipelines".to_owned(), None, 404),
    ];
    for (method, path, body, status) in cases {
        let answer = server.send(method.clone(), path, &viewer, body.clone()).await;
        assert_eq!(answer.status.as_u16(), *status, "{method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_project_of_others_and_one_that_does_not_exist_look_the_same() {
    let server = Server::start().await;
    let made = server.post("/api/v1/projects", &server.admin, json!({ "slug": "secret", "title": null })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let viewer = server.member("vera", "viewer").await;
    let mut answers = Vec::new();
    for project in ["secret", "absent"] {
        let answer = server.get(&format!("/api/v1/projects/{project}/pipelines"), &viewer).await;
        assert_eq!(answer.problem(404), "/problems/not-found");
        let mut text = answer.value();
        for own in ["request_id", "instance"] {
            text[own] = json!(null);
        }
        answers.push(text.to_string().replace(project, "PROJECT"));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_token_may_what_its_scopes_say_in_its_project_and_no_more() {
    let server = Server::start().await;
    let engineer = server.member("erik", "engineer").await;
    let body = json!({ "name": "ci", "scopes": ["pipeline.read"], "expires_in_seconds": 600 });
    let made = server.post("/api/v1/projects/main/tokens", &engineer, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let jwt = made.value()["jwt"].as_str().unwrap().to_owned();
    let id = made.value()["token"]["id"].as_str().unwrap().to_owned();

    let with = |method: Method, path: &str| {
        let request = axum::http::Request::builder().method(method).uri(path).header("authorization", format!("Bearer {jwt}"));
        request.header("content-type", "application/json").body(axum::body::Body::from("{}")).unwrap()
    };
    assert_eq!(server.raw(with(Method::GET, "/api/v1/projects/main/pipelines")).await.status, StatusCode::OK);
    let refused = server.raw(with(Method::POST, "/api/v1/projects/main/pipelines/clicks/deploy")).await;
    assert!(matches!(refused.status.as_u16(), 403 | 404), "{}", refused.text());
    assert_eq!(server.raw(with(Method::GET, "/api/v1/projects/main/runs")).await.problem(403), "/problems/denied");

    let revoked = server.delete(&format!("/api/v1/projects/main/tokens/{id}"), &engineer).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(server.raw(with(Method::GET, "/api/v1/projects/main/pipelines")).await.problem(401), "/problems/unauthenticated");
}

#[tokio::test]
async fn tokens_verify_with_the_published_keys_alone() {
    let server = Server::start().await;
    let keys = server.get("/.well-known/jwks.json", "").await;
    assert_eq!(keys.status, StatusCode::OK);
    let key = &keys.value()["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
    assert!(key["kid"].is_string() && key["x"].is_string());
    assert!(key.get("d").is_none(), "the private half stays here");
}
