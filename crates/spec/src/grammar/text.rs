//! The kinds of text that documents hold: what each accepts, the pattern that the JSON Schema shows, and what to say of a bad one.

use std::str::FromStr;

use crate::{
    contract::ContractRef,
    metric::Metric,
    parse::quoted,
    types::{DataType, Timespan},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Any text.
    Free,
    /// Any text but an empty one.
    NonEmpty,
    /// The name of a document: `[a-z0-9-]`.
    DocumentName,
    /// The name of a source, step or sink: usable as a table in SQL.
    TableName,
    /// The name of a column: one line of text.
    ColumnName,
    /// The name of a database's table: one line of text.
    Relation,
    /// `payments@1`
    ContractRef,
    /// A logical type.
    DataType,
    /// Exactly one character.
    Char,
    /// RFC 3339.
    Timestamp,
    /// `1.4.0`
    Version,
    /// `mean(amount)`
    Metric,
    /// The version of the Open Data Contract Standard: `v3.x`.
    OdcsVersion,
}

/// Why a text was refused.
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
}

const LONGEST_NAME: usize = 63;

impl Text {
    /// What is expected, for messages.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Free | Self::NonEmpty => "text",
            Self::DocumentName | Self::TableName => "a name",
            Self::ColumnName => "the name of a column",
            Self::Relation => "the name of a table",
            Self::ContractRef => "a contract such as `payments@1`",
            Self::DataType => "a type such as `string` or `decimal(12,2)`",
            Self::Char => "one character",
            Self::Timestamp => "a time such as `2026-01-31T12:00:00Z`",
            Self::Version => "a version such as `1.4.0`",
            Self::Metric => "a metric such as `mean(amount)`",
            Self::OdcsVersion => "a version of the standard such as `v3.1.0`",
        }
    }

    /// An ECMA-262 pattern of the texts accepted. Nested types are described by their beginning only.
    pub fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::NonEmpty => Some(r"\S"),
            Self::DocumentName => Some("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
            Self::TableName => Some("^[a-z][a-z0-9_]{0,62}$"),
            Self::ColumnName | Self::Relation => Some(r"^[^\u0000-\u001f\u007f]+$"),
            Self::ContractRef => Some("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?@(0|[1-9][0-9]{0,8})$"),
            Self::DataType => Some(
                r"^\s*((boolean|int32|int64|float32|float64|string|bytes|date|timestamp)\s*$|decimal\s*\(\s*\d{1,2}\s*,\s*\d{1,2}\s*\)\s*$|list\s*<.+>\s*$|struct\s*<.+>\s*$)",
            ),
            Self::Char => Some(r"^[\s\S]$"),
            Self::Timestamp => Some(r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"),
            Self::Version => Some(r"^[0-9]{1,9}(\.[0-9]+)*([-+][0-9A-Za-z.-]+)?$"),
            Self::Metric => Some(r"^\s*(row_count|(completeness|uniqueness|mean|sum|min|max|stddev|quantile)\s*\(.+\))\s*$"),
            Self::OdcsVersion => Some(r"^v3\.[01]\.[0-9]+$"),
        }
    }

    /// Accepts or refuses a text.
    pub fn check(self, text: &str) -> Result<(), Refusal> {
        match self {
            Self::Free => Ok(()),
            Self::NonEmpty if text.trim().is_empty() => Err(refusal("bad-value", "this must not be empty".to_owned(), None)),
            Self::NonEmpty if text.contains('\0') => {
                Err(refusal("bad-value", "this must not hold the character U+0000".to_owned(), Some("remove it".to_owned())))
            }
            Self::NonEmpty => Ok(()),
            Self::DocumentName => document_name(text),
            Self::TableName => table_name(text),
            Self::ColumnName | Self::Relation if text.is_empty() || text.chars().any(|c| c.is_ascii_control()) => {
                let message = format!("{} is not {}", quoted(text), self.expected());
                Err(refusal("bad-name", message, Some("write one line of text".to_owned())))
            }
            Self::ColumnName | Self::Relation => Ok(()),
            Self::ContractRef => ContractRef::from_str(text).map(drop).map_err(|message| {
                refusal(
                    "bad-value",
                    message,
                    Some("write the contract's name, `@` and its major version: `payments@1`".to_owned()),
                )
            }),
            Self::DataType => DataType::from_str(text).map(drop).map_err(|error| refusal("bad-type", error.message, error.help)),
            Self::Char if text.chars().count() == 1 => Ok(()),
            Self::Char => Err(refusal("bad-value", format!("expected one character, found the text {}", quoted(text)), None)),
            Self::Timestamp if is_timestamp(text) => Ok(()),
            Self::Timestamp => Err(refusal(
                "bad-value",
                format!("{} is not a time", quoted(text)),
                Some("write RFC 3339, such as `2026-01-31T12:00:00Z`".to_owned()),
            )),
            Self::Metric => Metric::from_str(text).map(drop).map_err(|message| {
                let known = "row_count, completeness, uniqueness, mean, sum, min, max, stddev or quantile";
                refusal(
                    "bad-value",
                    message,
                    Some(format!("write {known}, with a column: `mean(amount)`, `quantile(amount, 0.95)`")),
                )
            }),
            Self::Version => version(text),
            Self::OdcsVersion => odcs_version(text),
        }
    }
}

