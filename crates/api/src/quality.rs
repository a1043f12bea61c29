//! Quality over time: what the rules over windows of a quality step measured, and how they judged it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::alert::AlertSeverity;

/// Whether a rule is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WindowVerdict {
    Kept,
    Broken,
    /// There was nothing to judge: no value, no bounds, or a baseline in the making.
    Open,
}

impl WindowVerdict {
    pub const ALL: [Self; 3] = [Self::Kept, Self::Broken, Self::Open];

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Open => "open",
        }
    }
}

/// A text that names no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verdict; verdicts are kept, broken and open")]
pub struct UnknownVerdict(pub String);

impl FromStr for WindowVerdict {
    type Err = UnknownVerdict;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| UnknownVerdict(text.to_owned()))
    }
}

/// How finely a series is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QualityResolution {
    /// Window by window, as they were judged.
    #[default]
    Window,
    /// Hours of UTC.
    Hour,
    /// Days of UTC.
    Day,
}

impl QualityResolution {
    pub const ALL: [Self; 3] = [Self::Window, Self::Hour, Self::Day];

    /// How long a point is, in microseconds; windows are as long as their step says.
    pub fn micros(self) -> Option<i64> {
        match self {
            Self::Window => None,
            Self::Hour => Some(3_600_000_000),
            Self::Day => Some(86_400_000_000),
        }
    }
}

/// Why an hour or a day has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoValue {
    /// There is nothing to compute it from, such as the mean of no rows.
    Nothing,
    /// What its windows added up to is not on record: it would tell values of a column that is classified above internal, or they were
    /// measured by a version of Weir that did not keep it.
    NotKept,
    /// Its windows were measured by versions of the document that look at different things under the rule's name.
    Unalike,
    /// Its windows reach beyond it or into one another, so that they do not add up to it.
    Uneven,
    /// What is on record of its windows is damaged.
    Unreadable,
    /// It has more windows than one request adds up, besides those of later points. What has been added up is remembered, so that the
    /// next request comes further.
    Later,
}

impl NoValue {
    /// In words.
    pub fn told(self) -> &'static str {
        match self {
            Self::Nothing => "there is nothing to compute it from",
            Self::NotKept => "what the windows added up to is not kept",
            Self::Unalike => "the windows were measured by rules that look at different things",
            Self::Uneven => "the windows do not fit into it",
            Self::Unreadable => "what is kept of the windows is damaged",
            Self::Later => "there are too many windows to add up at once; ask again",
        }
    }
}

/// A rule over windows that has been measured, and how its newest window fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QualityRule {
    /// The quality step, as the document names it.
    pub step: String,
    /// The rule's name.
    pub rule: String,
    /// What it measures: `mean(amount)`.
    pub metric: String,
    pub severity: AlertSeverity,
    /// Windows that are kept on record, and how many of them broke the rule.
    pub windows: u64,
    pub broken: u64,
    pub newest: QualityPoint,
}

/// The series of one rule, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QualitySeries {
    pub step: String,
    pub rule: String,
    pub metric: String,
    pub severity: AlertSeverity,
    /// How long a point is at most, where several windows make one; absent where every window is a point.
    pub bucket_seconds: Option<f64>,
    pub points: Vec<QualityPoint>,
}

/// One window, or several that follow one another, summed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QualityPoint {
    pub start: DateTime<Utc>,
    /// Exclusive.
    pub end: DateTime<Utc>,
    pub windows: u64,
    /// Windows that broke the rule.
    pub broken: u64,
    /// `broken` if one window is, otherwise `kept` if one is.
    pub verdict: WindowVerdict,
    pub rows: u64,
    /// Rows that came after their window had been closed.
    pub late_rows: u64,
    /// The metric of all rows of the point: of a window, or of an hour or a day whose windows were added up. Absent where there is none,
    /// where it would tell a value of a column that is classified above internal, and where windows were summed up by their values only
    /// (`bucket_seconds` of a series by window). Different values and quantiles are estimates where they are many.
    pub value: Option<f64>,
    /// Why an hour or a day has no value.
    pub no_value: Option<NoValue>,
    /// The least and the greatest value of its windows, equal where the point is one window. Absent where there is none, or where it would
    /// tell a value of a column that is classified above internal.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// What is wrong, in words; only where the point is one window, which broke the rule.
    pub detail: Option<String>,
}

/// Which part of which series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct QualityQuery {
    /// The quality step.
    pub step: String,
    /// The rule's name, such as `mean(amount)`.
    pub rule: String,
    /// Windows that begin at or after; by default as many as make `points`, up to the newest. By hour or day, also those of the whole
    /// hour or day that it lies in.
    pub from: Option<DateTime<Utc>>,
    /// Windows that begin before; by default up to the newest. By hour or day, also those of the whole hour or day that it lies in.
    pub until: Option<DateTime<Utc>>,
    /// At most so many points: 1 to 1000, 120 by default. Where there are more windows between `from` and `until`, those that follow one
    /// another are summed up. By hour or day, so many of the newest: those without windows are left out.
    pub points: Option<u32>,
    /// By window (the default), or by hours or days of UTC. An hour's value is the metric over all its rows: its windows are added up, not
    /// averaged.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub resolution: Option<QualityResolution>,
}

impl QualityQuery {
    pub const DEFAULT_POINTS: u32 = 120;
    pub const MAX_POINTS: u32 = 1000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_has_one_name_everywhere() {
        for verdict in WindowVerdict::ALL {
            assert_eq!(verdict.as_str().parse(), Ok(verdict));
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
        assert!("fine".parse::<WindowVerdict>().is_err());
    }

    #[test]
    fn a_day_is_twenty_four_hours_and_begins_at_one_of_them() {
        let [window, hour, day] = QualityResolution::ALL.map(QualityResolution::micros);
        assert_eq!((window, hour, day), (None, Some(3600 * 1_000_000), hour.map(|hour| 24 * hour)));
        assert_eq!(serde_json::to_value(QualityResolution::Hour).unwrap(), "hour");
    }
}
