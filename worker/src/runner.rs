//! Carrying one run: the engine on its threads, the lease kept alive, rates published, the end put on record.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use weir_api::{FailureDomain, NodeKind as ApiNodeKind, NodeRates, RunRates, RunState, Slug};
use weir_connectors::{BaseDir, Domain};
use weir_engine::{
    Control, EngineError, Host, MissingOutput, NodeCounts, Options, Outcome, Status,
    live::Live,
    missing_output,
    steps::{StepCounts, by_step},
};
use weir_evidence::{
    Body, Hash,
    record::{RunEnded, RunStarted, RunStatus},
};
use weir_plan::{NodeKind, Plan};
use weir_service::Services;
use weir_store::{
    StoreError, evidence,
    evidence::NewLeaf,
    host::BlockingStore,
    leases::{self, Lease},
    runs::{self, Failure, Run},
};

use crate::{
    consent::ConsentFeed,
    host::{Folders, LEASE, StoreHost, filters},
};

/// How often rates are published.
const TICK: Duration = Duration::from_millis(500);
/// How often a lease is renewed when no checkpoint renews it.
const RENEW: Duration = Duration::from_secs(3);

/// A run to carry.
pub struct Assignment {
    pub run: Run,
    pub lease: Lease,
    pub plan: Arc<Plan>,
    /// Where relative paths of the document begin, and what they may reach.
    pub base_dir: BaseDir,
    pub folders: Folders,
    /// Bytes of memory that its keyed state may take; the rest is on disk.
    pub state_memory: usize,
}

/// What to do with a run that failed for a reason that may go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRetryable {
    /// Leave it due, so that a worker takes it again.
    Retry,
    /// The run is over.
    End,
}

/// Carries the run to its end. Returns how it ended; that is on record by then.
pub async fn carry(
    services: &Arc<Services>,
    consent: Arc<ConsentFeed>,
    assignment: Assignment,
    control: &Control,
    on_retryable: OnRetryable,
) -> Result<Outcome, EngineError> {
    let Assignment { run, lease, plan, base_dir, folders, state_memory } = assignment;
    let store = services.store().clone();
    let keys = services.project_keys(run.project).await.map_err(|e| outside(&e))?;
    let blocking = BlockingStore::new(store.clone(), Handle::current());
    let deployment = run.deployment;
    let host = Arc::new(StoreHost::new(
        Arc::clone(services),
        blocking,
        run.project,
        deployment,
        Arc::clone(&plan),
        lease,
        consent,
        keys,
        folders,
        state_memory,
    ));

    let options = Options { run: run.id.to_string(), base_dir, tag: deployment.to_string() };
    let engine = {
        let (plan, control, host) = (Arc::clone(&plan), control.clone(), Arc::clone(&host));
        let (run, parallelism) = (run.clone(), plan.parallelism);
        tokio::task::spawn_blocking(move || {
            let last = host.restorable()?.into_iter().find_map(|one| one.checkpoint.ok());
            let missing = last.as_ref().map(|last| missing_output(&plan, &options.base_dir, last)).unwrap_or_default();
            for (sink, MissingOutput { missing, files }) in &missing {
                tracing::warn!(sink, missing, files, "files that earlier runs have written are gone from the sink's folder");
            }
            let started = RunStarted {
                run: run.id.to_string(),
                pipeline: run.pipeline.clone(),
                document: Hash::from_bytes(plan.document_hash),
                plan: Hash::from_bytes(plan.fingerprint).to_string(),
                purpose: plan.purpose.clone(),
                basis: basis(&plan),
                parallelism: u32::try_from(parallelism).unwrap_or(u32::MAX),
                resumed_from: last.map(|last| last.epoch),
                weir: env!("CARGO_PKG_VERSION").to_owned(),
            };
            host.record(leaf(&run, Body::RunStarted(started)))?;
            host.forget_alerts()?;
            let host: Arc<dyn Host> = host;
            let mut outcome = weir_engine::run(&plan, &host, &options, &control)?;
            outcome.summary.missing.extend(missing);
            Ok::<_, EngineError>(outcome)
        })
    };
    let result = watch(services, &run, &plan, &host, control, engine).await;
    services.live().forget(run.id);
    record_end(services, &run, &host, &result, on_retryable).await;
    result
}

/// Publishes rates and renews the lease until the engine ends.
async fn watch(
    services: &Arc<Services>,
    run: &Run,
    plan: &Arc<Plan>,
    host: &Arc<StoreHost>,
    control: &Control,
    mut engine: tokio::task::JoinHandle<Result<Outcome, EngineError>>,
) -> Result<Outcome, EngineError> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut renewed = Instant::now();
    let mut rates = Rates::default();
    loop {
        tokio::select! {
            ended = &mut engine => {
                return ended.unwrap_or_else(|error| Err(EngineError::internal("run", format!("its thread ended: {error}"))));
            }
            _ = ticks.tick() => {
                if let Some(live) = control.live() && let Ok(pipeline) = Slug::new(&run.pipeline) {
                    services.live().publish(RunRates {
                        project: run.project,
                        pipeline,
                        run: run.id,
                        at: services.now(),
                        nodes: rates.read(plan, &live),
                    });
                }
                if renewed.elapsed() >= RENEW {
                    renewed = Instant::now();
                    renew(services, host, control).await;
                }
            }
        }
    }
}

