//! `slow-sink`: a source at full speed before a reader that takes rows slowly; memory must stay flat and checkpoints go on.
//!
//! The pipeline prints to a pipe. First the pipe is read as fast as it comes, which tells the source's full speed; then, in a new run, at
//! a share of that.

use std::{
    io::Read,
    path::Path,
    process::{ChildStdout, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    checkpoints::{Checkpoints, Progress},
    weir::{self, Process},
};

#[derive(clap::Args)]
pub struct Args {
    /// Seconds before the slow reader.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// How many times slower than the source the reader is.
    #[arg(long, default_value_t = 20)]
    slowness: u32,
    #[arg(long, default_value = "1s")]
    checkpoint: String,
    #[arg(long, default_value_t = 2)]
    parallelism: u32,
    /// Memory is compared with what it is after this many seconds.
    #[arg(long, default_value_t = 30)]
    warm_up: u64,
}

fn document(args: &Args) -> String {
    format!(
        r#"
apiVersion: weir/v1
kind: Pipeline
name: slow-sink
purpose: essential.fraud_detection
basis: legitimate_interest
parallelism: {}
checkpoint: {{ every: {} }}
sources:
  payments:
    generator: {{ kind: payments, seed: 1, subjects: 100000, faults: 0.01 }}
steps:
  checked:
    quality:
      from: payments
      rules:
        - between: {{ column: amount, min: 0, max: 100000 }}
  safe:
    mask:
      from: checked
      columns:
        card: {{ redact: {{}} }}
        email: {{ redact: {{}} }}
        name: {{ redact: {{}} }}
        birth_date: {{ generalize: {{ to: year }} }}
        customer_id: {{ partial: {{ keep_last: 3 }} }}
sinks:
  printed:
    from: safe
    stdout: {{}}
    clearance: internal
"#,
        args.parallelism, args.checkpoint
    )
}

pub fn run(args: &Args) -> Result<()> {
    ensure!(args.seconds > args.warm_up, "it must run for longer than the {} seconds of warm-up", args.warm_up);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("pipeline.yaml"), document(args))?;
    let full = Watched::start(folder.path(), "full", None)?.watch(Duration::from_secs(8))?;
    let speed = full.bytes_per_second();
    let slow = Watched::start(folder.path(), "slow", Some(speed / f64::from(args.slowness)))?;
    let watched = slow.watch(Duration::from_secs(args.seconds))?;
    println!("{}", report(args, &full, &watched)?);
    Ok(())
}

/// What is there at the end of a second.
struct Sample {
    at: Duration,
    rss_mib: f64,
    bytes: u64,
    progress: Progress,
}

struct Samples(Vec<Sample>);

impl Samples {
    /// How fast the reader took what was printed, without the start.
    fn bytes_per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.get(self.0.len() / 4), self.0.last()) else { return 0.0 };
        (last.bytes - first.bytes) as f64 / (last.at - first.at).as_secs_f64()
    }

    fn rows_per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.get(self.0.len() / 4), self.0.last()) else { return 0.0 };
        (last.progress.rows_in - first.progress.rows_in) as f64 / (last.at - first.at).as_secs_f64()
    }

    /// The most memory in each minute, MiB.
    fn by_minute(&self) -> Vec<f64> {
        let mut minutes: Vec<f64> = Vec::new();
        for sample in &self.0 {
            let minute = (sample.at.as_secs() / 60) as usize;
            minutes.resize(minutes.len().max(minute + 1), 0.0);
            minutes[minute] = minutes[minute].max(sample.rss_mib.round());
        }
        minutes
    }

    /// The longest time between two checkpoints, as often as was looked.
    fn longest_gap(&self) -> Duration {
        let mut changed: Vec<Duration> = vec![Duration::ZERO];
        for pair in self.0.windows(2) {
            if pair[1].progress.checkpoints > pair[0].progress.checkpoints {
                changed.push(pair[1].at);
            }
        }
        changed.extend(self.0.last().map(|last| last.at));
        changed.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// `weir run` with its output read, as fast as it comes or at a rate.
struct Watched {
    process: Process,
    data: std::path::PathBuf,
    read: Arc<AtomicU64>,
    began: Instant,
}

impl Watched {
    fn start(folder: &Path, name: &str, bytes_per_second: Option<f64>) -> Result<Self> {
        let mut command = weir::command(folder, &["run", "pipeline.yaml", "--data", name])?;
        command.stdout(Stdio::piped());
        let mut process = Process::start(command)?;
        let stdout = process.child().stdout.take().context("the output is a pipe")?;
        let read = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&read);
        std::thread::spawn(move || take(stdout, bytes_per_second, &counted));
        Ok(Self { process, data: folder.join(name), read, began: Instant::now() })
    }

    /// Samples every second, then kills the process.
    fn watch(mut self, time: Duration) -> Result<Samples> {
        let mut samples = Vec::new();
        let mut checkpoints = None;
        while self.began.elapsed() < time {
            std::thread::sleep(Duration::from_secs(1));
            ensure!(self.process.is_alive()?, "the run ended by itself");
            if checkpoints.is_none() {
                checkpoints = Checkpoints::open(&self.data).ok();
            }
            // At first the database may not have its tables yet.
            let progress = checkpoints.as_ref().and_then(|open| open.progress().ok()).unwrap_or_default();
            let (rss_mib, bytes) = (self.process.rss_mib()?, self.read.load(Ordering::Relaxed));
            samples.push(Sample { at: self.began.elapsed(), rss_mib, bytes, progress });
        }
        self.process.kill()?;
        Ok(Samples(samples))
    }
}

/// Reads until the writer is gone. With a rate, sleeps whenever it is ahead of that.
fn take(mut from: ChildStdout, bytes_per_second: Option<f64>, counted: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    let began = Instant::now();
    let mut all = 0_u64;
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            return;
        }
        all += count as u64;
        counted.store(all, Ordering::Relaxed);
        if let Some(rate) = bytes_per_second {
            std::thread::sleep(Duration::from_secs_f64(all as f64 / rate).saturating_sub(began.elapsed()));
        }
    }
}

fn report(args: &Args, full: &Samples, slow: &Samples) -> Result<Value> {
    let warm = slow.0.iter().find(|sample| sample.at.as_secs() >= args.warm_up).context("there is a sample after the warm-up")?;
    let after = || slow.0.iter().filter(|sample| sample.at >= warm.at).map(|sample| sample.rss_mib);
    let (least, most) = (after().fold(f64::MAX, f64::min), after().fold(0.0, f64::max));
    let last = slow.0.last().context("there is a last sample")?;
    Ok(json!({
        "bench": "slow-sink",
        "seconds": last.at.as_secs(),
        "full_events_per_second": full.rows_per_second().round(),
        "events_per_second": slow.rows_per_second().round(),
        "slowness": args.slowness,
        "rss_mb_warm": warm.rss_mib.round(),
        "rss_mb_min": least.round(),
        "rss_mb_max": most.round(),
        "rss_mb_by_minute": slow.by_minute(),
        "ratio": (most / least * 1e3).round() / 1e3,
        "checkpoint": args.checkpoint,
        "checkpoints": last.progress.checkpoints,
        "longest_gap_s": (slow.longest_gap().as_secs_f64() * 10.0).round() / 10.0,
    }))
}
