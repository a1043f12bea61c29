//! Runs: one execution of a pipeline version, through all workers that carry it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use weir_api::{Cursor, DeploymentId, DocumentId, FailureDomain, Page, ProjectId, RunId, RunState};
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    entity::runs,
    error::{Result, StoreError},
    leases::Lease,
    permit::needs_in,
    stored::{from_json, signed, unsigned, unsigned32},
    time::{at, at_opt, micros},
};

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub domain: FailureDomain,
    /// The source, step or sink, where one is to blame.
    pub node: Option<String>,
    /// What happened, where, and what to do. Never holds row data.
    pub message: String,
    pub at: DateTime<Utc>,
}

/// What became of a pipeline's rows since its first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowTotals {
    pub rows_in: u64,
    pub rows_out: u64,
    /// Held in quarantine.
    pub rows_quarantined: u64,
    /// Denied or dropped, or malformed or late and not kept.
    pub rows_refused: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub project: ProjectId,
    pub deployment: DeploymentId,
    pub document: DocumentId,
    /// The pipeline's name.
    pub pipeline: String,
    pub version: u32,
    /// SHA-256 of the document, hex.
    pub document_hash: String,
    pub state: RunState,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// The worker that holds the lease, or held it last.
    pub lease_owner: Option<String>,
    /// How often the lease was acquired: one more than the restarts.
    pub lease_epoch: u64,
    pub lease_until: Option<DateTime<Utc>>,
    pub failure: Option<Failure>,
    /// The counters of all nodes since the pipeline's first start, as of the last checkpoint, as the engine wrote them.
    pub counters: Option<serde_json::Value>,
    /// The same as they stood when the run was made.
    pub counters_before: Option<serde_json::Value>,
    pub totals: RowTotals,
    pub checkpoints: u64,
    pub last_checkpoint_at: Option<DateTime<Utc>>,
}

pub struct NewRun {
    pub project: ProjectId,
    pub deployment: DeploymentId,
    pub document: DocumentId,
    pub pipeline: String,
    pub version: u32,
    pub document_hash: String,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this pipeline only, by name.
    pub pipeline: Option<String>,
    pub state: Option<RunState>,
    pub after: Option<Cursor>,
    pub limit: u32,
}

/// Makes a run that waits for a worker. The supervisor makes it for a deployment, so there is no grant. It goes on where the
/// deployment's run before it stood, and so do the pipeline's counts. Errors with [`StoreError::Exists`] when the deployment has a run that is not
/// over.
pub async fn create(tx: &Tx, new: NewRun, now: DateTime<Utc>) -> Result<Run> {
    let before = runs::Entity::find()
        .filter(runs::Column::DeploymentId.eq(new.deployment.0))
        .order_by_desc(runs::Column::CreatedAt)
        .order_by_desc(runs::Column::Id)
        .limit(1)
        .one(tx.conn())
        .await?;
    let counted = |of: fn(&runs::Model) -> i64| before.as_ref().map_or(0, of);
    let row = runs::Model {
        id: RunId::generate().0,
        project_id: new.project.0,
        deployment_id: new.deployment.0,
        document_id: new.document.0,
        pipeline: new.pipeline,
        version: i64::from(new.version),
        document_hash: new.document_hash,
        state: RunState::Pending.as_str().to_owned(),
        created_at: micros(now),
        started_at: None,
        ended_at: None,
        lease_owner: None,
        lease_epoch: 0,
        lease_until: None,
        failure_domain: None,
        failure_node: None,
        failure_message: None,
        failed_at: None,
        counters: before.as_ref().and_then(|before| before.counters.clone()),
        counters_before: before.as_ref().and_then(|before| before.counters.clone()),
        rows_in: counted(|before| before.rows_in),
        rows_out: counted(|before| before.rows_out),
        rows_quarantined: counted(|before| before.rows_quarantined),
        rows_refused: counted(|before| before.rows_refused),
        checkpoints: 0,
        last_checkpoint_at: None,
    };
    runs::Entity::insert(runs::ActiveModel::from(row.clone()))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "a run of deployment", new.deployment))?;
    run(row)
}

pub async fn by_id(db: &impl Db, id: RunId) -> Result<Option<Run>> {
    runs::Entity::find_by_id(id.0).one(db.conn()).await?.map(run).transpose()
}

/// The deployment's run that is not over.
pub async fn alive(db: &impl Db, deployment: DeploymentId) -> Result<Option<Run>> {
    let query = runs::Entity::find().filter(runs::Column::DeploymentId.eq(deployment.0)).filter(runs::Column::EndedAt.is_null());
    query.one(db.conn()).await?.map(run).transpose()
}

