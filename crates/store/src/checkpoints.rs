//! The heart: a checkpoint, the rows it rejected, the keys it made, what it noticed and the evidence of its decisions, in one transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;
use weir_api::{DeploymentId, RunId};
use weir_authz::{Action, Grant};
use weir_evidence::{Body, Hash, record::CheckpointDecision};

use crate::{
    alerts::{self, AlertEvent},
    db::{Db, Tx},
    deployments::Deployment,
    entity::checkpoints,
    error::{Result, StoreError},
    evidence::{self, NewLeaf},
    leases::{self, Lease},
    metrics::{self, Moment},
    permit::needs_in,
    quality::{self, NewWindow},
    quarantine::{self, NewSegment, Origin},
    runs::{self, RowTotals},
    stored::{from_json, hash32, signed, to_json, unsigned},
    subject_keys::{self, NewSubjectKey},
    time::{at, micros},
};

/// Checkpoints whose content is kept: the newest, and those to fall back to when it is damaged.
const RESTORABLE: i64 = 3;
/// Checkpoints that are listed.
const LISTED: i64 = 1_000;

/// All that one checkpoint commits.
pub struct CheckpointCommit {
    /// The fencing token: see [`StoreError::StaleLease`].
    pub lease: Lease,
    /// Extends the lease, if given, so that a run that makes checkpoints need not renew it.
    pub renew: Option<Duration>,
    /// Counts over the deployment's whole life, from 1. Must be greater than that of the last checkpoint.
    pub epoch: u64,
    pub at: DateTime<Utc>,
    /// From barrier to commit.
    pub duration_ms: Option<u64>,
    pub plan_fingerprint: String,
    /// What a restart needs, as the engine encodes it.
    pub content: Vec<u8>,
    /// Source positions, for people to see.
    pub positions: serde_json::Value,
    /// All nodes' counters since the run's first start, for people to see.
    pub counters: serde_json::Value,
    pub totals: RowTotals,
    pub new_subject_keys: Vec<NewSubjectKey>,
    pub quarantine: Vec<NewSegment>,
    pub metrics: Option<Moment>,
    /// Windows of quality steps that were closed since the checkpoint before.
    pub windows: Vec<NewWindow>,
    /// Alerts that began or ended since then, in that order. Each becomes a leaf after the decision's.
    pub alerts: Vec<AlertEvent>,
    /// Becomes a leaf of the evidence log.
    pub decision: Box<CheckpointDecision>,
}

/// A checkpoint's place in the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub leaf_seq: u64,
    /// Leaves in the log after it.
    pub log_size: u64,
    /// The log's root after it.
    pub root: Hash,
    pub lease: Lease,
}

/// What a restart begins from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub deployment: DeploymentId,
    pub epoch: u64,
    pub run: RunId,
    pub at: DateTime<Utc>,
    pub plan_fingerprint: String,
    pub content: Vec<u8>,
    pub leaf_seq: u64,
}

/// A checkpoint as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointInfo {
    pub epoch: u64,
    pub run: RunId,
    pub at: DateTime<Utc>,
    pub duration_ms: Option<u64>,
    /// Since the run's first start.
    pub rows_in: u64,
    pub rows_out: u64,
    pub positions: serde_json::Value,
    pub leaf_seq: u64,
}

