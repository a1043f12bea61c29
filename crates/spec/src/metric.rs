//! Metrics over windows of rows, the rules they must keep, and alerts.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::Timespan;

/// The part of a quality step that looks at windows of rows rather than at each row. It reports; it rejects nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowQuality {
    /// Windows of event time (processing time where the source has none), one after the other. Default 1m.
    pub over: Timespan,
    pub rules: Vec<WindowRule>,
}

/// A metric that is measured in each window, and what it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRule {
    /// Given in the document, or made from the rule: `mean(amount)`.
    pub name: String,
    /// Default error.
    pub severity: RuleSeverity,
    pub check: WindowCheck,
}

/// How bad it is when a rule is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleSeverity {
    Warn,
    #[default]
    Error,
    Critical,
}

#[derive(Clone, Debug, PartialEq)]
pub enum WindowCheck {
    /// Inclusive bounds; without any, the metric is measured only.
    Bounds {
        metric: Metric,
        min: Option<f64>,
        max: Option<f64>,
    },
    /// The newest row of a window is no older than this when the window closes.
    Freshness {
        max: Timespan,
    },
    Distribution(Distribution),
    Control(Control),
}

/// A number measured over a window of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    RowCount,
    /// The share of rows that have a value.
    Completeness {
        column: String,
    },
    /// Different values (or combinations of values) by rows that have them.
    Uniqueness {
        columns: Vec<String>,
    },
    Mean {
        column: String,
    },
    Sum {
        column: String,
    },
    Min {
        column: String,
    },
    Max {
        column: String,
    },
    /// The sample standard deviation.
    Stddev {
        column: String,
    },
    /// The value below which this fraction of the values lies.
    Quantile {
        column: String,
        q: f64,
    },
}

/// The values of a column against those of a reference file.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    pub column: String,
    /// CSV or NDJSON, relative to the document, read at start.
    pub reference: String,
    /// The column of the file. Default: the same name.
    pub key: Option<String>,
    pub test: DistributionTest,
    /// The largest distance allowed.
    pub max: Option<f64>,
    /// For chi-square: the smallest probability allowed.
    pub min_p: Option<f64>,
    /// Bins of numbers, or most frequent texts. Default 10.
    pub bins: u32,
}

/// How the distance of two distributions is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DistributionTest {
    /// Population stability index: 0.1 is customarily called stable, 0.25 a shift.
    #[default]
    Psi,
    /// Kolmogorov-Smirnov: the largest difference of cumulative shares, 0 to 1.
    Ks,
    /// Jensen-Shannon divergence, 0 to 1.
    JensenShannon,
    /// Pearson's chi-square; judged by its probability.
    ChiSquare,
}

/// Statistical process control of a metric: it is compared with its own past.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    pub metric: Metric,
    pub chart: ControlChart,
    /// Windows that make the baseline. Default 20.
    pub training: u32,
    /// Also the Western Electric rules. Default false.
    pub western_electric: bool,
}

/// A control chart; distances are in standard deviations of the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ControlChart {
    Shewhart { sigmas: f64 },
    Ewma { lambda: f64, limit: f64 },
    Cusum { slack: f64, decision: f64 },
}

/// The names of control charts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// Each value for itself: finds large shifts at once.
    Shewhart,
    /// Exponentially weighted moving average: finds small shifts.
    #[default]
    Ewma,
    /// Cumulative sums: finds small lasting shifts soonest.
    Cusum,
}

impl ControlChart {
    pub fn kind(&self) -> ChartKind {
        match self {
            Self::Shewhart { .. } => ChartKind::Shewhart,
            Self::Ewma { .. } => ChartKind::Ewma,
            Self::Cusum { .. } => ChartKind::Cusum,
        }
    }
}

/// `alert:` steps: a condition raises an alert, once per cause, and resolves it when it no longer holds.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertStep {
    /// A source or a step.
    pub from: String,
    pub when: AlertCondition,
    /// Default error.
    pub severity: RuleSeverity,
    /// Columns whose values tell one cause from another; none for one cause in all. Of alerts on rows.
    pub key: Vec<String>,
    /// What people are told. Default: made from the condition.
    pub message: Option<String>,
    /// Without a further row that fulfils the condition an alert is resolved after this long. Default 5m. Of alerts on rows: those
    /// of a rule are resolved by a window that keeps it.
    pub resolve_after: Timespan,
}

