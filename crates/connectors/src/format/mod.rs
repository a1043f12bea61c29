//! The formats that rows travel in, and what they share: typed column buffers and strict scalar parsing.

pub mod csv;
pub mod json;
pub mod parquet;

pub(crate) mod columns;
pub(crate) mod number;
pub(crate) mod rows;
pub(crate) mod tally;
pub(crate) mod time;
