//! Rows posted over HTTP, on their way into the durable log that an `http` source reads.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use weir_api::{DeploymentId, FieldError, IngestReceipt};
use weir_connectors::http::{AppendError, IngestLog as Log, LogOptions};
use weir_service::{
    Error, Result, Services,
    ingest::{IngestFormat, IngestLog, IngestRequest},
};

use crate::host::Folders;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The ingest logs of a data folder; each is opened when it is needed first.
pub struct IngestLogs {
    // The services hold these logs, not the other way round.
    services: Weak<Services>,
    data: PathBuf,
    open: Mutex<HashMap<(DeploymentId, String), Arc<Log>>>,
}

impl IngestLogs {
    pub fn new(services: &Arc<Services>, data: PathBuf) -> Self {
        Self { services: Arc::downgrade(services), data, open: Mutex::default() }
    }

    /// Closes the logs of a deployment.
    pub fn forget(&self, deployment: DeploymentId) {
        self.open.lock().retain(|(of, _), _| *of != deployment);
    }

    async fn log(&self, request: &IngestRequest) -> Result<Arc<Log>> {
        let name = (request.deployment, request.source.clone());
        if let Some(log) = self.open.lock().get(&name) {
            // Another version of the pipeline may have another limit.
            log.set_max_backlog(backlog(request));
            return Ok(Arc::clone(log));
        }
        let services = self.services.upgrade().ok_or_else(|| Error::Unavailable("the server is stopping".to_owned()))?;
        let keys = services.project_keys(request.project).await?;
        let folder = Folders::of(&self.data, request.deployment).ingest.join(&request.source);
        let options = LogOptions::new(folder, *keys.derive("ingest-log").expose(), backlog(request) >> 20);
        let log = tokio::task::spawn_blocking(move || Log::open(options))
            .await
            .map_err(|e| Error::Internal(format!("opening an ingest log: {e}")))?
            .map_err(|e| Error::Internal(format!("opening an ingest log: {e}")))?;
        self.open.lock().insert(name, Arc::clone(&log));
        Ok(log)
    }
}

#[async_trait]
impl IngestLog for IngestLogs {
    async fn append(&self, request: IngestRequest) -> Result<IngestReceipt> {
        let log = self.log(&request).await?;
        let source = request.source.clone();
        let appended = tokio::task::spawn_blocking(move || {
            // As in files: a byte order mark belongs to no row.
            let body = request.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&request.body);
            let lines = match request.format {
                IngestFormat::NdJson => Cow::Borrowed(body),
                IngestFormat::JsonArray => Cow::Owned(to_lines(body)?),
            };
            log.append(&lines, request.idempotency_key.as_deref()).map_err(|error| refused(&source, error))
        })
        .await
        .map_err(|e| Error::Internal(format!("appending to an ingest log: {e}")))??;
        Ok(IngestReceipt { rows: appended.rows, first_row: appended.first_row, duplicate: appended.duplicate })
    }
}

/// Bytes of rows that may wait: a MiB at least.
fn backlog(request: &IngestRequest) -> u64 {
    request.max_backlog_bytes.max(1 << 20)
}

/// A JSON array as one element a line. Elements keep their text but for line breaks, which JSON allows between tokens only.
fn to_lines(body: &[u8]) -> Result<Vec<u8>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|e| invalid(format!("is not a JSON array of rows: line {}, column {}", e.line(), e.column())))?;
    let mut lines = Vec::with_capacity(body.len() + elements.len());
    for element in elements {
        lines.extend(element.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        lines.push(b'\n');
    }
    Ok(lines)
}

fn invalid(message: String) -> Error {
    Error::Invalid(vec![FieldError { field: "body".to_owned(), message }])
}

fn refused(source: &str, error: AppendError) -> Error {
    match error {
        AppendError::Backlog { retry_after, .. } => {
            Error::Busy { what: format!("the pipeline behind source {source}"), retry_after }
        }
        AppendError::KeyReused => Error::Conflict(error.to_string()),
        AppendError::Empty => invalid(error.to_string()),
        AppendError::Unavailable { .. } => Error::Unavailable(error.to_string()),
        AppendError::TooLarge { .. } => Error::TooLarge(error.to_string()),
        other => Error::Internal(format!("appending to an ingest log: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_becomes_one_row_a_line_whatever_its_layout() {
        let lines = to_lines(b"[\n {\"a\": 1,\n  \"b\": \"x\\ny\"},\r\n{\"a\":2}]").unwrap();
        assert_eq!(String::from_utf8(lines).unwrap(), "{\"a\": 1,   \"b\": \"x\\ny\"}\n{\"a\":2}\n");
        assert!(to_lines(b"[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_array_is_refused_without_repeating_it() {
        let error = to_lines(b"{\"secret\":").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }
}