/// All runs that are not over, in all projects.
pub async fn all_alive(db: &impl Db) -> Result<Vec<Run>> {
    let query = runs::Entity::find().filter(runs::Column::EndedAt.is_null());
    query.order_by_asc(runs::Column::Id).all(db.conn()).await?.into_iter().map(run).collect()
}

/// The pipeline's newest run, over or not.
pub async fn latest(db: &impl Db, document: DocumentId) -> Result<Option<Run>> {
    let query = runs::Entity::find().filter(runs::Column::DocumentId.eq(document.0)).order_by_desc(runs::Column::Id).limit(1);
    query.one(db.conn()).await?.map(run).transpose()
}

/// The states of the newest runs of a project's pipelines, over or not.
pub async fn latest_states(db: &impl Db, project: ProjectId) -> Result<HashMap<DocumentId, RunState>> {
    use runs::Column::{DocumentId as Document, Id, ProjectId as Project, State};
    let newest =
        runs::Entity::find().select_only().column_as(Id.max(), "newest").filter(Project.eq(project.0)).group_by(Document);
    let query = runs::Entity::find().select_only().columns([Document, State]).filter(Id.in_subquery(newest.into_query()));
    let found = query.into_tuple::<(uuid::Uuid, String)>().all(db.conn()).await?;
    found.into_iter().map(|(document, text)| Ok((DocumentId(document), state(&text)?))).collect()
}

/// A project's runs, newest first.
pub async fn list(db: &impl Db, project: ProjectId, filter: RunFilter) -> Result<Page<Run>> {
    let limit = filter.limit.max(1);
    let mut query = runs::Entity::find().filter(runs::Column::ProjectId.eq(project.0));
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(runs::Column::Pipeline.eq(pipeline));
    }
    if let Some(state) = filter.state {
        query = query.filter(runs::Column::State.eq(state.as_str()));
    }
    if let Some(after) = filter.after {
        let after: RunId = after.0.parse().map_err(|_| StoreError::Cursor)?;
        query = query.filter(runs::Column::Id.lt(after.0));
    }
    let mut rows = query.order_by_desc(runs::Column::Id).limit(u64::from(limit) + 1).all(db.conn()).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let items = rows.into_iter().map(run).collect::<Result<Vec<_>>>()?;
    let next = items.last().filter(|_| more).map(|last| Cursor(last.id.to_string()));
    Ok(Page { items, next })
}

/// Asks the run to take its last checkpoint and stop. A run that no worker has taken yet is over at once.
pub async fn request_stop(tx: &Tx, grant: &Grant, id: RunId, now: DateTime<Utc>) -> Result<Run> {
    let current = by_id(tx, id).await?.ok_or_else(|| StoreError::not_found("run", id))?;
    needs_in(grant, &[Action::PipelineStop, Action::PipelineDeploy], current.project)?;
    match current.state {
        RunState::Pending => {
            set_state(tx, id, RunState::Stopped, Some(now)).await?;
            Ok(Run { state: RunState::Stopped, ended_at: Some(now), ..current })
        }
        RunState::Running => {
            set_state(tx, id, RunState::Stopping, None).await?;
            Ok(Run { state: RunState::Stopping, ..current })
        }
        _ => Ok(current),
    }
}

/// The run is over: stopped, finished or failed. Only the holder of the lease may say so; the lease ends with it.
pub async fn end(tx: &Tx, lease: &Lease, state: RunState, failure: Option<Failure>, now: DateTime<Utc>) -> Result<()> {
    if !state.is_over() {
        return Err(StoreError::Conflict(format!("a run does not end in the state {}", state.as_str())));
    }
    lease.hold(tx).await?;
    record_failure(tx, lease.run, failure).await?;
    set_state(tx, lease.run, state, Some(now)).await?;
    crate::leases::clear(tx, lease).await
}

/// The run has failed and will be tried again: it waits for a worker, and shows why.
pub async fn retry_later(tx: &Tx, lease: &Lease, failure: Failure) -> Result<()> {
    lease.hold(tx).await?;
    record_failure(tx, lease.run, Some(failure)).await?;
    crate::leases::clear(tx, lease).await
}

