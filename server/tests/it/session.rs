//! Signing in and out, who one is, and what the cookie is like.

use crate::common::{PASSWORD, Server};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

#[tokio::test]
async fn a_session_begins_lasts_and_ends() {
    let server = Server::start().await;
    let viewer = server.member("vera", "viewer").await;

    let me = server.get("/api/v1/session", &viewer).await;
    assert_eq!(me.status, StatusCode::OK);
    assert_eq!(me.value()["name"], "vera");
    assert_eq!(me.value()["roles"], json!(["viewer"]));

    let out = server.delete("/api/v1/session", &viewer).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(out.header("set-cookie"), "weir_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    assert_eq!(server.get("/api/v1/session", &viewer).await.problem(401), "/problems/unauthenticated");
}

#[tokio::test]
async fn the_cookie_is_for_this_host_over_https_only_once_the_server_is_public() {
    let local = Server::start().await;
    assert!(local.admin.starts_with("weir_session="), "{}", local.admin);
    let public = Server::at(Some("https://weir.example")).await;
    assert!(public.admin.starts_with("__Host-weir_session="), "{}", public.admin);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let server = Server::start().await;
    server.member("vera", "viewer").await;
    let mut answers = Vec::new();
    for (name, password) in [("vera", "not her password"), ("nobody", PASSWORD)] {
        let answer = server.post("/api/v1/session", "", json!({ "name": name, "password": password })).await;
        assert_eq!(answer.problem(401), "/problems/sign-in-failed");
        assert!(answer.header("set-cookie").is_empty());
        let mut problem = answer.value();
        problem["request_id"] = json!(null);
        answers.push(problem);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn too_many_failures_lock_the_user_out_and_say_for_how_long() {
    let server = Server::start().await;
    server.member("vera", "viewer").await;
    for _ in 0..20 {
        let answer = server.post("/api/v1/session", "", json!({ "name": "vera", "password": "guess" })).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.problem(429), "/problems/locked");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            // The right password does not open it either.
            let right = server.post("/api/v1/session", "", json!({ "name": "vera", "password": PASSWORD })).await;
            assert_eq!(right.problem(429), "/problems/locked");
            return;
        }
    }
    panic!("twenty failures in a row locked nobody out");
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let server = Server::start().await;
    let one = server.member("vera", "viewer").await;
    let other = server.sign_in("vera", PASSWORD).await;
    let body = json!({ "current": PASSWORD, "new": "another good password" });
    assert_eq!(server.put("/api/v1/session/password", &one, body).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/api/v1/session", &one).await.status, StatusCode::OK);
    assert_eq!(server.get("/api/v1/session", &other).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whoever_has_not_signed_in_is_told_how() {
    let server = Server::start().await;
    for path in ["/api/v1/session", "/api/v1/projects", "/api/v1/projects/main/pipelines", "/api/v1/users"] {
        let answer = server.get(path, "").await;
        assert_eq!(answer.problem(401), "/problems/unauthenticated", "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"weir\"");
    }
    let request = Request::get("/api/v1/session").header("authorization", "Bearer not.a.token").body(Body::empty()).unwrap();
    assert_eq!(server.raw(request).await.problem(401), "/problems/unauthenticated");
}

#[tokio::test]
async fn a_password_is_never_repeated_in_an_answer() {
    let server = Server::start().await;
    let answer = server.post("/api/v1/session", "", json!({ "name": "x", "password": "s3cret-in-the-open", "more": 1 })).await;
    answer.problem(422);
    assert!(!answer.text().contains("s3cret"));
}
