//! What appending to the ingest log takes and answers.

use std::{path::PathBuf, time::Duration};

use crate::error::ConnectorError;

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// The log's own folder: `SourceContext::ingest_dir` of the source that reads it.
    pub folder: PathBuf,
    /// The key that seals the rows: `SourceContext::seal_key`.
    pub seal_key: [u8; 32],
    /// Bytes of rows that may wait before appending is refused.
    pub max_backlog: u64,
    /// A segment is full at this size. 64 MiB unless a test wants another.
    pub segment_bytes: u64,
    /// How long nothing is appended after a write or an fsync failed; twice as long after each further one, a minute at most. A
    /// second unless a test wants another.
    pub retry_after: Duration,
}

impl LogOptions {
    pub fn new(folder: impl Into<PathBuf>, seal_key: [u8; 32], max_backlog_mib: u64) -> Self {
        Self {
            folder: folder.into(),
            seal_key,
            max_backlog: max_backlog_mib.max(1) << 20,
            segment_bytes: 64 << 20,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Rows that are in the log, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The row number of the first of them.
    pub first_row: u64,
    pub rows: u64,
    /// They were appended by an earlier request with the same idempotency key.
    pub duplicate: bool,
}

/// Why rows were not appended. Nothing of them is in the log then; after [`Self::Failed`], they are in it only if the process dies
/// before it appends again.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The pipeline is behind: answer 429.
    #[error("{bytes} bytes of rows wait to be processed; try again in {} seconds", retry_after.as_secs())]
    Backlog { bytes: u64, retry_after: Duration },
    /// Another body came under the same key before: answer 422.
    #[error("this idempotency key was used for other rows before; use a new key for new rows")]
    KeyReused,
    #[error("the request holds no rows")]
    Empty,
    /// More than one frame may hold: answer 413.
    #[error("{bytes} bytes of rows in one request; send {limit} bytes at most")]
    TooLarge { bytes: u64, limit: u64 },
    /// A write failed a short while ago: answer 503.
    #[error("writing to the ingest log failed; it is tried again in {} seconds", retry_after.as_secs().max(1))]
    Unavailable { retry_after: Duration },
    #[error(transparent)]
    Failed(#[from] ConnectorError),
}