async fn record_failure(tx: &Tx, id: RunId, failure: Option<Failure>) -> Result<()> {
    let Some(failure) = failure else {
        return Ok(());
    };
    runs::Entity::update_many()
        .col_expr(runs::Column::FailureDomain, domain_name(failure.domain).into())
        .col_expr(runs::Column::FailureNode, failure.node.into())
        .col_expr(runs::Column::FailureMessage, failure.message.into())
        .col_expr(runs::Column::FailedAt, micros(failure.at).into())
        .filter(runs::Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

async fn set_state(tx: &Tx, id: RunId, state: RunState, ended_at: Option<DateTime<Utc>>) -> Result<()> {
    runs::Entity::update_many()
        .col_expr(runs::Column::State, state.as_str().into())
        .col_expr(runs::Column::EndedAt, ended_at.map(micros).into())
        .filter(runs::Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The deployment's run that is not over has counted nothing: it starts anew.
pub(crate) async fn forget_counts(tx: &Tx, deployment: DeploymentId) -> Result<()> {
    runs::Entity::update_many()
        .col_expr(runs::Column::Counters, Option::<String>::None.into())
        .col_expr(runs::Column::CountersBefore, Option::<String>::None.into())
        .col_expr(runs::Column::RowsIn, 0.into())
        .col_expr(runs::Column::RowsOut, 0.into())
        .col_expr(runs::Column::RowsQuarantined, 0.into())
        .col_expr(runs::Column::RowsRefused, 0.into())
        .filter(runs::Column::DeploymentId.eq(deployment.0))
        .filter(runs::Column::EndedAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// What a checkpoint says of its run. The caller has verified the lease.
pub(crate) async fn record_checkpoint(tx: &Tx, id: RunId, counters: &str, totals: RowTotals, now: DateTime<Utc>) -> Result<()> {
    runs::Entity::update_many()
        .col_expr(runs::Column::Counters, counters.into())
        .col_expr(runs::Column::RowsIn, signed(totals.rows_in).into())
        .col_expr(runs::Column::RowsOut, signed(totals.rows_out).into())
        .col_expr(runs::Column::RowsQuarantined, signed(totals.rows_quarantined).into())
        .col_expr(runs::Column::RowsRefused, signed(totals.rows_refused).into())
        .col_expr(runs::Column::Checkpoints, sea_orm::ExprTrait::add(sea_orm::sea_query::Expr::col(runs::Column::Checkpoints), 1))
        .col_expr(runs::Column::LastCheckpointAt, micros(now).into())
        .filter(runs::Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

pub(crate) fn state(text: &str) -> Result<RunState> {
    use RunState::{Failed, Finished, Pending, Running, Stopped, Stopping};
    [Pending, Running, Stopping, Stopped, Finished, Failed]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| StoreError::Corrupt(format!("`{text}` is not a run's state")))
}

fn domain_name(domain: FailureDomain) -> &'static str {
    match domain {
        FailureDomain::User => "user",
        FailureDomain::External => "external",
        FailureDomain::Internal => "internal",
    }
}

fn domain(text: &str) -> Result<FailureDomain> {
    [FailureDomain::User, FailureDomain::External, FailureDomain::Internal]
        .into_iter()
        .find(|domain| domain_name(*domain) == text)
        .ok_or_else(|| StoreError::Corrupt(format!("`{text}` is not a failure's domain")))
}

pub(crate) fn run(row: runs::Model) -> Result<Run> {
    let failure = match (row.failure_domain, row.failure_message, row.failed_at) {
        (Some(name), Some(message), Some(failed_at)) => {
            Some(Failure { domain: domain(&name)?, node: row.failure_node, message, at: at(failed_at) })
        }
        _ => None,
    };
    Ok(Run {
        id: RunId(row.id),
        project: ProjectId(row.project_id),
        deployment: DeploymentId(row.deployment_id),
        document: DocumentId(row.document_id),
        pipeline: row.pipeline,
        version: unsigned32("a run's version", row.version)?,
        document_hash: row.document_hash,
        state: state(&row.state)?,
        created_at: at(row.created_at),
        started_at: at_opt(row.started_at),
        ended_at: at_opt(row.ended_at),
        lease_owner: row.lease_owner,
        lease_epoch: unsigned("a lease epoch", row.lease_epoch)?,
        lease_until: at_opt(row.lease_until),
        failure,
        counters: row.counters.as_deref().map(|text| from_json("a run's counters", text)).transpose()?,
        counters_before: row.counters_before.as_deref().map(|text| from_json("a run's counters", text)).transpose()?,
        totals: RowTotals {
            rows_in: unsigned("rows in", row.rows_in)?,
            rows_out: unsigned("rows out", row.rows_out)?,
            rows_quarantined: unsigned("rows quarantined", row.rows_quarantined)?,
            rows_refused: unsigned("rows refused", row.rows_refused)?,
        },
        checkpoints: unsigned("checkpoints", row.checkpoints)?,
        last_checkpoint_at: at_opt(row.last_checkpoint_at),
    })
}