/// What raises an alert.
#[derive(Clone, Debug, PartialEq)]
pub enum AlertCondition {
    /// A SQL expression of type boolean over a row.
    Rows(String),
    /// A window rule of the quality step that the alert reads, by name, is broken.
    Rule(String),
}

impl Metric {
    /// Its name, which is also its key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::RowCount => "row_count",
            Self::Completeness { .. } => "completeness",
            Self::Uniqueness { .. } => "uniqueness",
            Self::Mean { .. } => "mean",
            Self::Sum { .. } => "sum",
            Self::Min { .. } => "min",
            Self::Max { .. } => "max",
            Self::Stddev { .. } => "stddev",
            Self::Quantile { .. } => "quantile",
        }
    }

    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::RowCount => Vec::new(),
            Self::Uniqueness { columns } => columns.iter().map(String::as_str).collect(),
            Self::Completeness { column }
            | Self::Mean { column }
            | Self::Sum { column }
            | Self::Min { column }
            | Self::Max { column }
            | Self::Stddev { column }
            | Self::Quantile { column, .. } => vec![column],
        }
    }

    /// Whether it computes with the column's values, which then must be numbers.
    pub fn is_numeric(&self) -> bool {
        !matches!(self, Self::RowCount | Self::Completeness { .. } | Self::Uniqueness { .. })
    }
}

/// `row_count`, `mean(amount)`, `uniqueness(card, day)`, `quantile(amount, 0.95)`.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowCount => f.write_str("row_count"),
            Self::Quantile { column, q } => write!(f, "quantile({column}, {q})"),
            other => write!(f, "{}({})", other.key(), other.columns().join(", ")),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "row_count" {
            return Ok(Self::RowCount);
        }
        let unreadable = || format!("`{text}` is not a metric");
        let (name, rest) = text.split_once('(').ok_or_else(unreadable)?;
        let inside: Vec<&str> = rest.strip_suffix(')').ok_or_else(unreadable)?.split(',').map(str::trim).collect();
        if inside.iter().any(|part| part.is_empty()) {
            return Err(unreadable());
        }
        let one = || match inside[..] {
            [column] => Ok(column.to_owned()),
            _ => Err(format!("`{}` takes one column", name.trim())),
        };
        Ok(match name.trim() {
            "completeness" => Self::Completeness { column: one()? },
            "uniqueness" => Self::Uniqueness { columns: inside.iter().map(|column| (*column).to_owned()).collect() },
            "mean" => Self::Mean { column: one()? },
            "sum" => Self::Sum { column: one()? },
            "min" => Self::Min { column: one()? },
            "max" => Self::Max { column: one()? },
            "stddev" => Self::Stddev { column: one()? },
            "quantile" => {
                let [column, q] = inside[..] else {
                    return Err("`quantile` takes a column and a fraction, such as `quantile(amount, 0.95)`".to_owned());
                };
                let q: f64 = q
                    .parse()
                    .ok()
                    .filter(|q| (0.0..=1.0).contains(q))
                    .ok_or_else(|| format!("`{q}` is not a fraction between 0 and 1"))?;
                Self::Quantile { column: column.to_owned(), q }
            }
            _ => return Err(unreadable()),
        })
    }
}

impl WindowCheck {
    /// The rule's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Bounds { metric, .. } => metric.key(),
            Self::Freshness { .. } => "freshness",
            Self::Distribution(_) => "distribution",
            Self::Control(_) => "control",
        }
    }

    /// The columns that the rule names.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Bounds { metric, .. } | Self::Control(Control { metric, .. }) => metric.columns(),
            Self::Freshness { .. } => Vec::new(),
            Self::Distribution(distribution) => vec![&distribution.column],
        }
    }

    /// The name of a rule that is given none: `mean(amount)`, `distribution(country)`, `control(mean(amount))`.
    pub fn default_name(&self) -> String {
        match self {
            Self::Bounds { metric, .. } => metric.to_string(),
            Self::Freshness { .. } => "freshness".to_owned(),
            Self::Distribution(distribution) => format!("distribution({})", distribution.column),
            Self::Control(control) => format!("control({})", control.metric),
        }
    }
}
