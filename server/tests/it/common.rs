//! A real router over a real database in a folder of its own, and a small client for it.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use weir_server::http::{AppState, Public, router};
use weir_server::instance;
use weir_service::{Services, bootstrap};
use weir_worker::{Supervisor, host::DEFAULT_STATE_MEMORY};

use crate::weir::lines_below;

/// Below it lies everything of the first project.
pub const MAIN: &str = "/api/v1/projects/main";
pub const PASSWORD: &str = "correct horse battery";

/// A server without a socket.
pub struct Server {
    router: axum::Router,
    pub services: Arc<Services>,
    pub stopping: CancellationToken,
    /// The administrator's session cookie.
    pub admin: String,
    pub data: tempfile::TempDir,
}

/// Asks again and again until there is an answer; gives up after what only a broken server needs.
pub async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < patience, "this never came: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Server {
    /// On loopback, without HTTPS.
    pub async fn start() -> Self {
        Self::at(None).await
    }

    pub async fn at(public_url: Option<&str>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let services = instance::open(data.path()).await.unwrap();
        let first = bootstrap::first_start(&services).await.unwrap().expect("a new folder has no user yet");
        let public = Public::new(public_url, "127.0.0.1:8080".parse().unwrap()).unwrap();
        let stopping = CancellationToken::new();
        let state = AppState::new(services.clone(), public, 64 << 10, stopping.clone());
        let mut server = Self { router: router(&state), services, stopping, admin: String::new(), data };
        server.admin = server.sign_in(&first.name, first.password.expose()).await;
        server
    }

    /// Starts to run what is deployed. The caller stops it.
    pub async fn work(&self) -> Supervisor {
        Supervisor::start(self.services.clone(), Vec::new(), DEFAULT_STATE_MEMORY).await.unwrap()
    }

    /// Creates a pipeline in the project `main` and deploys it.
    pub async fn deploy(&self, name: &str, document: &str) {
        let made = self.post(&format!("{MAIN}/pipelines"), &self.admin, json!({ "document": document, "note": null })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        let deployed = self.post(&format!("{MAIN}/pipelines/{name}/deploy"), &self.admin, json!({})).await;
        assert_eq!(deployed.status, StatusCode::ACCEPTED, "{}", deployed.text());
    }

    /// Posts rows to an `http` source, as a program would.
    pub async fn ingest(&self, target: &str, cookie: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::post(format!("{MAIN}/ingest/{target}")).header("sec-fetch-site", "same-origin");
        request = request.header(header::COOKIE, cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(request.body(body.into()).unwrap()).await
    }

    /// The rows of all committed files of a sink, in the order of the files' names.
    pub fn written(&self, sink: &str) -> Vec<Value> {
        let folder = self.data.path().join("files/main").join(sink);
        if !folder.is_dir() {
            return Vec::new();
        }
        lines_below(&folder).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The counters of a node of the pipeline's newest run, once there are any.
    pub async fn counters(&self, pipeline: &str, node: &str) -> Option<Value> {
        let runs = self.get(&format!("{MAIN}/runs?pipeline={pipeline}"), &self.admin).await.value();
        let id = runs["items"][0]["id"].as_str()?.to_owned();
        let run = self.get(&format!("{MAIN}/runs/{id}"), &self.admin).await.value();
        run["nodes"].as_array()?.iter().find(|counters| counters["node"] == node).cloned()
    }

    /// The cookie of a new session.
    pub async fn sign_in(&self, name: &str, password: &str) -> String {
        let answer = self.post("/api/v1/session", "", json!({ "name": name, "password": password })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.cookie()
    }

    /// A member of the project `main` with one role, signed in.
    pub async fn member(&self, name: &str, role: &str) -> String {
        let body = json!({ "name": name, "password": PASSWORD, "roles": [role] });
        let answer = self.post("/api/v1/projects/main/users", &self.admin, body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        self.sign_in(name, PASSWORD).await
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(Method::GET, path, cookie, None).await
    }

    pub async fn post(&self, path: &str, cookie: &str, body: Value) -> Answer {
        self.send(Method::POST, path, cookie, Some(body)).await
    }

    pub async fn put(&self, path: &str, cookie: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, cookie, Some(body)).await
    }

    pub async fn delete(&self, path: &str, cookie: &str) -> Answer {
        self.send(Method::DELETE, path, cookie, None).await
    }

    /// As the console's own pages would send it.
    pub async fn send(&self, method: Method, path: &str, cookie: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("sec-fetch-site", "same-origin");
        if !cookie.is_empty() {
            request = request.header(header::COOKIE, cookie);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.raw(request.body(body).unwrap()).await
    }

    /// Exactly this request.
    pub async fn raw(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The response with its body still to come.
    pub async fn open(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn value(&self) -> Value {
        self.json()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `NAME=VALUE` of the cookie it sets.
    pub fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// Asserts that this is a problem document of this status, and returns its `type`.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.value();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"), "a problem names its request");
        problem["type"].as_str().unwrap().to_owned()
    }
}
