//! Pages elsewhere cannot act with our user's cookie; our own pages, tokens and scripts can.

use crate::common::Server;
use axum::body::Body;
use axum::http::{Request, StatusCode};

const PATH: &str = "/api/v1/projects/main/pipelines/validate";
const BODY: &str = r#"{"document":"kind: Pipeline"}"#;

fn request(cookie: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(PATH).header("content-type", "application/json").header("cookie", cookie);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(BODY)).unwrap()
}

#[tokio::test]
async fn a_changing_request_with_a_cookie_must_come_from_our_own_pages() {
    let server = Server::start().await;
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")], true),
        (&[("host", "127.0.0.1:8080"), ("origin", "https://evil.example")], false),
        (&[("host", "127.0.0.1:8080"), ("origin", "null")], false),
        (&[], false),
    ];
    for (headers, passes) in cases {
        let answer = server.raw(request(&server.admin, headers)).await;
        if *passes {
            assert_eq!(answer.status, StatusCode::OK, "{headers:?}: {}", answer.text());
        } else {
            assert_eq!(answer.problem(403), "/problems/cross-site", "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_states_no_origin_repeats_the_sessions_form_token() {
    let server = Server::start().await;
    let token = server.get("/api/v1/session", &server.admin).await.header("x-csrf-token").to_owned();
    assert_eq!(token.len(), 64);
    let answer = server.raw(request(&server.admin, &[("x-csrf-token", &token)])).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());

    let other = server.member("vera", "viewer").await;
    let answer = server.raw(request(&other, &[("x-csrf-token", &token)])).await;
    assert_eq!(answer.problem(403), "/problems/cross-site", "the token of another session");
}

#[tokio::test]
async fn reading_needs_no_origin_and_a_bearer_token_neither() {
    let server = Server::start().await;
    let read = Request::get("/api/v1/session").header("cookie", &server.admin).header("sec-fetch-site", "cross-site");
    assert_eq!(server.raw(read.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    // Not 403: a token is not sent by a browser on its own, so the request goes on, and this one is no good.
    let bearer = Request::post(PATH).header("authorization", "Bearer x.y.z").header("sec-fetch-site", "cross-site");
    assert_eq!(server.raw(bearer.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn server_functions_are_protected_too() {
    let server = Server::start().await;
    let request = Request::post("/fn/session/sign-out")
        .header("cookie", &server.admin)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(server.raw(request.body(Body::empty()).unwrap()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.get("/api/v1/session", &server.admin).await.status, StatusCode::OK, "the session goes on");
}

#[tokio::test]
async fn a_form_of_another_site_cannot_sign_somebody_in() {
    let server = Server::start().await;
    let request =
        Request::post("/api/v1/session").header("content-type", "application/json").header("sec-fetch-site", "cross-site");
    let answer = server.raw(request.body(Body::from(r#"{"name":"a","password":"b"}"#)).unwrap()).await;
    assert_eq!(answer.problem(403), "/problems/cross-site");
}
