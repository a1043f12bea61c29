//! Rows posted over HTTP: permission here, the durable log with its owner.

use async_trait::async_trait;
use weir_api::{IngestReceipt, ProjectId, Slug};

use crate::{Cx, Result};

/// The body's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestFormat {
    /// One JSON object a line.
    NdJson,
    /// One array of objects.
    JsonArray,
}

/// Rows to append, permission already given.
#[derive(Debug)]
pub struct IngestRequest {
    pub project: ProjectId,
    pub pipeline: Slug,
    pub source: String,
    pub format: IngestFormat,
    pub idempotency_key: Option<String>,
    pub body: Vec<u8>,
}

/// The durable log behind `http` sources, given by the host.
#[async_trait]
pub trait IngestLog: Send + Sync {
    /// Returns only after the rows are durable. Errors: `Busy` when the pipeline is behind, `Invalid` when the body cannot be cut into rows.
    async fn append(&self, request: IngestRequest) -> Result<IngestReceipt>;
}

/// Appends rows to an `http` source of a deployed pipeline.
pub async fn append(
    cx: &Cx,
    pipeline: &Slug,
    source: &str,
    format: IngestFormat,
    idempotency_key: Option<String>,
    body: Vec<u8>,
) -> Result<IngestReceipt> {
    let _ = (cx, pipeline, source, format, idempotency_key, body);
    todo!()
}
