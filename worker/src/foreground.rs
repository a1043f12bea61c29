//! `weir run`: one pipeline in the foreground, governed, without a server.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_api::DeploymentId;
use weir_engine::{Checkpoint, Control, EngineError, Outcome, Summary, summary::EvidenceSummary};
use weir_plan::{Lookup, Plan};
use weir_service::{Cx, Services, foreground, heads};
use weir_spec::{Column, Contract, Diagnostic, connector::GeneratorKind, contract::ContractRef, parse_contract, parse_pipeline};
use weir_store::{checkpoints, evidence};

use crate::{
    consent::ConsentFeed,
    error::WorkerError,
    host::{Folders, LEASE},
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

/// Reads and plans a pipeline document. Contracts are looked for in a `contracts` folder beside it.
pub fn check_file(path: &Path) -> Result<CheckedFile, WorkerError> {
    let text = std::fs::read_to_string(path).map_err(|e| WorkerError::io(path, e))?;
    let base_dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    };
    check_text(text, base_dir)
}

/// Plans a pipeline document whose relative paths begin in `base_dir`.
pub fn check_text(text: String, base_dir: PathBuf) -> Result<CheckedFile, WorkerError> {
    let parsed = parse_pipeline(&text);
    let mut diagnostics = parsed.diagnostics;
    let mut plan = None;
    if let Some(pipeline) = parsed.value {
        let contracts = FileContracts::read(&base_dir.join("contracts"))?;
        let mut planned = weir_plan::plan(&pipeline, &contracts);
        parsed.spans.locate(&mut planned.diagnostics);
        diagnostics.append(&mut planned.diagnostics);
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.map(|span| span.start));
        plan = planned.plan.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    }
    Ok(CheckedFile { plan, text, diagnostics, base_dir })
}

/// Contracts in a folder: the newest of each name and major version.
#[derive(Default)]
struct FileContracts {
    contracts: BTreeMap<String, Contract>,
}

impl FileContracts {
    fn read(dir: &Path) -> Result<Self, WorkerError> {
        let mut found = Self::default();
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(WorkerError::io(dir, error)),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known)))
        {
            let text = std::fs::read_to_string(path).map_err(|e| WorkerError::io(path, e))?;
            let parsed = parse_contract(&text);
            let Some(contract) = parsed.value else {
                let findings =
                    parsed.diagnostics.iter().map(|finding| finding.render(&path.display().to_string())).collect::<Vec<_>>();
                return Err(WorkerError::Contract(findings.join("\n")));
            };
            let key = format!("{}@{}", contract.name, major(&contract.version));
            let newer = found.contracts.get(&key).is_none_or(|known| numbers(&contract.version) > numbers(&known.version));
            if newer {
                found.contracts.insert(key, contract);
            }
        }
        Ok(found)
    }
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

fn major(version: &str) -> u64 {
    numbers(version).first().copied().unwrap_or(0)
}

impl Lookup for FileContracts {
    fn contract(&self, wanted: &ContractRef) -> Option<Contract> {
        self.contracts.get(&wanted.to_string()).cloned()
    }

    fn contract_names(&self) -> Vec<String> {
        self.contracts.keys().cloned().collect()
    }

    fn generator_columns(&self, kind: GeneratorKind) -> Vec<Column> {
        weir_connectors::generator::columns(kind)
    }
}

/// How a run ended that had begun.
pub struct Report {
    /// What became of the rows; of a run that failed, as of its last checkpoint.
    pub summary: Summary,
    pub result: Result<Outcome, EngineError>,
}

/// Runs a checked document until its bounded sources end or somebody stops it. `cx` is the operator in the pipeline's project.
/// Errors with `Document` when the document was refused.
pub async fn run(cx: &Cx, data: &Path, checked: CheckedFile, control: &Control) -> Result<Outcome, WorkerError> {
    Ok(run_reported(cx, data, checked, control).await?.result?)
}

/// Like [`run`], with the summary also of a run that failed. An error means that no run had begun.
pub async fn run_reported(cx: &Cx, data: &Path, checked: CheckedFile, control: &Control) -> Result<Report, WorkerError> {
    let Some(plan) = checked.plan else { return Err(WorkerError::Document(checked.diagnostics)) };
    let services: Arc<Services> = Arc::clone(cx.services());
    let project = cx.project()?.clone();
    let what = format!("the pipeline {}", plan.pipeline);
    // Held until the run has ended; a process that dies gives it back.
    let _lock = ProcessLock::acquire(data, &format!("{}.{}", project.slug, plan.pipeline), &what)?;
    let owner = format!("weir-run:{}", plan.pipeline);
    let begun = foreground::begin(cx, &checked.text, &plan, &owner, LEASE).await?;
    let consent = ConsentFeed::start(services.store().clone(), project.id, &tokio::runtime::Handle::current());
    let folders = Folders::of(data, begun.deployment.id);
    let (plan, run) = (Arc::new(plan), begun.run.id.to_string());
    let base_dir = checked.base_dir;
    let assignment = Assignment { run: begun.run, lease: begun.lease, plan: Arc::clone(&plan), base_dir, folders };
    let signer = tokio::spawn(sign_every_minute(Arc::clone(&services)));
    let result = carry(&services, consent, assignment, control, OnRetryable::End).await;
    signer.abort();
    heads::sign(&services).await?;
    let summary = match &result {
        Ok(outcome) => outcome.summary.clone(),
        Err(_) => as_of_the_last_checkpoint(&services, &plan, &run, begun.deployment.id).await?,
    };
    Ok(Report { summary, result })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_contract_of_a_major_version_counts() {
        assert!(numbers("1.10.0") > numbers("1.9.3"));
        assert_eq!(major("2.0.1-rc.1"), 2);
    }
}
