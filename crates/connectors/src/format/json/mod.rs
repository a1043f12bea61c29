//! NDJSON: one JSON object a line.

pub mod decode;
pub mod encode;
