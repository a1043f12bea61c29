//! Document in, plan and diagnostics out: every node in topological order, then the checks on whole paths.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use weir_spec::{Diagnostic, Parsed, Pipeline, Severity, SqlStep, Step, metric::AlertCondition};

use crate::{
    consent,
    copies::{self, Copies},
    flow::Flow,
    hash, leak,
    lookup::Lookup,
    observe::puts_out_nothing,
    plan::{Node, NodeId, NodeKind, Plan},
    source,
    sql::{Chain, Issue, Query},
    steps::Known,
    suggest,
};

/// The result of planning. The plan is there when no diagnostic is an error.
#[derive(Clone, Debug)]
pub struct Planned {
    pub plan: Option<Plan>,
    /// In the order of the document: sources, steps, sinks, then leaks and other findings about whole paths.
    pub diagnostics: Vec<Diagnostic>,
}

/// Plans a pipeline. All errors are reported at once; a node with an error hides only what comes after it.
pub fn plan(pipeline: &Pipeline, lookup: &dyn Lookup) -> Planned {
    let (nodes, diagnostics) = examine(pipeline, &BTreeSet::new(), lookup);
    let plan = (!diagnostics.iter().any(Diagnostic::is_error)).then(|| finish(pipeline, lookup, nodes));
    Planned { plan, diagnostics }
}

/// Plans what was read from a text, and, where the text has errors, what can be understood of it. The diagnostics are all that there
/// are, those of the text included, in its order; the plan is there when none is an error.
pub fn plan_parsed(parsed: &Parsed<Pipeline>, lookup: &dyn Lookup) -> Planned {
    let (plan, mut found) = match (&parsed.value, &parsed.partial) {
        (Some(pipeline), _) => {
            let planned = plan(pipeline, lookup);
            (planned.plan, planned.diagnostics)
        }
        (None, Some(partial)) => (None, examine(&partial.pipeline, &partial.broken, lookup).1),
        (None, None) => (None, Vec::new()),
    };
    parsed.spans.locate(&mut found);
    let mut diagnostics = parsed.diagnostics.clone();
    diagnostics.append(&mut found);
    diagnostics.sort_by_key(|finding| (finding.span.map(|span| span.start), finding.severity));
    Planned { plan, diagnostics }
}

/// The nodes that can be planned, and everything that is wrong. Of `broken` parts, and of what reads them, nothing is said.
fn examine(pipeline: &Pipeline, broken: &BTreeSet<String>, lookup: &dyn Lookup) -> (Vec<Node>, Vec<Diagnostic>) {
    let mut planner = Planner {
        pipeline,
        broken,
        lookup,
        nodes: Vec::new(),
        flows: Vec::new(),
        ids: HashMap::new(),
        windows: HashMap::new(),
        copies: Copies::default(),
        diagnostics: Vec::new(),
    };
    planner.tables();
    planner.sources();
    planner.steps();
    planner.sinks();
    let Planner { nodes, flows, mut diagnostics, .. } = planner;
    let known = Known { nodes: &nodes, flows: &flows };
    diagnostics.extend(leak::check(pipeline, &known, &lookup.purpose_policy()));
    diagnostics.extend(consent::check(pipeline, &nodes));
    (nodes, diagnostics)
}

fn finish(pipeline: &Pipeline, lookup: &dyn Lookup, nodes: Vec<Node>) -> Plan {
    Plan {
        pipeline: pipeline.name.clone(),
        purpose: pipeline.purpose.clone(),
        basis: pipeline.basis,
        parallelism: pipeline.parallelism,
        checkpoint: pipeline.checkpoint,
        batch: pipeline.batch,
        document_hash: hash::document(pipeline, lookup),
        fingerprint: hash::fingerprint(&nodes),
        nodes,
    }
}

struct Planner<'p> {
    pipeline: &'p Pipeline,
    broken: &'p BTreeSet<String>,
    lookup: &'p dyn Lookup,
    nodes: Vec<Node>,
    flows: Vec<Flow>,
    /// Sources and steps that are planned.
    ids: HashMap<String, NodeId>,
    /// The nodes that measure windows, by quality step.
    windows: HashMap<String, NodeId>,
    copies: Copies,
    diagnostics: Vec<Diagnostic>,
}

