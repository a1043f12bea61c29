//! The supervisor: whatever shall run, runs; whatever died is taken over; whatever shall stop takes its last checkpoint.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::{DeploymentId, ProjectId, RunState};
use weir_connectors::BaseDir;
use weir_engine::{Control, EngineError};
use weir_evidence::{
    Body,
    record::{RunEnded, RunStatus},
};
use weir_service::{Services, planning};
use weir_store::{
    Tx, checkpoints,
    deployments::{self, Deployment},
    documents, evidence, leases,
    runs::{self, NewRun, Run},
};

use crate::{
    consent::ConsentFeed,
    error::WorkerError,
    host::{Folders, LEASE},
    ingest::IngestLogs,
    jobs::Jobs,
    lock::ProcessLock,
    run_host::{self, FolderHost},
    runner::{Assignment, OnRetryable, carry, failure, leaf},
};

/// How often the database is looked at when nobody of this process changes anything.
const ROUND: Duration = Duration::from_secs(1);
/// The longest wait before a failed run is tried again.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Keeps the pipelines of one data folder running.
pub struct Supervisor {
    stopping: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    jobs: Jobs,
    _lock: ProcessLock,
}

struct Keeper {
    services: Arc<Services>,
    data: PathBuf,
    /// Folders beside the projects' own in which pipelines may read and write.
    allowed: Vec<PathBuf>,
    /// Bytes of memory that the keyed state of each run may take.
    state_memory: usize,
    owner: String,
    running: Arc<Mutex<HashMap<DeploymentId, Control>>>,
    consent: HashMap<ProjectId, Arc<ConsentFeed>>,
    backoff: HashMap<DeploymentId, (u32, Instant)>,
}

impl Supervisor {
    /// Starts to keep runs alive. `allowed` are folders beside the project's own in which pipelines may read and write,
    /// `state_memory` the bytes of memory that the keyed state of each run may take. One process at a time supervises a data folder.
    pub async fn start(services: Arc<Services>, allowed: Vec<PathBuf>, state_memory: usize) -> Result<Self, WorkerError> {
        let data = services.store().file().parent().map_or_else(|| PathBuf::from("."), PathBuf::from);
        let lock = ProcessLock::acquire(&data, "supervisor", "a server")?;
        for folder in ["files", "state", "ingest"] {
            private_folder(&data.join(folder))?;
        }
        services.confine_to(allowed.clone());
        if let Err(error) = run_host::remove_orphans(&services, &data).await {
            tracing::warn!(%error, "what is left of deleted pipelines could not be removed; it is tried again at the next start");
        }
        let logs = Arc::new(IngestLogs::new(&services, data.clone()));
        services.set_ingest_log(Arc::clone(&logs) as _);
        services.set_run_host(Arc::new(FolderHost::new(&services, data.clone(), allowed.clone(), logs)));
        let jobs = Jobs::start(&services).await?;
        let stopping = CancellationToken::new();
        let keeper = Keeper {
            // The same name after a restart: the lock sees to it that there is one, and the dead one's leases need no waiting.
            owner: format!("weir-serve:{}", services.store().log_id()),
            services,
            data,
            allowed,
            state_memory,
            running: Arc::default(),
            consent: HashMap::new(),
            backoff: HashMap::new(),
        };
        let task = tokio::spawn(keeper.run(stopping.clone()));
        Ok(Self { stopping, task, jobs, _lock: lock })
    }

    /// Lets every run take its last checkpoint and waits for it. The runs stay due: the next start goes on with them.
    pub async fn stop(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the supervisor failed while it stopped");
        }
        self.jobs.stop().await;
    }
}

/// Makes a folder that is missing, for its owner only: the data folder may have been there before, open to others.
fn private_folder(path: &std::path::Path) -> Result<(), WorkerError> {
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path).map_err(|error| WorkerError::io(path, error))
}

/// How a carried run ended, for the keeper.
struct Ended {
    deployment: Deployment,
    result: Result<(), EngineError>,
}

