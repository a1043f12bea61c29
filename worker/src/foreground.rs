//! `weir run`: one pipeline in the foreground, governed, without a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_api::DeploymentId;
use weir_connectors::BaseDir;
use weir_engine::{
    Checkpoint, Control, EngineError, Options, Outcome, Summary, finish_commit,
    summary::{AlertSummary, EvidenceSummary},
};
use weir_plan::{Plan, Planned};
use weir_service::{Cx, Services, foreground, heads};
use weir_spec::{Diagnostic, Step, parse_pipeline};
use weir_store::{alerts, checkpoints, evidence};

use crate::{
    consent::ConsentFeed,
    contracts::FileContracts,
    error::WorkerError,
    host::{DEFAULT_STATE_MEMORY, Folders, LEASE},
    lock::ProcessLock,
    runner::{Assignment, OnRetryable, carry},
};

/// A document on disk, checked.
pub struct CheckedFile {
    /// Present when nothing stands against running it.
    pub plan: Option<Plan>,
    pub text: String,
    /// All findings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The folder in which relative paths begin.
    pub base_dir: PathBuf,
}

/// Reads and plans a pipeline document. It may name `contracts` and those in a `contracts` folder beside it.
pub fn check_file(path: &Path, contracts: &FileContracts) -> Result<CheckedFile, WorkerError> {
    let text = std::fs::read_to_string(path).map_err(|e| WorkerError::io(path, e))?;
    let base_dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    };
    Ok(check_text(text, base_dir, contracts))
}

/// Plans a pipeline document whose relative paths begin in `base_dir`.
pub fn check_text(text: String, base_dir: PathBuf, contracts: &FileContracts) -> CheckedFile {
    let Planned { plan, diagnostics } = contracts.with_neighbours(&base_dir).plan(&parse_pipeline(&text));
    CheckedFile { plan, text, diagnostics, base_dir }
}

/// How a run ended that had begun.
pub struct Report {
    /// What became of the rows; of a run that failed, as of its last checkpoint.
    pub summary: Summary,
    pub result: Result<Outcome, EngineError>,
    /// Whether the log could be signed at the end: not if somebody has changed it.
    pub signed: Result<(), weir_service::Error>,
}

/// Where a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the last checkpoint, if there is one.
    Resume,
    /// Anew: checkpoints, operators' state and positions are forgotten. What sinks have committed stays where it is, and the run writes
    /// beside it, under later epochs. The evidence stays, and tells that the pipeline was started anew, and by whom.
    Fresh,
}

/// Runs a checked document until its bounded sources end or somebody stops it. `cx` is the operator in the pipeline's project.
/// Errors with `Document` when the document was refused.
pub async fn run(cx: &Cx, data: &Path, checked: CheckedFile, control: &Control) -> Result<Outcome, WorkerError> {
    let report = run_reported(cx, data, checked, Start::Resume, control, DEFAULT_STATE_MEMORY).await?;
    let outcome = report.result?;
    report.signed?;
    Ok(outcome)
}

/// Like [`run`], with the summary also of a run that failed. An error means that no run had begun.
pub async fn run_reported(
    cx: &Cx,
    data: &Path,
    checked: CheckedFile,
    start: Start,
    control: &Control,
    state_memory: usize,
) -> Result<Report, WorkerError> {
    let Some(plan) = checked.plan else { return Err(WorkerError::Document(checked.diagnostics)) };
    let services: Arc<Services> = Arc::clone(cx.services());
    let project = cx.project()?.clone();
    let what = format!("the pipeline {}", plan.pipeline);
    // Held until the run has ended; a process that dies gives it back.
    let _lock = ProcessLock::acquire(data, &format!("{}.{}", project.slug, plan.pipeline), &what)?;
    let owner = format!("weir-run:{}", plan.pipeline);
    let begun = foreground::begin(cx, &checked.text, &plan, &owner, LEASE, start == Start::Fresh).await?;
    let consent = ConsentFeed::start(services.store().clone(), project.id, &tokio::runtime::Handle::current());
    let folders = Folders::of(data, begun.deployment.id);
    let (plan, run) = (Arc::new(plan), begun.run.id.to_string());
    let base_dir = BaseDir::unconfined(checked.base_dir);
    if start == Start::Fresh {
        forget(cx, &begun, &plan, &base_dir, &folders).await?;
    }
    let assignment = Assignment { run: begun.run, lease: begun.lease, plan: Arc::clone(&plan), base_dir, folders, state_memory };
    let signer = tokio::spawn(sign_every_minute(Arc::clone(&services)));
    let result = carry(&services, consent, assignment, control, OnRetryable::End).await;
    signer.abort();
    let signed = heads::sign(&services).await.map(drop);
    let mut summary = match &result {
        Ok(outcome) => outcome.summary.clone(),
        Err(_) => as_of_the_last_checkpoint(&services, &plan, &run, begun.deployment.id).await?,
    };
    if has_alerts(&checked.text) {
        let tally = alerts::tally(services.store(), begun.deployment.id).await?;
        summary.alerts = Some(AlertSummary { raised: tally.raised, resolved: tally.resolved, open: tally.open });
    }
    Ok(Report { summary, result, signed })
}

/// Whether the document has alert steps.
fn has_alerts(text: &str) -> bool {
    let pipeline = parse_pipeline(text).value;
    pipeline.is_some_and(|pipeline| pipeline.steps.values().any(|step| matches!(step, Step::Alert(_))))
}

/// Forgets where the pipeline stood. In this order, so that a death between any two steps loses no output that is on record.
async fn forget(
    cx: &Cx,
    begun: &foreground::ForegroundRun,
    plan: &Arc<Plan>,
    base_dir: &BaseDir,
    folders: &Folders,
) -> Result<(), WorkerError> {
    // A checkpoint that cannot be read promises nothing that could be finished.
    let stored = checkpoints::load(cx.services().store(), begun.deployment.id).await.ok().flatten();
    if let Some(last) = stored.and_then(|stored| serde_json::from_slice::<Checkpoint>(&stored.content).ok()) {
        let tag = begun.deployment.id.to_string();
        let options = Options { run: begun.run.id.to_string(), base_dir: base_dir.clone(), tag };
        let plan = Arc::clone(plan);
        let finishing = tokio::task::spawn_blocking(move || finish_commit(&plan, &options, &last));
        finishing.await.map_err(|e| EngineError::internal("sinks", e))??;
    }
    foreground::start_anew(cx, begun, plan).await?;
    match std::fs::remove_dir_all(&folders.state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(WorkerError::io(&folders.state, error)),
        _ => Ok(()),
    }
}

async fn as_of_the_last_checkpoint(
    services: &Services,
    plan: &Plan,
    run: &str,
    deployment: DeploymentId,
) -> Result<Summary, WorkerError> {
    // A checkpoint that cannot be read is what the run failed of; there are no counts to tell then.
    let stored = checkpoints::load(services.store(), deployment).await.ok().flatten();
    let last: Checkpoint = stored.and_then(|stored| serde_json::from_slice(&stored.content).ok()).unwrap_or_default();
    let log = evidence::state(services.store()).await?;
    let evidence = EvidenceSummary { leaves: log.range.size(), root: log.range.root().to_string() };
    Ok(Summary::of(plan, run, "failed", &last, evidence))
}

async fn sign_every_minute(services: Arc<Services>) {
    let mut minutes = tokio::time::interval(std::time::Duration::from_secs(60));
    minutes.tick().await;
    loop {
        minutes.tick().await;
        if let Err(error) = heads::sign(&services).await {
            tracing::error!(%error, "the log could not be signed; it is tried again in a minute");
        }
    }
}
