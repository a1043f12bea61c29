//! `latency`: from the moment at which an event is due to be posted to the moment at which the file that holds it has its name.
//!
//! The load is open: posts are due at fixed times whatever the server does, and a post that had to wait for its connection counts from
//! when it was due. So a stall shows in every event that it held up, not only in the one that met it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    arrivals::{Arrival, Arrivals},
    http::Client,
    weir::{self, Process},
};

#[derive(clap::Args)]
pub struct Args {
    /// Events a second.
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Events in a post.
    #[arg(long, default_value_t = 100)]
    post: u32,
    /// Connections that take turns.
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Seconds that are measured, for each interval.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Seconds before that, which are not.
    #[arg(long, default_value_t = 3)]
    warm_up: u32,
    /// Checkpoint intervals, one line of figures each.
    #[arg(long, value_delimiter = ',', default_value = "5ms,100ms,1s")]
    checkpoints: Vec<String>,
    #[arg(long, default_value_t = 1)]
    parallelism: u32,
}

pub fn run(args: &Args) -> Result<()> {
    for every in &args.checkpoints {
        println!("{}", measure(args, every)?);
    }
    Ok(())
}

const DUE: &str = "sent_at";

#[derive(Deserialize)]
struct Event {
    id: u64,
    sent_at: u64,
}

fn document(every: &str, parallelism: u32) -> String {
    format!(
        r#"
apiVersion: weir/v1
kind: Pipeline
name: latency
purpose: essential.fraud_detection
basis: legitimate_interest
parallelism: {parallelism}
checkpoint: {{ every: {every} }}
batch: {{ rows: 8192, wait: 1ms }}
sources:
  events:
    http: {{ max_backlog_mib: 64 }}
    schema:
      - {{ name: id, type: int64, required: true }}
      - {{ name: {DUE}, type: int64, required: true }}
      - {{ name: card, type: string, required: true, classification: restricted }}
      - {{ name: amount, type: "decimal(12,2)", required: true }}
      - {{ name: currency, type: string, required: true }}
      - {{ name: merchant, type: string }}
steps:
  checked:
    quality:
      from: events
      rules:
        - not_null: [card]
        - between: {{ column: amount, min: 0, max: 100000 }}
        - in_set: {{ column: currency, values: [EUR, USD, GBP] }}
  safe:
    mask: {{ from: checked, columns: {{ card: {{ redact: {{}} }} }} }}
sinks:
  out:
    from: safe
    file: {{ path: out }}
    clearance: internal
"#
    )
}

fn measure(args: &Args, every: &str) -> Result<Value> {
    ensure!(args.post > 0 && args.rate >= args.post && args.connections > 0, "post at least one event, and one post a second");
    let folder = tempfile::tempdir()?;
    let fsync = fsync_ms(folder.path())?;
    let data = folder.path().join("data");
    let server = Server::start(folder.path(), &data)?;
    server.deploy(&document(every, args.parallelism))?;
    let out = data.join("files/main/out");
    let arrivals = Arrivals::watch(&out)?;
    let posts = u64::from((args.warm_up + args.seconds) * args.rate / args.post);
    let load = Load {
        began: Instant::now() + Duration::from_millis(200),
        began_at: SystemTime::now() + Duration::from_millis(200),
        between: Duration::from_secs(1).mul_f64(f64::from(args.post) / f64::from(args.rate)),
        per_post: u64::from(args.post),
        posts,
        connections: u64::from(args.connections),
    };
    let used_before = server.used()?;
    let accepted = load.run(&server)?;
    let seconds = load.began.elapsed().as_secs_f64();
    let used = server.used()?;
    let events = posts * load.per_post;
    let measured_from = load.began_at + Duration::from_secs(u64::from(args.warm_up));
    let committed = commits(&out, &arrivals, events, measured_from)?;
    let ms = |of: &Histogram<u64>, quantile: f64| of.value_at_quantile(quantile) as f64 / 1e3;
    Ok(json!({
        "bench": "latency",
        "events_per_second": (events as f64 / seconds).round(),
        "checkpoint": every,
        "p50_ms": ms(&committed.latency, 0.5),
        "p99_ms": ms(&committed.latency, 0.99),
        "p999_ms": ms(&committed.latency, 0.999),
        "max_ms": committed.latency.max() as f64 / 1e3,
        "accepted_p50_ms": ms(&accepted, 0.5),
        "accepted_p99_ms": ms(&accepted, 0.99),
        "events": committed.latency.len(),
        "files": committed.files,
        "server_cpu_percent": ((used.0 - used_before.0) / seconds * 100.0).round(),
        "disk_bytes_per_event": ((used.1 - used_before.1) as f64 / events as f64).round(),
        "fsync_p50_ms": fsync.0,
        "fsync_p99_ms": fsync.1,
    }))
}

/// What an append with fdatasync takes here at least: median and 99th percentile, milliseconds.
fn fsync_ms(folder: &Path) -> Result<(f64, f64)> {
    let path = folder.join("fsync");
    let mut file = fs::File::create(&path)?;
    let mut times = Histogram::<u64>::new(3)?;
    for _ in 0..300 {
        file.write_all(&[7; 10_000])?;
        let began = Instant::now();
        file.sync_data()?;
        times.record(began.elapsed().as_micros() as u64)?;
    }
    fs::remove_file(&path)?;
    let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    Ok((ms(0.5), ms(0.99)))
}

