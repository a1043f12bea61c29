//! What watches rows beside their way: the window rules of quality steps, and alerts.
//!
//! Whoever may see what is observed need not be cleared for the data. A number that shows values of a column above `internal` is
//! therefore withheld: the plan says which, whoever runs it obeys. Counts, shares of rows and distances between distributions are told.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{Schema, SchemaRef};
use weir_spec::{
    Classification, DataType, Diagnostic,
    metric::{AlertCondition, AlertStep, Control, WindowCheck, WindowQuality, WindowRule},
    quality::QualityStep,
    types::Timespan,
};

use crate::{
    flow::{By, ColumnFlow, FilterUse, Flow, Influence, Tells},
    operator::{AlertNode, AlertOn, Exchange, MeasureNode, Operator, OperatorNode, TimeBasis, Withheld},
    plan::{ColumnFacts, LineageKind, Node, NodeId, NodeKind},
    schema,
    source::is_nested,
    sql::{boolean_expression, column_uses, null_tested_only},
    steps::Known,
    suggest,
};

impl Known<'_> {
    /// The node that measures windows of what reaches a quality step; none where its rules cannot be measured.
    pub fn measure(
        &self,
        name: &str,
        step: &QualityStep,
        windows: &WindowQuality,
        input: NodeId,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<(Node, Flow)> {
        let from = &self.nodes[input];
        let path = format!("steps.{name}.quality");
        let before = diagnostics.len();
        if from.changes {
            let message = format!("`{}` changes rows that it has put out, and windows are measured of rows that stay", step.from);
            diagnostics.push(Diagnostic::error("changes", format!("{path}.metrics"), message).with_help(CHANGES));
        }
        for (i, rule) in windows.rules.iter().enumerate() {
            self.fits(&format!("{path}.metrics[{i}].{}", rule.check.key()), rule, input, diagnostics);
        }
        if diagnostics[before..].iter().any(Diagnostic::is_error) {
            return None;
        }
        let time = self.time(input, &format!("{path}.metrics"), "windows go", diagnostics);
        let shown = |columns: &[&str]| {
            let facts = columns.iter().filter_map(|column| from.columns.iter().find(|facts| facts.name == *column));
            let secret = facts.filter(|facts| facts.classification > Classification::Internal);
            let most = secret.max_by_key(|facts| facts.classification);
            most.map(|facts| Withheld { column: facts.name.clone(), classification: facts.classification })
        };
        let of_time = match time {
            TimeBasis::Event(column) => shown(&[&from.columns[column].name]),
            TimeBasis::Processing => None,
        };
        let withheld = windows.rules.iter().map(|rule| match &rule.check {
            WindowCheck::Bounds { metric, .. } | WindowCheck::Control(Control { metric, .. }) if metric.is_numeric() => {
                shown(&metric.columns())
            }
            WindowCheck::Freshness { .. } => of_time.clone(),
            _ => None,
        });
        let withheld: Vec<Option<Withheld>> = withheld.collect();
        // Measures also hold hashes of values, which can be guessed, and how often each of a few values came.
        let shows = |(rule, withheld): (&WindowRule, &Option<Withheld>)| {
            withheld.is_some() || (rule.check.key() != "completeness" && shown(&rule.check.columns()).is_some())
        };
        let measures_withheld = windows.rules.iter().zip(&withheld).map(shows).collect();

        let fields = arrow_fields();
        let definition = format!(
            "measure windows of {} by {}: {} over ({})",
            windows.over,
            self.told(time, input),
            windows.rules.iter().map(|rule| kept(&rule.check)).collect::<Vec<_>>().join("; "),
            types(&from.schema)
        );
        let operator = Operator::Measure(MeasureNode { quality: windows.clone(), time, withheld, measures_withheld });
        let used: BTreeSet<usize> = windows
            .rules
            .iter()
            .flat_map(|rule| rule.check.columns())
            .filter_map(|column| from.schema.index_of(column).ok())
            .collect();
        let influence = |column| Influence::of(input, column, LineageKind::Aggregation);
        let numbers =
            ColumnFlow { influences: used.into_iter().map(influence).collect(), how: Some("measures windows".to_owned()) };
        let columns = MeasureNode::OUTPUT.iter().map(|column| match *column {
            "observed" | "verdict" | "detail" => numbers.clone(),
            _ => ColumnFlow::default(),
        });
        let mut flow = Flow { columns: columns.collect(), ..Flow::default() };
        flow.trace_rows(&[input], self.nodes, self.flows);
        // What is above internal is not in the numbers.
        let facts = |(i, column): (usize, &&str)| ColumnFacts {
            classification: Classification::Internal,
            categories: Vec::new(),
            ..flow.facts(i, column, self.nodes)
        };
        let columns = MeasureNode::OUTPUT.iter().enumerate().map(facts).collect();
        flow.roles = vec![None; MeasureNode::OUTPUT.len()];
        let node = Node {
            name: format!("{name}#windows"),
            step: name.to_owned(),
            inputs: vec![input],
            kind: NodeKind::Operator(OperatorNode { operator, exchange: vec![Exchange::Single], definition }),
            schema: fields,
            columns,
            subject: None,
            event_time: None,
            changes: false,
        };
        Some((node, flow))
    }

    /// An alert step. For a window rule, `input` is the node that measures it.
    pub fn alert(&self, name: &str, step: &AlertStep, input: NodeId, diagnostics: &mut Vec<Diagnostic>) -> Option<(Node, Flow)> {
        let from = &self.nodes[input];
        let path = format!("steps.{name}.alert");
        let before = diagnostics.len();
        let mut flow = Flow::default();
        let (on, said, definition) = match &step.when {
            AlertCondition::Rule(rule) => (
                AlertOn::Rule(rule.clone()),
                format!("the rule `{rule}` of `{}` is broken", step.from),
                format!("alert on the rule {rule}"),
            ),
            AlertCondition::Rows(text) => {
                if from.changes {
                    let message =
                        format!("`{}` changes rows that it has put out, and an alert looks at rows that stay", step.from);
                    diagnostics.push(Diagnostic::error("changes", format!("{path}.from"), message).with_help(CHANGES));
                }
                let key = self.keys(&path, step, input, diagnostics);
                let when = match boolean_expression("an alert", text, &from.schema) {
                    Ok(when) => when,
                    Err(issues) => {
                        let path = format!("{path}.when");
                        diagnostics.extend(issues.into_iter().map(|issue| issue.diagnostic(&path, text)));
                        return None;
                    }
                };
                let only_tested = null_tested_only(&when);
                for used in column_uses(&when).into_keys() {
                    let column =
                        from.schema.index_of(&used.column).expect("invariant: conditions refer to columns of their input");
                    let tells = if only_tested.contains(&used.column) { Tells::Presence } else { Tells::Value };
                    flow.filters.push(FilterUse { input, column, field: used.field, by: By::Filter, tells });
                }
                if diagnostics[before..].iter().any(Diagnostic::is_error) {
                    return None;
                }
                let time = self.time(input, &path, "alerts are resolved", diagnostics);
                let keys: Vec<&str> = key.iter().map(|&column| from.columns[column].name.as_str()).collect();
                let definition = format!("alert on rows where {when} by {} key ({})", self.told(time, input), keys.join(", "));
                let resolve_after = micros(step.resolve_after);
                let on = AlertOn::Rows { when: Arc::new(when), key, time, resolve_after };
                (
                    on,
                    format!("rows of `{}` where {}", step.from, text.split_whitespace().collect::<Vec<_>>().join(" ")),
                    definition,
                )
            }
        };
        flow.rows.extend(self.flows[input].rows.iter().cloned());
        let message = step.message.clone().unwrap_or(said);
        let operator = Operator::Alert(AlertNode { on, severity: step.severity, message });
        let node = Node {
            name: name.to_owned(),
            step: name.to_owned(),
            inputs: vec![input],
            kind: NodeKind::Operator(OperatorNode { operator, exchange: vec![Exchange::Single], definition }),
            schema: Arc::new(Schema::empty()),
            columns: Vec::new(),
            subject: None,
            event_time: None,
            changes: false,
        };
        Some((node, flow))
    }

    /// The columns that tell causes apart.
    fn keys(&self, path: &str, step: &AlertStep, input: NodeId, diagnostics: &mut Vec<Diagnostic>) -> Vec<usize> {
        let mut key = Vec::new();
        for (i, column) in step.key.iter().enumerate() {
            let path = format!("{path}.key[{i}]");
            match self.column(&path, column, input, diagnostics) {
                Some((_, data_type)) if is_nested(&data_type) => {
                    let message = format!("a list or a struct cannot tell causes apart, and `{column}` is one");
                    diagnostics.push(Diagnostic::error("column-type", path, message).with_help("choose another column"));
                }
                Some((index, _)) => key.push(index),
                None => {}
            }
        }
        key
    }

    /// The time that what watches a node goes by. Says so where a source has event time and it was lost on the way.
    fn time(&self, input: NodeId, path: &str, what: &str, diagnostics: &mut Vec<Diagnostic>) -> TimeBasis {
        let from = &self.nodes[input];
        if let Some(column) = from.event_time {
            return TimeBasis::Event(column);
        }
        let mut pending = vec![input];
        while let Some(id) = pending.pop() {
            let node = &self.nodes[id];
            if let (NodeKind::Source(_), Some(column)) = (&node.kind, node.event_time) {
                let column = &node.columns[column].name;
                let message = format!(
                    "`{}` does not pass on the event time `{column}` of `{}`, so {what} by the clock",
                    from.step, node.name
                );
                let help = format!("keep `{column}` as it is, or read a step that does");
                diagnostics.push(Diagnostic::warning("event-time-lost", path, message).with_help(help));
                break;
            }
            pending.extend(&node.inputs);
        }
        TimeBasis::Processing
    }

    fn told(&self, time: TimeBasis, input: NodeId) -> String {
        match time {
            TimeBasis::Event(column) => format!("`{}`", self.nodes[input].columns[column].name),
            TimeBasis::Processing => "the clock".to_owned(),
        }
    }

    /// Whether a rule can be measured of the input's columns.
    fn fits(&self, path: &str, rule: &WindowRule, input: NodeId, diagnostics: &mut Vec<Diagnostic>) {
        let (place, needed, fits): (&str, &str, fn(&DataType) -> bool) = match &rule.check {
            WindowCheck::Bounds { metric, .. } if metric.is_numeric() => ("column", "numbers", is_number),
            WindowCheck::Control(control) if control.metric.is_numeric() => ("metric", "numbers", is_number),
            WindowCheck::Control(_) => ("metric", "no list or struct", |data_type| !is_nested(data_type)),
            WindowCheck::Bounds { .. } if rule.check.key() == "completeness" => ("column", "a column", |_| true),
            WindowCheck::Bounds { .. } => ("columns", "no list or struct", |data_type| !is_nested(data_type)),
            WindowCheck::Distribution(_) => ("column", "numbers, texts, booleans, dates or times", |data_type| {
                !is_nested(data_type) && *data_type != DataType::Bytes
            }),
            WindowCheck::Freshness { .. } => return,
        };
        for column in rule.check.columns() {
            let path = format!("{path}.{place}");
            if let Some((_, data_type)) = self.column(&path, column, input, diagnostics)
                && !fits(&data_type)
            {
                let message = format!("rule `{}` needs {needed}, but `{column}` is {}", rule.name, schema::type_name(&data_type));
                diagnostics.push(Diagnostic::error("column-type", path, message).with_help("choose another column or metric"));
            }
        }
    }

    fn column(&self, path: &str, name: &str, input: NodeId, diagnostics: &mut Vec<Diagnostic>) -> Option<(usize, DataType)> {
        let from = &self.nodes[input];
        match from.schema.index_of(name) {
            Ok(index) => {
                let data_type = schema::logical_type(from.schema.field(index).data_type());
                Some((index, data_type.expect("invariant: columns between nodes have logical types")))
            }
            Err(_) => {
                let help = suggest::among("column", name, from.columns.iter().map(|facts| facts.name.as_str()));
                let message = format!("unknown column `{name}`");
                diagnostics.push(Diagnostic::error("unknown-column", path, message).with_help(help));
                None
            }
        }
    }
}

