//! Typed pipeline back to a document: canonical JSON for hashing and comparing, YAML for people.

mod metrics;

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    connector::{EventTime, FileSink, FileSource, Format, SinkConnector, SourceConnector, TableConnector},
    grammar::{Object, Shape, pipeline},
    mask::{Generalization, Mask},
    parse::{Node, Value},
    pipeline::{Pipeline, Sink, Source, SqlStep, Step, Table},
    quality::{Check, Rule, Scalar},
    types::{Column, Timespan},
    yaml,
};

/// The canonical form: every default written out, so that two texts that mean the same give equal JSON. Serialise it with sorted keys
/// (RFC 8785) to hash it.
pub fn to_json(pipeline: &Pipeline) -> Json {
    whole(pipeline, true).to_json()
}

/// A document that reads back as the same pipeline. Defaults are left out; comments of an earlier text are not kept.
pub fn to_yaml(pipeline: &Pipeline) -> String {
    yaml::write(&without_defaults(whole(pipeline, false), &pipeline::PIPELINE))
}

/// A rule in canonical form.
pub fn rule_to_json(rule_: &Rule) -> Json {
    rule(rule_, true).to_json()
}

/// A masking operator in canonical form: `{"hash": {}}`.
pub fn mask_to_json(operator: &Mask) -> Json {
    mask(operator).to_json()
}

/// A map under construction: `None` leaves a key out.
struct Build(Vec<(String, Node)>);

impl Build {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn with(mut self, key: &str, value: Node) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    fn text(self, key: &str, text: &str) -> Self {
        self.with(key, Node::text(text))
    }

    fn maybe<T>(self, key: &str, value: &Option<T>, node: impl FnOnce(&T) -> Node) -> Self {
        match value {
            Some(value) => self.with(key, node(value)),
            None => self,
        }
    }

    fn maybe_text(self, key: &str, text: &Option<String>) -> Self {
        self.maybe(key, text, |text| Node::text(text.as_str()))
    }

    fn done(self) -> Node {
        Node::map(self.0)
    }
}

fn whole(p: &Pipeline, canonical: bool) -> Node {
    let named = |entries: Vec<(&String, Node)>| Node::map(entries.into_iter().map(|(name, node)| (name.as_str(), node)));
    Build::new()
        .text("apiVersion", pipeline::API_VERSION)
        .text("kind", "Pipeline")
        .text("name", &p.name)
        .maybe_text("description", &p.description)
        .maybe_text("owner", &p.owner)
        .text("purpose", &p.purpose)
        .with("basis", name(&p.basis))
        .with("parallelism", int(p.parallelism as i128))
        .with("checkpoint", Build::new().with("every", span(&p.checkpoint.every)).done())
        .with("batch", Build::new().with("rows", int(p.batch.rows as i128)).with("wait", span(&p.batch.wait)).done())
        .maybe("strict", &p.strict.then_some(true), |strict| flag(*strict))
        .maybe("tables", &(!p.tables.is_empty()).then_some(&p.tables), |tables| {
            named(tables.iter().map(|(name, t)| (name, table(t, canonical))).collect())
        })
        .with("sources", named(p.sources.iter().map(|(name, s)| (name, source(s, canonical))).collect()))
        .with("steps", named(p.steps.iter().map(|(name, s)| (name, step(s, canonical))).collect()))
        .with("sinks", named(p.sinks.iter().map(|(name, s)| (name, sink(s, canonical))).collect()))
        .done()
}

fn int(value: i128) -> Node {
    Node::new(Value::Int(value))
}

fn float(value: f64) -> Node {
    Node::new(Value::Float(value))
}

fn flag(value: bool) -> Node {
    Node::new(Value::Bool(value))
}

fn span(value: &Timespan) -> Node {
    Node::text(value.to_string())
}

/// The name of an enum's variant.
fn name<T: Serialize>(value: &T) -> Node {
    match serde_json::to_value(value) {
        Ok(Json::String(name)) => Node::text(name),
        _ => Node::new(Value::Null),
    }
}

fn texts(values: &[String]) -> Node {
    Node::list(values.iter().map(Node::text::<&String>))
}

