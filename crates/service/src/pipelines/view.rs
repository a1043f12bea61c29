//! A pipeline as lists and pages show it.

use weir_api::{Deployment, PipelineDetail, PipelineState, PipelineSummary, PipelineVersion, RunState, UserId, UserRef};
use weir_store::{
    deployments::{self, Desired},
    documents::{Document, VersionInfo},
    runs,
};

use super::{check, stored_version};
use crate::{Cx, Result, graph, runs as service_runs, users};

pub(super) async fn detail(cx: &Cx, document: &Document) -> Result<PipelineDetail> {
    let stored = stored_version(cx, document, document.latest_version).await?;
    let checked = check(cx, &stored.text).await?;
    let names = users::refs(cx.store()).await?;
    let (summary, deployment) = summary(cx, document, &stored.info, |id| names.get(&id?).cloned()).await?;
    Ok(PipelineDetail {
        summary,
        hash: stored.info.hash,
        document: stored.text,
        graph: graph::draw(&checked),
        diagnostics: checked.diagnostics,
        deployment,
    })
}

pub(super) async fn summary(
    cx: &Cx,
    document: &Document,
    latest: &VersionInfo,
    name: impl Fn(Option<UserId>) -> Option<UserRef>,
) -> Result<(PipelineSummary, Option<Deployment>)> {
    let deployment = deployments::by_document(cx.store(), document.id).await?;
    let last_run = runs::latest(cx.store(), document.id).await?;
    let text = |key: &str| latest.summary[key].as_str().map(str::to_owned);
    let deployment = match deployment {
        Some(deployment) => Some(deployment_dto(cx, document, deployment).await?),
        None => None,
    };
    let summary = PipelineSummary {
        name: service_runs::slug(&document.name)?,
        description: text("description"),
        owner: text("owner"),
        purpose: text("purpose").unwrap_or_default(),
        state: deployment.as_ref().map_or(PipelineState::Draft, |deployment| deployment.state),
        version: document.latest_version,
        deployed_version: deployment.as_ref().map(|deployment| deployment.version),
        updated_at: document.updated_at,
        updated_by: name(latest.author),
        last_run: last_run.map(service_runs::summary).transpose()?,
    };
    Ok((summary, deployment))
}

pub(super) async fn deployment_dto(cx: &Cx, document: &Document, deployment: deployments::Deployment) -> Result<Deployment> {
    let stored = stored_version(cx, document, deployment.version).await?;
    let run = runs::latest(cx.store(), document.id).await?.filter(|run| run.deployment == deployment.id);
    let names = users::refs(cx.store()).await?;
    Ok(Deployment {
        state: state(&deployment, run.as_ref().map(|run| run.state)),
        version: deployment.version,
        hash: stored.info.hash,
        run: run.map(|run| run.id),
        changed_at: deployment.changed_at,
        changed_by: deployment.changed_by.and_then(|id| names.get(&id).cloned()),
    })
}

/// What was asked for and what the newest run says, told in one word.
pub(crate) fn state(deployment: &deployments::Deployment, run: Option<RunState>) -> PipelineState {
    match (deployment.desired, run) {
        (_, Some(RunState::Stopping)) => PipelineState::Stopping,
        (Desired::Running, Some(RunState::Running)) => PipelineState::Running,
        (Desired::Running, _) => PipelineState::Starting,
        (Desired::Stopped, Some(RunState::Running | RunState::Pending)) => PipelineState::Stopping,
        (Desired::Stopped, Some(RunState::Finished)) => PipelineState::Finished,
        (Desired::Stopped, Some(RunState::Failed)) => PipelineState::Failed,
        (Desired::Stopped, _) => PipelineState::Stopped,
    }
}

pub(super) fn version_dto(info: VersionInfo, name: impl Fn(Option<UserId>) -> Option<UserRef>) -> PipelineVersion {
    PipelineVersion {
        version: info.version,
        hash: info.hash,
        created_at: info.created_at,
        created_by: name(info.author),
        note: info.message,
    }
}
