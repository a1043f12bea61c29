//! Rows posted over HTTP.

use serde::{Deserialize, Serialize};

/// The rows are durable on this machine; the pipeline will read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestReceipt {
    /// Rows taken over by this request.
    pub rows: u64,
    /// Position of the first of them in the source's log, from 0.
    pub first_row: u64,
    /// The same `Idempotency-Key` was seen before: nothing was appended again.
    pub duplicate: bool,
}