fn source(s: &Source, canonical: bool) -> Node {
    let connector = match &s.connector {
        SourceConnector::File(file) => file_source(file),
        SourceConnector::Generator(generator) => Build::new()
            .with("kind", name(&generator.kind))
            .with("seed", int(generator.seed.into()))
            .maybe("rate", &generator.rate, |v| int((*v).into()))
            .maybe("rows", &generator.rows, |v| int((*v).into()))
            .with("subjects", int(generator.subjects.into()))
            .with("faults", float(generator.faults))
            .with("late", float(generator.late))
            .with("anomalies", float(generator.anomalies))
            .maybe_text("start", &generator.start),
        SourceConnector::Http(http) => Build::new().with("max_backlog_mib", int(http.max_backlog_mib.into())),
        SourceConnector::Nexmark(nexmark) => Build::new()
            .with("stream", name(&nexmark.stream))
            .with("seed", int(nexmark.seed.into()))
            .maybe("events", &nexmark.events, |v| int((*v).into()))
            .maybe("rate", &nexmark.rate, |v| int((*v).into()))
            .with("event_rate", int(nexmark.event_rate.into()))
            .maybe_text("start", &nexmark.start),
    };
    let format = match (&s.format, &s.connector) {
        (None, SourceConnector::File(_) | SourceConnector::Http(_)) if canonical => Some(Format::Json),
        (format, _) => *format,
    };
    Build::new()
        .with(s.connector.key(), connector.done())
        .maybe("format", &format, name)
        .maybe("contract", &s.contract, |c| Node::text(c.to_string()))
        .maybe("schema", &s.schema, |columns| Node::list(columns.iter().map(column)))
        .maybe_text("subject", &s.subject)
        .maybe("event_time", &s.event_time, event_time)
        .with("on_malformed", name(&s.on_malformed))
        .done()
}

/// Reference data.
fn table(t: &Table, canonical: bool) -> Node {
    let columns = |columns: &Vec<Column>| Node::list(columns.iter().map(column));
    let reload = (canonical || t.reload != Table::RELOAD).then_some(t.reload);
    let (connector, format) = match &t.connector {
        TableConnector::File(file) => (file_source(file), Some(t.format)),
        TableConnector::Sqlite(table) => (Build::new().text("path", &table.path).text("table", &table.table), None),
    };
    Build::new()
        .with(t.connector.key(), connector.done())
        .maybe("format", &format, name)
        .maybe_text("contract", &t.contract.as_ref().map(ToString::to_string))
        .maybe("schema", &t.schema, columns)
        .maybe("key", &(!t.key.is_empty()).then(|| t.key.clone()), |key| texts(key))
        .maybe("reload", &reload, span)
        .done()
}

/// The text alone where there is nothing to add.
fn sql(step: &SqlStep) -> Node {
    if step.state_ttl.is_none() && step.min_group.is_none() {
        return Node::text(&step.query);
    }
    Build::new()
        .text("query", &step.query)
        .maybe("state_ttl", &step.state_ttl, span)
        .maybe("min_group", &step.min_group, |rows| int((*rows).into()))
        .done()
}

fn file_source(file: &FileSource) -> Build {
    Build::new()
        .text("path", &file.path)
        .maybe("compression", &file.compression, name)
        .with("max_line", int(file.max_line as i128))
        .text("delimiter", &file.delimiter.to_string())
        .with("header", flag(file.header))
        .text("null", &file.null)
}

fn event_time(e: &EventTime) -> Node {
    Build::new()
        .text("column", &e.column)
        .with("max_delay", span(&e.max_delay))
        .maybe("idle_after", &e.idle_after, span)
        .with("max_ahead", span(&e.max_ahead))
        .with("late", name(&e.late))
        .done()
}

fn column(c: &Column) -> Node {
    Build::new()
        .text("name", &c.name)
        .text("type", &c.data_type.to_string())
        .with("required", flag(c.required))
        .with("unique", flag(c.unique))
        .with("classification", name(&c.classification))
        .with("categories", texts(&c.categories))
        .maybe_text("description", &c.description)
        .done()
}

fn step(s: &Step, canonical: bool) -> Node {
    let body = match s {
        Step::Quality(quality) => Build::new()
            .text("from", &quality.from)
            .with("on_fail", name(&quality.on_fail))
            .maybe("rules", &(!quality.rules.is_empty()).then_some(&quality.rules), |rules| {
                Node::list(rules.iter().map(|r| rule(r, canonical)))
            })
            .maybe("over", &quality.windows, |windows| span(&windows.over))
            .maybe("metrics", &quality.windows, |windows| Node::list(windows.rules.iter().map(|r| metrics::rule(r, canonical))))
            .done(),
        Step::Consent(consent) => Build::new()
            .text("from", &consent.from)
            .maybe_text("purpose", &consent.purpose)
            .with("on_deny", name(&consent.on_deny))
            .with("on_unknown", name(&consent.on_unknown))
            .done(),
        Step::Mask(step) => Build::new()
            .text("from", &step.from)
            .with("columns", Node::map(step.columns.iter().map(|(column, m)| (column.as_str(), mask(m)))))
            .done(),
        Step::Sql(step) => sql(step),
        Step::Alert(alert) => metrics::alert(alert),
    };
    Build::new().with(s.key(), body).done()
}

/// A rule; its name is left out where it is the one that the check gets anyway, except in canonical form.
pub(crate) fn rule(r: &Rule, canonical: bool) -> Node {
    let given = (canonical || r.name != r.check.default_name()).then(|| r.name.clone());
    Build::new().maybe_text("name", &given).with(r.check.key(), check(&r.check)).done()
}

