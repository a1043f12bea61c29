//! Background work: pipeline runs and the supervisor that keeps them alive, and apalis jobs.
//!
//! ```text
//! Supervisor --lease--> runner::Runner --threads--> weir_engine::run
//!                            |                            |
//!                            +--- host::StoreHost <-------+   checkpoints, consent, keys, quarantine: weir-store, weir-vault
//! ```
//!
//! The engine knows a [`weir_engine::Host`] only; here that host is the control database. Whoever runs a pipeline, the
//! supervisor of `weir serve` or `weir run` in the foreground, goes through [`runner`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod consent;
pub mod contracts;
pub mod error;
pub mod foreground;
pub mod host;
pub mod ingest;
pub mod jobs;
pub mod lock;
mod observed;
pub mod run_host;
pub mod runner;
pub mod supervisor;

pub use contracts::FileContracts;
pub use error::WorkerError;
pub use observed::window_sum;
pub use supervisor::Supervisor;
