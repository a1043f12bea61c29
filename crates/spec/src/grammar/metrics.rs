//! The grammar of window rules and alerts.

use super::{
    Field, List, Object, Shape, choices, defaulted, optional, required,
    text::Text::{ColumnName, Metric, NonEmpty},
};
use crate::metric::{ChartKind, DistributionTest, RuleSeverity};

const DAY: u64 = 86_400_000;
/// The largest whole number that every JSON reader keeps exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

const COLUMN: Shape = Shape::Text(ColumnName);
const COLUMNS: Shape = Shape::List(&List { of: Shape::Text(ColumnName), min: 1, or_one: true });
const NUMBER: Shape = Shape::Number(f64::MIN, f64::MAX);
const SHARE: Shape = Shape::Number(0.0, 1.0);
const SEVERITY: Shape = Shape::Choice(choices::<RuleSeverity>);

/// What stands under `metrics` of a quality step.
pub static WINDOW_RULE: Object = Object::new(
    "a window rule",
    &[
        optional("name", Shape::Text(NonEmpty), "The name under which the metric and its findings are shown."),
        defaulted("severity", SEVERITY, "\"error\"", "How bad it is when the rule is broken."),
    ],
)
.with_one_of("metric", METRICS);

const METRICS: &[Field] = &[
    optional("row_count", Shape::Object(&ROW_COUNT), "Rows in a window."),
    optional("completeness", Shape::Object(&COMPLETENESS), "The share of rows that have a value."),
    optional("uniqueness", Shape::Object(&UNIQUENESS), "Different values, or combinations, by rows that have them."),
    optional("mean", Shape::Object(&OF_NUMBERS), "The mean of a column."),
    optional("sum", Shape::Object(&OF_NUMBERS), "The sum of a column."),
    optional("min", Shape::Object(&OF_NUMBERS), "The smallest value of a column."),
    optional("max", Shape::Object(&OF_NUMBERS), "The largest value of a column."),
    optional("stddev", Shape::Object(&OF_NUMBERS), "The sample standard deviation of a column."),
    optional("quantile", Shape::Object(&QUANTILE), "The value below which a fraction of the values lies."),
    optional("freshness", Shape::Object(&FRESHNESS), "The age of the newest row when a window closes."),
    optional("distribution", Shape::Object(&DISTRIBUTION), "The values of a column against those of a reference file."),
    optional("control", Shape::Object(&CONTROL), "A control chart: the metric against its own past."),
];

const LEAST: &str = "The least allowed. Without bounds the metric is measured only.";
const MOST: &str = "The most allowed.";

static ROW_COUNT: Object = Object::new(
    "`row_count`",
    &[optional("min", Shape::Number(0.0, MAX_EXACT), LEAST), optional("max", Shape::Number(0.0, MAX_EXACT), MOST)],
);

static COMPLETENESS: Object = Object::new(
    "`completeness`",
    &[required("column", COLUMN, "The column measured."), optional("min", SHARE, LEAST), optional("max", SHARE, MOST)],
);

static UNIQUENESS: Object = Object::new(
    "`uniqueness`",
    &[
        required("columns", COLUMNS, "The column, or the columns that are distinct together."),
        optional("min", SHARE, LEAST),
        optional("max", SHARE, MOST),
    ],
);

static OF_NUMBERS: Object = Object::new(
    "this metric",
    &[required("column", COLUMN, "The column measured: numbers."), optional("min", NUMBER, LEAST), optional("max", NUMBER, MOST)],
);

static QUANTILE: Object = Object::new(
    "`quantile`",
    &[
        required("column", COLUMN, "The column measured: numbers."),
        required("q", SHARE, "The fraction: 0.5 is the median."),
        optional("min", NUMBER, LEAST),
        optional("max", NUMBER, MOST),
    ],
);

static FRESHNESS: Object =
    Object::new("`freshness`", &[required("max", Shape::Duration(1, 365 * DAY), "The oldest that the newest row may be.")]);

static DISTRIBUTION: Object = Object::new(
    "`distribution`",
    &[
        required("column", COLUMN, "The column compared."),
        required("reference", Shape::Text(NonEmpty), "A CSV or NDJSON file, relative to the document, read at start."),
        optional("key", COLUMN, "The column of the file; the same name by default."),
        defaulted("test", Shape::Choice(choices::<DistributionTest>), "\"psi\"", "How the distance is measured."),
        optional("max", Shape::Number(0.0, f64::MAX), "The largest distance allowed (psi, ks, jensen_shannon)."),
        optional("min_p", SHARE, "The smallest probability allowed (chi_square)."),
        defaulted("bins", Shape::Integer(2, 1_000), "10", "Bins of numbers, or most frequent texts."),
    ],
)
.with_any_of(&["max", "min_p"]);

static CONTROL: Object = Object::new(
    "`control`",
    &[
        required("metric", Shape::Text(Metric), "What is watched: `row_count`, `mean(amount)`, `quantile(amount, 0.95)`, ..."),
        defaulted("chart", Shape::Choice(choices::<ChartKind>), "\"ewma\"", "The kind of control chart."),
        defaulted("training", Shape::Integer(2, 100_000), "20", "Windows that make the baseline."),
        defaulted("western_electric", Shape::Boolean, "false", "Also the Western Electric rules 1 to 4."),
        optional("sigmas", Shape::Number(0.1, 100.0), "Of a shewhart chart: how far a value may be; 3 by default."),
        optional("lambda", Shape::Number(0.001, 1.0), "Of an ewma chart: the weight of the newest value; 0.2 by default."),
        optional("limit", Shape::Number(0.1, 100.0), "Of an ewma chart: how far the average may be; 3 by default."),
        optional("slack", Shape::Number(0.0, 100.0), "Of a cusum chart (k): what does not add up; 0.5 by default."),
        optional("decision", Shape::Number(0.1, 1_000.0), "Of a cusum chart (h): how far the sum may be; 5 by default."),
    ],
);

/// An alert step.
pub static ALERT: Object = Object::new(
    "an alert step",
    &[
        required("from", Shape::Text(NonEmpty), "A source or a step; for `rule`, a quality step."),
        defaulted("severity", SEVERITY, "\"error\"", "How bad it is."),
        defaulted(
            "key",
            Shape::List(&List { of: Shape::Text(ColumnName), min: 0, or_one: true }),
            "[]",
            "Columns that tell causes apart; with `when`.",
        ),
        optional("message", Shape::Text(NonEmpty), "What people are told."),
        defaulted(
            "resolve_after",
            Shape::Duration(1_000, 365 * DAY),
            "\"5m\"",
            "How long after the last such row an alert is resolved; with `when`.",
        ),
    ],
)
.with_one_of(
    "condition",
    &[
        optional("when", Shape::Text(NonEmpty), "A SQL expression over a row."),
        optional("rule", Shape::Text(NonEmpty), "The name of a window rule of the step read; its breaking raises the alert."),
    ],
);
