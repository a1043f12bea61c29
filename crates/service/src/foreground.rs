//! Pipelines run by `weir run`: the document is kept and deployed on record, but no supervisor shall start it.

use weir_api::{CreatePipeline, RunState, Slug, UpdatePipeline};
use weir_authz::{Action, Resource, ResourceKind};
use weir_plan::Plan;
use weir_store::{
    alerts, checkpoints,
    deployments::{self, Deployment, Desired},
    documents::{self, DocumentKind},
    leases::{self, Lease},
    runs::{self, NewRun, Run},
};

use crate::{Cx, Error, Result, pipelines};

/// A run that the caller carries now.
#[derive(Clone, Debug)]
pub struct ForegroundRun {
    pub deployment: Deployment,
    pub run: Run,
    pub lease: Lease,
}

/// Keeps the document as the pipeline's newest version, deploys it without asking the supervisor for it, and takes a run of it.
/// `owner` must be the same for every process that may carry this pipeline in the foreground: a lock must see to it that there is
/// one at a time. A run that a dead process left behind goes on, unless the document has changed since or the pipeline starts `anew`;
/// then call [`start_anew`] next. Errors with `Conflict` when a server runs the pipeline.
pub async fn begin(
    cx: &Cx,
    text: &str,
    plan: &Plan,
    owner: &str,
    lease: std::time::Duration,
    anew: bool,
) -> Result<ForegroundRun> {
    let project = cx.project()?.id;
    let name: Slug = plan.pipeline.parse().map_err(|e: weir_api::InvalidId| Error::invalid("name", e.to_string()))?;
    keep_document(cx, &name, text).await?;
    let resource = Resource::in_project(ResourceKind::Pipeline, project).id(&name).for_purpose(plan.purpose.clone());
    let may_deploy = cx.authorize(Action::PipelineDeploy, &resource).await?;
    let may_stop = cx.authorize(Action::PipelineStop, &resource).await?;
    let document = documents::by_name(cx.store(), project, DocumentKind::Pipeline, name.as_str())
        .await?
        .ok_or_else(|| Error::not_found(format!("pipeline {name}")))?;

    let mut change = cx.change(&may_deploy).await?;
    if let Some(current) = deployments::by_document(change.tx(), document.id).await?
        && current.desired == Desired::Running
    {
        return Err(Error::Conflict(format!("a server runs the pipeline {name} from this data folder; stop it there first")));
    }
    let now = cx.now();
    let deployment = deployments::deploy(change.tx(), &may_deploy, &document, document.latest_version, now).await?;
    let deployment = deployments::stop(change.tx(), &may_stop, deployment.id, now).await?;
    let version = documents::version(change.tx(), document.id, document.latest_version)
        .await?
        .ok_or_else(|| Error::Internal(format!("version {} of pipeline {name} is missing", document.latest_version)))?;

    if let Some(alive) = runs::alive(change.tx(), deployment.id).await? {
        let Some(taken) = leases::acquire(change.tx(), alive.id, owner, lease, now).await? else {
            return Err(Error::Conflict(format!("the pipeline {name} is run by another process; wait until it ends")));
        };
        if alive.version == version.info.version && alive.state == RunState::Running && !anew {
            change.after(format!("pipeline:{name}@{} goes on", alive.version));
            change.commit().await?;
            return Ok(ForegroundRun { deployment, run: alive, lease: taken });
        }
        // A dead process left it behind, and it does not go on.
        runs::end(change.tx(), &taken, RunState::Stopped, None, now).await?;
    }
    let new = NewRun {
        project,
        deployment: deployment.id,
        document: document.id,
        pipeline: name.to_string(),
        version: version.info.version,
        document_hash: version.info.hash.to_string(),
    };
    let run = runs::create(change.tx(), new, now).await?;
    let taken = leases::acquire(change.tx(), run.id, owner, lease, now)
        .await?
        .ok_or_else(|| Error::Internal("a new run has no lease to wait for".to_owned()))?;
    change.after(format!("pipeline:{name}@{} in the foreground plan:{}", run.version, hex::encode(plan.document_hash)));
    change.commit().await?;
    Ok(ForegroundRun { deployment, run, lease: taken })
}

/// Forgets the checkpoints of the pipeline whose run this is, and puts on record who wanted that.
pub async fn start_anew(cx: &Cx, begun: &ForegroundRun, plan: &Plan) -> Result<()> {
    let resource = Resource::in_project(ResourceKind::Pipeline, begun.deployment.project).id(&plan.pipeline);
    let may_deploy = cx.authorize(Action::PipelineDeploy, &resource.for_purpose(plan.purpose.clone())).await?;
    let mut change = cx.change(&may_deploy).await?;
    begun.lease.hold(change.tx()).await?;
    let newest = checkpoints::newest_epoch(change.tx(), begun.deployment.id).await?;
    checkpoints::forget(change.tx(), &may_deploy, &begun.deployment).await?;
    alerts::forget(change.tx(), &may_deploy, &begun.deployment, cx.now()).await?;
    let forgotten =
        newest.map_or("no checkpoint yet".to_owned(), |epoch| format!("its checkpoints up to epoch {epoch} forgotten"));
    change.after(format!("pipeline:{} started anew, {forgotten}", plan.pipeline));
    change.commit().await?;
    Ok(())
}

async fn keep_document(cx: &Cx, name: &Slug, text: &str) -> Result<()> {
    let project = cx.project()?.id;
    let known = documents::by_name(cx.store(), project, DocumentKind::Pipeline, name.as_str()).await?;
    match known {
        Some(known) => {
            let current = documents::version(cx.store(), known.id, known.latest_version).await?;
            if current.is_none_or(|current| current.text != text) {
                let request = UpdatePipeline { document: text.to_owned(), expected_version: known.latest_version, note: None };
                pipelines::update(cx, name, request).await?;
            }
        }
        None => {
            pipelines::create(cx, CreatePipeline { document: text.to_owned(), note: None }).await?;
        }
    }
    Ok(())
}
