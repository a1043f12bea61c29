//! `weir serve` as a process: it starts, answers, survives SIGKILL and ends on SIGTERM.

use crate::weir::{lines_below, weir};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PIPELINE: &str = "
apiVersion: weir/v1
kind: Pipeline
name: posted
purpose: essential.service
basis: contract
checkpoint: { every: 50ms }
batch: { rows: 100, wait: 5ms }
sources:
  rows:
    http: {}
    schema: [ { name: id, type: int64, required: true } ]
sinks:
  out: { from: rows, file: { path: out } }
";

/// A server process and how to sign in; killed when a test fails.
struct Served {
    child: Child,
    address: String,
    /// Name and password, as it printed them.
    sign_ins: Vec<(String, String)>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// Starts on a free port and reads what it announces: `users` are the sign-ins to expect.
    fn start(dir: &Path, users: usize, more: &[&str]) -> Self {
        let mut command = weir(dir);
        command.args(["serve", "--data", "data", "--listen", "127.0.0.1:0"]).args(more).env_remove("WEIR_LISTEN");
        let mut child = command.env_remove("WEIR_PUBLIC_URL").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().expect("it says that it is ready").unwrap();
        let address = ready.split("http://").nth(1).expect("with its address").to_owned();
        let mut sign_ins = Vec::new();
        if users > 0 {
            for line in lines.skip(2).take(users) {
                let line = line.unwrap();
                let mut words = line.split_whitespace().map(str::to_owned);
                sign_ins.push((words.next().unwrap(), words.next().unwrap()));
            }
        }
        Self { child, address, sign_ins }
    }

    /// Status, headers and body of an answer.
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers.iter().copied().chain([("Sec-Fetch-Site", "same-origin")]) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head.to_owned(), body.to_owned())
    }

    /// The cookie of a new session.
    fn sign_in(&self, name: &str, password: &str) -> String {
        let body = json!({ "name": name, "password": password }).to_string();
        let (status, head, body) = self.send("POST", "/api/v1/session", &[("Content-Type", "application/json")], &body);
        assert_eq!(status, 200, "{body}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// SIGTERM, and the exit code.
    fn terminate(mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

/// Waits for what only a broken server does not do.
fn eventually(what: &str, happened: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < patience, "this never came: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn rows(dir: &Path) -> Vec<i64> {
    let folder = dir.join("data/files/main/out");
    if !folder.is_dir() {
        return Vec::new();
    }
    let lines = lines_below(&folder);
    lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap()).collect()
}

#[test]
fn the_demo_runs_three_pipelines_and_ends_when_told_with_its_log_signed() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path(), 6, &["--demo"]);
    let names: Vec<&str> = served.sign_ins.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["admin", "engineer", "steward", "compliance", "approver", "viewer"]);
    for (name, password) in &served.sign_ins {
        served.sign_in(name, password);
    }
    let cookie = served.sign_in(&served.sign_ins[5].0, &served.sign_ins[5].1);
    eventually("three pipelines with rows through them", || {
        let (status, _, body) = served.send("GET", "/api/v1/projects/main/pipelines", &[("Cookie", &cookie)], "");
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        let running = |pipeline: &&Value| pipeline["state"] == "running" && pipeline["last_run"]["rows_out"].as_u64() > Some(0);
        page["items"].as_array().unwrap().iter().filter(running).count() == 3
    });
    // An open stream of events does not keep it from ending.
    let mut open = TcpStream::connect(&served.address).unwrap();
    let request = format!("GET /api/v1/projects/main/pipelines/payments/live HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    open.write_all(request.as_bytes()).unwrap();
    open.read_exact(&mut [0; 64]).unwrap();
    let sign_ins = served.sign_ins.clone();
    assert_eq!(served.terminate(), Some(0));

    let verdict = weir(dir.path()).args(["audit", "verify", "--data", "data", "--json"]).output().unwrap();
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
    let verdict: Value = serde_json::from_slice(&verdict.stdout).unwrap();
    assert_eq!(verdict["signed_size"], verdict["size"], "the last leaf is under the last head: {verdict}");

    let again = Served::start(dir.path(), 5, &["--demo"]);
    assert_eq!(again.sign_ins, sign_ins[1..], "the users of the demo sign in as before");
    again.sign_in(&sign_ins[0].0, &sign_ins[0].1);
    let (status, _, _) = again.send("GET", "/api/v1/session", &[("Cookie", &cookie)], "");
    assert_eq!(status, 200, "sessions go on");
    assert_eq!(again.terminate(), Some(0));
}

#[test]
fn what_was_accepted_before_a_kill_is_in_the_sink_once_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path(), 1, &[]);
    let (name, password) = served.sign_ins[0].clone();
    let cookie = served.sign_in(&name, &password);
    let api = |served: &Served, path: &str, kind: &str, body: &str| {
        let path = format!("/api/v1/projects/main/{path}");
        served.send("POST", &path, &[("Cookie", &cookie), ("Content-Type", kind)], body).0
    };
    let document = json!({ "document": PIPELINE, "note": null }).to_string();
    assert_eq!(api(&served, "pipelines", "application/json", &document), 201);
    assert_eq!(api(&served, "pipelines/posted/deploy", "application/json", "{}"), 202);
    let mut next = 0;
    for _ in 0..4 {
        for _ in 0..10 {
            let row = format!("{{\"id\": {next}}}");
            assert_eq!(api(&served, "ingest/posted/rows", "application/x-ndjson", &row), 202);
            next += 1;
        }
        // Sessions outlive the process, so the same cookie goes on.
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        served = Served::start(dir.path(), 0, &[]);
    }
    eventually("all rows", || rows(dir.path()).len() >= 40);
    assert_eq!(served.terminate(), Some(0));
    assert_eq!(rows(dir.path()), (0..next).collect::<Vec<i64>>());
    let verified = weir(dir.path()).args(["audit", "verify", "--data", "data"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Served::start(dir.path(), 1, &[]);
    let second = weir(dir.path()).args(["serve", "--data", "data", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already running"), "{}", String::from_utf8_lossy(&second.stderr));
}
