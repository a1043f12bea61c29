//! The tests of planning, in one binary, because linking DataFusion is slow.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod consent;
mod describe;
mod errors;
mod hashes;
mod leaks;
mod lineage;
mod oracle;
mod queries;
mod refused;
mod schema;
mod sources;
mod support;
mod together;
