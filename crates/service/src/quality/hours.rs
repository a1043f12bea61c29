//! Hours and days of a rule: their windows are added up, so that a value is that of all rows, and no row is read again.
//!
//! What a window added up to is kept sealed, and only the engine knows how such measures add up: [`WindowSum`]. Adding up reads them one
//! by one, so what was added up is remembered until one of the windows is written again or pruned.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use weir_api::{DeploymentId, NoValue, QualityPoint};
use weir_store::{
    measures::{self, WindowMeasures},
    quality::{self, Bucket, Range},
};
use weir_vault::{
    ProjectKeys, Sealed,
    measures::{aad, decode},
    seal::Sealer,
};

use crate::{Cx, Error, Result, Services};

/// Windows read at once.
const PAGE: u32 = 256;

/// Windows that one request adds up, at least one point's.
const AT_ONCE: u64 = 50_000;

/// Hours and days remembered.
const REMEMBERED: usize = 20_000;

/// What windows of one rule add up to.
pub trait WindowSum: Send {
    /// Adds what a window added up to. After an error the sum is what it was before.
    fn add(&mut self, measures: &[u8]) -> Result<(), CannotAdd>;

    /// The metric over all rows of the windows, the last of which ended at `end` (microseconds since 1970-01-01T00:00:00Z); none where
    /// there is nothing to compute it from.
    fn value(&self, end: i64) -> Option<f64>;
}

/// The sum of no windows of a rule yet; the engine knows how they add up, and services do not know the engine.
pub type WindowSums = fn(rule: &str) -> Box<dyn WindowSum>;

/// Why a window cannot be added to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotAdd {
    /// The rule looked at something else when it was measured.
    Unalike,
    /// What the rule looks at may not be told.
    NotKept,
    /// In words, without what was measured.
    Unreadable(String),
}

type Value = Result<f64, NoValue>;

/// Of one rule, an hour or a day: where it begins and how long it is, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Span {
    deployment: DeploymentId,
    step: String,
    rule: String,
    start: i64,
    width: i64,
}

/// How many windows, when one was last written, and by which checkpoint.
type Version = (u64, (DateTime<Utc>, u64));

/// What has been added up, as long as its windows stay what they are.
#[derive(Default)]
pub(crate) struct AddedUp(Mutex<HashMap<Span, (Version, Value)>>);

impl AddedUp {
    fn find(&self, span: &Span, version: &Version) -> Option<Value> {
        self.0.lock().get(span).filter(|(known, _)| known == version).map(|(_, value)| *value)
    }

    fn remember(&self, span: Span, version: Version, value: Value) {
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(span, (version, value));
    }
}

/// The newest hours or days of `width` microseconds that have windows within a range, which is widened to whole ones; oldest first.
pub(super) async fn points(
    cx: &Cx,
    deployment: DeploymentId,
    (step, rule): (&str, &str),
    range: Range,
    width: i64,
    at_most: u32,
) -> Result<Vec<QualityPoint>> {
    let db = cx.store();
    let range = Range {
        from: range.from.map(|from| at(floor(from.timestamp_micros(), width))),
        until: range.until.map(|until| at(floor(until.timestamp_micros().saturating_add(width - 1), width))),
    };
    let newest = quality::windows(db, deployment, step, rule, range, 1).await?;
    let Some(newest) = newest.first() else { return Ok(Vec::new()) };
    let before = width.saturating_mul(i64::from(at_most.max(1)) - 1);
    let first = floor(newest.start.timestamp_micros(), width).saturating_sub(before);
    let first = range.from.map_or(first, |from| first.max(from.timestamp_micros()));
    let range = Range { from: Some(at(first)), until: range.until };
    let buckets = quality::buckets(db, deployment, step, rule, range, (first, width)).await?;

    let keys = cx.services().project_keys(cx.project()?.id).await?;
    let mut points = Vec::with_capacity(buckets.len());
    let mut added = 0;
    for bucket in buckets.into_iter().rev() {
        let start = first.saturating_add(bucket.number.saturating_mul(width));
        let span = Span { deployment, step: step.to_owned(), rule: rule.to_owned(), start, width };
        let version = (bucket.point.windows, bucket.written);
        let value = match cx.services().added_up.find(&span, &version) {
            Some(value) => value,
            None if added > 0 && added + bucket.point.windows > AT_ONCE => Err(NoValue::Later),
            None => {
                added += bucket.point.windows;
                let value = add_up(cx.services(), &span, &keys).await?;
                cx.services().added_up.remember(span, version, value);
                value
            }
        };
        points.push(point(bucket, start, width, value));
    }
    // A window may have been written between the two looks.
    points.truncate(at_most as usize);
    points.reverse();
    Ok(points)
}

