//! Rules bound to a schema: columns exist, types fit the check, constants fit the type, expressions are boolean.

use std::sync::Arc;

use arrow::datatypes::{DataType as Arrow, Schema, SchemaRef};
use weir_spec::{
    DataType, Diagnostic,
    quality::{Check, Rule, Scalar},
};

use crate::{plan::PlannedRule, schema, source::is_nested, sql, suggest};

/// Binds every rule. `path` tells where rule number `i` is written; rules with errors are left out.
pub(crate) fn bind(
    rules: &[Rule],
    schema: &SchemaRef,
    path: &dyn Fn(usize) -> String,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<PlannedRule> {
    let mut bound = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        let mut binder = Binder { rule, schema, path: path(i), found: Vec::new() };
        let expr = binder.check();
        if binder.found.is_empty() {
            bound.push(PlannedRule { name: rule.name.clone(), check: rule.check.clone(), expr: expr.map(Arc::new) });
        }
        diagnostics.append(&mut binder.found);
    }
    bound
}

const EMPTY_RANGE: &str = "min is greater than max, so no value can pass";

struct Binder<'b> {
    rule: &'b Rule,
    schema: &'b Schema,
    path: String,
    found: Vec<Diagnostic>,
}

impl Binder<'_> {
    fn check(&mut self) -> Option<datafusion::logical_expr::Expr> {
        match &self.rule.check {
            Check::NotNull { columns } => {
                for (i, column) in columns.iter().enumerate() {
                    self.column(column, &format!("not_null[{i}]"));
                }
            }
            Check::Between { column, min, max } => {
                let data_type =
                    self.typed(column, "between.column", is_ordered, "between needs numbers, dates, timestamps or strings")?;
                let low = min.as_ref().and_then(|min| self.constant(min, column, &data_type, "between.min"));
                let high = max.as_ref().and_then(|max| self.constant(max, column, &data_type, "between.max"));
                if let (Some(low), Some(high)) = (low, high)
                    && low.partial_cmp(&high) == Some(std::cmp::Ordering::Greater)
                {
                    self.error("rule-range", "between.min", EMPTY_RANGE, "swap them");
                }
            }
            Check::InSet { column, values } => {
                let data_type =
                    self.typed(column, "in_set.column", |t| !is_nested(t), "in_set cannot compare lists and structs")?;
                for (i, value) in values.iter().enumerate() {
                    self.constant(value, column, &data_type, &format!("in_set.values[{i}]"));
                }
            }
            Check::Matches { column, pattern } => {
                self.typed(column, "matches.column", |t| *t == DataType::String, "matches needs a string");
                if let Err(error) = regex::Regex::new(pattern) {
                    let text = error.to_string();
                    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    self.error(
                        "rule-pattern",
                        "matches.pattern",
                        &format!("not a regular expression: {reason}"),
                        "see docs.rs/regex for the syntax",
                    );
                }
            }
            Check::Length { column, min, max } => {
                let fits = |t: &DataType| matches!(t, DataType::String | DataType::List(_));
                self.typed(column, "length.column", fits, "length needs a string or a list");
                if let (Some(min), Some(max)) = (min, max)
                    && min > max
                {
                    self.error("rule-range", "length.min", EMPTY_RANGE, "swap them");
                }
            }
            Check::Format { column, .. } => {
                self.typed(column, "format.column", |t| *t == DataType::String, "format needs a string");
            }
            Check::Unique { columns, .. } => {
                for (i, column) in columns.iter().enumerate() {
                    let place = format!("unique.columns[{i}]");
                    self.typed(column, &place, |t| !is_nested(t), "unique cannot compare lists and structs");
                }
            }
            Check::References { column, .. } => {
                self.typed(column, "references.column", |t| !is_nested(t), "references cannot compare lists and structs");
            }
            Check::Expression { sql } => match sql::boolean_expression("a rule", sql, &Arc::new(self.schema.clone())) {
                Ok(expr) => return Some(expr),
                Err(issues) => {
                    let path = format!("{}.expression", self.path);
                    self.found.extend(issues.into_iter().map(|issue| issue.diagnostic(&path, sql)));
                }
            },
        }
        None
    }

    fn error(&mut self, code: &str, place: &str, message: &str, help: &str) {
        let path = format!("{}.{place}", self.path);
        self.found.push(Diagnostic::error(code, path, format!("rule `{}`: {message}", self.rule.name)).with_help(help));
    }

    fn column(&mut self, name: &str, place: &str) -> Option<Arrow> {
        match self.schema.field_with_name(name) {
            Ok(field) => Some(field.data_type().clone()),
            Err(_) if name.split_once('.').is_some_and(|(first, _)| self.schema.field_with_name(first).is_ok()) => {
                let message = format!("rules on fields inside a column, such as `{name}`, are not supported");
                self.error("rule-nested", place, &message, "use an `expression`, or project the field in a sql step first");
                None
            }
            Err(_) => {
                let help = suggest::among("column", name, self.schema.fields().iter().map(|field| field.name().as_str()));
                self.error("unknown-column", place, &format!("unknown column `{name}`"), &help);
                None
            }
        }
    }

    fn typed(&mut self, name: &str, place: &str, fits: impl Fn(&DataType) -> bool, expected: &str) -> Option<DataType> {
        let arrow = self.column(name, place)?;
        let data_type = schema::logical_type(&arrow).expect("invariant: columns between nodes have logical types");
        if fits(&data_type) {
            return Some(data_type);
        }
        let message = format!("{expected}, but `{name}` is {}", schema::type_name(&data_type));
        self.error("column-type", place, &message, "choose another column or another check");
        None
    }

    /// A constant that must be comparable with a column, reduced to something ordered.
    fn constant(&mut self, value: &Scalar, column: &str, data_type: &DataType, place: &str) -> Option<Ordered> {
        let reduced = reduce(value, data_type);
        if reduced.is_none() {
            let expected = match data_type {
                DataType::Boolean => "true or false",
                DataType::Int32 | DataType::Int64 => "a whole number in its range",
                DataType::Float32 | DataType::Float64 | DataType::Decimal { .. } => "a number",
                DataType::Date => "a date such as \"2026-01-31\"",
                DataType::Timestamp => "a time such as \"2026-01-31T12:00:00Z\"",
                _ => "a text",
            };
            let message = format!("{} does not fit `{column}`, which is {}", shown(value), schema::type_name(data_type));
            self.error("rule-constant", place, &message, &format!("write {expected}"));
        }
        reduced
    }
}

