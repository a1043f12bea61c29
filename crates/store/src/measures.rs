//! What windows of quality steps added up to, once a step and window, so that windows add up to hours and days later. Sealed: the store
//! does not look inside.
//!
//! A window takes some 40 bytes for each rule that counts or averages, up to 5 kB for each quantile and up to 32 kB for each
//! uniqueness, before it is compressed: measured, 6.4 kB for 6,000 rows with a count, a mean, a quantile and a uniqueness of some 4,500
//! values. Windows of a minute, kept for 90 days, are 130,000. They go with the windows they belong to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict};
use weir_api::DeploymentId;

use crate::{
    db::{Db, Tx},
    entity::{quality_measures, quality_windows},
    error::Result,
    runs::Run,
    stored::signed,
    time::micros,
};

/// Rows of a statement.
const AT_ONCE: usize = 500;

/// Of one window; nothing where nothing may be kept.
pub(crate) struct NewMeasures {
    pub(crate) step: String,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) sealed: Option<Vec<u8>>,
}

/// A window of a rule with what its step kept of it. Times in microseconds since 1970-01-01T00:00:00Z, half open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowMeasures {
    pub start: i64,
    pub end: i64,
    pub sealed: Option<Vec<u8>>,
}

/// Writes those of a checkpoint. What is there already of a window is replaced, also by nothing.
pub(crate) async fn record(tx: &Tx, run: &Run, epoch: u64, measures: Vec<NewMeasures>, now: DateTime<Utc>) -> Result<()> {
    use quality_measures::Column::{At, DeploymentId, EndAt, Epoch, Sealed, StartAt, Step};
    let mut rows = BTreeMap::new();
    // Starts by step and length.
    let mut without: BTreeMap<(String, i64), BTreeSet<i64>> = BTreeMap::new();
    for NewMeasures { step, start, end, sealed } in measures {
        let Some(sealed) = sealed else {
            without.entry((step, end.saturating_sub(start))).or_default().insert(start);
            continue;
        };
        let row = quality_measures::Model {
            deployment_id: run.deployment.0,
            step: step.clone(),
            start_at: start,
            end_at: end,
            sealed,
            epoch: signed(epoch),
            at: micros(now),
        };
        rows.insert((step, start, end), quality_measures::ActiveModel::from(row));
    }
    for ((step, length), starts) in without {
        let starts: Vec<i64> = starts.into_iter().collect();
        for starts in starts.chunks(AT_ONCE) {
            quality_measures::Entity::delete_many()
                .filter(DeploymentId.eq(run.deployment.0))
                .filter(Step.eq(step.as_str()))
                .filter(StartAt.is_in(starts.iter().copied()))
                .filter(EndAt.into_expr().sub(StartAt.into_expr()).eq(length))
                .exec(tx.conn())
                .await?;
        }
    }
    let replace = OnConflict::columns([DeploymentId, Step, StartAt, EndAt]).update_columns([Sealed, Epoch, At]).to_owned();
    let mut rows: Vec<_> = rows.into_values().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(AT_ONCE));
        quality_measures::Entity::insert_many(rows).on_conflict(replace.clone()).exec_without_returning(tx.conn()).await?;
        rows = rest;
    }
    Ok(())
}

/// Takes back what a checkpoint wrote that was discarded. The caller has verified the lease.
pub(crate) async fn discard(tx: &Tx, deployment: DeploymentId, epoch: u64) -> Result<()> {
    quality_measures::Entity::delete_many()
        .filter(quality_measures::Column::DeploymentId.eq(deployment.0))
        .filter(quality_measures::Column::Epoch.eq(signed(epoch)))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Forgets those that were committed before.
pub(crate) async fn prune(tx: &Tx, before: DateTime<Utc>) -> Result<()> {
    let old = quality_measures::Entity::delete_many().filter(quality_measures::Column::At.lt(micros(before)));
    old.exec(tx.conn()).await?;
    Ok(())
}

/// The windows of a rule that begin in `[from, until)`, oldest first, at most so many behind `after` (a start and an end), each with what
/// its step kept of it. Times in microseconds.
pub async fn of_rule(
    db: &impl Db,
    deployment: DeploymentId,
    step: &str,
    rule: &str,
    (from, until): (i64, i64),
    after: Option<(i64, i64)>,
    at_most: u32,
) -> Result<Vec<WindowMeasures>> {
    use quality_windows::Column;
    let behind = after.map(|(start, end)| {
        let longer = Condition::all().add(Column::StartAt.eq(start)).add(Column::EndAt.gt(end));
        Condition::any().add(Column::StartAt.gt(start)).add(longer)
    });
    let windows = quality_windows::Entity::find()
        .select_only()
        .columns([Column::StartAt, Column::EndAt])
        .filter(Column::DeploymentId.eq(deployment.0))
        .filter(Column::Step.eq(step))
        .filter(Column::Rule.eq(rule))
        .filter(Column::StartAt.gte(after.map_or(from, |(start, _)| start)))
        .filter(Column::StartAt.lt(until))
        .filter(Condition::all().add_option(behind))
        .order_by_asc(Column::StartAt)
        .order_by_asc(Column::EndAt)
        .limit(u64::from(at_most))
        .into_tuple::<(i64, i64)>()
        .all(db.conn())
        .await?;
    let (Some(&(first, _)), Some(&(last, _))) = (windows.first(), windows.last()) else { return Ok(Vec::new()) };
    let kept = quality_measures::Entity::find()
        .filter(quality_measures::Column::DeploymentId.eq(deployment.0))
        .filter(quality_measures::Column::Step.eq(step))
        .filter(quality_measures::Column::StartAt.between(first, last))
        .all(db.conn())
        .await?;
    let mut kept: HashMap<(i64, i64), Vec<u8>> = kept.into_iter().map(|row| ((row.start_at, row.end_at), row.sealed)).collect();
    Ok(windows.into_iter().map(|(start, end)| WindowMeasures { start, end, sealed: kept.remove(&(start, end)) }).collect())
}
