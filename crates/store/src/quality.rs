//! Windows of quality steps as they were measured and judged. Kept for some time; evidence keeps what was raised because of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Func, OnConflict},
};
use weir_api::{AlertSeverity, DeploymentId, WindowVerdict};

use crate::{
    db::{Db, Tx},
    entity::quality_windows,
    error::Result,
    measures::{self, NewMeasures},
    runs::Run,
    stored::{named, signed, unsigned},
    time::{at, micros},
};

/// A closed window of a quality step.
#[derive(Clone, Debug, PartialEq)]
pub struct NewWindow {
    pub step: String,
    /// Event time in microseconds since 1970-01-01T00:00:00Z, half open.
    pub start: i64,
    pub end: i64,
    pub rows: u64,
    pub late_rows: u64,
    pub rules: Vec<NewObservation>,
    /// What the window added up to, sealed; none where it may not be kept. See [`measures`](crate::measures).
    pub measures: Option<Vec<u8>>,
}

/// What one rule says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewObservation {
    pub rule: String,
    pub metric: String,
    pub severity: AlertSeverity,
    pub observed: Option<f64>,
    pub verdict: WindowVerdict,
    pub detail: Option<String>,
}

/// One window, or several that follow one another.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub windows: u64,
    pub broken: u64,
    pub kept: u64,
    pub rows: u64,
    pub late_rows: u64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Only where the point is one window, which broke the rule.
    pub detail: Option<String>,
}

/// Windows that follow one another, summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// It begins so many widths after the first one.
    pub number: i64,
    pub point: Point,
    /// When a window of it was last written, and by which checkpoint: it changes with the windows.
    pub written: (DateTime<Utc>, u64),
}

/// A rule that has windows, as its newest window knew it.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleRecord {
    pub step: String,
    pub rule: String,
    pub metric: String,
    pub severity: AlertSeverity,
    pub windows: u64,
    pub broken: u64,
    pub newest: Point,
}

/// Writes the windows of a checkpoint. A window that is there already, because its rows are processed again, is replaced.
pub(crate) async fn record(tx: &Tx, run: &Run, epoch: u64, windows: Vec<NewWindow>, now: DateTime<Utc>) -> Result<()> {
    use quality_windows::Column::{
        At, DeploymentId, Detail, EndAt, Epoch, LateRows, Metric, Observed, Rows, Rule, RunId, Severity, StartAt, Step, Verdict,
    };
    // One statement must not write a row twice.
    let mut rows = BTreeMap::new();
    let mut added_up = Vec::with_capacity(windows.len());
    for window in windows {
        for rule in window.rules {
            let key = (window.step.clone(), rule.rule.clone(), window.start, window.end);
            let row = quality_windows::Model {
                deployment_id: run.deployment.0,
                step: window.step.clone(),
                rule: rule.rule,
                start_at: window.start,
                end_at: window.end,
                rows: signed(window.rows),
                late_rows: signed(window.late_rows),
                metric: rule.metric,
                severity: rule.severity.as_str().to_owned(),
                observed: rule.observed.filter(|value| value.is_finite()),
                verdict: rule.verdict.as_str().to_owned(),
                detail: rule.detail,
                run_id: run.id.0,
                epoch: signed(epoch),
                at: micros(now),
            };
            rows.insert(key, quality_windows::ActiveModel::from(row));
        }
        let NewWindow { step, start, end, measures: sealed, .. } = window;
        added_up.push(NewMeasures { step, start, end, sealed });
    }
    let replace = OnConflict::columns([DeploymentId, Step, Rule, StartAt, EndAt])
        .update_columns([Rows, LateRows, Metric, Severity, Observed, Verdict, Detail, RunId, Epoch, At])
        .to_owned();
    let mut rows: Vec<_> = rows.into_values().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(500));
        quality_windows::Entity::insert_many(rows).on_conflict(replace.clone()).exec_without_returning(tx.conn()).await?;
        rows = rest;
    }
    measures::record(tx, run, epoch, added_up, now).await
}

/// Takes back what a checkpoint wrote that was discarded. The caller has verified the lease.
pub(crate) async fn discard(tx: &Tx, deployment: DeploymentId, epoch: u64) -> Result<()> {
    quality_windows::Entity::delete_many()
        .filter(quality_windows::Column::DeploymentId.eq(deployment.0))
        .filter(quality_windows::Column::Epoch.eq(signed(epoch)))
        .exec(tx.conn())
        .await?;
    measures::discard(tx, deployment, epoch).await
}

