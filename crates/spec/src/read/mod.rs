//! Node tree to typed pipeline.
//!
//! The grammar has judged the tree before; here nothing is reported. What is missing or wrong becomes its default, so that one mistake
//! does not hide what `check` has to say of the rest; the caller hands a document out only when nothing was wrong.

mod connector;
mod mask;
mod metrics;
pub mod rule;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use crate::{
    consent::ConsentStep,
    parse::Node,
    pipeline::{Basis, Batch, Checkpoint, Pipeline, Sink, Source, SqlStep, Step, Table},
    quality::QualityStep,
    types::{Column, DataType, Timespan},
};

/// Reads a pipeline.
pub fn pipeline(root: &Node) -> Pipeline {
    let checkpoint = root.get("checkpoint").and_then(|node| span(node, "every"));
    let batch = root.get("batch");
    let default = Batch::default();
    Pipeline {
        name: text(root, "name"),
        description: optional_text(root, "description"),
        owner: optional_text(root, "owner"),
        purpose: text(root, "purpose"),
        basis: choice(root, "basis").unwrap_or(Basis::LegitimateInterest),
        parallelism: number(root, "parallelism").unwrap_or(1),
        checkpoint: checkpoint.map_or_else(Checkpoint::default, |every| Checkpoint { every }),
        batch: Batch {
            rows: batch.and_then(|node| number(node, "rows")).unwrap_or(default.rows),
            wait: batch.and_then(|node| span(node, "wait")).unwrap_or(default.wait),
        },
        strict: flag(root, "strict").unwrap_or(false),
        tables: named(root, "tables", table),
        sources: named(root, "sources", source),
        steps: named(root, "steps", step),
        sinks: named(root, "sinks", sink),
    }
}

fn named<T>(root: &Node, key: &str, read: impl Fn(&Node) -> T) -> IndexMap<String, T> {
    let entries = root.get(key).map(Node::entries).unwrap_or_default();
    entries.iter().map(|entry| (entry.key.clone(), read(&entry.value))).collect()
}

fn table(node: &Node) -> Table {
    Table {
        connector: connector::table(node),
        format: choice(node, "format").unwrap_or(crate::connector::Format::Json),
        contract: node.get("contract").and_then(Node::as_str).and_then(|text| text.parse().ok()),
        schema: node.get("schema").map(|list| list.items().iter().map(column).collect()),
        key: texts(node, "key"),
        reload: span(node, "reload").unwrap_or(Table::RELOAD),
    }
}

fn sql(node: Option<&Node>) -> SqlStep {
    match node {
        Some(node) if node.as_str().is_none() => {
            SqlStep { query: text(node, "query"), state_ttl: span(node, "state_ttl"), min_group: number(node, "min_group") }
        }
        text => text.and_then(Node::as_str).unwrap_or_default().into(),
    }
}

fn source(node: &Node) -> Source {
    Source {
        connector: connector::source(node),
        format: choice(node, "format"),
        contract: node.get("contract").and_then(Node::as_str).and_then(|text| text.parse().ok()),
        schema: node.get("schema").map(|list| list.items().iter().map(column).collect()),
        subject: optional_text(node, "subject"),
        event_time: node.get("event_time").map(connector::event_time),
        on_malformed: choice(node, "on_malformed").unwrap_or_default(),
    }
}

fn column(node: &Node) -> Column {
    let classification = choice(node, "classification").unwrap_or_default();
    let mut data_type = node.get("type").and_then(Node::as_str).and_then(|t| t.parse().ok()).unwrap_or(DataType::String);
    data_type.classify(classification);
    Column {
        name: text(node, "name"),
        data_type,
        required: flag(node, "required").unwrap_or(false),
        unique: flag(node, "unique").unwrap_or(false),
        classification,
        categories: texts(node, "categories"),
        description: optional_text(node, "description"),
    }
}

fn step(node: &Node) -> Step {
    if let Some(quality) = node.get("quality") {
        let rules = quality.get("rules").map(Node::items).unwrap_or_default();
        return Step::Quality(QualityStep {
            from: text(quality, "from"),
            on_fail: choice(quality, "on_fail").unwrap_or_default(),
            rules: rules.iter().map(rule::rule).collect(),
            windows: metrics::windows(quality),
        });
    }
    if let Some(consent) = node.get("consent") {
        return Step::Consent(ConsentStep {
            from: text(consent, "from"),
            purpose: optional_text(consent, "purpose"),
            on_deny: choice(consent, "on_deny").unwrap_or_default(),
            on_unknown: choice(consent, "on_unknown").unwrap_or_default(),
        });
    }
    if let Some(alert) = node.get("alert") {
        return Step::Alert(metrics::alert(alert));
    }
    match node.get("mask") {
        Some(step) => Step::Mask(mask::step(step)),
        None => Step::Sql(sql(node.get("sql"))),
    }
}

fn sink(node: &Node) -> Sink {
    let connector = connector::sink(node);
    Sink {
        from: text(node, "from"),
        format: choice(node, "format").unwrap_or(crate::connector::Format::Json),
        clearance: choice(node, "clearance").unwrap_or_default(),
        recipient: optional_text(node, "recipient"),
        delivery: choice(node, "delivery").unwrap_or_else(|| connector.default_delivery()),
        mode: choice(node, "mode").unwrap_or_else(|| connector.default_mode()),
        connector,
    }
}

fn text(node: &Node, key: &str) -> String {
    optional_text(node, key).unwrap_or_default()
}

fn optional_text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::as_str).map(str::to_owned)
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    match node.get(key) {
        Some(one) if one.as_str().is_some() => one.as_str().map(str::to_owned).into_iter().collect(),
        Some(list) => list.items().iter().filter_map(Node::as_str).map(str::to_owned).collect(),
        None => Vec::new(),
    }
}

fn character(node: &Node, key: &str) -> Option<char> {
    node.get(key).and_then(Node::as_str).and_then(|text| text.chars().next())
}

fn flag(node: &Node, key: &str) -> Option<bool> {
    node.get(key).and_then(Node::as_bool)
}

fn number<T: TryFrom<i128>>(node: &Node, key: &str) -> Option<T> {
    node.get(key).and_then(Node::as_int).and_then(|value| T::try_from(value).ok())
}

fn float(node: &Node, key: &str) -> Option<f64> {
    node.get(key).and_then(Node::as_f64)
}

fn span(node: &Node, key: &str) -> Option<Timespan> {
    node.get(key).and_then(Node::as_str).and_then(|text| text.parse().ok())
}

/// The enum value of this name.
pub fn choice<T: DeserializeOwned>(node: &Node, key: &str) -> Option<T> {
    let name = node.get(key).and_then(Node::as_str)?;
    serde_json::from_value(serde_json::Value::from(name)).ok()
}
