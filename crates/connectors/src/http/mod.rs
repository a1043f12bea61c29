//! Rows posted over HTTP: a durable log on disk between those who post and the pipeline that reads.
//!
//! The server appends ([`IngestLog::append`]) and answers 202 once the rows are durable; the source reads the log
//! ([`HttpReader`]) and tells it what a checkpoint has committed, so that old segments go. Both sides may live in one process or
//! in two. Rows at rest are sealed.
//!
//! ```text
//! segment-00000000000000000000.log   frames, up to about 64 MiB
//! segment-00000000000000000000.keys  the idempotency keys of a full segment; outlives it until they expire
//! tail                               how far the log is durable; readers go no further
//! committed                          the first row that no checkpoint has committed yet
//! lock                               held by the one process that appends
//! ```
//!
//! A segment ends early where a write or an fsync failed: what was not durable then is cut off, and the next segment begins there.

mod append;
mod backlog;
mod files;
mod frame;
mod keys;
mod log;
mod source;

pub use append::{AppendError, Appended, LogOptions};
pub use log::IngestLog;
pub use source::HttpReader;

#[cfg(test)]
mod tests;
