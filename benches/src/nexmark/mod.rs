//! `nexmark`: the queries of `examples/nexmark`, each in a process of its own, through the product's own path to JSON files.

mod document;
mod query;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub use document::{Query, queries};

#[derive(clap::Args, Clone)]
pub struct Args {
    /// Which queries, such as `q0,q7`; all by default.
    #[arg(long, value_delimiter = ',')]
    queries: Vec<String>,
    /// Events in all: people, auctions and bids. A query reads those of the streams that it names.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    #[arg(long, default_value_t = 2)]
    parallelism: usize,
    /// Events a second of event time.
    #[arg(long, default_value_t = 10_000)]
    event_rate: u64,
    /// Where the documents lie.
    #[arg(long, default_value = "examples/nexmark")]
    documents: PathBuf,
    /// Measure this one query in this very process.
    #[arg(long, hide = true)]
    here: Option<String>,
}

/// Why a query of the benchmark has no document.
const ABSENT: &[(&str, &str)] = &[(
    "q6",
    "an average over the last ten winning bids needs an OVER window over rows that are taken back, which the reference suite \
     does not run either",
)];

pub fn run(args: &Args) -> Result<()> {
    if let Some(name) = &args.here {
        let query = Query::read(&args.documents, name)?;
        println!("{}", query::measure(&query, args.events, args.event_rate, args.parallelism)?);
        return Ok(());
    }
    let known = queries(&args.documents)?;
    let names: Vec<String> = match args.queries.as_slice() {
        [] => (0..=22).map(|number| format!("q{number}")).collect(),
        wanted => wanted.to_vec(),
    };
    for name in names {
        let absent = ABSENT.iter().find(|(query, _)| *query == name);
        ensure!(absent.is_some() || known.contains(&name), "there is no query `{name}`; the queries are {}", known.join(", "));
        let line = match absent {
            Some((_, why)) => skipped(&name, why),
            None => in_a_process(args, &name)?,
        };
        println!("{line}");
    }
    Ok(())
}

fn in_a_process(args: &Args, name: &str) -> Result<Value> {
    let program = std::env::current_exe().context("cannot find the benchmark's own program")?;
    let output = Command::new(program)
        .args(["nexmark", "--here", name, "--events", &args.events.to_string(), "--parallelism", &args.parallelism.to_string()])
        .args(["--event-rate", &args.event_rate.to_string(), "--documents"])
        .arg(&args.documents)
        .output()
        .context("cannot start the benchmark's own program")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Ok(json!({ "bench": "nexmark", "query": name, "failed": errors.trim() }));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} printed no result"))
}

fn skipped(name: &str, why: &str) -> Value {
    json!({ "bench": "nexmark", "query": name, "skipped": why })
}
