//! Quality rules, of pipelines and of contracts.

use super::{choice, number, optional_text, span, text, texts};
use crate::{
    parse::{Node, Value},
    quality::{Check, Rule, Scalar},
};

/// A rule of a quality step. One that cannot be read leaves an empty expression in its place, so that the others keep their numbers.
pub fn rule(node: &Node) -> Rule {
    let check = check(node).unwrap_or(Check::Expression { sql: String::new() });
    Rule { name: optional_text(node, "name").unwrap_or_else(|| check.default_name()), check }
}

/// The check that a map with one of the check keys makes.
pub fn check(node: &Node) -> Option<Check> {
    node.entries().iter().find_map(|entry| one(&entry.key, &entry.value, node))
}

fn one(key: &str, body: &Node, whole: &Node) -> Option<Check> {
    let column = || text(body, "column");
    Some(match key {
        "not_null" => Check::NotNull { columns: texts(whole, "not_null") },
        "between" => {
            Check::Between { column: column(), min: body.get("min").and_then(scalar), max: body.get("max").and_then(scalar) }
        }
        "in_set" => {
            let values = body.get("values").map(Node::items).unwrap_or_default();
            Check::InSet { column: column(), values: values.iter().filter_map(scalar).collect() }
        }
        "matches" => Check::Matches { column: column(), pattern: text(body, "pattern") },
        "length" => Check::Length { column: column(), min: number(body, "min"), max: number(body, "max") },
        "format" => Check::Format { column: column(), is: choice(body, "is")? },
        "unique" => Check::Unique { columns: texts(body, "columns"), within: span(body, "within")? },
        "expression" => Check::Expression { sql: text(whole, "expression") },
        "references" => Check::References { column: column(), file: text(body, "file"), key: text(body, "key") },
        _ => return None,
    })
}

/// A constant; a whole number beyond 64 bits becomes a float.
pub fn scalar(node: &Node) -> Option<Scalar> {
    Some(match &node.value {
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Int(value) => i64::try_from(*value).map_or(Scalar::Float(*value as f64), Scalar::Int),
        Value::Float(value) => Scalar::Float(*value),
        Value::String(text) => Scalar::String(text.clone()),
        Value::Null | Value::List(_) | Value::Map(_) => return None,
    })
}
