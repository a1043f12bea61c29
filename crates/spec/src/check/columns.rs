//! Columns of inline schemas: whether those that are named exist. Known as far as rows keep their columns: up to the first SQL step.

use super::Scope;
use crate::{
    connector::SinkConnector,
    diagnostic::Diagnostic,
    graph::{Graph, NodeKind},
    nearest::did_you_mean,
    parse::quoted,
    pipeline::Step,
    types::{Column, DataType},
};

pub fn check(scope: &Scope<'_>, graph: &Graph, found: &mut Vec<Diagnostic>) {
    for (name, source) in &scope.pipeline.sources {
        let Some(columns) = of_source(scope, name) else {
            continue;
        };
        if let Some(subject) = &source.subject {
            exists(subject, columns, &format!("sources.{name}.subject"), found);
        }
        if let Some(time) = source.event_time.as_ref().filter(|time| !time.column.is_empty()) {
            let path = format!("sources.{name}.event_time.column");
            match columns.iter().find(|column| column.name == time.column) {
                Some(column) if column.data_type != DataType::Timestamp => {
                    let message = format!("the event time `{}` is a {}, not a timestamp", time.column, column.data_type);
                    found.push(
                        Diagnostic::error("wrong-column-type", path, message).with_help("give the column the type `timestamp`"),
                    );
                }
                Some(_) => {}
                None => exists(&time.column, columns, &path, found),
            }
        }
    }
    for (name, step) in &scope.pipeline.steps {
        let Some(columns) = graph.index(NodeKind::Step, name).and_then(|index| of_inputs(scope, graph, index, 0)) else {
            continue;
        };
        match step {
            Step::Quality(quality) => {
                for (i, rule) in quality.rules.iter().enumerate() {
                    let path = format!("steps.{name}.quality.rules[{i}]");
                    if scope.is_clean(&path) {
                        let path = format!("{path}.{}", rule.check.key());
                        rule.check.columns().iter().for_each(|column| exists(column, columns, &path, found));
                    }
                }
                for (i, rule) in quality.windows.iter().flat_map(|windows| windows.rules.iter().enumerate()) {
                    let path = format!("steps.{name}.quality.metrics[{i}]");
                    if scope.is_clean(&path) {
                        let path = format!("{path}.{}", rule.check.key());
                        rule.check.columns().iter().for_each(|column| exists(column, columns, &path, found));
                    }
                }
            }
            Step::Alert(alert) => {
                let path = format!("steps.{name}.alert.key");
                alert.key.iter().for_each(|column| exists(column, columns, &path, found));
            }
            Step::Mask(mask) => {
                for column in mask.columns.keys() {
                    exists(column, columns, &format!("steps.{name}.mask.columns.{column}"), found);
                }
            }
            Step::Consent(_) | Step::Sql(_) => {}
        }
    }
    for (name, sink) in &scope.pipeline.sinks {
        let Some(columns) = graph.index(NodeKind::Sink, name).and_then(|index| of_inputs(scope, graph, index, 0)) else {
            continue;
        };
        match &sink.connector {
            SinkConnector::File(file) => {
                for (i, column) in file.partition_by.iter().enumerate() {
                    exists(column, columns, &format!("sinks.{name}.file.partition_by[{i}]"), found);
                }
                if let Some(time) = &file.partition_time {
                    exists(&time.column, columns, &format!("sinks.{name}.file.partition_time.column"), found);
                }
            }
            SinkConnector::Sqlite(table) => {
                let path = format!("sinks.{name}.sqlite.key");
                table.key.iter().for_each(|column| exists(column, columns, &path, found));
            }
            SinkConnector::Stdout(_) => {}
        }
    }
}

/// The columns of a source with an inline schema that can be trusted.
fn of_source<'p>(scope: &Scope<'p>, name: &str) -> Option<&'p [Column]> {
    let columns = scope.pipeline.sources.get(name)?.schema.as_deref()?;
    (!columns.is_empty() && scope.is_clean(&format!("sources.{name}.schema"))).then_some(columns)
}

/// The columns of what a node reads, where it reads one thing and everything up to the source keeps its columns.
fn of_inputs<'p>(scope: &Scope<'p>, graph: &Graph, node: usize, depth: usize) -> Option<&'p [Column]> {
    let mut inputs = graph.inputs(node);
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        return None;
    };
    let read = &graph.nodes[input];
    match read.kind {
        NodeKind::Source => of_source(scope, &read.name),
        NodeKind::Step if depth <= graph.nodes.len() && !matches!(scope.pipeline.steps.get(&read.name), Some(Step::Sql(_))) => {
            of_inputs(scope, graph, input, depth + 1)
        }
        _ => None,
    }
}

fn exists(column: &str, columns: &[Column], path: &str, found: &mut Vec<Diagnostic>) {
    let whole = |name: &str| columns.iter().any(|known| known.name == name);
    let field = |name: &str| columns.iter().any(|known| known.name == name && matches!(known.data_type, DataType::Struct(_)));
    if column.is_empty() || whole(column) || column.split_once('.').is_some_and(|(first, _)| field(first)) {
        return;
    }
    let names = || columns.iter().map(|known| known.name.as_str());
    let help =
        did_you_mean(column, names()).unwrap_or_else(|| format!("the schema has: {}", names().collect::<Vec<_>>().join(", ")));
    found.push(Diagnostic::error("unknown-column", path, format!("there is no column {}", quoted(column))).with_help(help));
}
