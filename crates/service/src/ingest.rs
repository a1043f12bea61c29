//! Rows posted over HTTP: permission here, the durable log with its owner.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use weir_api::{DeploymentId, DocumentId, IngestReceipt, ProjectId, Slug};
use weir_authz::{Action, Resource, ResourceKind};
use weir_spec::{connector::SourceConnector, parse_pipeline};
use weir_store::{
    deployments::{self, Desired},
    documents,
};

use crate::{Cx, Error, Result, pipelines};

/// The body's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestFormat {
    /// One JSON object a line.
    NdJson,
    /// One array of objects.
    JsonArray,
}

/// Rows to append, permission already given.
pub struct IngestRequest {
    pub project: ProjectId,
    pub deployment: DeploymentId,
    pub pipeline: Slug,
    pub source: String,
    pub format: IngestFormat,
    /// The source's limit: rows that wait beyond it are refused with `Busy`.
    pub max_backlog_bytes: u64,
    pub idempotency_key: Option<String>,
    pub body: Vec<u8>,
}

/// The durable log behind `http` sources, given by the host.
#[async_trait]
pub trait IngestLog: Send + Sync {
    /// Returns only after the rows are durable. Errors: `Busy` when the pipeline is behind, `Invalid` when the body cannot be cut
    /// into rows, `Conflict` when the idempotency key was used for another body.
    async fn append(&self, request: IngestRequest) -> Result<IngestReceipt>;
}

/// Versions of documents whose sources are remembered.
const REMEMBERED: usize = 1_000;

/// The `http` sources of pipelines, each with its `max_backlog_mib`: a version never changes, and a document need not be parsed for
/// every request.
#[derive(Default)]
pub(crate) struct HttpSources(Mutex<HashMap<(DocumentId, u32), Arc<BTreeMap<String, u64>>>>);

impl HttpSources {
    /// Those of a version of a pipeline; None when there is no such version.
    async fn of(&self, cx: &Cx, document: &documents::Document, version: u32) -> Result<Option<Arc<BTreeMap<String, u64>>>> {
        if let Some(known) = self.0.lock().get(&(document.id, version)) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(stored) = documents::version(cx.store(), document.id, version).await? else { return Ok(None) };
        let parsed = parse_pipeline(&stored.text)
            .value
            .ok_or_else(|| Error::Internal(format!("{} no longer parses", pipelines::resource(document))))?;
        let http = parsed.sources.into_iter().filter_map(|(name, source)| match source.connector {
            SourceConnector::Http(http) => Some((name, http.max_backlog_mib)),
            _ => None,
        });
        let sources = Arc::new(http.collect());
        let mut remembered = self.0.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert((document.id, version), Arc::clone(&sources));
        Ok(Some(sources))
    }
}

/// Appends rows to an `http` source of a deployed pipeline. The rows themselves are evidence of the run that reads them; who posted
/// them is in the server's log, because a leaf a request would outgrow the data.
pub async fn append(
    cx: &Cx,
    pipeline: &Slug,
    source: &str,
    format: IngestFormat,
    idempotency_key: Option<String>,
    body: Vec<u8>,
) -> Result<IngestReceipt> {
    let project = cx.project()?.id;
    let resource = Resource::in_project(ResourceKind::Ingest, project).id(format!("{pipeline}/{source}"));
    cx.authorize(Action::IngestWrite, &resource).await?;
    if idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 255) {
        return Err(Error::invalid("Idempotency-Key", "use 1 to 255 characters"));
    }
    let missing = || Error::not_found(format!("http source {source} in a deployed pipeline {pipeline}"));
    let found = documents::by_name(cx.store(), project, documents::DocumentKind::Pipeline, pipeline.as_str()).await?;
    let document = found.ok_or_else(missing)?;
    let deployment = deployments::by_document(cx.store(), document.id).await?.ok_or_else(missing)?;
    let sources = cx.services.http_sources.of(cx, &document, deployment.version).await?.ok_or_else(missing)?;
    let max_backlog_mib = *sources.get(source).ok_or_else(missing)?;
    if deployment.desired != Desired::Running {
        return Err(Error::Conflict(format!("pipeline {pipeline} is stopped; deploy it before rows are posted to it")));
    }
    let log = cx
        .services
        .ingest
        .get()
        .ok_or_else(|| Error::Unavailable("this instance takes no rows; its worker is not running".to_owned()))?;
    log.append(IngestRequest {
        project,
        deployment: deployment.id,
        pipeline: pipeline.clone(),
        source: source.to_owned(),
        format,
        max_backlog_bytes: max_backlog_mib.saturating_mul(1 << 20),
        idempotency_key,
        body,
    })
    .await
}