/// Forgets windows that were committed before. Returns how many went.
pub async fn prune(tx: &Tx, before: DateTime<Utc>) -> Result<u64> {
    measures::prune(tx, before).await?;
    let old = quality_windows::Entity::delete_many().filter(quality_windows::Column::At.lt(micros(before)));
    Ok(old.exec(tx.conn()).await?.rows_affected)
}

/// The rules that have windows, by step and rule.
pub async fn rules(db: &impl Db, deployment: DeploymentId) -> Result<Vec<RuleRecord>> {
    use quality_windows::Column;
    let rows = quality_windows::Entity::find()
        .select_only()
        .columns([Column::Step, Column::Rule])
        .column_as(Column::StartAt.count(), "windows")
        .column_as(how_many("broken"), "broken")
        .column_as(Column::StartAt.max(), "newest")
        .filter(Column::DeploymentId.eq(deployment.0))
        .group_by(Column::Step)
        .group_by(Column::Rule)
        .order_by_asc(Column::Step)
        .order_by_asc(Column::Rule)
        .into_model::<RuleRow>()
        .all(db.conn())
        .await?;
    let mut rules = Vec::with_capacity(rows.len());
    for row in rows {
        let newest = quality_windows::Entity::find()
            .filter(series(deployment, &row.step, &row.rule))
            .filter(Column::StartAt.eq(row.newest))
            .order_by_desc(Column::EndAt)
            .limit(1)
            .one(db.conn())
            .await?;
        // A window may be pruned between the two looks.
        let Some(newest) = newest else { continue };
        rules.push(RuleRecord {
            step: row.step,
            rule: row.rule,
            metric: newest.metric.clone(),
            severity: named("a severity", &newest.severity)?,
            windows: unsigned("windows", row.windows)?,
            broken: unsigned("broken windows", row.broken)?,
            newest: window(newest)?,
        });
    }
    Ok(rules)
}

/// A rule as its newest window knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFacts {
    pub metric: String,
    pub severity: AlertSeverity,
    /// How long a window is, in microseconds.
    pub window: i64,
}

/// One rule, if it has windows.
pub async fn rule(db: &impl Db, deployment: DeploymentId, step: &str, rule: &str) -> Result<Option<RuleFacts>> {
    let query = quality_windows::Entity::find().filter(series(deployment, step, rule));
    let newest = query.order_by_desc(quality_windows::Column::StartAt).limit(1).one(db.conn()).await?;
    newest
        .map(|row| {
            let window = row.end_at.saturating_sub(row.start_at);
            Ok(RuleFacts { metric: row.metric, severity: named("a severity", &row.severity)?, window })
        })
        .transpose()
}

/// Which windows of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Windows that begin at or after.
    pub from: Option<DateTime<Utc>>,
    /// Windows that begin before.
    pub until: Option<DateTime<Utc>>,
}

/// How many windows a range holds, and from the start of the first to the end of the last, in microseconds since
/// 1970-01-01T00:00:00Z.
pub async fn extent(
    db: &impl Db,
    deployment: DeploymentId,
    step: &str,
    rule: &str,
    range: Range,
) -> Result<Option<(u64, i64, i64)>> {
    use quality_windows::Column;
    let row = quality_windows::Entity::find()
        .select_only()
        .column_as(Column::StartAt.count(), "windows")
        .column_as(Column::StartAt.min(), "first")
        .column_as(Column::EndAt.max(), "last")
        .filter(series(deployment, step, rule))
        .filter(within(range))
        .into_tuple::<(i64, Option<i64>, Option<i64>)>()
        .one(db.conn())
        .await?;
    let Some((windows, Some(first), Some(last))) = row else { return Ok(None) };
    Ok(Some((unsigned("windows", windows)?, first, last)))
}

/// The newest windows of a range, at most so many, oldest first.
pub async fn windows(
    db: &impl Db,
    deployment: DeploymentId,
    step: &str,
    rule: &str,
    range: Range,
    at_most: u32,
) -> Result<Vec<Point>> {
    use quality_windows::Column;
    let rows = quality_windows::Entity::find()
        .filter(series(deployment, step, rule))
        .filter(within(range))
        .order_by_desc(Column::StartAt)
        .order_by_desc(Column::EndAt)
        .limit(u64::from(at_most))
        .all(db.conn())
        .await?;
    rows.into_iter().rev().map(window).collect()
}

