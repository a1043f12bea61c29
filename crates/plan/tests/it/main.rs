//! The tests of planning, in one binary, because linking DataFusion is slow.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod consent;
mod describe;
mod errors;
mod hashes;
mod indirect;
mod leaks;
mod lineage;
mod nexmark;
mod observe;
mod oracle;
mod queries;
mod refused;
mod schema;
mod sources;
mod streaming;
mod streaming_refused;
mod streaming_sound;
mod support;
mod together;
mod upsert;