async fn renew(services: &Arc<Services>, host: &Arc<StoreHost>, control: &Control) {
    let result = async {
        let tx = services.store().begin().await?;
        let renewed = leases::renew(&tx, &host.lease(), LEASE, services.now()).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(renewed)
    };
    match result.await {
        Ok(renewed) => {
            host.set_lease(renewed.lease);
            if renewed.state == RunState::Stopping {
                control.stop();
            }
        }
        Err(StoreError::StaleLease { run, .. }) => {
            tracing::warn!(%run, "the lease was lost; another worker carries the run");
            control.abort();
        }
        Err(error) => tracing::warn!(%error, "the lease could not be renewed; it is tried again"),
    }
}

async fn record_end(
    services: &Arc<Services>,
    run: &Run,
    host: &Arc<StoreHost>,
    result: &Result<Outcome, EngineError>,
    on_retryable: OnRetryable,
) {
    let (status, state, failure) = match result {
        Ok(outcome) => match outcome.status {
            Status::Finished => (RunStatus::Finished, RunState::Finished, None),
            Status::Stopped => (RunStatus::Stopped, RunState::Stopped, None),
        },
        // Whoever holds the lease now puts the end on record.
        Err(EngineError::LeaseLost | EngineError::Cancelled) => return,
        Err(error) => (RunStatus::Failed, RunState::Failed, Some(failure(error, services.now()))),
    };
    let retry = failure.is_some() && on_retryable == OnRetryable::Retry && result.as_ref().is_err_and(EngineError::is_retryable);
    let reason = failure.as_ref().map(|failure| failure.message.clone());
    let ended = RunEnded { run: run.id.to_string(), pipeline: run.pipeline.clone(), status, epoch: host.last_epoch(), reason };
    let recorded = async {
        let tx = services.store().begin().await?;
        let lease = host.lease();
        match failure.clone() {
            Some(failure) if retry => runs::retry_later(&tx, &lease, failure).await?,
            failure => runs::end(&tx, &lease, state, failure, services.now()).await?,
        }
        evidence::append(&tx, vec![leaf(run, Body::RunEnded(ended))]).await?;
        tx.commit().await
    };
    if let Err(error) = recorded.await {
        tracing::error!(run = %run.id, %error, "the end of the run could not be put on record");
    }
}

/// A failure as lists show it.
pub fn failure(error: &EngineError, at: chrono::DateTime<chrono::Utc>) -> Failure {
    let domain = match error.domain() {
        Domain::User => FailureDomain::User,
        Domain::External => FailureDomain::External,
        Domain::Internal => FailureDomain::Internal,
    };
    let node = match error {
        EngineError::Connector { node, .. } | EngineError::Stopped { node, .. } | EngineError::Internal { node, .. } => {
            Some(node.clone())
        }
        _ => None,
    };
    Failure { domain, node, message: error.message(), at }
}

/// A leaf about a run, said by the run itself.
pub(crate) fn leaf(run: &Run, body: Body) -> NewLeaf {
    NewLeaf { project: Some(run.project), at: chrono::Utc::now(), actor: format!("run:{}", run.id), run: Some(run.id), body }
}

fn outside(error: &dyn std::fmt::Display) -> EngineError {
    EngineError::Host { message: error.to_string(), retryable: true }
}

fn basis(plan: &Plan) -> String {
    serde_json::to_value(plan.basis).ok().and_then(|basis| basis.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Rates from counts: what has changed since the reading before.
#[derive(Default)]
struct Rates {
    before: Option<(Instant, Vec<NodeCounts>)>,
}

impl Rates {
    fn read(&mut self, plan: &Plan, live: &Live) -> Vec<NodeRates> {
        let now = Instant::now();
        let steps = by_step(plan, |node| live.get(node).0);
        let before = self.before.take();
        let rates = steps
            .iter()
            .enumerate()
            .map(|(index, StepCounts { name, node, counts })| {
                let kind_of = &plan.nodes[*node].kind;
                let filters = filters(plan, *node);
                let rejects: fn(&NodeCounts) -> u64 = match filters {
                    true => |counts| counts.rejected() - counts.dropped,
                    false => NodeCounts::rejected,
                };
                let rate = |now_count: u64, count: fn(&NodeCounts) -> u64| match &before {
                    Some((then, before)) => {
                        let seconds = now.duration_since(*then).as_secs_f64().max(0.001);
                        now_count.saturating_sub(count(&before[index])) as f64 / seconds
                    }
                    None => 0.0,
                };
                NodeRates {
                    node: (*name).to_owned(),
                    kind: kind(kind_of),
                    rows_in_per_second: rate(counts.rows_in, |counts| counts.rows_in),
                    rows_out_per_second: rate(counts.out, |counts| counts.out),
                    rejects_per_second: rate(rejects(counts), rejects),
                    filtered_per_second: if filters { rate(counts.dropped, |counts| counts.dropped) } else { 0.0 },
                    lag: live.get(*node).1,
                    rows_in: counts.rows_in,
                    rows_out: counts.out,
                    rejects: rejects(counts),
                }
            })
            .collect();
        self.before = Some((now, steps.into_iter().map(|step| step.counts).collect()));
        rates
    }
}

/// What a node is, as lists show it.
pub(crate) fn kind(kind: &NodeKind) -> ApiNodeKind {
    match kind {
        NodeKind::Source(_) => ApiNodeKind::Source,
        NodeKind::Sink(_) => ApiNodeKind::Sink,
        _ => ApiNodeKind::Step,
    }
}