fn is_ordered(data_type: &DataType) -> bool {
    !is_nested(data_type) && !matches!(data_type, DataType::Boolean | DataType::Bytes)
}

/// A constant as something that has an order: dates in days, timestamps in microseconds since 1970.
#[derive(PartialEq, PartialOrd)]
pub(crate) enum Ordered {
    Number(f64),
    Int(i64),
    Text(String),
    Flag(bool),
}

/// A constant as a value of this type; none where it is not one.
pub(crate) fn reduce(value: &Scalar, data_type: &DataType) -> Option<Ordered> {
    use arrow::{compute::kernels::cast_utils::Parser, datatypes::Date32Type};
    match (data_type, value) {
        (DataType::Boolean, Scalar::Bool(value)) => Some(Ordered::Flag(*value)),
        (DataType::Int32, Scalar::Int(value)) => i32::try_from(*value).ok().map(|value| Ordered::Int(value.into())),
        (DataType::Int64, Scalar::Int(value)) => Some(Ordered::Int(*value)),
        (DataType::Float32 | DataType::Float64 | DataType::Decimal { .. }, Scalar::Int(value)) => {
            Some(Ordered::Number(*value as f64))
        }
        (DataType::Float32 | DataType::Float64 | DataType::Decimal { .. }, Scalar::Float(value)) => Some(Ordered::Number(*value)),
        // A whole number written as one with decimals, such as 1.0 or 1e6.
        (DataType::Int32 | DataType::Int64, Scalar::Float(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
            reduce(&Scalar::Int(*value as i64), data_type)
        }
        (DataType::Date, Scalar::String(text)) if text.len() == 10 => {
            Date32Type::parse(text).map(|days| Ordered::Int(days.into()))
        }
        (DataType::Timestamp, Scalar::String(text)) => {
            let time = arrow::compute::kernels::cast_utils::string_to_datetime(&chrono_utc(), text).ok()?;
            Some(Ordered::Int(time.timestamp_micros()))
        }
        (DataType::String, Scalar::String(text)) => Some(Ordered::Text(text.clone())),
        _ => None,
    }
}

fn chrono_utc() -> arrow::array::timezone::Tz {
    "+00:00".parse().expect("invariant: +00:00 is a time zone")
}

fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::String(text) => format!("\"{text}\""),
    }
}