/// Writes the checkpoint within the transaction; it is committed when that is. Errors with [`StoreError::StaleLease`] when another
/// worker has taken the run over; then nothing must be committed.
pub async fn commit(tx: &Tx, commit: CheckpointCommit) -> Result<Committed> {
    let CheckpointCommit { lease, epoch, at, .. } = &commit;
    let (epoch, now) = (*epoch, *at);
    lease.hold(tx).await?;
    let mut lease = lease.clone();
    if let Some(length) = commit.renew {
        lease = leases::renew(tx, &lease, length, now).await?.lease;
    }
    let run = runs::by_id(tx, lease.run).await?.ok_or_else(|| StoreError::not_found("run", lease.run))?;
    let last = last_epoch(tx, run.deployment).await?;
    if last.is_some_and(|last| last >= epoch) {
        return Err(StoreError::Conflict(format!("checkpoint {epoch} comes after {}", last.unwrap_or_default())));
    }
    subject_keys::insert(tx, run.project, commit.new_subject_keys, now).await?;
    let origin =
        Origin { project: run.project, document: run.document, pipeline: run.pipeline.clone(), run: run.id, epoch, at: now };
    quarantine::insert(tx, &origin, commit.quarantine).await?;
    quality::record(tx, &run, epoch, commit.windows, now).await?;
    if let Some(moment) = &commit.metrics {
        metrics::record(tx, run.id, moment).await?;
    }
    let counters = to_json("a run's counters", &commit.counters)?;
    runs::record_checkpoint(tx, run.id, &counters, commit.totals, now).await?;
    let leaf = NewLeaf {
        project: Some(run.project),
        at: now,
        actor: format!("run:{}", run.id),
        run: Some(run.id),
        body: Body::Checkpoint(commit.decision),
    };
    let alerts = commit.alerts;
    let leaves = std::iter::once(leaf).chain(alerts.iter().map(|event| alerts::leaf(&run, epoch, event, now)));
    let mut appended = evidence::append(tx, leaves.collect()).await?.into_iter().map(|leaf| leaf.seq);
    let leaf_seq = appended.next().expect("invariant: the decision's leaf was appended");
    alerts::apply(tx, &run, epoch, alerts.into_iter().zip(appended).collect()).await?;
    let row = checkpoints::Model {
        deployment_id: run.deployment.0,
        epoch: signed(epoch),
        run_id: run.id.0,
        lease_epoch: signed(lease.epoch),
        at: micros(now),
        duration_ms: commit.duration_ms.map(signed),
        plan_fingerprint: commit.plan_fingerprint,
        rows_in: signed(commit.totals.rows_in),
        rows_out: signed(commit.totals.rows_out),
        positions: to_json("positions", &commit.positions)?,
        leaf_seq: signed(leaf_seq),
        content_hash: Some(Hash::of(&commit.content).as_bytes().to_vec()),
        content: Some(commit.content),
    };
    checkpoints::Entity::insert(checkpoints::ActiveModel::from(row)).exec_without_returning(tx.conn()).await?;
    forget_old(tx, run.deployment).await?;
    let log = evidence::state(tx).await?;
    Ok(Committed { leaf_seq, log_size: log.range.size(), root: log.range.root(), lease })
}

/// A checkpoint that a restart may begin from.
#[derive(Debug)]
pub struct Restorable {
    pub epoch: u64,
    /// Where the log has its decision record.
    pub leaf_seq: u64,
    /// [`StoreError::Corrupt`] when its content does not match its hash.
    pub checkpoint: Result<Checkpoint>,
}

/// The checkpoints that a restart can begin from, newest first; normally the first is taken. One that is damaged comes too, so that the
/// caller can say so before it takes the one before.
pub async fn restorable(db: &impl Db, deployment: DeploymentId) -> Result<Vec<Restorable>> {
    let rows = checkpoints::Entity::find()
        .filter(checkpoints::Column::DeploymentId.eq(deployment.0))
        .filter(checkpoints::Column::Content.is_not_null())
        .order_by_desc(checkpoints::Column::Epoch)
        .all(db.conn())
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Restorable {
                epoch: unsigned("an epoch", row.epoch)?,
                leaf_seq: unsigned("a leaf's place", row.leaf_seq)?,
                checkpoint: checkpoint(row),
            })
        })
        .collect()
}

/// The last checkpoint of a deployment, whichever run made it.
pub async fn load(db: &impl Db, deployment: DeploymentId) -> Result<Option<Checkpoint>> {
    restorable(db, deployment).await?.into_iter().next().map(|newest| newest.checkpoint).transpose()
}

/// The checkpoints of a run, newest first, `before` an epoch if given.
pub async fn list(db: &impl Db, run: RunId, before: Option<u64>, limit: u32) -> Result<Vec<CheckpointInfo>> {
    use checkpoints::Column::{At, DurationMs, Epoch, LeafSeq, Positions, RowsIn, RowsOut, RunId};
    let mut query = checkpoints::Entity::find()
        .select_only()
        .columns([Epoch, RunId, At, DurationMs, RowsIn, RowsOut, Positions, LeafSeq])
        .filter(RunId.eq(run.0));
    if let Some(before) = before {
        query = query.filter(Epoch.lt(signed(before)));
    }
    let rows = query.order_by_desc(Epoch).limit(u64::from(limit)).into_model::<InfoRow>().all(db.conn()).await?;
    rows.into_iter().map(info).collect()
}

/// Forgets what restarts begin from, so that the pipeline begins anew. The list of checkpoints and the evidence stay, and epochs go on
/// counting: [`newest_epoch`].
pub async fn forget(tx: &Tx, grant: &Grant, deployment: &Deployment) -> Result<()> {
    needs_in(grant, &[Action::PipelineDeploy], deployment.project)?;
    checkpoints::Entity::update_many()
        .col_expr(checkpoints::Column::Content, Option::<Vec<u8>>::None.into())
        .col_expr(checkpoints::Column::ContentHash, Option::<Vec<u8>>::None.into())
        .filter(checkpoints::Column::DeploymentId.eq(deployment.id.0))
        .exec(tx.conn())
        .await?;
    runs::forget_counts(tx, deployment.id).await
}

