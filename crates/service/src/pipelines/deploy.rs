//! What shall run: a version is put to work, or its run is asked to end.

use std::sync::Arc;

use weir_api::{DeployPipeline, Deployment, Diagnostic, Slug};
use weir_authz::Action;
use weir_plan::Plan;
use weir_store::{
    alerts, checkpoints, deployments,
    documents::{self, Document},
    runs,
};

use super::{check, find, resource, stored_version, view::deployment_dto};
use crate::{Cx, Error, Result};

/// Findings that one entry of the audit log names.
const GROUNDS: usize = 20;

/// Puts a version to work. Refused with `Document` when the plan refuses it. A run of another version is asked to stop first; the
/// supervisor then starts this one from its last checkpoint; where it could not, the deployment is refused with `Conflict`, and what
/// runs goes on. Who may deploy depends on the most sensitive class that leaves the pipeline through a sink. What the plan
/// refuses is on record as a denied deployment, with what stood against it.
pub async fn deploy(cx: &Cx, name: &Slug, request: DeployPipeline) -> Result<Deployment> {
    let document = find(cx, name, Action::PipelineDeploy).await?;
    let number = request.version.unwrap_or(document.latest_version);
    // Whether one may deploy at all comes first: the findings tell of the document.
    cx.authorize(Action::PipelineDeploy, &resource(&document)).await?;
    let stored = stored_version(cx, &document, number).await?;
    let checked = check(cx, &stored.text).await?;
    let classification = checked.classification();
    let errors = checked.errors();
    let (Some(plan), false) = (checked.plan, errors) else {
        let asked = format!("pipeline:{name}@{number} sha256:{}", stored.info.hash);
        cx.refuse_what(Action::PipelineDeploy, &resource(&document), &grounds(&checked.diagnostics), Some(asked)).await?;
        return Err(Error::Document(checked.diagnostics));
    };
    let classified = resource(&document).classified(classification).for_purpose(plan.purpose.clone());
    let permitted = cx.authorize(Action::PipelineDeploy, &classified).await?;
    let plan = Arc::new(plan);
    let known = deployments::by_document(cx.store(), document.id).await?;
    let last = match &known {
        Some(current) => last_plan(cx, &document, current.version).await?,
        None => None,
    };
    if let Some(current) = known.as_ref().filter(|_| !request.fresh) {
        goes_on(cx, name, number, current, last.clone(), &plan).await?;
    }
    let mut change = cx.change(&permitted).await?;
    let mut anew = String::new();
    if let Some(current) = deployments::by_document(change.tx(), document.id).await? {
        change.before(format!("pipeline:{name}@{} {}", current.version, current.desired.as_str()));
        let alive = runs::alive(change.tx(), current.id).await?;
        if request.fresh {
            if alive.is_some() {
                return Err(Error::Conflict(format!(
                    "pipeline {name} runs; stop it and wait for its last checkpoint, then deploy it with `fresh`"
                )));
            }
            // Nobody can begin to run it while this transaction writes.
            if let (Some(host), Some(last)) = (cx.services.run_host(), last) {
                host.finish(&current, last).await?;
            }
            let newest = checkpoints::newest_epoch(change.tx(), current.id).await?;
            checkpoints::forget(change.tx(), &permitted, &current).await?;
            alerts::forget(change.tx(), &permitted, &current, cx.now()).await?;
            anew = newest.map_or_else(String::new, |epoch| format!(" anew, checkpoints up to epoch {epoch} forgotten"));
        } else if current.version != number
            && let Some(alive) = alive
        {
            runs::request_stop(change.tx(), &permitted, alive.id, cx.now()).await?;
        }
    }
    let deployment = deployments::deploy(change.tx(), &permitted, &document, number, cx.now()).await?;
    // The text's hash says what was deployed, the plan's also which contracts it stood for.
    change.after(format!(
        "pipeline:{name}@{number} running sha256:{} plan:{}{anew}",
        stored.info.hash,
        hex::encode(plan.document_hash)
    ));
    change.commit().await?;
    cx.services.notify_deployments();
    deployment_dto(cx, &document, deployment).await
}

/// Refuses a version that could not go on where the pipeline stands, before what runs is stopped for it.
async fn goes_on(
    cx: &Cx,
    name: &Slug,
    number: u32,
    current: &deployments::Deployment,
    last: Option<Arc<Plan>>,
    plan: &Arc<Plan>,
) -> Result<()> {
    let Some(host) = cx.services.run_host() else { return Ok(()) };
    let alive = runs::alive(cx.store(), current.id).await?.is_some();
    let running = last.filter(|_| alive && current.version != number);
    let Some(obstacle) = host.obstacle(current.id, running, Arc::clone(plan)).await? else { return Ok(()) };
    let what_runs = if alive { format!(" Version {} runs on.", current.version) } else { String::new() };
    Err(Error::Conflict(format!("version {number} of pipeline {name} cannot go on where it stands: {obstacle}.{what_runs}")))
}

/// The plan of the version that was deployed last, as far as it still plans.
async fn last_plan(cx: &Cx, document: &Document, version: u32) -> Result<Option<Arc<Plan>>> {
    let Some(stored) = documents::version(cx.store(), document.id, version).await? else { return Ok(None) };
    Ok(check(cx, &stored.text).await?.plan.map(Arc::new))
}

/// What the audit log says of the findings that stand against a deployment: their codes with the columns or the parts of the document that
/// they are about. Messages are left out: they may repeat what the document holds.
fn grounds(findings: &[Diagnostic]) -> String {
    let errors = findings.iter().filter(|finding| finding.is_error());
    let told: Vec<String> = errors
        .map(|finding| match &finding.trail {
            Some(trail) => format!("{}({} -> {})", finding.code, trail.column, trail.sink),
            None if finding.path.is_empty() => finding.code.clone(),
            None => format!("{}({})", finding.code, finding.path),
        })
        .collect();
    let shown = told.iter().take(GROUNDS).cloned().collect::<Vec<_>>().join(", ");
    match told.len().saturating_sub(GROUNDS) {
        0 => format!("plan: {shown}"),
        more => format!("plan: {shown} and {more} more"),
    }
}

/// Asks the run to take a last checkpoint and end.
pub async fn stop(cx: &Cx, name: &Slug) -> Result<Deployment> {
    let document = find(cx, name, Action::PipelineStop).await?;
    let permitted = cx.authorize(Action::PipelineStop, &resource(&document)).await?;
    let mut change = cx.change(&permitted).await?;
    let Some(current) = deployments::by_document(change.tx(), document.id).await? else {
        return Err(Error::Conflict(format!("pipeline {name} was never deployed")));
    };
    change.before(format!("pipeline:{name}@{} {}", current.version, current.desired.as_str()));
    let deployment = deployments::stop(change.tx(), &permitted, current.id, cx.now()).await?;
    if let Some(alive) = runs::alive(change.tx(), current.id).await? {
        runs::request_stop(change.tx(), &permitted, alive.id, cx.now()).await?;
    }
    change.after(format!("pipeline:{name}@{} stopped", deployment.version));
    change.commit().await?;
    cx.services.notify_deployments();
    deployment_dto(cx, &document, deployment).await
}