fn point(bucket: Bucket, start: i64, width: i64, value: Value) -> QualityPoint {
    QualityPoint {
        start: at(start),
        end: at(start.saturating_add(width)),
        value: value.ok(),
        no_value: value.err(),
        ..super::point(bucket.point)
    }
}

/// Adds up the windows that begin within a span.
async fn add_up(services: &Services, span: &Span, keys: &ProjectKeys) -> Result<Value> {
    let mut adding = Adding {
        sum: (services.window_sums)(&span.rule),
        sealer: keys.measures_sealer(),
        project: keys.project().to_owned(),
        deployment: span.deployment.to_string(),
        step: span.step.clone(),
        until: span.start.saturating_add(span.width),
        reached: span.start,
    };
    let mut after = None;
    loop {
        let within = (span.start, adding.until);
        let (step, rule) = (span.step.as_str(), span.rule.as_str());
        let page = measures::of_rule(&services.store, span.deployment, step, rule, within, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.start, last.end));
        // Opening and adding take milliseconds.
        let work = move || page.iter().try_for_each(|window| adding.take(window)).map(|()| adding);
        match tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("adding up windows", e))? {
            Ok(on) => adding = on,
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(adding.sum.value(adding.reached).ok_or(NoValue::Nothing))
}

/// A sum on its way through the windows of a span.
struct Adding {
    sum: Box<dyn WindowSum>,
    sealer: Sealer,
    project: String,
    deployment: String,
    step: String,
    until: i64,
    /// Where the newest window ended.
    reached: i64,
}

impl Adding {
    fn take(&mut self, window: &WindowMeasures) -> Result<(), NoValue> {
        if window.start < self.reached || window.end > self.until {
            return Err(NoValue::Uneven);
        }
        self.reached = window.end;
        let sealed = window.sealed.as_ref().ok_or(NoValue::NotKept)?;
        let measures = self.open(window, sealed).map_err(|error| self.damaged(window, &error))?;
        self.sum.add(&measures).map_err(|error| match error {
            CannotAdd::Unalike => NoValue::Unalike,
            CannotAdd::NotKept => NoValue::NotKept,
            CannotAdd::Unreadable(error) => self.damaged(window, &error),
        })
    }

    fn open(&self, window: &WindowMeasures, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let bound = aad(&self.project, &self.deployment, &self.step, window.start, window.end);
        let sealed = Sealed::from_bytes(sealed).map_err(|e| e.to_string())?;
        let opened = self.sealer.open(&bound, &sealed).map_err(|e| e.to_string())?;
        decode(&opened).map_err(|e| e.to_string())
    }

    fn damaged(&self, window: &WindowMeasures, error: &str) -> NoValue {
        let (deployment, step) = (&self.deployment, &self.step);
        tracing::warn!(deployment, step, start = window.start, error, "what a window added up to cannot be read");
        NoValue::Unreadable
    }
}

/// Where the hour or day begins that a time lies in.
fn floor(micros: i64, width: i64) -> i64 {
    micros.saturating_sub(micros.rem_euclid(width))
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}