/// Forgets one checkpoint, which turned out to be damaged: nothing goes on from it any more. Its row and its evidence stay; what it said
/// of windows and alerts is taken back, for the rows it was made from are processed again.
pub async fn discard(tx: &Tx, lease: &Lease, deployment: DeploymentId, epoch: u64) -> Result<()> {
    lease.hold(tx).await?;
    checkpoints::Entity::update_many()
        .col_expr(checkpoints::Column::Content, Option::<Vec<u8>>::None.into())
        .col_expr(checkpoints::Column::ContentHash, Option::<Vec<u8>>::None.into())
        .filter(checkpoints::Column::DeploymentId.eq(deployment.0))
        .filter(checkpoints::Column::Epoch.eq(signed(epoch)))
        .exec(tx.conn())
        .await?;
    quality::discard(tx, deployment, epoch).await?;
    alerts::discard(tx, deployment, epoch).await
}

/// The epoch of the newest checkpoint ever committed, restorable or not: those of new checkpoints come after it.
pub async fn newest_epoch(db: &impl Db, deployment: DeploymentId) -> Result<Option<u64>> {
    last_epoch(db, deployment).await
}

async fn last_epoch(db: &impl Db, deployment: DeploymentId) -> Result<Option<u64>> {
    let last = checkpoints::Entity::find()
        .select_only()
        .column(checkpoints::Column::Epoch)
        .filter(checkpoints::Column::DeploymentId.eq(deployment.0))
        .order_by_desc(checkpoints::Column::Epoch)
        .limit(1)
        .into_tuple::<i64>()
        .one(db.conn())
        .await?;
    last.map(|epoch| unsigned("an epoch", epoch)).transpose()
}

/// Empties the content of checkpoints that no restart needs, and forgets the oldest altogether; their evidence stays.
async fn forget_old(tx: &Tx, deployment: DeploymentId) -> Result<()> {
    use checkpoints::Column::{Content, ContentHash, DeploymentId, Epoch};
    let nth_newest = async |n: i64| -> Result<Option<i64>> {
        let epoch = checkpoints::Entity::find().select_only().column(Epoch).filter(DeploymentId.eq(deployment.0));
        let epoch = epoch.order_by_desc(Epoch).offset(n.unsigned_abs()).limit(1);
        Ok(epoch.into_tuple::<i64>().one(tx.conn()).await?)
    };
    if let Some(newest_useless) = nth_newest(RESTORABLE).await? {
        checkpoints::Entity::update_many()
            .col_expr(Content, Option::<Vec<u8>>::None.into())
            .col_expr(ContentHash, Option::<Vec<u8>>::None.into())
            .filter(DeploymentId.eq(deployment.0))
            .filter(Epoch.lte(newest_useless))
            .filter(Expr::col(Content).is_not_null())
            .exec(tx.conn())
            .await?;
    }
    if let Some(newest_unlisted) = nth_newest(LISTED).await? {
        checkpoints::Entity::delete_many()
            .filter(DeploymentId.eq(deployment.0))
            .filter(Epoch.lte(newest_unlisted))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

fn checkpoint(row: checkpoints::Model) -> Result<Checkpoint> {
    let content = row.content.unwrap_or_default();
    let expected = hash32("a checkpoint's hash", &row.content_hash.unwrap_or_default())?;
    if Hash::of(&content) != Hash::from_bytes(expected) {
        return Err(StoreError::Corrupt(format!("checkpoint {} of deployment {} is damaged", row.epoch, row.deployment_id)));
    }
    Ok(Checkpoint {
        deployment: DeploymentId(row.deployment_id),
        epoch: unsigned("an epoch", row.epoch)?,
        run: RunId(row.run_id),
        at: at(row.at),
        plan_fingerprint: row.plan_fingerprint,
        content,
        leaf_seq: unsigned("a leaf's place", row.leaf_seq)?,
    })
}

#[derive(FromQueryResult)]
struct InfoRow {
    epoch: i64,
    run_id: Uuid,
    at: i64,
    duration_ms: Option<i64>,
    rows_in: i64,
    rows_out: i64,
    positions: String,
    leaf_seq: i64,
}

fn info(row: InfoRow) -> Result<CheckpointInfo> {
    Ok(CheckpointInfo {
        epoch: unsigned("an epoch", row.epoch)?,
        run: RunId(row.run_id),
        at: at(row.at),
        duration_ms: row.duration_ms.map(|ms| unsigned("a duration", ms)).transpose()?,
        rows_in: unsigned("rows in", row.rows_in)?,
        rows_out: unsigned("rows out", row.rows_out)?,
        positions: from_json("positions", &row.positions)?,
        leaf_seq: unsigned("a leaf's place", row.leaf_seq)?,
    })
}
