//! The use cases over a real database in a temporary folder. Time stands still unless a test moves it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod alerts;
mod audit;
mod bootstrap;
mod consent;
mod documents;
mod graph;
mod ingest;
mod permissions;
mod quality;
mod quarantine;
mod run;
mod sign_in;
mod tokens;
mod world;