impl Keeper {
    async fn run(mut self, stopping: CancellationToken) {
        let mut carried: JoinSet<Ended> = JoinSet::new();
        while !stopping.is_cancelled() {
            if let Err(error) = self.round(&mut carried).await {
                tracing::error!(%error, "the supervisor could not look after the pipelines; it tries again");
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.services.deployments_changed() => {}
                () = tokio::time::sleep(ROUND) => {}
                Some(ended) = carried.join_next() => self.ended(ended).await,
            }
        }
        for control in self.running.lock().values() {
            control.stop();
        }
        while let Some(ended) = carried.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a run's task failed");
            }
        }
    }

    async fn round(&mut self, carried: &mut JoinSet<Ended>) -> Result<(), WorkerError> {
        self.pass_on_stops().await?;
        self.end_abandoned().await?;
        for deployment in deployments::shall_run(self.services.store()).await? {
            let waits = self.backoff.get(&deployment.id).is_some_and(|(_, until)| Instant::now() < *until);
            if waits || self.running.lock().contains_key(&deployment.id) {
                continue;
            }
            if let Some((run, lease)) = self.take(&deployment).await? {
                self.carry(carried, deployment, run, lease).await?;
            }
        }
        Ok(())
    }

    /// Tells the runs of this process what the database asks of them: sooner than their leases' renewal would.
    async fn pass_on_stops(&self) -> Result<(), WorkerError> {
        let running: Vec<(DeploymentId, Control)> =
            self.running.lock().iter().map(|(id, control)| (*id, control.clone())).collect();
        for (deployment, control) in running {
            if let Some(run) = runs::alive(self.services.store(), deployment).await?
                && run.state == RunState::Stopping
            {
                control.stop();
            }
        }
        Ok(())
    }

    /// Ends runs that were asked to stop and whose process died before it could: their checkpoints stand, and nothing is due.
    async fn end_abandoned(&self) -> Result<(), WorkerError> {
        for run in runs::all_alive(self.services.store()).await? {
            if run.state != RunState::Stopping || self.running.lock().contains_key(&run.deployment) {
                continue;
            }
            let tx = self.services.store().begin().await?;
            if self.end_stopped(&tx, &run).await? {
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Puts on record that a run which nobody carries any more was stopped. False when somebody carries it.
    async fn end_stopped(&self, tx: &Tx, run: &Run) -> Result<bool, WorkerError> {
        let now = self.services.now();
        let Some(lease) = leases::acquire(tx, run.id, &self.owner, LEASE, now).await? else { return Ok(false) };
        let epoch = checkpoints::list(tx, run.id, None, 1).await?.first().map(|last| last.epoch);
        runs::end(tx, &lease, RunState::Stopped, None, now).await?;
        let reason = Some("its process died while it was asked to stop; its last checkpoint stands".to_owned());
        let ended =
            RunEnded { run: run.id.to_string(), pipeline: run.pipeline.clone(), status: RunStatus::Stopped, epoch, reason };
        evidence::append(tx, vec![leaf(run, Body::RunEnded(ended))]).await?;
        Ok(true)
    }

    /// A run of the deployment, with its lease: the one that is due, or a new one.
    async fn take(&self, deployment: &Deployment) -> Result<Option<(Run, leases::Lease)>, WorkerError> {
        let tx = self.services.store().begin().await?;
        let now = self.services.now();
        let mut run = runs::alive(&tx, deployment.id).await?;
        if let Some(alive) = &run
            && (alive.version != deployment.version || alive.state == RunState::Stopping)
        {
            if !self.end_stopped(&tx, alive).await? {
                return Ok(None);
            }
            run = None;
        }
        let run = match run {
            Some(run) => run,
            None => {
                let Some(document) = documents::by_id(&tx, deployment.document).await? else { return Ok(None) };
                let Some(version) = documents::version(&tx, document.id, deployment.version).await? else { return Ok(None) };
                let new = NewRun {
                    project: deployment.project,
                    deployment: deployment.id,
                    document: document.id,
                    pipeline: document.name,
                    version: deployment.version,
                    document_hash: version.info.hash.to_string(),
                };
                runs::create(&tx, new, now).await?
            }
        };
        let Some(lease) = leases::acquire(&tx, run.id, &self.owner, LEASE, now).await? else { return Ok(None) };
        tx.commit().await?;
        Ok(Some((run, lease)))
    }

    async fn carry(
        &mut self,
        carried: &mut JoinSet<Ended>,
        deployment: Deployment,
        run: Run,
        lease: leases::Lease,
    ) -> Result<(), WorkerError> {
        let base_dir = self.files(deployment.project).await?;
        let assignment = match self.plan(&run).await? {
            Ok(plan) => {
                let folders = Folders::of(&self.data, deployment.id);
                Assignment { run, lease, plan: Arc::new(plan), base_dir, folders, state_memory: self.state_memory }
            }
            Err(message) => {
                // Nobody can run it as it is: it is over, and says why.
                let error = EngineError::Resume(message);
                let tx = self.services.store().begin().await?;
                let now = self.services.now();
                runs::end(&tx, &lease, RunState::Failed, Some(failure(&error, now)), now).await?;
                deployments::settle(&tx, deployment.id, deployment.generation, now).await?;
                tx.commit().await?;
                return Ok(());
            }
        };
        let control = Control::default();
        self.running.lock().insert(deployment.id, control.clone());
        let consent = self.consent_of(deployment.project);
        let services = Arc::clone(&self.services);
        let running = Arc::clone(&self.running);
        carried.spawn(async move {
            tracing::info!(pipeline = %assignment.run.pipeline, run = %assignment.run.id, "run started");
            let result = carry(&services, consent, assignment, &control, OnRetryable::Retry).await;
            running.lock().remove(&deployment.id);
            Ended { deployment, result: result.map(|_| ()) }
        });
        Ok(())
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let Ended { deployment, result } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a run's task failed");
                return;
            }
        };
        let over = match &result {
            Ok(()) => {
                self.backoff.remove(&deployment.id);
                true
            }
            Err(EngineError::LeaseLost | EngineError::Cancelled) => false,
            Err(error) => {
                tracing::error!(deployment = %deployment.id, %error, "run failed");
                !error.is_retryable()
            }
        };
        if over {
            let settled = async {
                let tx = self.services.store().begin().await?;
                deployments::settle(&tx, deployment.id, deployment.generation, self.services.now()).await?;
                tx.commit().await
            };
            if let Err(error) = settled.await {
                tracing::error!(deployment = %deployment.id, %error, "the end of the deployment could not be put on record");
            }
        } else {
            let failures = self.backoff.get(&deployment.id).map_or(0, |(failures, _)| *failures) + 1;
            let wait = Duration::from_secs(1 << failures.min(6)).min(MAX_BACKOFF);
            self.backoff.insert(deployment.id, (failures, Instant::now() + wait));
        }
    }

    /// The folder of a project's files, which its pipelines do not leave; made when it is missing.
    async fn files(&self, project: ProjectId) -> Result<BaseDir, WorkerError> {
        let dir = self.services.files(project).await?;
        std::fs::create_dir_all(&dir).map_err(|e| WorkerError::io(&dir, e))?;
        Ok(BaseDir::confined(dir, &self.allowed).map_err(|e| EngineError::connector("files", e))?)
    }

    /// The plan of a run's document, or why it cannot run.
    async fn plan(&self, run: &Run) -> Result<Result<weir_plan::Plan, String>, WorkerError> {
        let Some(version) = documents::version(self.services.store(), run.document, run.version).await? else {
            return Ok(Err(format!("version {} of the pipeline is missing", run.version)));
        };
        let checked = planning::check(&self.services, run.project, &version.text).await?;
        let Some(plan) = checked.plan.filter(|_| !checked.diagnostics.iter().any(weir_spec::Diagnostic::is_error)) else {
            let errors: Vec<String> =
                checked.diagnostics.iter().filter(|finding| finding.is_error()).map(|finding| finding.message.clone()).collect();
            return Ok(Err(format!("the document is refused: {}", errors.join("; "))));
        };
        Ok(Ok(plan))
    }

    fn consent_of(&mut self, project: ProjectId) -> Arc<ConsentFeed> {
        let store = self.services.store().clone();
        Arc::clone(
            self.consent.entry(project).or_insert_with(|| ConsentFeed::start(store, project, &tokio::runtime::Handle::current())),
        )
    }
}
