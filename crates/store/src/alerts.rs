//! Alerts: one a cause while it lasts, kept after it has ended. What raised and ended each is in the evidence.
//!
//! An alert is told from others by its deployment, step, cause and the event time it was raised at. When rows are processed again,
//! because a checkpoint was discarded or the pipeline was started anew, what they raise again is the same alert: it keeps its id and who
//! has taken note of it, and nothing comes twice.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use weir_api::{
    AlertId, AlertSeverity, AlertState, AlertStates, Cursor, DeploymentId, DocumentId, OpenAlerts, Page, ProjectId, RunId, UserId,
};
use weir_authz::{Action, Grant};
use weir_evidence::{
    Body, Timestamp,
    record::{self, AlertTransition},
};

use crate::{
    db::{Db, Tx},
    deployments::Deployment,
    entity::alerts,
    error::{Result, StoreError},
    evidence::{self, NewLeaf},
    leases::Lease,
    permit::needs_in,
    runs::{self, Run},
    stored::{named, signed, unsigned},
    time::{at, at_opt, micros},
};

/// How an alert ended, as the database keeps it.
const RESOLVED: &str = "resolved";
const FORGOTTEN: &str = "forgotten";
/// Taken back with the checkpoint that raised it: shown nowhere, until the same is raised again.
const WITHDRAWN: &str = "withdrawn";

/// An alert began or ended. Times are event time in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertEvent {
    pub step: String,
    /// Hex of a keyed hash.
    pub cause: String,
    pub severity: AlertSeverity,
    pub message: String,
    pub detail: Option<String>,
    pub at: i64,
    pub change: AlertChange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChange {
    Raised,
    Resolved { raised_at: i64, seen_at: i64, count: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub id: AlertId,
    pub project: ProjectId,
    pub document: DocumentId,
    /// The pipeline's name.
    pub pipeline: String,
    pub deployment: DeploymentId,
    /// The run that raised it.
    pub run: RunId,
    pub step: String,
    pub cause: String,
    pub severity: AlertSeverity,
    pub message: String,
    pub detail: Option<String>,
    pub state: AlertState,
    pub raised_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    pub seen: u64,
    pub ended_at: Option<DateTime<Utc>>,
    pub raised_leaf: u64,
    pub ended_leaf: Option<u64>,
    pub acknowledged: Option<Acknowledged>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub at: DateTime<Utc>,
    pub by: Option<UserId>,
    pub note: Option<String>,
}

/// Which alerts to list; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    pub states: AlertStates,
    pub pipeline: Option<String>,
    /// This severity, or worse.
    pub severity: Option<AlertSeverity>,
    pub after: Option<Cursor>,
    pub limit: u32,
}

/// How many alerts a deployment has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub raised: u64,
    /// Of those: the cause is gone.
    pub resolved: u64,
    pub open: u64,
}

/// The leaf of an event that is committed with a checkpoint.
pub(crate) fn leaf(run: &Run, epoch: u64, event: &AlertEvent, now: DateTime<Utc>) -> NewLeaf {
    let change = match event.change {
        AlertChange::Raised => record::AlertChange::Raised,
        AlertChange::Resolved { raised_at, seen_at, count } => record::AlertChange::Resolved {
            raised_at: Timestamp::nearest(raised_at),
            seen_at: Timestamp::nearest(seen_at),
            count,
        },
    };
    let transition = AlertTransition {
        run: Some(run.id.to_string()),
        pipeline: run.pipeline.clone(),
        epoch: Some(epoch),
        step: event.step.clone(),
        cause: event.cause.clone(),
        severity: of_record(event.severity),
        message: event.message.clone(),
        detail: event.detail.clone(),
        at: Timestamp::nearest(event.at),
        change,
    };
    NewLeaf {
        project: Some(run.project),
        at: now,
        actor: format!("run:{}", run.id),
        run: Some(run.id),
        body: Body::Alert(transition),
    }
}

