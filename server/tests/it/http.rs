//! What every response has: request ids, security headers, problems for what the framework itself refuses.

use crate::common::Server;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use expect_test::expect;

#[tokio::test]
async fn a_request_id_is_taken_over_if_sane_and_made_otherwise() {
    let server = Server::start().await;
    let with = |id: &'static str| Request::get("/healthz").header("x-request-id", id).body(Body::empty()).unwrap();
    assert_eq!(server.raw(with("deploy-42.retry_1")).await.header("x-request-id"), "deploy-42.retry_1");
    for bad in ["short", "has space in it", "quote\"quote\""] {
        let answer = server.raw(with(bad)).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{bad}: a UUID instead");
    }
}

#[tokio::test]
async fn a_page_may_run_our_own_scripts_and_nothing_else() {
    let server = Server::start().await;
    let answer = server.get("/sign-in", "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let policy = answer.header("content-security-policy").to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    let html = answer.text();
    for script in html.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap();
        assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "a script without the nonce: <script{tag}>");
    }
    let shown: Vec<String> = policy.replace(nonce, "NONCE").split("; ").map(str::to_owned).collect();
    expect![[r#"
        [
            "default-src 'none'",
            "script-src 'self' 'nonce-NONCE' 'wasm-unsafe-eval'",
            "style-src 'self' 'nonce-NONCE'",
            "style-src-attr 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "object-src 'none'",
        ]
    "#]]
    .assert_debug_eq(&shown);
    let again = server.get("/sign-in", "").await;
    assert!(!again.header("content-security-policy").contains(nonce), "a nonce is used once");
}

#[tokio::test]
async fn every_response_carries_the_security_headers() {
    let server = Server::start().await;
    for path in ["/healthz", "/sign-in", "/api/v1/session", "/no/such/page", "/api/openapi.json", "/pkg/weir.css"] {
        let answer = server.get(path, "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {path}");
        }
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(answer.header("permissions-policy").contains("camera=()"), "{path}");
    }
    let public = Server::at(Some("https://weir.example")).await;
    let answer = public.get("/healthz", "").await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
}