fn refusal(code: &'static str, message: String, help: Option<String>) -> Refusal {
    Refusal { code, message, help }
}

fn document_name(text: &str) -> Result<(), Refusal> {
    let ok = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if ok {
        return Ok(());
    }
    let rule = "use lower-case letters, digits and `-` between them, 63 characters at most";
    let help = suggestion(text, '-').map_or(rule.to_owned(), |name| format!("{rule}, such as `{name}`"));
    Err(refusal("bad-name", format!("{} is not a name", quoted(text)), Some(help)))
}

fn table_name(text: &str) -> Result<(), Refusal> {
    let ok = text.len() <= LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !ok {
        let rule = "SQL must be able to use it as a table: a lower-case letter, then lower-case letters, digits and `_`, 63 characters at most";
        let help = suggestion(text, '_').map_or(rule.to_owned(), |name| format!("{rule}, such as `{name}`"));
        return Err(refusal("bad-name", format!("{} is not a name", quoted(text)), Some(help)));
    }
    if RESERVED.binary_search(&text).is_ok() {
        let message = format!("`{text}` is a word of SQL and cannot name a table");
        return Err(refusal("bad-name", message, Some(format!("choose another name, such as `{text}_rows`"))));
    }
    Ok(())
}

/// Words that no SQL text can use as a table without quoting. Sorted.
const RESERVED: &[&str] = &[
    "all",
    "and",
    "as",
    "between",
    "by",
    "case",
    "cross",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "is",
    "join",
    "lateral",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "right",
    "select",
    "table",
    "then",
    "true",
    "union",
    "unnest",
    "using",
    "values",
    "when",
    "where",
    "with",
];

/// What was written, bent until it is a name.
fn suggestion(text: &str, separator: char) -> Option<String> {
    let mut name = String::new();
    for c in text.chars().take(LONGEST_NAME) {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with(separator) {
            name.push(separator);
        }
    }
    let name = name.trim_end_matches(separator).to_owned();
    let usable = if separator == '_' { name.starts_with(|c: char| c.is_ascii_lowercase()) } else { !name.is_empty() };
    (usable && RESERVED.binary_search(&name.as_str()).is_err()).then_some(name)
}

fn version(text: &str) -> Result<(), Refusal> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let suffix = &text[core.len()..];
    let numbers = core
        .split('.')
        .enumerate()
        .all(|(i, part)| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (i > 0 || part.len() <= 9));
    let suffix_fits =
        suffix.is_empty() || suffix.len() > 1 && suffix[1..].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if numbers && suffix_fits {
        return Ok(());
    }
    let help = "write numbers with dots, the first being what `@` refers to: `1.4.0`".to_owned();
    Err(refusal("bad-value", format!("{} is not a version", quoted(text)), Some(help)))
}

fn odcs_version(text: &str) -> Result<(), Refusal> {
    let known = ["v3.0.", "v3.1."]
        .iter()
        .any(|v| text.strip_prefix(v).is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit())));
    if known {
        return Ok(());
    }
    let message = format!("{} is not a version of the contract standard that Weir reads", quoted(text));
    Err(refusal(
        "bad-value",
        message,
        Some("Weir reads v3.0 and v3.1 of the Open Data Contract Standard: write `v3.1.0`".to_owned()),
    ))
}

/// RFC 3339, with a calendar that knows the months' lengths.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let part = text.get(from..to)?;
        if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None }
    };
    let punctuation = [(4, b"-".as_slice()), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if !punctuation.iter().all(|(at, allowed)| bytes.get(*at).is_some_and(|b| allowed.contains(b))) {
        return false;
    }
    let parts = (number(0, 4), number(5, 7), number(8, 10), number(11, 13), number(14, 16), number(17, 19));
    let (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = parts else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return false;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return false;
        }
        rest = &fraction[digits..];
    }
    match rest.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) && (*h1, *h2) <= (b'2', b'3') && *m1 <= b'5'
        }
        _ => false,
    }
}

/// Checks a duration and its range in milliseconds.
pub fn check_duration(text: &str, min: u64, max: u64) -> Result<(), Refusal> {
    let span = Timespan::from_str(text).map_err(|_| Refusal {
        code: "bad-duration",
        message: format!("{} is not a duration", quoted(text)),
        help: Some("write a whole number and a unit, such as 250ms, 2s, 5m, 1h or 7d".to_owned()),
    })?;
    let (min, max) = (Timespan::from_millis(min), Timespan::from_millis(max));
    if (min..=max).contains(&span) {
        return Ok(());
    }
    Err(Refusal { code: "out-of-range", message: format!("{text} is not between {min} and {max}"), help: None })
}

/// The JSON Schema pattern of durations.
pub const DURATION_PATTERN: &str = r"^\s*[0-9]+\s*(ms|s|m|min|h|d)\s*$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_sorted_for_the_search() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn timestamps_are_rfc_3339_and_of_the_calendar() {
        for good in ["2026-01-31T12:00:00Z", "2024-02-29t00:00:00.123456+05:30", "2026-01-31 12:00:00z"] {
            assert!(is_timestamp(good), "{good}");
        }
        for bad in [
            "2026-01-31",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+24:00",
            "é026-01-31T12:00:00Z",
        ] {
            assert!(!is_timestamp(bad), "{bad}");
        }
    }
}