/// Writes the events of a checkpoint, each with the place of its leaf. The caller has verified the lease.
pub(crate) async fn apply(tx: &Tx, run: &Run, epoch: u64, events: Vec<(AlertEvent, u64)>) -> Result<()> {
    for (event, leaf) in events {
        match event.change {
            AlertChange::Raised => raise(tx, run, epoch, event, leaf).await?,
            AlertChange::Resolved { raised_at, seen_at, count } => {
                resolve(tx, run, epoch, event, leaf, (raised_at, seen_at, count)).await?;
            }
        }
    }
    Ok(())
}

async fn raise(tx: &Tx, run: &Run, epoch: u64, event: AlertEvent, leaf: u64) -> Result<()> {
    use alerts::Column;
    // Whoever raises it anew has forgotten what was open under the cause.
    alerts::Entity::update_many()
        .col_expr(Column::Ended, FORGOTTEN.into())
        .col_expr(Column::EndedAt, event.at.into())
        .col_expr(Column::EndedEpoch, signed(epoch).into())
        .col_expr(Column::EndedLeaf, signed(leaf).into())
        .filter(of_cause(run.deployment, &event))
        .filter(Column::Ended.is_null())
        .filter(Column::RaisedAt.ne(event.at))
        .exec(tx.conn())
        .await?;
    let Some(known) = known(tx, run.deployment, &event, event.at).await? else {
        return insert(tx, new_row(run, epoch, event, leaf)).await;
    };
    let again = alerts::Model { id: known.id, ..new_row(run, epoch, event, leaf) };
    replace(
        tx,
        alerts::Model {
            acknowledged_at: known.acknowledged_at,
            acknowledged_by: known.acknowledged_by,
            acknowledged_note: known.acknowledged_note,
            ..again
        },
    )
    .await
}

async fn resolve(
    tx: &Tx,
    run: &Run,
    epoch: u64,
    event: AlertEvent,
    leaf: u64,
    (raised_at, seen_at, count): (i64, i64, u64),
) -> Result<()> {
    let end = |row: alerts::Model| alerts::Model {
        seen_at,
        seen: signed(count),
        ended: Some(RESOLVED.to_owned()),
        ended_at: Some(event.at),
        ended_epoch: Some(signed(epoch)),
        ended_leaf: Some(signed(leaf)),
        ..row
    };
    match known(tx, run.deployment, &event, raised_at).await? {
        Some(known) => replace(tx, end(known)).await,
        None => {
            tracing::warn!(run = %run.id, step = event.step, "an alert was resolved that is not on record as raised");
            let raised = AlertEvent { at: raised_at, ..event.clone() };
            insert(tx, end(new_row(run, epoch, raised, leaf))).await
        }
    }
}

/// The alert of this cause that was raised at this moment, whatever has become of it.
async fn known(tx: &Tx, deployment: DeploymentId, event: &AlertEvent, raised_at: i64) -> Result<Option<alerts::Model>> {
    let query = alerts::Entity::find().filter(of_cause(deployment, event)).filter(alerts::Column::RaisedAt.eq(raised_at));
    Ok(query.one(tx.conn()).await?)
}

fn of_cause(deployment: DeploymentId, event: &AlertEvent) -> Condition {
    use alerts::Column;
    Condition::all()
        .add(Column::DeploymentId.eq(deployment.0))
        .add(Column::Step.eq(event.step.as_str()))
        .add(Column::Cause.eq(event.cause.as_str()))
}

fn new_row(run: &Run, epoch: u64, event: AlertEvent, leaf: u64) -> alerts::Model {
    alerts::Model {
        id: AlertId::generate().0,
        project_id: run.project.0,
        document_id: run.document.0,
        pipeline: run.pipeline.clone(),
        deployment_id: run.deployment.0,
        run_id: run.id.0,
        step: event.step,
        cause: event.cause,
        severity: event.severity.as_str().to_owned(),
        message: event.message,
        detail: event.detail,
        raised_at: event.at,
        seen_at: event.at,
        seen: 1,
        raised_epoch: signed(epoch),
        raised_leaf: signed(leaf),
        ended: None,
        ended_at: None,
        ended_epoch: None,
        ended_leaf: None,
        acknowledged_at: None,
        acknowledged_by: None,
        acknowledged_note: None,
    }
}

