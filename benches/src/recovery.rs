//! `recovery`: from a restart after SIGKILL to the first new output, with much state.
//!
//! Bids are grouped by auction and bidder for ever, so that state grows with the rows; part of the rows change older groups. When there is
//! enough state the process is killed and started again, and what counts is the time until a file of a new epoch has its name: a file
//! that a checkpoint before the kill had promised is none.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    arrivals::Arrivals,
    checkpoints::Checkpoints,
    weir::{self, Process},
};

#[derive(clap::Args)]
pub struct Args {
    /// State at the kill, MiB of state files.
    #[arg(long, default_value_t = 1024)]
    state_mib: u64,
    /// How often it is killed and restarted.
    #[arg(long, default_value_t = 3)]
    restarts: u32,
    #[arg(long, default_value = "250ms")]
    checkpoint: String,
    #[arg(long, default_value_t = 2)]
    parallelism: u32,
    /// Events a second of the source; unlimited by default.
    #[arg(long)]
    rate: Option<u64>,
}

fn document(args: &Args) -> String {
    let rate = args.rate.map_or_else(String::new, |rate| format!(", rate: {rate}"));
    format!(
        r#"
apiVersion: weir/v1
kind: Pipeline
name: recovery
purpose: essential.service
basis: legitimate_interest
parallelism: {}
checkpoint: {{ every: {} }}
sources:
  bid:
    nexmark: {{ stream: bid, events: 1000000000, event_rate: 10000{rate} }}
    event_time: {{ column: date_time }}
steps:
  totals:
    sql: >
      SELECT auction, bidder, count(*) AS bids, max(price) AS highest, max(channel) AS channel, max(url) AS url, max(extra) AS extra
      FROM bid GROUP BY auction, bidder
  high:
    sql: SELECT auction, bidder, bids, highest FROM totals
sinks:
  out: {{ from: high, file: {{ path: out }}, mode: changes }}
"#,
        args.parallelism, args.checkpoint
    )
}

pub fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    std::fs::write(folder.join("pipeline.yaml"), document(args))?;
    let began = Instant::now();
    let mut process = start(folder)?;
    let mut state = 0;
    while state < args.state_mib << 20 {
        ensure!(process.is_alive()?, "the run ended by itself");
        std::thread::sleep(Duration::from_millis(100));
        state = state_bytes(&folder.join("data/state"))?;
    }
    let built = began.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for _ in 0..args.restarts {
        process.kill()?;
        let before = Checkpoints::open(&folder.join("data"))?.progress()?;
        ensure!(before.epoch > 0, "no checkpoint was committed before the kill");
        let arrivals = Arrivals::watch(&folder.join("out"))?;
        let restarted_at = SystemTime::now();
        process = start(folder)?;
        times.push(first_output(&arrivals, before.epoch)?.duration_since(restarted_at)?.as_secs_f64() * 1e3);
        // So that the next kill does not meet a run that is still reading its state.
        std::thread::sleep(Duration::from_secs(5));
        ensure!(process.is_alive()?, "the run ended by itself after its restart");
    }
    process.kill()?;
    let progress = Checkpoints::open(&folder.join("data"))?.progress()?;
    println!(
        "{}",
        json!({
            "bench": "recovery",
            "state_mib": state >> 20,
            "first_output_ms": times.iter().map(|ms| ms.round()).collect::<Vec<_>>(),
            "worst_ms": times.iter().fold(0.0, |worst: f64, ms| worst.max(ms.round())),
            "checkpoint": args.checkpoint,
            "parallelism": args.parallelism,
            "built_in_s": built.round(),
            "events": progress.rows_in,
        })
    );
    Ok(())
}

fn start(folder: &Path) -> Result<Process> {
    let mut command = weir::command(folder, &["run", "pipeline.yaml", "--data", "data", "--json"])?;
    command.stdout(Stdio::null());
    Process::start(command)
}

/// When the first file of an epoch after this one got its name.
fn first_output(arrivals: &Arrivals, epoch: u64) -> Result<SystemTime> {
    loop {
        let arrival = arrivals.next_within(Duration::from_secs(60)).context("no new output within a minute of the restart")?;
        // part-EPOCH-NUMBER.ENDING
        let of = arrival.name.to_str().and_then(|name| name.split('-').nth(1)).and_then(|digits| digits.parse::<u64>().ok());
        if of.context("a committed file's name does not tell its epoch")? > epoch {
            return Ok(arrival.at);
        }
    }
}

/// The size of all state files below a folder.
fn state_bytes(folder: &Path) -> Result<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(0) };
    let mut bytes = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes += state_bytes(&path)?;
        } else if path.extension().is_some_and(|ending| ending == "state") {
            // A file may go while it is looked at.
            bytes += entry.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    Ok(bytes)
}