/// What state depends on of a rule: what is added up, and what a chart remembers. Bounds may change.
fn kept(check: &WindowCheck) -> String {
    match check {
        WindowCheck::Bounds { metric, .. } => metric.to_string(),
        WindowCheck::Freshness { .. } => "freshness".to_owned(),
        WindowCheck::Distribution(distribution) => format!("distribution({}, {})", distribution.column, distribution.bins),
        WindowCheck::Control(control) => {
            format!("{:?} chart of {} after {}", control.chart.kind(), control.metric, control.training)
        }
    }
}

const CHANGES: &str = "read a step before it, or group by a window, whose rows never change";

/// Nothing reads an alert.
pub(crate) fn puts_out_nothing(path: String, name: &str, reads: &str) -> Diagnostic {
    let message = format!("`{name}` is an alert step: it puts out no rows");
    Diagnostic::error("alert-read", path, message).with_help(format!("read what it reads, `{reads}`"))
}

fn arrow_fields() -> SchemaRef {
    let data_type = |column: &str| match column {
        "window_start" | "window_end" => DataType::Timestamp,
        "rows" => DataType::Int64,
        "observed" => DataType::Float64,
        _ => DataType::String,
    };
    let columns = MeasureNode::OUTPUT.iter().map(|column| weir_spec::Column::new(*column, data_type(column)));
    schema::arrow_schema(&columns.collect::<Vec<_>>())
}

fn types(schema: &SchemaRef) -> String {
    let named = schema.fields().iter().map(|field| format!("{} {}", field.name(), schema::arrow_type_name(field.data_type())));
    named.collect::<Vec<_>>().join(", ")
}

fn is_number(data_type: &DataType) -> bool {
    use DataType::{Decimal, Float32, Float64, Int32, Int64};
    matches!(data_type, Int32 | Int64 | Float32 | Float64 | Decimal { .. })
}

fn micros(span: Timespan) -> i64 {
    i64::try_from(span.as_duration().as_micros()).unwrap_or(i64::MAX)
}