async fn insert(tx: &Tx, row: alerts::Model) -> Result<()> {
    alerts::Entity::insert(alerts::ActiveModel::from(row)).exec_without_returning(tx.conn()).await?;
    Ok(())
}

async fn replace(tx: &Tx, row: alerts::Model) -> Result<()> {
    alerts::Entity::update(alerts::ActiveModel::from(row).reset_all()).exec(tx.conn()).await?;
    Ok(())
}

/// Takes back what a checkpoint said that was discarded: what it raised is withdrawn, what it ended is open again. The caller has verified
/// the lease.
pub(crate) async fn discard(tx: &Tx, deployment: DeploymentId, epoch: u64) -> Result<()> {
    use alerts::Column;
    alerts::Entity::update_many()
        .col_expr(Column::Ended, WITHDRAWN.into())
        .filter(Column::DeploymentId.eq(deployment.0))
        .filter(Column::RaisedEpoch.eq(signed(epoch)))
        .exec(tx.conn())
        .await?;
    alerts::Entity::update_many()
        .col_expr(Column::Ended, Option::<String>::None.into())
        .col_expr(Column::EndedAt, Option::<i64>::None.into())
        .col_expr(Column::EndedEpoch, Option::<i64>::None.into())
        .col_expr(Column::EndedLeaf, Option::<i64>::None.into())
        .col_expr(Column::SeenAt, Expr::col(Column::RaisedAt))
        .col_expr(Column::Seen, 1.into())
        .filter(Column::DeploymentId.eq(deployment.0))
        .filter(Column::EndedEpoch.eq(signed(epoch)))
        .filter(Column::Ended.ne(WITHDRAWN))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Ends all open alerts of a deployment whose pipeline is started anew or deleted: nobody will resolve them. Puts it on record.
pub async fn forget(tx: &Tx, grant: &Grant, deployment: &Deployment, now: DateTime<Utc>) -> Result<u64> {
    needs_in(grant, &[Action::PipelineDeploy, Action::PipelineDelete], deployment.project)?;
    forget_others(tx, deployment.id, &BTreeSet::new(), (grant.actor().to_owned(), None), now).await
}

/// Ends the open alerts of steps that are not in the pipeline any longer. Puts it on record.
pub async fn forget_missing(tx: &Tx, lease: &Lease, steps: &BTreeSet<&str>, now: DateTime<Utc>) -> Result<u64> {
    lease.hold(tx).await?;
    let run = runs::by_id(tx, lease.run).await?.ok_or_else(|| StoreError::not_found("run", lease.run))?;
    forget_others(tx, run.deployment, steps, (format!("run:{}", run.id), Some(run.id)), now).await
}

async fn forget_others(
    tx: &Tx,
    deployment: DeploymentId,
    steps: &BTreeSet<&str>,
    (actor, run): (String, Option<RunId>),
    now: DateTime<Utc>,
) -> Result<u64> {
    use alerts::Column;
    let open = alerts::Entity::find().filter(Column::DeploymentId.eq(deployment.0)).filter(Column::Ended.is_null());
    let mut open = open.order_by_asc(Column::Id).all(tx.conn()).await?;
    open.retain(|row| !steps.contains(row.step.as_str()));
    let mut leaves = Vec::with_capacity(open.len());
    for row in &open {
        let transition = AlertTransition {
            run: run.map(|run| run.to_string()),
            pipeline: row.pipeline.clone(),
            epoch: None,
            step: row.step.clone(),
            cause: row.cause.clone(),
            severity: of_record(named("a severity", &row.severity)?),
            message: row.message.clone(),
            detail: None,
            at: Timestamp::nearest(micros(now)),
            change: record::AlertChange::Forgotten { raised_at: Timestamp::nearest(row.raised_at) },
        };
        let project = Some(ProjectId(row.project_id));
        leaves.push(NewLeaf { project, at: now, actor: actor.clone(), run, body: Body::Alert(transition) });
    }
    let forgotten = open.len() as u64;
    let appended = evidence::append(tx, leaves).await?;
    for (row, leaf) in open.into_iter().zip(appended) {
        let (ended, ended_at, ended_leaf) = (Some(FORGOTTEN.to_owned()), Some(micros(now)), Some(signed(leaf.seq)));
        replace(tx, alerts::Model { ended, ended_at, ended_leaf, ..row }).await?;
    }
    Ok(forgotten)
}

/// Somebody has taken note. Errors with [`StoreError::Conflict`] when somebody had before.
pub async fn acknowledge(tx: &Tx, grant: &Grant, id: AlertId, note: Option<String>, now: DateTime<Utc>) -> Result<Alert> {
    let current = by_id(tx, id).await?.ok_or_else(|| StoreError::not_found("alert", id))?;
    needs_in(grant, &[Action::AlertAcknowledge], current.project)?;
    let acknowledged = Acknowledged { at: now, by: grant.user(), note };
    let written = alerts::Entity::update_many()
        .col_expr(alerts::Column::AcknowledgedAt, micros(now).into())
        .col_expr(alerts::Column::AcknowledgedBy, acknowledged.by.map(|user| user.0).into())
        .col_expr(alerts::Column::AcknowledgedNote, acknowledged.note.clone().into())
        .filter(alerts::Column::Id.eq(id.0))
        .filter(alerts::Column::AcknowledgedAt.is_null())
        .exec(tx.conn())
        .await?;
    if written.rows_affected == 0 {
        return Err(StoreError::Conflict("the alert has been acknowledged already".to_owned()));
    }
    Ok(Alert { acknowledged: Some(acknowledged), ..current })
}

/// One that was withdrawn is not there.
pub async fn by_id(db: &impl Db, id: AlertId) -> Result<Option<Alert>> {
    let row = alerts::Entity::find_by_id(id.0).one(db.conn()).await?;
    row.filter(|row| row.ended.as_deref() != Some(WITHDRAWN)).map(alert).transpose()
}

/// A project's alerts: open ones first, the newest of each first.
pub async fn list(db: &impl Db, project: ProjectId, filter: AlertFilter) -> Result<Page<Alert>> {
    use alerts::Column;
    let limit = Ord::max(filter.limit, 1);
    let ended = || Condition::all().add(Column::Ended.is_in([RESOLVED, FORGOTTEN]));
    let open = || Condition::all().add(Column::Ended.is_null());
    let mut query = alerts::Entity::find().filter(Column::ProjectId.eq(project.0));
    query = match filter.states {
        AlertStates::All => query.filter(Condition::any().add(open()).add(ended())),
        AlertStates::Open => query.filter(open()),
        AlertStates::Ended => query.filter(ended()),
    };
    if let Some(pipeline) = filter.pipeline {
        query = query.filter(Column::Pipeline.eq(pipeline));
    }
    if let Some(least) = filter.severity {
        let bad_enough = AlertSeverity::ALL.into_iter().filter(|one| *one >= least);
        query = query.filter(Column::Severity.is_in(bad_enough.map(AlertSeverity::as_str)));
    }
    if let Some(after) = filter.after {
        let wrong = || StoreError::Cursor;
        let (part, id) = after.0.split_once('.').ok_or_else(wrong)?;
        let older = Column::Id.lt(id.parse::<AlertId>().map_err(|_| wrong())?.0);
        query = match part {
            "open" => query.filter(Condition::any().add(open().add(older)).add(ended())),
            "ended" => query.filter(ended().add(older)),
            _ => return Err(wrong()),
        };
    }
    let rows = query
        .order_by_asc(Expr::col(Column::Ended).is_not_null())
        .order_by_desc(Column::Id)
        .limit(u64::from(limit) + 1)
        .all(db.conn());
    let mut rows = rows.await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let items = rows.into_iter().map(alert).collect::<Result<Vec<_>>>()?;
    let next = items.last().filter(|_| more).map(|last| {
        let part = if last.state == AlertState::Open { "open" } else { "ended" };
        Cursor(format!("{part}.{}", last.id))
    });
    Ok(Page { items, next })
}

/// How many alerts of a project are open; of one pipeline, if it is named.
pub async fn open(db: &impl Db, project: ProjectId, pipeline: Option<&str>) -> Result<OpenAlerts> {
    use alerts::Column;
    let mut query = alerts::Entity::find()
        .select_only()
        .column(Column::Severity)
        .column_as(Column::Id.count(), "total")
        .column_as(Column::AcknowledgedAt.count(), "acknowledged")
        .filter(Column::ProjectId.eq(project.0))
        .filter(Column::Ended.is_null())
        .group_by(Column::Severity);
    if let Some(pipeline) = pipeline {
        query = query.filter(Column::Pipeline.eq(pipeline));
    }
    let mut open = OpenAlerts::default();
    for (severity, total, acknowledged) in query.into_tuple::<(String, i64, i64)>().all(db.conn()).await? {
        open.total += unsigned("open alerts", total)?;
        open.unacknowledged += unsigned("open alerts", total - acknowledged)?;
        open.worst = open.worst.max(Some(named("a severity", &severity)?));
    }
    Ok(open)
}

/// How many alerts a deployment has had in its life.
pub async fn tally(db: &impl Db, deployment: DeploymentId) -> Result<Tally> {
    use alerts::Column;
    let rows = alerts::Entity::find()
        .select_only()
        .column(Column::Ended)
        .column_as(Column::Id.count(), "alerts")
        .filter(Column::DeploymentId.eq(deployment.0))
        .group_by(Column::Ended)
        .into_tuple::<(Option<String>, i64)>()
        .all(db.conn())
        .await?;
    let mut tally = Tally::default();
    for (ended, alerts) in rows {
        let alerts = unsigned("alerts", alerts)?;
        match ended.as_deref() {
            None => tally.open += alerts,
            Some(RESOLVED) => tally.resolved += alerts,
            Some(FORGOTTEN) => {}
            _ => continue,
        }
        tally.raised += alerts;
    }
    Ok(tally)
}

fn of_record(severity: AlertSeverity) -> record::AlertSeverity {
    match severity {
        AlertSeverity::Warn => record::AlertSeverity::Warn,
        AlertSeverity::Error => record::AlertSeverity::Error,
        AlertSeverity::Critical => record::AlertSeverity::Critical,
    }
}

fn alert(row: alerts::Model) -> Result<Alert> {
    let state = match row.ended.as_deref() {
        None => AlertState::Open,
        Some(RESOLVED) => AlertState::Resolved,
        Some(FORGOTTEN) => AlertState::Forgotten,
        Some(other) => return Err(StoreError::Corrupt(format!("`{other}` is not the end of an alert"))),
    };
    Ok(Alert {
        id: AlertId(row.id),
        project: ProjectId(row.project_id),
        document: DocumentId(row.document_id),
        pipeline: row.pipeline,
        deployment: DeploymentId(row.deployment_id),
        run: RunId(row.run_id),
        step: row.step,
        cause: row.cause,
        severity: named("a severity", &row.severity)?,
        message: row.message,
        detail: row.detail,
        state,
        raised_at: at(row.raised_at),
        seen_at: at(row.seen_at),
        seen: unsigned("how often an alert was seen", row.seen)?,
        ended_at: at_opt(row.ended_at),
        raised_leaf: unsigned("a leaf's place", row.raised_leaf)?,
        ended_leaf: row.ended_leaf.map(|leaf| unsigned("a leaf's place", leaf)).transpose()?,
        acknowledged: row.acknowledged_at.map(|acknowledged_at| Acknowledged {
            at: at(acknowledged_at),
            by: row.acknowledged_by.map(UserId),
            note: row.acknowledged_note,
        }),
    })
}
