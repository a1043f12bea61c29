//! `quality:` steps: rules that each row must keep; those of windows are in [`crate::metric`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{metric::WindowQuality, types::Timespan};

#[derive(Clone, Debug, PartialEq)]
pub struct QualityStep {
    /// A source or a step.
    pub from: String,
    pub on_fail: OnFail,
    pub rules: Vec<Rule>,
    /// What is measured over windows of rows, and what it must be.
    pub windows: Option<WindowQuality>,
}

/// What happens to a row that fails a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    #[default]
    Quarantine,
    Drop,
    /// The row goes on; its failures are counted.
    Flag,
    /// The run stops.
    Stop,
}

/// A rule, with the name under which its failures are counted and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Given in the document, or made from the check: `between(amount)`.
    pub name: String,
    pub check: Check,
}

/// A null passes every check but `not_null`, as in SQL's CHECK constraints.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    NotNull {
        columns: Vec<String>,
    },
    /// Inclusive bounds; at least one.
    Between {
        column: String,
        min: Option<Scalar>,
        max: Option<Scalar>,
    },
    InSet {
        column: String,
        values: Vec<Scalar>,
    },
    /// A regular expression that must match somewhere in the text; anchor it with `^` and `$`.
    Matches {
        column: String,
        pattern: String,
    },
    /// Characters of a string, elements of a list.
    Length {
        column: String,
        min: Option<u64>,
        max: Option<u64>,
    },
    Format {
        column: String,
        is: TextFormat,
    },
    /// No two rows with the same values within a span of event time (processing time where the source has none).
    Unique {
        columns: Vec<String>,
        within: Timespan,
    },
    /// A SQL expression of type boolean.
    Expression {
        sql: String,
    },
    /// The value is present in a column of a reference file (CSV or NDJSON), read at start.
    References {
        column: String,
        file: String,
        key: String,
    },
}

/// A constant in a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
}

/// The text formats a rule can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    Email,
    /// ISO 13616, with its check digits.
    Iban,
    /// A card number with a valid Luhn digit.
    Card,
    Uuid,
    /// IPv4 or IPv6.
    Ip,
    Url,
    /// E.164.
    Phone,
    /// ISO 3166-1 alpha-2.
    Country,
    /// ISO 4217.
    Currency,
    /// ISO 8601 calendar date.
    Date,
    Json,
}

impl Check {
    /// The check's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NotNull { .. } => "not_null",
            Self::Between { .. } => "between",
            Self::InSet { .. } => "in_set",
            Self::Matches { .. } => "matches",
            Self::Length { .. } => "length",
            Self::Format { .. } => "format",
            Self::Unique { .. } => "unique",
            Self::Expression { .. } => "expression",
            Self::References { .. } => "references",
        }
    }

    /// The columns that the check names; those inside an expression are the plan's business.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::NotNull { columns } | Self::Unique { columns, .. } => columns.iter().map(String::as_str).collect(),
            Self::Between { column, .. }
            | Self::InSet { column, .. }
            | Self::Matches { column, .. }
            | Self::Length { column, .. }
            | Self::Format { column, .. }
            | Self::References { column, .. } => vec![column],
            Self::Expression { .. } => Vec::new(),
        }
    }

    /// The name of a rule that is given none: `between(amount)`, `not_null(card, email)`, `expression(amount > 0)`.
    pub fn default_name(&self) -> String {
        let inside = match self {
            Self::Expression { sql } => sql.split_whitespace().collect::<Vec<_>>().join(" "),
            other => other.columns().join(", "),
        };
        format!("{}({inside})", self.key())
    }
}
