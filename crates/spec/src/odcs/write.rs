//! A contract as a document of the standard (v3.1.0), for export. It reads back as the same contract.

use serde_json::Value as Json;

use crate::{
    contract::Contract,
    parse::{Node, Value},
    quality::Rule,
    types::{Column, DataType},
    write::check,
    yaml,
};

/// YAML.
pub fn to_odcs(contract: &Contract) -> String {
    yaml::write(&document(contract))
}

/// The same as JSON.
pub fn to_odcs_json(contract: &Contract) -> Json {
    document(contract).to_json()
}

type Entries = Vec<(&'static str, Node)>;

fn document(contract: &Contract) -> Node {
    let mut entries: Entries = vec![
        ("apiVersion", Node::text("v3.1.0")),
        ("kind", Node::text("DataContract")),
        ("id", Node::text(&contract.id)),
        ("name", Node::text(&contract.name)),
        ("version", Node::text(&contract.version)),
        ("status", Node::text(&contract.status)),
    ];
    if let Some(description) = &contract.description {
        entries.push(("description", Node::map([("purpose", Node::text(description))])));
    }
    let mut object: Entries = vec![
        ("name", Node::text(&contract.name)),
        ("logicalType", Node::text("object")),
        ("properties", Node::list(contract.columns.iter().map(|column| property(Some(&column.name), column)))),
    ];
    if !contract.rules.is_empty() {
        object.push(("quality", Node::list(contract.rules.iter().map(rule))));
    }
    entries.push(("schema", Node::list([Node::map(object)])));
    Node::map(entries)
}

fn property(name: Option<&str>, column: &Column) -> Node {
    let mut entries: Entries = Vec::new();
    entries.extend(name.map(|name| ("name", Node::text(name))));
    let (logical, physical) = types(&column.data_type);
    entries.push(("logicalType", Node::text(logical)));
    entries.extend(physical.map(|physical| ("physicalType", Node::text(physical))));
    entries.extend(column.description.as_ref().map(|text| ("description", Node::text(text))));
    let flag = |key, value: bool| value.then(|| (key, Node::new(Value::Bool(true))));
    entries.extend(flag("required", column.required));
    entries.extend(flag("unique", column.unique));
    if name.is_some() {
        entries.push(("classification", Node::text(column.classification.as_str())));
    }
    if !column.categories.is_empty() {
        let value = Node::list(column.categories.iter().map(Node::text::<&String>));
        entries.push(("customProperties", Node::list([Node::map([("property", Node::text("categories")), ("value", value)])])));
    }
    match &column.data_type {
        DataType::Struct(fields) => {
            entries.push(("properties", Node::list(fields.iter().map(|field| property(Some(&field.name), field)))));
        }
        DataType::List(element) => {
            entries.push(("items", property(None, &Column::new("", element.as_ref().clone()))));
        }
        _ => {}
    }
    Node::map(entries)
}

fn types(data_type: &DataType) -> (&'static str, Option<String>) {
    match data_type {
        DataType::Boolean => ("boolean", None),
        DataType::Int32 => ("integer", Some("int32".to_owned())),
        DataType::Int64 => ("integer", Some("int64".to_owned())),
        DataType::Float32 => ("number", Some("float32".to_owned())),
        DataType::Float64 => ("number", Some("float64".to_owned())),
        DataType::Decimal { .. } => ("number", Some(data_type.to_string())),
        DataType::String => ("string", None),
        DataType::Bytes => ("string", Some("bytes".to_owned())),
        DataType::Date => ("date", None),
        DataType::Timestamp => ("timestamp", None),
        DataType::List(_) => ("array", None),
        DataType::Struct(_) => ("object", None),
    }
}

/// Every rule as one of Weir's own, which keeps its name and all that it says.
fn rule(rule: &Rule) -> Node {
    Node::map([
        ("name", Node::text(&rule.name)),
        ("type", Node::text("custom")),
        ("engine", Node::text("weir")),
        ("implementation", Node::map([(rule.check.key(), check(&rule.check))])),
    ])
}
