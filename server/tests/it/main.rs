//! The server and the command line from outside: one file per group of routes, one per command.

#![allow(clippy::unwrap_used)]

mod alerts;
mod audit;
mod cli_admin;
mod cli_audit;
mod cli_audit_heads;
mod cli_check;
mod common;
mod consent;
mod console;
mod csrf;
mod events;
mod http;
mod ingest;
mod kills;
mod openapi;
mod people;
mod permissions;
mod pipelines;
mod quarantine;
mod run_again;
mod run_alerts;
mod run_damage;
mod run_fresh;
mod run_observed;
mod run_recovery;
mod run_sentinel;
mod run_state;
mod run_summary;
mod run_tables;
mod serve;
mod session;
mod weir;
