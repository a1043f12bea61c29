//! The benchmark harness. Each benchmark runs the product's own path (control database, keys, evidence and all) on data it makes, and
//! prints one JSON line on standard output.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod governed;
mod memory;

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
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Governed(args) => governed::run(&args),
        Bench::Nexmark(args) => weir_benches::nexmark::run(&args),
    }
}
