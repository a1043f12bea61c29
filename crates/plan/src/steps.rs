//! Steps and sinks, one by one, once their inputs are known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use weir_spec::{
    Classification, DataType, Diagnostic, Sink,
    connector::{Format, SinkConnector},
    consent::ConsentStep,
    mask::{Generalization, Mask, MaskStep, Values},
    pipeline::SinkMode,
    quality::QualityStep,
};

use crate::{
    flow::{self, By, FilterUse, Flow, Influence, Tells},
    origin::Origin,
    plan::{
        ColumnFacts, ConsentNode, LineageKind, MaskNode, Node, NodeId, NodeKind, PlannedMask, QualityNode, SinkNode, SqlNode,
    },
    range, rules, schema,
    source::is_nested,
    sql, suggest, tells,
};

/// What is planned so far.
pub(crate) struct Known<'k> {
    pub nodes: &'k [Node],
    pub flows: &'k [Flow],
}

impl Known<'_> {
    /// What is known of where columns come from.
    pub fn origin(&self) -> Origin<'_> {
        Origin { nodes: self.nodes, flows: self.flows }
    }

    /// A node that passes the columns of its input on.
    fn passing(&self, name: &str, input: NodeId, kind: NodeKind, mut flow: Flow) -> (Node, Flow) {
        let from = &self.nodes[input];
        flow.trace_rows(&[input], self.nodes, self.flows);
        flow.roles = flow::roles(input, self.nodes, self.flows);
        let columns = from.columns.iter().enumerate().map(|(i, facts)| flow.facts(i, &facts.name, self.nodes)).collect();
        let node = Node {
            name: name.to_owned(),
            step: name.to_owned(),
            changes: from.changes,
            inputs: vec![input],
            kind,
            schema: Arc::clone(&from.schema),
            columns,
            subject: from.subject,
            event_time: from.event_time,
        };
        (node, flow)
    }

    /// Rules decide which rows go on, but what they reject goes to quarantine and is accounted for there: no filter lineage. What the
    /// rows that go on tell of a column is told by [`tells`].
    pub fn quality(&self, name: &str, step: &QualityStep, input: NodeId, diagnostics: &mut Vec<Diagnostic>) -> (Node, Flow) {
        let from = &self.nodes[input];
        let path = |i| format!("steps.{name}.quality.rules[{i}]");
        let rules = rules::bind(&step.rules, &from.schema, &path, diagnostics);
        let mut flow = Flow::pass(input, from.columns.len());
        flow.filters = tells::of(step, &rules, input, self.origin());
        let kind = NodeKind::Quality(QualityNode { on_fail: step.on_fail, rules });
        self.passing(name, input, kind, flow)
    }

    /// Consent decides by the subject which rows go on: a FILTER influence of the subject column on every column.
    pub fn consent(
        &self,
        name: &str,
        step: &ConsentStep,
        default_purpose: &str,
        input: NodeId,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> (Node, Flow) {
        let from = &self.nodes[input];
        let mut flow = Flow::pass(input, from.columns.len());
        if from.subject.is_none() {
            let path = format!("steps.{name}.consent.from");
            let message = format!("consent needs to know whom a row is about, but `{}` has no subject column", from.name);
            diagnostics.push(self.without_subject(Diagnostic::error("no-subject", path, message), input));
        }
        let subject = from.subject.unwrap_or_default();
        if from.subject.is_some() {
            flow.filters.push(FilterUse { tells: Tells::Presence, ..FilterUse::compared(input, subject, By::Filter) });
        }
        let kind = NodeKind::Consent(ConsentNode {
            purpose: step.purpose.clone().unwrap_or_else(|| default_purpose.to_owned()),
            on_deny: step.on_deny,
            on_unknown: step.on_unknown,
            subject,
        });
        self.passing(name, input, kind, flow)
    }

    /// Says where the subject was lost on the way to this node.
    fn without_subject(&self, diagnostic: Diagnostic, at: NodeId) -> Diagnostic {
        let mut pending = vec![at];
        let mut seen = BTreeSet::new();
        let mut diagnostic = diagnostic;
        let mut help = None;
        while let Some(id) = pending.pop() {
            if !seen.insert(id) {
                continue;
            }
            let node = &self.nodes[id];
            match &self.flows[id].subject_lost {
                Some(reason) => {
                    diagnostic.notes.push(reason.clone());
                    help.get_or_insert_with(|| format!("do this before `{}`, or keep the subject column there", node.name));
                }
                None if node.inputs.is_empty() && node.subject.is_none() => {
                    diagnostic.notes.push(format!("the source `{}` declares no subject", node.name));
                    help.get_or_insert_with(|| format!("add `subject: column` to `sources.{}`", node.name));
                }
                None => pending.extend(node.inputs.iter().copied().filter(|&input| self.nodes[input].subject.is_none())),
            }
        }
        diagnostic.help = help;
        diagnostic
    }

    pub fn mask(&self, name: &str, step: &MaskStep, input: NodeId, diagnostics: &mut Vec<Diagnostic>) -> Option<(Node, Flow)> {
        let from = &self.nodes[input];
        let before = diagnostics.len();
        let mut flow = Flow::pass(input, from.columns.len());
        let mut fields: Vec<Arc<Field>> = from.schema.fields().iter().cloned().collect();
        let (mut masks, mut classes) = (Vec::new(), Vec::new());
        for (column, mask) in &step.columns {
            let path = format!("steps.{name}.mask.columns.{column}");
            let Some(index) = from.columns.iter().position(|facts| facts.name == *column) else {
                let help = suggest::among("column", column, from.columns.iter().map(|facts| facts.name.as_str()));
                diagnostics.push(Diagnostic::error("unknown-column", path, format!("unknown column `{column}`")).with_help(help));
                continue;
            };
            let facts = &from.columns[index];
            let data_type = logical(&from.schema, index);
            let Some(result) = mask.result_type(&data_type) else {
                diagnostics.push(unsupported(&path, column, mask, &data_type));
                continue;
            };
            let masked = &mut flow.columns[index];
            masked.influences =
                BTreeSet::from([Influence { masking: true, ..Influence::of(input, index, LineageKind::Transformation) }]);
            let values = Values { data_type: &data_type, range: range::of(input, index, self.nodes, self.flows) };
            let class = self.origin().masked(input, index, mask, values);
            masked.how = Some(match class {
                _ if class == facts.classification => {
                    format!("masks `{column}` with {}: it stays {class}", mask.key())
                }
                _ => format!("masks `{column}` with {}: {} becomes {class}", mask.key(), facts.classification),
            });
            if *mask == Mask::Encrypt {
                match from.subject {
                    Some(subject) => {
                        masked
                            .influences
                            .insert(Influence { masking: true, ..Influence::of(input, subject, LineageKind::Conditional) });
                    }
                    None => {
                        let message =
                            format!("`{column}` cannot be encrypted: `{}` has no subject column whose key to use", from.name);
                        diagnostics.push(self.without_subject(Diagnostic::error("no-subject", &path, message), input));
                    }
                }
            } else if class == facts.classification && class > weir_spec::Classification::Public && !is_pseudonym(mask) {
                let again = mask.result_class(facts.classification, values) < class;
                let message = match again {
                    true => format!("`{column}` was masked before, and this mask is worth no more by itself: it stays {class}"),
                    false => format!("this mask leaves so much of `{column}` readable that it stays {class}"),
                };
                let help = match mask {
                    _ if again => "leave it out, or use hash or token, which are worth more",
                    Mask::Generalize { to: Generalization::Width(_) } => {
                        "give a width of 1 at least; or declare a `between` rule with both bounds before this step, and a width of a \
                         thousandth of that range at least; or use hash or token"
                    }
                    _ => "keep fewer characters, or use hash or token",
                };
                diagnostics.push(Diagnostic::warning("weak-mask", &path, message).with_help(help));
            }
            classes.push(class);
            fields[index] = Arc::new(Field::new(column, schema::arrow_type(&result), true));
            masks.push(PlannedMask { column: index, mask: mask.clone() });
        }
        if diagnostics[before..].iter().any(Diagnostic::is_error) {
            return None;
        }
        flow.trace_rows(&[input], self.nodes, self.flows);
        let mut columns: Vec<ColumnFacts> =
            from.columns.iter().enumerate().map(|(i, facts)| flow.facts(i, &facts.name, self.nodes)).collect();
        for (masked, class) in masks.iter().zip(classes) {
            let facts = &from.columns[masked.column];
            columns[masked.column].classification = class;
            columns[masked.column].categories = masked_categories(&masked.mask, &facts.categories);
        }
        let masking = |column: usize| masks.iter().find(|masked| masked.column == column);
        let subject = from.subject.filter(|&subject| masking(subject).is_none());
        if let (Some(subject), None) = (from.subject, subject) {
            let operator = masking(subject).map_or("a mask", |masked| masked.mask.key());
            flow.subject_lost =
                Some(format!("step `{name}` masks the subject column `{}` with {operator}", from.columns[subject].name));
        }
        flow.roles = flow::roles(input, self.nodes, self.flows);
        for masked in &masks {
            flow.roles[masked.column] = None;
        }
        let event_time = flow::event_time(&flow.roles);
        let node = Node {
            name: name.to_owned(),
            step: name.to_owned(),
            changes: from.changes,
            inputs: vec![input],
            schema: Arc::new(Schema::new(fields)),
            columns,
            subject,
            event_time,
            kind: NodeKind::Mask(MaskNode { masks }),
        };
        Some((node, flow))
    }

    /// A query that looks at one row at a time.
    pub fn sql(
        &self,
        name: &str,
        text: &str,
        query: sql::Query,
        inputs: &BTreeMap<String, NodeId>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<(Node, Flow)> {
        let tables = inputs.iter().map(|(table, &id)| (table.clone(), (id, Arc::clone(&self.nodes[id].schema)))).collect();
        let typed = match query.plan(&tables) {
            Ok(typed) => typed,
            Err(issues) => {
                let path = format!("steps.{name}.sql");
                diagnostics.extend(issues.into_iter().map(|issue| issue.diagnostic(&path, text)));
                return None;
            }
        };
        let width = typed.schema.fields().len();
        let mut flow = sql::branches::flow(&typed.branches, width, self.nodes);
        let inputs: Vec<NodeId> = inputs.values().copied().collect();
        flow.trace_rows(&inputs, self.nodes, self.flows);
        flow.roles = sql::branches::roles(&typed.branches, width, self.nodes, self.flows);
        let columns =
            typed.schema.fields().iter().enumerate().map(|(i, field)| flow.facts(i, field.name(), self.nodes)).collect();
        let subject = sql::branches::surviving(&typed.branches, width, self.nodes, |node| node.subject);
        flow.subject_lost = subject_lost(name, subject, &inputs, self.nodes);
        let node = Node {
            name: name.to_owned(),
            step: name.to_owned(),
            changes: inputs.iter().any(|&input| self.nodes[input].changes),
            inputs,
            columns,
            subject,
            event_time: flow::event_time(&flow.roles),
            schema: Arc::clone(&typed.schema),
            kind: NodeKind::Sql(SqlNode { text: text.to_owned(), logical: typed.logical, branches: typed.branches }),
        };
        Some((node, flow))
    }

    pub fn sink(&self, name: &str, sink: &Sink, input: NodeId, diagnostics: &mut Vec<Diagnostic>) -> (Node, Flow) {
        let from = &self.nodes[input];
        let path = format!("sinks.{name}");
        if from.changes && sink.mode == SinkMode::Append {
            let message = format!("`{}` changes rows that it has put out, and this sink only adds rows", sink.from);
            let help = match &sink.connector {
                SinkConnector::Sqlite(_) => {
                    "say what tells its rows apart, so that they can be replaced: `sqlite: { …, key: [column] }`; or write \
                     `mode: changes`, which adds a row with a column `op` (+I, -U, +U, -D) for every change"
                }
                _ => {
                    "write `mode: changes`, which gives every row a column `op` (+I, -U, +U, -D); write to `sqlite` with a `key`, which \
                     holds the rows as they are now; or group by a window, whose rows never change"
                }
            };
            diagnostics.push(Diagnostic::error("changes", format!("{path}.mode"), message).with_help(help));
        }
        if sink.mode == SinkMode::Changes && from.columns.iter().any(|facts| facts.name == "op") {
            let message = "`mode: changes` adds a column `op`, and there is one already";
            diagnostics.push(
                Diagnostic::error("duplicate-column", format!("{path}.mode"), message).with_help("rename it in a sql step"),
            );
        }
        if sink.format == Format::Csv {
            for (i, field) in from.schema.fields().iter().enumerate() {
                let data_type = logical(&from.schema, i);
                if is_nested(&data_type) {
                    let message = format!("csv cannot hold `{}`, which is {}", field.name(), schema::type_name(&data_type));
                    let help = "use json or parquet, or project its fields in a sql step";
                    diagnostics.push(Diagnostic::error("column-type", format!("{path}.format"), message).with_help(help));
                }
            }
        }
        let upsert = match &sink.connector {
            SinkConnector::Sqlite(table) => self.table_sink(name, sink, table, input, diagnostics),
            _ => None,
        };
        if let SinkConnector::File(file) = &sink.connector {
            let fits = |data_type: &DataType| {
                use DataType::{Boolean, Date, Int32, Int64, String};
                matches!(data_type, Boolean | Int32 | Int64 | String | Date)
            };
            for (i, column) in file.partition_by.iter().enumerate() {
                let path = format!("{path}.file.partition_by[{i}]");
                self.sink_column(
                    &path,
                    column,
                    input,
                    fits,
                    "a folder can be named after strings, integers, booleans and dates",
                    diagnostics,
                );
                let named = from.columns.iter().find(|facts| facts.name == *column);
                if let Some(facts) = named.filter(|facts| facts.classification > Classification::Internal) {
                    let message = format!("folders cannot be named after `{column}`, which is {}", facts.classification);
                    let error = Diagnostic::error("partition-class", path, message);
                    diagnostics.push(
                        error
                            .with_note("the names of files are on record in checkpoints and in the audit log, in the clear")
                            .with_help("partition by a column that is public or internal, such as a hash or a token of this one"),
                    );
                }
            }
            if !file.partition_by.is_empty() && from.columns.iter().all(|facts| file.partition_by.contains(&facts.name)) {
                let message = "every column is a partition column, so the files would be empty";
                diagnostics.push(
                    Diagnostic::error("partition", format!("{path}.file.partition_by"), message).with_help("leave one out"),
                );
            }
            if let Some(by) = &file.partition_time {
                let fits = |data_type: &DataType| matches!(data_type, DataType::Date | DataType::Timestamp);
                let path = format!("{path}.file.partition_time.column");
                self.sink_column(&path, &by.column, input, fits, "partition_time needs a date or a timestamp", diagnostics);
            }
        }
        let kind = NodeKind::Sink(SinkNode { sink: sink.clone(), upsert });
        self.passing(name, input, kind, Flow::pass(input, from.columns.len()))
    }

    pub fn sink_column(
        &self,
        path: &str,
        column: &str,
        input: NodeId,
        fits: impl Fn(&DataType) -> bool,
        expected: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<usize> {
        let schema = &self.nodes[input].schema;
        let Ok(index) = schema.index_of(column) else {
            let help = suggest::among("column", column, schema.fields().iter().map(|field| field.name().as_str()));
            diagnostics.push(Diagnostic::error("unknown-column", path, format!("unknown column `{column}`")).with_help(help));
            return None;
        };
        let data_type = logical(schema, index);
        if !fits(&data_type) {
            let message = format!("{expected}, but `{column}` is {}", schema::type_name(&data_type));
            diagnostics.push(Diagnostic::error("column-type", path, message).with_help("choose another column"));
            return None;
        }
        Some(index)
    }
}

/// Why a step whose inputs know their subject has none.
pub(crate) fn subject_lost(step: &str, subject: Option<usize>, inputs: &[NodeId], nodes: &[Node]) -> Option<String> {
    if subject.is_some() {
        return None;
    }
    let (input, subject) = inputs.iter().find_map(|&input| nodes[input].subject.map(|subject| (input, subject)))?;
    let column = &nodes[input].columns[subject].name;
    Some(format!("step `{step}` does not pass the subject column `{column}` of `{}` on as it is", nodes[input].step))
}

fn logical(schema: &SchemaRef, index: usize) -> DataType {
    schema::logical_type(schema.field(index).data_type()).expect("invariant: columns between nodes have logical types")
}

fn is_pseudonym(mask: &Mask) -> bool {
    matches!(mask, Mask::Hash) || matches!(mask, Mask::Token { keep_last, .. } if *keep_last <= Mask::MAX_TOKEN_KEPT)
}

/// Nothing is left of what was redacted; a keyed pseudonym is a category of its own; everything else stays what it was.
fn masked_categories(mask: &Mask, categories: &[String]) -> Vec<String> {
    match mask {
        Mask::Redact { .. } | Mask::Null => Vec::new(),
        mask if is_pseudonym(mask) && categories.iter().any(|category| category.starts_with("user")) => {
            vec!["user.unique_id.pseudonymous".to_owned()]
        }
        _ => categories.to_vec(),
    }
}

fn unsupported(path: &str, column: &str, mask: &Mask, data_type: &DataType) -> Diagnostic {
    let operator = match mask {
        Mask::Generalize { to } => format!("generalize to {}", generalization(to)),
        other => other.key().to_owned(),
    };
    let fitting = match data_type {
        DataType::String => "redact, null, partial, hash, token, encrypt, generalize to prefix",
        DataType::Date => "redact, null, hash, token, encrypt, generalize to year or month",
        DataType::Timestamp => "redact, null, hash, token, encrypt, generalize to year, month, day or hour",
        DataType::Float32 | DataType::Float64 => "redact, null, hash, token, encrypt, generalize to a width of 1e-9 at least",
        DataType::Int32 | DataType::Int64 | DataType::Decimal { .. } => {
            "redact, null, hash, token, encrypt, generalize to a width of more than one unit; partial for integers"
        }
        DataType::Boolean | DataType::Bytes => "redact, null, hash, token, encrypt",
        DataType::List(_) | DataType::Struct(_) => "redact, null",
    };
    let message = format!("{operator} cannot mask `{column}`, which is {}", schema::type_name(data_type));
    Diagnostic::error("mask-type", path, message).with_help(format!("fitting operators: {fitting}"))
}

fn generalization(to: &weir_spec::mask::Generalization) -> &'static str {
    use weir_spec::mask::Generalization::{Day, Hour, Month, Prefix, Width, Year};
    match to {
        Year => "year",
        Month => "month",
        Day => "day",
        Hour => "hour",
        Width(_) => "width",
        Prefix(_) => "prefix",
    }
}
