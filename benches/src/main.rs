//! The benchmark harness. Each benchmark runs the product's own path (control database, keys, evidence and all) on data it makes, and
//! prints JSON lines on standard output.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(target_os = "linux")]
mod arrivals;
#[cfg(target_os = "linux")]
mod checkpoints;
mod governed;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod latency;
mod memory;
#[cfg(target_os = "linux")]
mod recovery;
#[cfg(target_os = "linux")]
mod slow_sink;
#[cfg(target_os = "linux")]
mod weir;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "weir-benches")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// A file of JSON payments through contract, rules, consent and masking to JSON files, exactly once.
    Governed(governed::Args),
    /// The NEXMark queries, from the built-in source to JSON files; one line each.
    Nexmark(weir_benches::nexmark::Args),
    /// From HTTP ingest to a committed file, at a steady rate; one line for each checkpoint interval.
    #[cfg(target_os = "linux")]
    Latency(latency::Args),
    /// From a restart after SIGKILL to the first new output, with much state.
    #[cfg(target_os = "linux")]
    Recovery(recovery::Args),
    /// A source at full speed before a reader that takes rows slowly.
    #[cfg(target_os = "linux")]
    SlowSink(slow_sink::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Governed(args) => governed::run(&args),
        Bench::Nexmark(args) => weir_benches::nexmark::run(&args),
        #[cfg(target_os = "linux")]
        Bench::Latency(args) => latency::run(&args),
        #[cfg(target_os = "linux")]
        Bench::Recovery(args) => recovery::run(&args),
        #[cfg(target_os = "linux")]
        Bench::SlowSink(args) => slow_sink::run(&args),
    }
}
