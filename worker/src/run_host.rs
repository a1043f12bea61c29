//! What use cases ask of whoever runs pipelines: whether a run could go on, and what becomes of its files.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use weir_api::DeploymentId;
use weir_connectors::BaseDir;
use weir_engine::{Checkpoint, EngineError, Options, check_definitions, check_replacement, finish_commit};
use weir_plan::Plan;
use weir_service::{Error, Result, Services, host::RunHost};
use weir_store::{
    StoreError, checkpoints,
    deployments::{self, Deployment},
};

use crate::{error::WorkerError, host::Folders, ingest::IngestLogs};

/// The host of one data folder.
pub struct FolderHost {
    // The services hold this, not the other way round.
    services: Weak<Services>,
    data: PathBuf,
    allowed: Vec<PathBuf>,
    logs: Arc<IngestLogs>,
}

impl FolderHost {
    pub fn new(services: &Arc<Services>, data: PathBuf, allowed: Vec<PathBuf>, logs: Arc<IngestLogs>) -> Self {
        Self { services: Arc::downgrade(services), data, allowed, logs }
    }

    fn services(&self) -> Result<Arc<Services>> {
        self.services.upgrade().ok_or_else(|| Error::Unavailable("the server is stopping".to_owned()))
    }

    /// The last checkpoint; None when there is none, or when it is damaged: then a run goes back to one before it, if it can.
    async fn last_checkpoint(&self, deployment: DeploymentId) -> Result<Option<Checkpoint>> {
        let services = self.services()?;
        let stored = match checkpoints::load(services.store(), deployment).await {
            Ok(stored) => stored,
            Err(StoreError::Corrupt(damage)) => {
                tracing::warn!(%deployment, damage, "the last checkpoint is damaged");
                None
            }
            Err(other) => return Err(other.into()),
        };
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored.content).ok()))
    }
}

#[async_trait]
impl RunHost for FolderHost {
    async fn obstacle(&self, deployment: DeploymentId, running: Option<Arc<Plan>>, plan: Arc<Plan>) -> Result<Option<String>> {
        let last = self.last_checkpoint(deployment).await?;
        let replaces = running.map_or(Ok(()), |before| check_replacement(&before, &plan));
        match replaces.and_then(|()| last.map_or(Ok(()), |last| check_definitions(&last, &plan))) {
            Ok(()) => Ok(None),
            Err(EngineError::Resume(reason)) => Ok(Some(reason)),
            Err(other) => Err(internal(&other)),
        }
    }

    async fn finish(&self, deployment: &Deployment, plan: Arc<Plan>) -> Result<()> {
        let Some(last) = self.last_checkpoint(deployment.id).await? else { return Ok(()) };
        let dir = self.services()?.files(deployment.project).await?;
        std::fs::create_dir_all(&dir).map_err(|error| internal(&WorkerError::io(&dir, error)))?;
        let base_dir = BaseDir::confined(dir, &self.allowed).map_err(|error| internal(&error))?;
        let options = Options { run: String::new(), base_dir, tag: deployment.id.to_string() };
        let finishing = tokio::task::spawn_blocking(move || finish_commit(&plan, &options, &last));
        finishing.await.map_err(|error| internal(&error))?.map_err(|error| internal(&error))
    }

    async fn remove_files(&self, deployment: DeploymentId) -> Result<()> {
        self.logs.forget(deployment);
        let folders = Folders::of(&self.data, deployment);
        let removed = tokio::task::spawn_blocking(move || remove(&folders)).await.map_err(|error| internal(&error))?;
        removed.map_err(|error| internal(&error))
    }
}

/// Removes what a process that died left of pipelines that are deleted.
pub async fn remove_orphans(services: &Services, data: &Path) -> Result<(), WorkerError> {
    for folder in ["state", "ingest"] {
        let Ok(entries) = std::fs::read_dir(data.join(folder)) else { continue };
        for entry in entries.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<DeploymentId>().ok()) else { continue };
            if deployments::is_deleted(services.store(), id).await? {
                remove(&Folders::of(data, id))?;
                tracing::info!(deployment = %id, "removed what was left of a deleted pipeline");
            }
        }
    }
    Ok(())
}

fn remove(folders: &Folders) -> Result<(), WorkerError> {
    for folder in [&folders.ingest, &folders.state] {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(WorkerError::io(folder, error)),
            _ => {}
        }
    }
    Ok(())
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("the host of runs: {error}"))
}
