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
//! What a document *means* for data (schemas, SQL, lineage, leaks) is the business of `weir-plan`.

pub mod connector;
pub mod consent;
pub mod contract;
pub mod diagnostic;
pub mod mask;
pub mod pipeline;
pub mod quality;
pub mod types;

pub use contract::Contract;
pub use diagnostic::{Diagnostic, Position, Severity, Span};
pub use pipeline::{Pipeline, Sink, Source, Step};
pub use types::{Classification, Column, DataType};