/// What stands behind the check's key.
pub(crate) fn check(check: &Check) -> Node {
    let column = |column: &str| Build::new().text("column", column);
    match check {
        Check::NotNull { columns } => texts(columns),
        Check::Between { column: c, min, max } => column(c).maybe("min", min, scalar).maybe("max", max, scalar).done(),
        Check::InSet { column: c, values } => column(c).with("values", Node::list(values.iter().map(scalar))).done(),
        Check::Matches { column: c, pattern } => column(c).text("pattern", pattern).done(),
        Check::Length { column: c, min, max } => {
            column(c).maybe("min", min, |v| int((*v).into())).maybe("max", max, |v| int((*v).into())).done()
        }
        Check::Format { column: c, is } => column(c).with("is", name(is)).done(),
        Check::Unique { columns, within } => Build::new().with("columns", texts(columns)).with("within", span(within)).done(),
        Check::Expression { sql } => Node::text(sql),
        Check::References { column: c, file, key } => column(c).text("file", file).text("key", key).done(),
    }
}

fn scalar(value: &Scalar) -> Node {
    match value {
        Scalar::Bool(value) => flag(*value),
        Scalar::Int(value) => int((*value).into()),
        Scalar::Float(value) => float(*value),
        Scalar::String(text) => Node::text(text),
    }
}

fn mask(m: &Mask) -> Node {
    let options = match m {
        Mask::Redact { with } => Build::new().maybe_text("with", with),
        Mask::Null | Mask::Hash | Mask::Encrypt => Build::new(),
        Mask::Partial { keep_first, keep_last, with } => Build::new()
            .with("keep_first", int(*keep_first as i128))
            .with("keep_last", int(*keep_last as i128))
            .text("with", &with.to_string()),
        Mask::Token { prefix, keep_last } => Build::new().maybe_text("prefix", prefix).with("keep_last", int(*keep_last as i128)),
        Mask::Generalize { to } => Build::new().with(
            "to",
            match to {
                Generalization::Width(width) => Build::new().with("width", float(*width)).done(),
                Generalization::Prefix(prefix) => Build::new().with("prefix", int(*prefix as i128)).done(),
                unit => name(unit),
            },
        ),
    };
    Build::new().with(m.key(), options.done()).done()
}

fn sink(s: &Sink, canonical: bool) -> Node {
    let connector = match &s.connector {
        SinkConnector::File(file) => file_sink(file),
        SinkConnector::Sqlite(table) => {
            let key = (!table.key.is_empty()).then_some(&table.key);
            Build::new().text("path", &table.path).text("table", &table.table).maybe("key", &key, |key| texts(key)).done()
        }
        SinkConnector::Stdout(_) => Build::new().done(),
    };
    let format = s.connector.has_format().then_some(s.format);
    let delivery = (canonical || s.delivery != s.connector.default_delivery()).then_some(s.delivery);
    Build::new()
        .text("from", &s.from)
        .with(s.connector.key(), connector)
        .maybe("format", &format, name)
        .with("clearance", name(&s.clearance))
        .maybe_text("recipient", &s.recipient)
        .maybe("delivery", &delivery, name)
        .maybe("mode", &(s.mode != s.connector.default_mode()).then_some(s.mode), name)
        .done()
}

fn file_sink(file: &FileSink) -> Node {
    Build::new()
        .text("path", &file.path)
        .with("compression", name(&file.compression))
        .with("partition_by", texts(&file.partition_by))
        .maybe("partition_time", &file.partition_time, |time| {
            Build::new().text("column", &time.column).with("by", name(&time.by)).done()
        })
        .with("max_file_mib", int(file.max_file_mib.into()))
        .done()
}

/// Drops the values that the grammar supplies anyway, and the optional maps that are left empty.
fn without_defaults(node: Node, shape: &'static Shape) -> Node {
    match (node.value, shape) {
        (Value::Map(entries), Shape::Object(object)) => {
            let kept = entries.into_iter().filter_map(|mut entry| {
                let Some(field) = object.field(&entry.key) else {
                    return Some(entry);
                };
                if field.default_json().is_some_and(|default| default == entry.value.to_json()) {
                    return None;
                }
                entry.value = without_defaults(entry.value, &field.shape);
                let empty = matches!(&entry.value.value, Value::Map(inside) if inside.is_empty());
                (!(empty && may_vanish(object, &entry.key))).then_some(entry)
            });
            Node { value: Value::Map(kept.collect()), span: node.span }
        }
        (Value::Map(entries), Shape::Map(map)) => {
            let kept = entries.into_iter().map(|mut entry| {
                entry.value = without_defaults(entry.value, &map.of);
                entry
            });
            Node { value: Value::Map(kept.collect()), span: node.span }
        }
        (Value::List(items), Shape::List(list)) => {
            Node { value: Value::List(items.into_iter().map(|item| without_defaults(item, &list.of)).collect()), span: node.span }
        }
        (value, _) => Node { value, span: node.span },
    }
}

/// A connector or operator without options still has to be named.
fn may_vanish(object: &Object, key: &str) -> bool {
    object.fields.iter().any(|field| field.key == key && !field.required)
}