/// `weir serve`, with a token for one that posts.
struct Server {
    process: Process,
    address: String,
    token: String,
}

impl Server {
    fn start(folder: &Path, data: &Path) -> Result<Self> {
        let data = data.to_str().context("the temporary folder's name is UTF-8")?;
        let mut command = weir::command(folder, &["serve", "--data", data, "--listen", "127.0.0.1:0"])?;
        command.stdout(Stdio::piped());
        let mut process = Process::start(command)?;
        let stdout = process.child().stdout.take().context("the server's output is a pipe")?;
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first)?;
        let address = first.trim().rsplit_once("http://").context("the server does not say where it is")?.1.to_owned();
        let scopes = ["--scope", "pipeline.*", "--scope", "ingest.*"];
        let made = [&["token", "create", "bench", "--user", "admin", "--data", data][..], &scopes].concat();
        let token = weir::output(folder, &made)?.trim().to_owned();
        Ok(Self { process, address, token })
    }

    fn client(&self) -> Result<Client> {
        Client::connect(&self.address, &self.token)
    }

    fn deploy(&self, document: &str) -> Result<()> {
        let mut client = self.client()?;
        let pipelines = "/api/v1/projects/main/pipelines";
        let body = json!({ "document": document, "note": null }).to_string();
        for (path, body, expected) in
            [(pipelines.to_owned(), body, 201), (format!("{pipelines}/latency/deploy"), "{}".into(), 202)]
        {
            let (status, answer) = client.post(&path, "application/json", body.as_bytes())?;
            ensure!(status == expected, "{path} was answered {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }

    /// Processor time and bytes written to the disk.
    fn used(&self) -> Result<(f64, u64)> {
        Ok((self.process.cpu_seconds()?, self.process.written_bytes()?))
    }
}

/// When what is posted.
struct Load {
    began: Instant,
    began_at: SystemTime,
    between: Duration,
    per_post: u64,
    posts: u64,
    connections: u64,
}

impl Load {
    /// Posts all of it. Gives the times from when a post was due to its answer, microseconds.
    fn run(&self, server: &Server) -> Result<Histogram<u64>> {
        let mut all = Histogram::<u64>::new(3)?;
        std::thread::scope(|scope| {
            let posting: Vec<_> = (0..self.connections)
                .map(|connection| {
                    scope.spawn(move || -> Result<Histogram<u64>> {
                        let mut answered = Histogram::<u64>::new(3)?;
                        let mut client = server.client()?;
                        for number in (connection..self.posts).step_by(self.connections as usize) {
                            let due = self.between.mul_f64(number as f64);
                            let body = self.body(number, self.began_at + due);
                            sleep_until(self.began + due);
                            let path = "/api/v1/projects/main/ingest/latency/events";
                            let (status, answer) = client.post(path, "application/x-ndjson", &body)?;
                            ensure!(status == 202, "a post was answered {status}: {}", String::from_utf8_lossy(&answer));
                            answered.record((self.began + due).elapsed().as_micros() as u64)?;
                        }
                        Ok(answered)
                    })
                })
                .collect();
            for one in posting {
                all.add(one.join().unwrap_or_else(|_| bail!("a connection's thread panicked"))?)?;
            }
            Ok(all)
        })
    }

    fn body(&self, number: u64, due_at: SystemTime) -> Vec<u8> {
        let due = micros(due_at);
        let mut body = Vec::with_capacity(self.per_post as usize * 160);
        for id in number * self.per_post..(number + 1) * self.per_post {
            let (card, amount) = (id % 9_000_000 + 1_000_000, id % 99_999);
            body.extend_from_slice(
                format!(
                    "{{\"id\":{id},\"{DUE}\":{due},\"card\":\"400000000{card}\",\"amount\":{}.{:02},\"currency\":\"EUR\",\"merchant\":\"shop {}\"}}\n",
                    amount / 100,
                    amount % 100,
                    id % 997
                )
                .as_bytes(),
            );
        }
        body
    }
}

fn sleep_until(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::sleep(left);
    }
}

fn micros(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

struct Committed {
    /// Microseconds from when an event was due to its file's name, of those due after the warm-up.
    latency: Histogram<u64>,
    files: usize,
}

/// Waits until all events are in committed files; each must be there once.
fn commits(out: &Path, arrivals: &Arrivals, events: u64, measured_from: SystemTime) -> Result<Committed> {
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let mut latency = Histogram::<u64>::new(3)?;
    let (mut files, from) = (0, micros(measured_from));
    while (seen.len() as u64) < events {
        let patience = Duration::from_secs(30);
        let Arrival { name, at } = arrivals.next_within(patience).with_context(|| {
            format!("{} of {events} events are committed, and nothing came for {} s", seen.len(), patience.as_secs())
        })?;
        files += 1;
        for line in fs::read_to_string(out.join(name))?.lines() {
            let event: Event = serde_json::from_str(line).context("an event came out in another form than it went in")?;
            *seen.entry(event.id).or_default() += 1;
            if event.sent_at >= from {
                latency.record(micros(at).saturating_sub(event.sent_at))?;
            }
        }
    }
    ensure!(seen.values().all(|&times| times == 1), "some events were committed more than once");
    Ok(Committed { latency, files })
}
