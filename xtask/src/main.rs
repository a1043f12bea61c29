//! Automation: `cargo xtask run | test | build | bench | chaos | fuzz | wasm`.
//!
//! Everything that a fresh machine with Rust and a C compiler needs to build, run and test Weir is done from here. What can be
//! installed is installed; what cannot is named.

#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod browser;
mod chaos;
mod docs;
mod fuzz;
mod oracle;
mod run;
mod shell;
mod site;
mod steps;
mod test;
mod tidy;
mod tools;
mod wasm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run and test Weir")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds everything and starts `weir serve --demo` on 127.0.0.1:8080.
    Run {
        /// The data folder.
        #[arg(long, default_value = "weir-data")]
        data: String,
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: String,
        /// The cargo profile of the binary.
        #[arg(long, default_value = "quick")]
        profile: String,
    },
    /// Builds the console and the binary `weir`.
    Build {
        #[arg(long, default_value = "quick")]
        profile: String,
    },
    /// Format, lints, all tests, the wasm build and the browser tests.
    Test {
        /// Only these parts: tidy, fmt, clippy, unit, wasm, browser.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Runs a benchmark, which prints JSON lines.
    Bench {
        /// The cargo profile of harness and binary.
        #[arg(long, default_value = "release")]
        profile: String,
        /// `governed`, `nexmark`, `latency`, `slow-sink` or `recovery`
        name: String,
        /// Further arguments for the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Kills `weir run` at random moments under load and compares what it committed with an undisturbed run.
    Chaos {
        /// Kills for each document of `tests/chaos`.
        #[arg(long, default_value_t = 20)]
        kills: u32,
        /// The same seed kills after the same times.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Rows or events of each source.
        #[arg(long, default_value_t = 200_000)]
        rows: u64,
        /// The cargo profile of the binary.
        #[arg(long, default_value = "dev")]
        profile: String,
        /// A binary that is built already, instead.
        #[arg(long)]
        weir: Option<std::path::PathBuf>,
        /// Only these documents, by name.
        documents: Vec<String>,
    },
    /// Fuzzes the readers of what comes from outside, with coverage feedback.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// Only these targets.
        targets: Vec<String>,
    },
    /// Makes sure of the wasm target and builds the console.
    Wasm {
        /// Only install the target.
        #[arg(long)]
        target_only: bool,
    },
    /// Checks what the layout promises: dependencies, headers, words that must not appear.
    Tidy,
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run { data, listen, profile } => run::run(&data, &listen, &profile),
        Command::Build { profile } => run::build(&profile).map(|_| ()),
        Command::Test { only } => test::test(&only),
        Command::Bench { profile, name, args } => bench::bench(&name, &profile, &args),
        Command::Chaos { kills, seed, rows, profile, weir, documents } => {
            chaos::chaos(&chaos::Chaos { kills, seed, rows, documents, profile, weir })
        }
        Command::Fuzz { seconds, targets } => fuzz::fuzz(seconds, &targets),
        Command::Wasm { target_only } => {
            wasm::ensure_target()?;
            if target_only { Ok(()) } else { site::build() }
        }
        Command::Tidy => tidy::tidy(),
    }
}
