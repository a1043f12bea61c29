//! What can be understood of a pipeline that has errors, so that planning can tell the rest of what is wrong in the same breath.
//!
//! A part counts as broken when an error leaves open what it does to columns, classes or rows; whoever reads it is not planned
//! either. An error that leaves that clear (a rule of a quality step, the delivery of a sink) hides nothing behind it.

use std::collections::BTreeSet;

use crate::{
    connector::SinkConnector,
    diagnostic::Diagnostic,
    graph::step_inputs,
    pipeline::{Pipeline, Source, Step},
    quality::Check,
    types::DataType,
};

/// A pipeline with errors. It is good for finding more of them and for nothing else: what could not be read has its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    /// Without a purpose, where the document's cannot be read.
    pub pipeline: Pipeline,
    /// The paths of the parts that mean nothing certain: `sources.payments`, `steps.safe`, `sinks.out`.
    pub broken: BTreeSet<String>,
}

/// What may be wrong in a source without leaving its columns in doubt.
const SOURCE: &[&str] = &[
    "file",
    "http",
    "format",
    "on_malformed",
    "event_time.max_delay",
    "event_time.idle_after",
    "event_time.max_ahead",
    "event_time.late",
    "generator.seed",
    "generator.rate",
    "generator.rows",
    "generator.subjects",
    "generator.faults",
    "generator.late",
    "generator.anomalies",
    "generator.start",
];
const STEP: &[&str] = &["quality.on_fail", "quality.rules", "consent.on_deny", "consent.on_unknown"];
const SINK: &[&str] = &["file", "sqlite", "stdout", "format", "recipient", "delivery"];

impl Partial {
    /// `found` is everything that was said of the document so far.
    pub(crate) fn of(mut pipeline: Pipeline, found: &[Diagnostic]) -> Self {
        let errors: Vec<&Diagnostic> = found.iter().filter(|finding| finding.is_error()).collect();
        if errors.iter().any(|error| error.path == "purpose") {
            pipeline.purpose.clear();
        }
        let mut broken = BTreeSet::new();
        for (name, source) in &mut pipeline.sources {
            let path = format!("sources.{name}");
            let declared = source.contract.is_some() || source.schema.is_some();
            let aside: Vec<&str> = SOURCE.iter().copied().chain(stand_ins(source, &path, &errors)).collect();
            mark(&errors, path, &aside, declared, &mut broken);
        }
        for (name, step) in &pipeline.steps {
            let reads = !step_inputs(name, step).is_empty();
            // Of a quality step nothing but its rules can be missing then.
            let path = format!("steps.{name}");
            let rules_only = |error: &&&Diagnostic| error.path == format!("{path}.quality") && error.code == "missing-key";
            let errors: Vec<&Diagnostic> = errors.iter().filter(|error| !(reads && rules_only(error))).copied().collect();
            mark(&errors, path, STEP, false, &mut broken);
        }
        for (name, sink) in &pipeline.sinks {
            mark(&errors, format!("sinks.{name}"), SINK, !sink.from.is_empty(), &mut broken);
        }
        unconnected(&pipeline, &mut broken);
        neutralise(&mut pipeline, &errors);
        Self { pipeline, broken }
    }
}

/// Marks the part at `path` as broken unless all its errors are `aside` of its meaning. `complete`: what the part must have to mean
/// something is there, so that what it lacks, or has twice, is its connector.
fn mark(errors: &[&Diagnostic], path: String, aside: &[&str], complete: bool, broken: &mut BTreeSet<String>) {
    let doubtful = errors.iter().any(|error| match error.below(&path) {
        None => false,
        Some("") => !(complete && matches!(error.code.as_str(), "missing-key" | "one-of")),
        Some(_) => {
            let meant = error.meant();
            let rest = meant.strip_prefix(&path).unwrap_or_default().trim_start_matches('.');
            !aside.iter().any(|key| rest.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
        }
    });
    if doubtful {
        broken.insert(path);
    }
}

/// Lets another column of a declared schema stand for a subject or an event time that is none: the steps behind can be looked at
/// all the same. Gives the keys that this was done for.
fn stand_ins(source: &mut Source, path: &str, errors: &[&Diagnostic]) -> Vec<&'static str> {
    let wrong = |key: &str| errors.iter().any(|error| error.below(&format!("{path}.{key}")) == Some(""));
    let column = |fits: fn(&DataType) -> bool| {
        let columns = source.schema.iter().flatten();
        columns.clone().find(|column| fits(&column.data_type)).map(|column| column.name.clone())
    };
    let named = |kind: &DataType| matches!(kind, DataType::String | DataType::Int32 | DataType::Int64);
    let (subject, time) = (column(named), column(|kind| *kind == DataType::Timestamp));
    let mut stood_in = Vec::new();
    if let (true, Some(subject)) = (wrong("subject"), subject) {
        source.subject = Some(subject);
        stood_in.push("subject");
    }
    if let (true, Some(time), Some(event_time)) = (wrong("event_time.column"), time, &mut source.event_time) {
        event_time.column = time;
        stood_in.push("event_time.column");
    }
    stood_in
}

/// Steps and sinks that read nothing, or something that is not there; a name that stands for two things is nobody's.
fn unconnected(pipeline: &Pipeline, broken: &mut BTreeSet<String>) {
    let is_known = |name: &str| {
        pipeline.sources.contains_key(name) || pipeline.steps.contains_key(name) || pipeline.tables.contains_key(name)
    };
    for (name, step) in &pipeline.steps {
        let inputs = step_inputs(name, step);
        if inputs.is_empty() || inputs.iter().any(|input| !is_known(&input.name)) {
            broken.insert(format!("steps.{name}"));
        }
        if pipeline.sources.contains_key(name) {
            broken.extend([format!("sources.{name}"), format!("steps.{name}")]);
        }
    }
    for (name, _) in pipeline.sinks.iter().filter(|(_, sink)| !is_known(&sink.from)) {
        broken.insert(format!("sinks.{name}"));
    }
}

/// Takes out of sound parts what is wrong in them, so that nothing is said of it twice.
fn neutralise(pipeline: &mut Pipeline, errors: &[&Diagnostic]) {
    let is_clean = |path: &str| errors.iter().all(|error| error.below(path).is_none());
    for (name, step) in &mut pipeline.steps {
        let Step::Quality(quality) = step else { continue };
        for (i, rule) in quality.rules.iter_mut().enumerate() {
            // A rule that every row keeps stays in the place of a broken one: the others keep their numbers.
            if !is_clean(&format!("steps.{name}.quality.rules[{i}]")) {
                rule.check = Check::Expression { sql: "true".to_owned() };
            }
        }
    }
    for (name, sink) in &mut pipeline.sinks {
        match &mut sink.connector {
            SinkConnector::File(file) if !is_clean(&format!("sinks.{name}.file")) => {
                file.partition_by.clear();
                file.partition_time = None;
            }
            SinkConnector::Sqlite(table) if !is_clean(&format!("sinks.{name}.sqlite")) => table.key.clear(),
            _ => {}
        }
    }
}
