//! Leases: one worker at a time carries a run. Every acquisition raises the epoch, which is the fencing token: what a worker writes
//! with an older one is refused, however late it wakes up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
use weir_api::{RunId, RunState};

use crate::{
    db::{Db, Tx},
    entity::runs,
    error::{Result, StoreError},
    runs::{Run, run, state},
    stored::{signed, unsigned},
    time::micros,
};

/// The right to carry a run, until `until` unless renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub run: RunId,
    /// The worker: unique to its process.
    pub owner: String,
    /// The fencing token.
    pub epoch: u64,
    pub until: DateTime<Utc>,
}

impl Lease {
    /// Errors with [`StoreError::StaleLease`] unless this is the run's newest lease and the run is not over.
    pub async fn hold(&self, tx: &Tx) -> Result<()> {
        let row = runs::Entity::find_by_id(self.run.0)
            .lock_exclusive()
            .one(tx.conn())
            .await?
            .ok_or_else(|| StoreError::not_found("run", self.run))?;
        let current = unsigned("a lease epoch", row.lease_epoch)?;
        if current != self.epoch || row.lease_owner.as_deref() != Some(self.owner.as_str()) || state(&row.state)?.is_over() {
            return Err(StoreError::StaleLease { run: self.run, held: self.epoch, current });
        }
        Ok(())
    }
}

/// Takes the run over, if no other worker's lease is in force: `None` then, or when the run is over. A pending run begins to run.
pub async fn acquire(tx: &Tx, id: RunId, owner: &str, length: Duration, now: DateTime<Utc>) -> Result<Option<Lease>> {
    let row =
        runs::Entity::find_by_id(id.0).lock_exclusive().one(tx.conn()).await?.ok_or_else(|| StoreError::not_found("run", id))?;
    let state = state(&row.state)?;
    let held = row.lease_until.is_some_and(|until| until > micros(now)) && row.lease_owner.as_deref() != Some(owner);
    if state.is_over() || held {
        return Ok(None);
    }
    let lease =
        Lease { run: id, owner: owner.to_owned(), epoch: unsigned("a lease epoch", row.lease_epoch)? + 1, until: now + length };
    let next = if state == RunState::Pending { RunState::Running } else { state };
    let taken = runs::Entity::update_many()
        .col_expr(runs::Column::LeaseOwner, owner.into())
        .col_expr(runs::Column::LeaseEpoch, signed(lease.epoch).into())
        .col_expr(runs::Column::LeaseUntil, micros(lease.until).into())
        .col_expr(runs::Column::State, next.as_str().into())
        .col_expr(runs::Column::StartedAt, row.started_at.unwrap_or(micros(now)).into())
        .filter(runs::Column::Id.eq(id.0))
        .filter(runs::Column::LeaseEpoch.eq(row.lease_epoch))
        .exec(tx.conn())
        .await?;
    Ok((taken.rows_affected == 1).then_some(lease))
}

/// Extends a lease that is still the newest, even one that has run out: nobody took it.
pub async fn renew(tx: &Tx, lease: &Lease, length: Duration, now: DateTime<Utc>) -> Result<Renewed> {
    lease.hold(tx).await?;
    let until = now + length;
    runs::Entity::update_many()
        .col_expr(runs::Column::LeaseUntil, micros(until).into())
        .filter(runs::Column::Id.eq(lease.run.0))
        .exec(tx.conn())
        .await?;
    let row =
        runs::Entity::find_by_id(lease.run.0).one(tx.conn()).await?.ok_or_else(|| StoreError::not_found("run", lease.run))?;
    Ok(Renewed { lease: Lease { until, ..lease.clone() }, state: state(&row.state)? })
}

/// A renewed lease, and what the run shall do: [`RunState::Stopping`] asks for the last checkpoint.
#[derive(Clone, Debug)]
pub struct Renewed {
    pub lease: Lease,
    pub state: RunState,
}

/// Gives the lease back, so that another worker need not wait for its end. The run goes on being due.
pub async fn release(tx: &Tx, lease: &Lease) -> Result<()> {
    lease.hold(tx).await?;
    clear(tx, lease).await
}

/// Runs that a worker should take: not over, and without a lease in force.
pub async fn claimable(db: &impl Db, now: DateTime<Utc>) -> Result<Vec<Run>> {
    let free = runs::Column::LeaseUntil.is_null().or(runs::Column::LeaseUntil.lte(micros(now)));
    let query = runs::Entity::find().filter(runs::Column::EndedAt.is_null()).filter(free);
    query.order_by_asc(runs::Column::Id).all(db.conn()).await?.into_iter().map(run).collect()
}

/// Ends the lease; the owner's name stays, to show who carried the run last.
pub(crate) async fn clear(tx: &Tx, lease: &Lease) -> Result<()> {
    runs::Entity::update_many()
        .col_expr(runs::Column::LeaseUntil, Option::<i64>::None.into())
        .filter(runs::Column::Id.eq(lease.run.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}
