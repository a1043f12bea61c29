//! What a run notices about its data over time: windows as they were measured and judged, alerts raised and resolved.
//!
//! Observations are committed with the checkpoint of the rows they were made from. They hold numbers, rule names and the words of
//! the document, never a row's values.

use serde::{Deserialize, Serialize};
use weir_spec::metric::RuleSeverity;

/// A closed window of a quality step with what its rules say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredWindow {
    /// The quality step, as the document names it.
    pub step: String,
    /// Microseconds since 1970-01-01T00:00:00Z, half open.
    pub start: i64,
    pub end: i64,
    /// Rows that fell into the window.
    pub rows: u64,
    /// Rows that no window of this step took in, since the window before this one: they came when theirs had been closed, or
    /// without a time before any row had one.
    pub late_rows: u64,
    /// In the order of the document.
    pub rules: Vec<RuleObservation>,
    /// What the window's rows added up to, encoded, so that windows add up to longer ones without reading any row again
    /// ([`Sum`](crate::stages::quality::metrics::measures::Sum)). What would tell values of a column that is classified above internal
    /// is left out; empty where nothing else is left. Some 40 bytes a rule of counts, means and extremes; at most 5 kB a quantile; 8 bytes
    /// a different value of `uniqueness` up to 4,096 of them (32 kB), beyond 16 kB. They hold values of rows (a quantile of few rows
    /// is made of those very rows), so whoever keeps them seals them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<u8>,
}

/// What a rule over windows says of one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleObservation {
    /// The rule's name.
    pub rule: String,
    /// What it measures: `mean(amount)`.
    pub metric: String,
    pub severity: RuleSeverity,
    /// The metric's value (freshness in seconds); none where there is none, or where it would tell a value of a column that is
    /// classified above internal.
    pub observed: Option<f64>,
    pub verdict: WindowVerdict,
    /// What is wrong, in words, where the rule is broken; and why no value is told, where it is withheld.
    pub detail: Option<String>,
}

/// Whether a rule is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowVerdict {
    Kept,
    Broken,
    /// There was nothing to judge: no value, no bounds, or a baseline in the making.
    Open,
}

impl WindowVerdict {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Open => "open",
        }
    }
}

/// An alert began or ended. One cause has at most one open alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// The alert step, as the document names it.
    pub step: String,
    /// Tells causes of a step from one another: hex of a keyed hash of the rule or of the key columns' values.
    pub cause: String,
    pub severity: RuleSeverity,
    /// What people are told: the document's words.
    pub message: String,
    /// What was observed when it was raised, in words and numbers without any row's values.
    pub detail: Option<String>,
    /// When this happened: event time where the step goes by it, microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    pub change: AlertChange,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertChange {
    Raised,
    /// The cause is gone; it was seen so often, the first time included, and last at `seen_at`.
    Resolved {
        raised_at: i64,
        seen_at: i64,
        count: u64,
    },
}

/// Everything noticed between two checkpoints, in the order in which it happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    pub windows: Vec<MeasuredWindow>,
    pub alerts: Vec<AlertEvent>,
}

impl Observations {
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.alerts.is_empty()
    }

    /// Adds what was noticed elsewhere.
    pub fn append(&mut self, mut other: Self) {
        self.windows.append(&mut other.windows);
        self.alerts.append(&mut other.alerts);
    }
}