#[tokio::test]
async fn what_the_framework_refuses_is_a_problem_document_too() {
    let server = Server::start().await;
    let missing = server.get("/api/v1/nothing/here", &server.admin).await;
    assert_eq!(missing.problem(404), "/problems/not-found");
    assert_eq!(missing.value()["instance"], "/api/v1/nothing/here");
    assert_eq!(server.get("/api/v2", "").await.problem(404), "/problems/not-found");

    let method = server.delete("/api/v1/projects/main/pipelines", &server.admin).await;
    assert_eq!(method.problem(405), "/problems/method-not-allowed");
    assert!(method.header("allow").contains("GET"), "{}", method.header("allow"));

    let send = |kind: &'static str, body: &'static str| {
        Request::post("/api/v1/session")
            .header("content-type", kind)
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(server.raw(send("text/plain", "hello")).await.problem(415), "/problems/unsupported-media-type");
    assert_eq!(server.raw(send("application/json", "{")).await.problem(400), "/problems/invalid-request");
    assert_eq!(server.raw(send("application/json", "{}")).await.problem(422), "/problems/invalid-request");
    let big = Request::post("/api/v1/session")
        .header("content-type", "application/json")
        .header("sec-fetch-site", "same-origin")
        .body(Body::from(vec![b' '; 3 << 20]))
        .unwrap();
    assert_eq!(server.raw(big).await.problem(413), "/problems/too-large");
}

#[tokio::test]
async fn ids_that_cannot_be_ids_are_not_found() {
    let server = Server::start().await;
    for path in ["runs/not-a-uuid", "pipelines/NOT_A_SLUG", "quarantine/xyz/0", "audit/minus-one"] {
        let answer = server.get(&format!("/api/v1/projects/main/{path}"), &server.admin).await;
        assert_eq!(answer.problem(404), "/problems/not-found", "{path}");
    }
}

#[tokio::test]
async fn health_and_readiness_tell_a_supervisor_what_it_needs() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz", "").await.status, StatusCode::OK);
    assert_eq!(server.get("/readyz", "").await.status, StatusCode::OK);
    server.stopping.cancel();
    assert_eq!(server.get("/healthz", "").await.status, StatusCode::OK);
    assert_eq!(server.get("/readyz", "").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn static_files_are_revalidated_by_name_and_immutable_by_version() {
    let server = Server::start().await;
    let page = server.get("/sign-in", "").await.text();
    let versioned = page.split('"').find(|part| part.ends_with("/weir.css")).expect("the page has its stylesheet").to_owned();
    let fixed = server.get(&versioned, "").await;
    assert_eq!(fixed.status, StatusCode::OK);
    assert_eq!(fixed.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(fixed.header("content-type"), "text/css; charset=utf-8");
    assert!(!fixed.text().contains("@import"), "one file, not a cascade of requests");

    let named = server.get("/pkg/weir.css", "").await;
    assert_eq!(named.header("cache-control"), "no-cache");
    let tag = named.header("etag").to_owned();
    let request = Request::get("/pkg/weir.css").header("if-none-match", &tag).body(Body::empty()).unwrap();
    assert_eq!(server.raw(request).await.status, StatusCode::NOT_MODIFIED);

    let request = Request::get("/pkg/weir.css").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let packed = server.raw(request).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < named.body.len());
    assert_eq!(server.get("/pkg/../Cargo.toml", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_documentation_comes_out_of_the_binary() {
    let server = Server::start().await;
    let page = server.get("/api/docs/", "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("swagger-ui"));
    assert!(!page.text().contains("https://"), "nothing is loaded from elsewhere");
    assert!(!page.header("content-security-policy").contains("https:"));
    for path in ["/api/schemas/pipeline.json", "/api/schemas/contract.json"] {
        let schema = server.get(path, "").await;
        assert_eq!(schema.header("content-type"), "application/schema+json");
        assert!(schema.value().get("$schema").is_some(), "{path}");
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_alike_by_every_list() {
    let server = Server::start().await;
    server
        .post("/api/v1/projects/main/pipelines", &server.admin, serde_json::json!({ "document": PIPELINE, "note": null }))
        .await;
    for list in
        ["pipelines", "runs", "audit", "quarantine", "alerts", "contracts", "members", "tokens", "pipelines/kept/versions"]
    {
        let answer = server.get(&format!("/api/v1/projects/main/{list}?after=zz"), &server.admin).await;
        assert_eq!(answer.problem(422), "/problems/invalid-request", "{list}");
        assert_eq!(answer.value()["errors"][0]["field"], "after", "{list}");
    }
    let long = "x".repeat(60_000);
    for field in ["text", "resource"] {
        let answer = server.get(&format!("/api/v1/projects/main/audit?{field}={long}"), &server.admin).await;
        assert_eq!(answer.problem(422), "/problems/invalid-request");
        assert_eq!(answer.value()["errors"][0]["field"], field);
    }
}

const PIPELINE: &str = "
apiVersion: weir/v1
kind: Pipeline
name: kept
purpose: essential.service
basis: contract
sources:
  rows: { http: {}, schema: [ { name: id, type: int64 } ] }
sinks:
  out: { from: rows, file: { path: out } }
";

#[tokio::test]
async fn a_form_that_cannot_be_read_is_the_senders_fault() {
    let server = Server::start().await;
    let post = async |path: &str, body: String| {
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", &server.admin)
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(body))
            .unwrap();
        server.raw(request).await
    };
    for (body, status) in [
        ("%%%".to_owned(), 400),
        ("project=main".to_owned(), 400),
        (format!("project=main&document={}", "x".repeat(9_000_000)), 413),
    ] {
        let answer = post("/fn/pipelines/validate", body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert_eq!(answer.value()["status"], status, "the body agrees");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_so() {
    let server = Server::start().await;
    for path in ["/api/docs/nothing.js", "/pkg/nothing.css", "/api/v1/nothing", "/api/nothing"] {
        assert_eq!(server.get(path, "").await.problem(404), "/problems/not-found", "{path}");
    }
}
