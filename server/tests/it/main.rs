//! The server and the command line from outside: one file per group of routes, one per command.

#![allow(clippy::unwrap_used)]

mod cli_admin;
mod cli_audit;
mod cli_check;
mod common;
mod csrf;
mod http;
mod openapi;
mod permissions;
mod pipelines;
mod run_recovery;
mod run_sentinel;
mod session;
mod weir;
