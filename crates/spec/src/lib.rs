//! The documents of Weir: pipelines, contracts and policies.
//!
//! This crate is pure. It turns text into typed documents and reports every structural error at once, with line and column;
//! it never touches a file, a clock, a network or Arrow, and it builds for wasm32, so that the console checks a document with
//! the same code as the server.
//!
//! ```text
//! text --parse--> Node tree with spans --decode--> typed document + SpanMap --check--> diagnostics
//! ```
//!
//! Of a pipeline with errors, the parts that are sound are handed on as well ([`Partial`]), so that planning has its say at once.
//!
//! What a document *means* for data (schemas, SQL, lineage, leaks) is the business of `weir-plan`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
pub mod connector;
pub mod consent;
pub mod contract;
pub mod diagnostic;
pub mod grammar;
pub mod graph;
pub mod mask;
pub mod metric;
pub mod nearest;
pub mod nexmark;
pub mod odcs;
pub mod parse;
pub mod partial;
pub mod pipeline;
pub mod quality;
mod read;
pub mod spans;
pub mod sql;
pub mod type_text;
pub mod types;
pub mod write;
pub mod yaml;

mod document;

pub use contract::Contract;
pub use diagnostic::{Diagnostic, Position, Severity, Span, Trail};
pub use document::{Document, Parsed, parse_any, parse_contract, parse_pipeline};
pub use grammar::schema::{contract_schema, pipeline_schema};
pub use graph::{Graph, graph};
pub use odcs::to_odcs;
pub use partial::Partial;
pub use pipeline::{Pipeline, Sink, Source, SqlStep, Step, Table};
pub use spans::SpanMap;
pub use types::{Classification, Column, DataType};
pub use write::{to_json, to_yaml};