/// The windows of a range, summed up in buckets of `width` microseconds from `first` on, oldest first. Empty buckets are left out.
pub async fn buckets(
    db: &impl Db,
    deployment: DeploymentId,
    step: &str,
    rule: &str,
    range: Range,
    (first, width): (i64, i64),
) -> Result<Vec<Bucket>> {
    use quality_windows::Column;
    let which = Expr::col(Column::StartAt).sub(first).div(Ord::max(width, 1));
    let rows = quality_windows::Entity::find()
        .select_only()
        .expr_as(which, "bucket")
        .column_as(Column::StartAt.min(), "start")
        .column_as(Column::EndAt.max(), "end")
        .column_as(Column::StartAt.count(), "windows")
        .column_as(how_many("broken"), "broken")
        .column_as(how_many("kept"), "kept")
        .column_as(whole(Column::Rows.sum()), "rows")
        .column_as(whole(Column::LateRows.sum()), "late_rows")
        .column_as(Column::Observed.min(), "low")
        .column_as(Column::Observed.max(), "high")
        .column_as(Column::At.max(), "written_at")
        .column_as(Column::Epoch.max(), "written_by")
        .filter(series(deployment, step, rule))
        .filter(within(range))
        .group_by(Expr::col("bucket"))
        .order_by_asc(Expr::col("bucket"))
        .into_model::<BucketRow>()
        .all(db.conn())
        .await?;
    rows.into_iter().map(bucket).collect()
}

fn series(deployment: DeploymentId, step: &str, rule: &str) -> Condition {
    use quality_windows::Column;
    Condition::all().add(Column::DeploymentId.eq(deployment.0)).add(Column::Step.eq(step)).add(Column::Rule.eq(rule))
}

fn within(range: Range) -> Condition {
    use quality_windows::Column;
    let from = range.from.map(|from| Column::StartAt.gte(micros(from)));
    Condition::all().add_option(from).add_option(range.until.map(|until| Column::StartAt.lt(micros(until))))
}

/// How many windows have this verdict.
fn how_many(verdict: &str) -> Expr {
    let one: Expr = Expr::case(Expr::col(quality_windows::Column::Verdict).eq(verdict), 1).finally(0).into();
    whole(Func::sum(one).into())
}

/// A sum as a number of 64 bits: PostgreSQL would make a numeric of it.
fn whole(sum: Expr) -> Expr {
    Func::cast_as(sum, "bigint").into()
}

#[derive(FromQueryResult)]
struct RuleRow {
    step: String,
    rule: String,
    windows: i64,
    broken: i64,
    newest: i64,
}

#[derive(FromQueryResult)]
struct BucketRow {
    bucket: i64,
    start: i64,
    end: i64,
    windows: i64,
    broken: i64,
    kept: i64,
    rows: i64,
    late_rows: i64,
    low: Option<f64>,
    high: Option<f64>,
    written_at: i64,
    written_by: i64,
}

fn bucket(row: BucketRow) -> Result<Bucket> {
    let point = Point {
        start: at(row.start),
        end: at(row.end),
        windows: unsigned("windows", row.windows)?,
        broken: unsigned("broken windows", row.broken)?,
        kept: unsigned("kept windows", row.kept)?,
        rows: unsigned("a window's rows", row.rows)?,
        late_rows: unsigned("a window's late rows", row.late_rows)?,
        low: row.low,
        high: row.high,
        detail: None,
    };
    Ok(Bucket { number: row.bucket, point, written: (at(row.written_at), unsigned("an epoch", row.written_by)?) })
}

fn window(row: quality_windows::Model) -> Result<Point> {
    let verdict: WindowVerdict = named("a verdict", &row.verdict)?;
    Ok(Point {
        start: at(row.start_at),
        end: at(row.end_at),
        windows: 1,
        broken: u64::from(verdict == WindowVerdict::Broken),
        kept: u64::from(verdict == WindowVerdict::Kept),
        rows: unsigned("a window's rows", row.rows)?,
        late_rows: unsigned("a window's late rows", row.late_rows)?,
        low: row.observed,
        high: row.observed,
        detail: row.detail,
    })
}
