//! Quality over time: what the rules over windows of a pipeline measured.

pub(crate) mod hours;

use chrono::TimeDelta;
use weir_api::{FieldError, QualityPoint, QualityQuery, QualityResolution, QualityRule, QualitySeries, Slug, WindowVerdict};
use weir_authz::{Action, Resource, ResourceKind};
use weir_store::{
    deployments::{self, Deployment},
    quality,
};

pub use self::hours::{CannotAdd, WindowSum, WindowSums};
use crate::{Cx, Error, Result, pipelines};

/// The rules of a pipeline that have been measured, by step and rule.
pub async fn rules(cx: &Cx, pipeline: &Slug) -> Result<Vec<QualityRule>> {
    let Some(deployment) = deployment(cx, pipeline).await? else { return Ok(Vec::new()) };
    let rules = quality::rules(cx.store(), deployment.id).await?.into_iter();
    Ok(rules
        .map(|rule| QualityRule {
            step: rule.step,
            rule: rule.rule,
            metric: rule.metric,
            severity: rule.severity,
            windows: rule.windows,
            broken: rule.broken,
            newest: point(rule.newest),
        })
        .collect())
}

/// All rules of a pipeline, each with the series of so many hours before the end of its newest window; without a number, with its newest
/// points. Times are those of the data, which may be long past.
pub async fn recent(
    cx: &Cx,
    pipeline: &Slug,
    hours: Option<u32>,
    resolution: QualityResolution,
) -> Result<Vec<(QualityRule, QualitySeries)>> {
    let summed_up = resolution != QualityResolution::Window;
    let rules = rules(cx, pipeline).await?;
    let mut all = Vec::with_capacity(rules.len());
    for rule in rules {
        let query = QualityQuery {
            step: rule.step.clone(),
            rule: rule.rule.clone(),
            from: hours.and_then(|hours| rule.newest.end.checked_sub_signed(TimeDelta::hours(hours.into()))),
            until: None,
            // Windows are summed up where there are many; hours and days are as many as there are.
            points: hours.filter(|_| summed_up).map(|_| QualityQuery::MAX_POINTS),
            resolution: Some(resolution),
        };
        let series = series(cx, pipeline, query).await?;
        all.push((rule, series));
    }
    Ok(all)
}

/// The series of one rule: by hours or days, or by windows; where the range holds more windows than points are wanted, those that follow
/// one another are summed up. Errors: `NotFound` for a rule that has never been measured, `Invalid`.
pub async fn series(cx: &Cx, pipeline: &Slug, query: QualityQuery) -> Result<QualitySeries> {
    let deployment = deployment(cx, pipeline).await?;
    let at_most = points(&query)?;
    let unknown = || Error::not_found(format!("rule {} of step {} that has been measured", query.rule, query.step));
    let deployment = deployment.ok_or_else(unknown)?.id;
    let (db, step, rule) = (cx.store(), query.step.as_str(), query.rule.as_str());
    let newest = quality::rule(db, deployment, step, rule).await?.ok_or_else(unknown)?;
    let range = quality::Range { from: query.from, until: query.until };
    let series = |bucket_seconds, points| QualitySeries {
        step: query.step.clone(),
        rule: query.rule.clone(),
        metric: newest.metric,
        severity: newest.severity,
        bucket_seconds,
        points,
    };
    if let Some(width) = query.resolution.unwrap_or_default().micros() {
        let points = hours::points(cx, deployment, (step, rule), range, width, at_most).await?;
        return Ok(series(Some(width as f64 / 1e6), points));
    }
    let extent = match range.from {
        Some(_) => quality::extent(db, deployment, step, rule, range).await?,
        None => None,
    };
    let (bucket_seconds, found) = match extent {
        Some((windows, first, last)) if windows > u64::from(at_most) => {
            let width = bucket(last - first, at_most, newest.window);
            let found = quality::buckets(db, deployment, step, rule, range, (first, width)).await?;
            (Some(width as f64 / 1e6), found.into_iter().map(|bucket| bucket.point).collect())
        }
        _ => (None, quality::windows(db, deployment, step, rule, range, at_most).await?),
    };
    Ok(series(bucket_seconds, found.into_iter().map(point).collect()))
}

/// The width of buckets that cover a span with at most so many of them: whole windows, in microseconds.
fn bucket(span: i64, at_most: u32, window: i64) -> i64 {
    let (at_most, window) = (i64::from(at_most.max(1)), window.max(1));
    let width = span.div_euclid(at_most) + i64::from(span.rem_euclid(at_most) > 0);
    let windows = width.div_euclid(window) + i64::from(width.rem_euclid(window) > 0);
    windows.max(1).saturating_mul(window)
}

fn points(query: &QualityQuery) -> Result<u32> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, message: String| wrong.push(FieldError { field: field.to_owned(), message });
    let at_most = query.points.unwrap_or(QualityQuery::DEFAULT_POINTS);
    if !(1..=QualityQuery::MAX_POINTS).contains(&at_most) {
        refuse("points", format!("is {at_most}; ask for 1 to {}", QualityQuery::MAX_POINTS));
    }
    if let (Some(from), Some(until)) = (query.from, query.until)
        && from >= until
    {
        refuse("until", format!("must be after `from`, {}", from.to_rfc3339()));
    }
    if wrong.is_empty() { Ok(at_most) } else { Err(Error::Invalid(wrong)) }
}

/// What is, or was last, deployed of a pipeline that the caller may read the quality of.
async fn deployment(cx: &Cx, pipeline: &Slug) -> Result<Option<Deployment>> {
    let project = cx.project()?.id;
    cx.authorize(Action::QualityRead, &Resource::in_project(ResourceKind::Quality, project).id(pipeline)).await?;
    let document = pipelines::find(cx, pipeline, Action::QualityRead).await?;
    Ok(deployments::by_document(cx.store(), document.id).await?)
}

fn point(point: quality::Point) -> QualityPoint {
    let verdict = match (point.broken, point.kept) {
        (1.., _) => WindowVerdict::Broken,
        (0, 1..) => WindowVerdict::Kept,
        (0, 0) => WindowVerdict::Open,
    };
    QualityPoint {
        start: point.start,
        end: point.end,
        windows: point.windows,
        broken: point.broken,
        verdict,
        rows: point.rows,
        late_rows: point.late_rows,
        value: point.low.filter(|_| point.windows == 1),
        no_value: None,
        low: point.low,
        high: point.high,
        detail: point.detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_whole_windows_and_never_more_than_wanted() {
        for (span, at_most, window) in [(600, 10, 60), (601, 10, 60), (1, 1000, 60), (i64::MAX, 1, 60), (86_400, 7, 3_600)] {
            let width = bucket(span, at_most, window);
            assert!(width > 0 && (width % window == 0 || width == i64::MAX), "{span} {at_most} {window}: {width}");
            let buckets = span / width + i64::from(span % width > 0);
            assert!(buckets <= i64::from(at_most), "{span} {at_most} {window}: {buckets} of {width}");
        }
        assert_eq!(bucket(600, 10, 60), 60);
    }
}