/// What a step reads, as far as its text tells.
enum Reads {
    From(String),
    Tables(Box<Query>),
    /// Its query cannot be read; the findings are reported in the step's turn.
    Unreadable(Vec<Issue>),
}

impl Reads {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::From(name) => vec![name],
            Self::Tables(query) => query.tables.iter().map(|table| table.name.as_str()).collect(),
            Self::Unreadable(_) => Vec::new(),
        }
    }
}

fn reads(step: &Step) -> Reads {
    match step {
        Step::Quality(step) => Reads::From(step.from.clone()),
        Step::Consent(step) => Reads::From(step.from.clone()),
        Step::Mask(step) => Reads::From(step.from.clone()),
        Step::Alert(step) => Reads::From(step.from.clone()),
        Step::Sql(step) => Query::parse(&step.query).map_or_else(Reads::Unreadable, |query| Reads::Tables(Box::new(query))),
    }
}

impl Planner<'_> {
    fn push(&mut self, (node, flow): (Node, Flow)) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(node);
        self.flows.push(flow);
        id
    }

    fn sources(&mut self) {
        for (name, source) in &self.pipeline.sources {
            if self.is_broken("sources", name) {
                continue;
            }
            if let Some(planned) = source::plan(name, source, self.lookup, &mut self.diagnostics) {
                let id = self.push(planned);
                self.ids.insert(name.clone(), id);
            }
        }
    }

    fn tables(&mut self) {
        for (name, table) in &self.pipeline.tables {
            if self.is_broken("tables", name) {
                continue;
            }
            if let Some(planned) = source::table(name, table, self.lookup, &mut self.diagnostics) {
                let id = self.push(planned);
                self.ids.insert(name.clone(), id);
            }
        }
    }

    fn is_broken(&self, section: &str, name: &str) -> bool {
        self.broken.contains(&format!("{section}.{name}"))
    }

    /// A name that `from` or a query may use.
    fn exists(&self, name: &str) -> bool {
        let Pipeline { sources, steps, tables, .. } = self.pipeline;
        sources.contains_key(name) || steps.contains_key(name) || tables.contains_key(name)
    }

    fn unknown(&self, path: String, name: &str) -> Diagnostic {
        let Pipeline { sources, steps, tables, .. } = self.pipeline;
        let names = sources.keys().chain(steps.keys()).chain(tables.keys()).map(String::as_str);
        let message = format!("`{name}` is neither a source nor a step");
        Diagnostic::error("unknown-reference", path, message).with_help(suggest::among("source or step", name, names))
    }

    /// Plans steps as their inputs become known: in topological order, ties in the document's order.
    fn steps(&mut self) {
        let (broken, sound): (Vec<_>, Vec<_>) = self.pipeline.steps.iter().partition(|(name, _)| self.is_broken("steps", name));
        let mut waiting: Vec<(&String, &Step, Reads)> = sound.into_iter().map(|(name, step)| (name, step, reads(step))).collect();
        // What will never be planned, because it or something that it reads has errors.
        let sources = self.pipeline.sources.keys().chain(self.pipeline.tables.keys());
        let sources = sources.map(String::as_str).filter(|name| !self.ids.contains_key(*name));
        let mut poisoned: Vec<&str> = sources.chain(broken.into_iter().map(|(name, _)| name.as_str())).collect();
        loop {
            let settled = |name: &&str| self.ids.contains_key(*name) || poisoned.contains(name) || !self.exists(name);
            let Some(next) = waiting.iter().position(|(_, _, reads)| reads.names().iter().all(settled)) else {
                break;
            };
            let (name, step, reads) = waiting.remove(next);
            if !self.step(name, step, reads) {
                poisoned.push(name);
            }
        }
        self.cycles(&waiting);
    }

    /// What is left when nothing can go on: steps on a cycle, and steps behind one.
    fn cycles(&mut self, waiting: &[(&String, &Step, Reads)]) {
        let reads = |name: &str| waiting.iter().find(|(step, ..)| *step == name).map(|(_, _, reads)| reads.names());
        let mut told: Vec<&str> = Vec::new();
        for (start, step, _) in waiting {
            let mut path: Vec<&str> = vec![start];
            // Follow the first input that waits too; a step behind a cycle runs into it without coming back to itself.
            while let Some(next) = path.last().and_then(|last| reads(last)?.into_iter().find(|name| reads(name).is_some())) {
                if next == start.as_str() {
                    if !path.iter().any(|name| told.contains(name)) {
                        told.extend(&path);
                        path.push(start);
                        path.reverse();
                        let message = format!("`{start}` depends on itself: {}", path.join(" -> "));
                        let help = "read from a source or from a step that comes before it";
                        self.diagnostics
                            .push(Diagnostic::error("cycle", format!("steps.{start}.{}", step.key()), message).with_help(help));
                    }
                    break;
                }
                if path.contains(&next) {
                    break;
                }
                path.push(next);
            }
        }
    }

    /// Plans one step whose inputs are settled; false when it has no rows to offer to others.
    fn step(&mut self, name: &str, step: &Step, reads: Reads) -> bool {
        let path = format!("steps.{name}.{}", step.key());
        let missing: Vec<String> = reads.names().into_iter().filter(|name| !self.exists(name)).map(str::to_owned).collect();
        if !missing.is_empty() {
            for missing in missing {
                let unknown = match (&reads, step) {
                    (Reads::Tables(query), Step::Sql(SqlStep { query: text, .. })) => {
                        let span = query.tables.iter().find(|table| table.name == missing).map(|table| table.span);
                        let unknown = self.unknown(path.clone(), &missing);
                        let placed = span.map(|span| Issue::new("unknown-reference", "").at(span).diagnostic(&path, text));
                        Diagnostic { notes: placed.map_or_else(Vec::new, |placed| placed.notes), ..unknown }
                    }
                    _ => self.unknown(format!("{path}.from"), &missing),
                };
                self.diagnostics.push(unknown);
            }
            return false;
        }
        if let (Reads::Unreadable(issues), Step::Sql(SqlStep { query: text, .. })) = (&reads, step) {
            self.diagnostics.extend(issues.iter().cloned().map(|issue| issue.diagnostic(&path, text)));
            return false;
        }
        let Some(inputs) = reads
            .names()
            .iter()
            .map(|name| Some(((*name).to_owned(), *self.ids.get(*name)?)))
            .collect::<Option<BTreeMap<_, _>>>()
        else {
            return false;
        };
        if let Some((alert, from)) = reads.names().into_iter().find_map(|name| Some((name, self.alert_reads(name)?))) {
            let path = if matches!(step, Step::Sql(_)) { path } else { format!("{path}.from") };
            self.diagnostics.push(puts_out_nothing(path, alert, from));
            return false;
        }
        let is_stateful = matches!(&reads, Reads::Tables(query) if query.stateful);
        let table = inputs.iter().find(|(_, id)| matches!(self.nodes[**id].kind, NodeKind::Table(_)));
        if let Some((table, _)) = table.filter(|_| !is_stateful) {
            let path = if matches!(step, Step::Sql(_)) { path } else { format!("{path}.from") };
            self.diagnostics.push(only_looked_up(path, table));
            return false;
        }
        let reads = match (reads, step) {
            (Reads::Tables(query), Step::Sql(step)) if is_stateful => return self.stateful(name, step, *query, &inputs),
            (reads, _) => reads,
        };
        if let Step::Sql(SqlStep { min_group: Some(_), .. }) = step {
            let message = "min_group is for queries with GROUP BY";
            let error = Diagnostic::error("min-group", format!("{path}.min_group"), message);
            self.diagnostics.push(error.with_help("leave it out"));
        }
        let known = Known { nodes: &self.nodes, flows: &self.flows };
        let first = inputs.values().next().copied();
        let planned = match (step, reads, first) {
            (Step::Quality(step), _, Some(input)) => Some(known.quality(name, step, input, &mut self.diagnostics)),
            (Step::Consent(step), _, Some(input)) => {
                Some(known.consent(name, step, &self.pipeline.purpose, input, &mut self.diagnostics))
            }
            (Step::Mask(step), _, Some(input)) => known.mask(name, step, input, &mut self.diagnostics),
            (Step::Alert(step), _, Some(input)) => {
                let measured = match &step.when {
                    AlertCondition::Rule(_) => self.windows.get(&step.from).copied(),
                    AlertCondition::Rows(_) => Some(input),
                };
                measured.and_then(|input| known.alert(name, step, input, &mut self.diagnostics))
            }
            (Step::Sql(step), Reads::Tables(query), Some(_)) => {
                known.sql(name, &step.query, *query, &inputs, &mut self.diagnostics)
            }
            _ => None,
        };
        let Some(planned) = planned else { return false };
        let id = self.push(planned);
        if !self.is_bounded(path) {
            return false;
        }
        self.ids.insert(name.to_owned(), id);
        if let (Step::Quality(step), Some(input)) = (step, first)
            && let Some(windows) = &step.windows
        {
            let known = Known { nodes: &self.nodes, flows: &self.flows };
            if let Some(measure) = known.measure(name, step, windows, input, &mut self.diagnostics) {
                let id = self.push(measure);
                self.windows.insert(name.to_owned(), id);
            }
        }
        true
    }

    /// What an alert step reads, if it is one.
    fn alert_reads(&self, name: &str) -> Option<&str> {
        match self.pipeline.steps.get(name) {
            Some(Step::Alert(alert)) if !self.pipeline.sources.contains_key(name) => Some(&alert.from),
            _ => None,
        }
    }

    /// A query with state: a chain of nodes.
    fn stateful(&mut self, name: &str, step: &SqlStep, query: Query, inputs: &BTreeMap<String, NodeId>) -> bool {
        let path = format!("steps.{name}.sql");
        let before = self.nodes.len();
        let mut chain = Chain::new(&mut self.nodes, &mut self.flows, name, &step.query);
        chain.ttl = step.state_ttl.map(|ttl| i64::try_from(ttl.as_duration().as_micros()).unwrap_or(i64::MAX));
        chain.min_group = step.min_group;
        let planned = query.chain(inputs, &mut chain);
        let unbounded = std::mem::take(&mut chain.unbounded);
        let found = match planned {
            Ok(id) => {
                if !self.is_bounded(path.clone()) {
                    return false;
                }
                self.ids.insert(name.to_owned(), id);
                unbounded.into_iter().map(|issue| issue.diagnostic(&path, &step.query)).collect::<Vec<_>>()
            }
            Err(issues) => {
                self.nodes.truncate(before);
                self.flows.truncate(before);
                self.diagnostics.extend(issues.into_iter().map(|issue| issue.diagnostic(&path, &step.query)));
                return false;
            }
        };
        for mut finding in found {
            if !self.pipeline.strict {
                finding.severity = Severity::Warning;
            }
            self.diagnostics.push(finding);
        }
        true
    }

    /// Whether the step just planned makes no more rows of one than is allowed; says so if it does. Nothing is planned on top of it then.
    fn is_bounded(&mut self, path: String) -> bool {
        let Some((source, count)) = self.copies.count(&self.nodes) else { return true };
        let source = &self.nodes[source].name;
        let message =
            format!("UNION ALL makes {count} rows of one row of `{source}` up to here; at most {} are allowed", copies::MOST);
        let help = "read each source or step in one arm; what differs from arm to arm can be a CASE";
        self.diagnostics.push(Diagnostic::error("too-many-copies", path, message).with_help(help));
        false
    }

    fn sinks(&mut self) {
        for (name, sink) in &self.pipeline.sinks {
            if self.is_broken("sinks", name) {
                continue;
            }
            if let Some(from) = self.alert_reads(&sink.from) {
                let refused = puts_out_nothing(format!("sinks.{name}.from"), &sink.from, from);
                self.diagnostics.push(refused);
                continue;
            }
            let Some(&input) = self.ids.get(&sink.from) else {
                if !self.exists(&sink.from) {
                    let unknown = self.unknown(format!("sinks.{name}.from"), &sink.from);
                    self.diagnostics.push(unknown);
                }
                continue;
            };
            if let NodeKind::Table(_) = self.nodes[input].kind {
                self.diagnostics.push(only_looked_up(format!("sinks.{name}.from"), &sink.from));
                continue;
            }
            let known = Known { nodes: &self.nodes, flows: &self.flows };
            let planned = known.sink(name, sink, input, &mut self.diagnostics);
            self.push(planned);
        }
    }
}

fn only_looked_up(path: String, table: &str) -> Diagnostic {
    let message = format!("`{table}` is reference data; rows can only be looked up in it");
    Diagnostic::error("table-read", path, message)
        .with_help(format!("join it in a sql step: FROM rows AS r JOIN {table} ON r.key = {table}.key"))
}
