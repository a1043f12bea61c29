//! The leak check: no column reaches a sink that is too sensitive for it, or whose category the purpose does not allow.

use std::collections::{BTreeMap, BTreeSet};

use weir_spec::{Classification, Diagnostic, Pipeline, Sink, Trail};

use crate::{
    operator::{JoinKind, Operator},
    plan::{LineageKind, Node, NodeId, NodeKind},
    purpose::PurposePolicy,
    remedy,
    steps::Known,
};

/// A column of a node.
pub(crate) type Place = (NodeId, usize);

/// Every finding about every sink that could be planned.
pub(crate) fn check(pipeline: &Pipeline, known: &Known<'_>, policy: &PurposePolicy) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (id, node) in known.nodes.iter().enumerate() {
        let NodeKind::Sink(planned) = &node.kind else {
            continue;
        };
        let leak = Leak { known, id, node, sink: &planned.sink };
        for column in 0..node.columns.len() {
            found.extend(leak.classification(column));
            // One that could not be read has been spoken of.
            if !pipeline.purpose.is_empty() {
                found.extend(leak.purpose(column, &pipeline.purpose, policy));
            }
        }
    }
    found.extend(filters(known));
    found.extend(alerts(known));
    found
}

struct Leak<'l> {
    known: &'l Known<'l>,
    id: NodeId,
    node: &'l Node,
    sink: &'l Sink,
}

impl Leak<'_> {
    fn classification(&self, column: usize) -> Option<Diagnostic> {
        let facts = &self.node.columns[column];
        let clearance = self.sink.clearance;
        if facts.classification <= clearance {
            return None;
        }
        let too_much = |(id, column): Place| self.known.nodes[id].columns[column].classification > clearance;
        let paths = paths(self.known, (self.id, column), &too_much);
        let message = format!(
            "`{}` is {} and would reach sink `{}`, which is cleared for {clearance}",
            facts.name, facts.classification, self.node.name
        );
        let mut diagnostic = Diagnostic::error("leak", format!("sinks.{}", self.node.name), message);
        for path in &paths {
            diagnostic.notes.extend(self.told(path));
        }
        let mask = remedy::mask(self.known, &paths, self.sink, remedy::Target::Class(clearance));
        let recipient = self.sink.recipient.as_deref().unwrap_or("whoever reads it");
        let implies = match facts.classification {
            Classification::Restricted => "restricted data, which needs explicit permission",
            Classification::Confidential => "confidential data, for those who need it",
            Classification::Internal => "internal data, which must not leave the organisation",
            Classification::Public => "public data",
        };
        let raise = format!(
            "or raise the clearance, so that {recipient} may hold {implies}:\nsinks:\n  {}:\n    clearance: {}",
            self.node.name, facts.classification
        );
        Some(diagnostic.with_help(format!("{mask}\n{raise}")).with_trail(self.trail(column, &paths)))
    }

    fn purpose(&self, column: usize, purpose: &str, policy: &PurposePolicy) -> Vec<Diagnostic> {
        let facts = &self.node.columns[column];
        let refused = facts.categories.iter().filter_map(|category| Some((category, policy.refusal(category, purpose)?)));
        refused
            .map(|(category, rule)| {
                let holds = |(id, column): Place| self.known.nodes[id].columns[column].categories.contains(category);
                let paths = paths(self.known, (self.id, column), &holds);
                let message = format!(
                    "the purpose `{purpose}` does not allow {category}, but `{}` would carry it to sink `{}`",
                    facts.name, self.node.name
                );
                let mut diagnostic = Diagnostic::error("purpose", format!("sinks.{}", self.node.name), message);
                for path in &paths {
                    diagnostic.notes.extend(self.told(path));
                }
                diagnostic.notes.push(format!("rule on {}: {}", rule.category, rule.reason));
                let mask = remedy::mask(self.known, &paths, self.sink, remedy::Target::Forget(self.sink.clearance));
                let allowed = rule.purposes.iter().map(|purpose| format!("`{purpose}`")).collect::<Vec<_>>().join(", ");
                let or_else = format!("{mask}\nor process it for a purpose that allows it, if that is the purpose: {allowed}");
                diagnostic.with_help(or_else).with_trail(self.trail(column, &paths))
            })
            .collect()
    }

    /// The paths by the names of the document's parts; the nodes of one step are one part.
    fn trail(&self, column: usize, paths: &[Vec<Place>]) -> Trail {
        let ways = paths.iter().map(|path| {
            let mut way: Vec<String> = path.iter().map(|&(id, _)| self.known.nodes[id].step.clone()).collect();
            way.dedup();
            way
        });
        Trail { column: self.node.columns[column].name.clone(), sink: self.node.name.clone(), ways: ways.collect() }
    }

    /// A path in words, from source to sink.
    fn told(&self, path: &[Place]) -> Vec<String> {
        path.iter().map(|&place| line(self.known, place)).collect()
    }
}

/// A step of a path in words.
fn line(known: &Known<'_>, (id, column): Place) -> String {
    let node = &known.nodes[id];
    let facts = &node.columns[column];
    let class = facts.classification;
    match &node.kind {
        NodeKind::Source(source) => {
            let by = match (&source.contract, &source.contract_version) {
                (Some(contract), Some(version)) => {
                    format!("by contract `{contract}` (version {version})")
                }
                _ => "by its schema".to_owned(),
            };
            let categories =
                if facts.categories.is_empty() { String::new() } else { format!(", {}", facts.categories.join(", ")) };
            format!("source `{}`: `{}` is {class} {by}{categories}", node.name, facts.name)
        }
        NodeKind::Sink(planned) => {
            let recipient =
                planned.sink.recipient.as_ref().map_or_else(String::new, |recipient| format!(", recipient {recipient}"));
            format!("sink `{}`: clearance {}{recipient}", node.name, planned.sink.clearance)
        }
        NodeKind::Table(_) => format!("table `{}`: `{}` is {class} by its schema", node.name, facts.name),
        kind => {
            let did = match &known.flows[id].columns[column].how {
                Some(how) if matches!(kind, NodeKind::Mask(_)) => how.clone(),
                Some(how) => format!("{how}, {class}"),
                None => format!("passes `{}` on as it is", facts.name),
            };
            format!("step `{}` ({}): {did}", node.step, kind.as_str())
        }
    }
}

/// One path from each source column that a column owes `wanted` to, source first.
fn paths(known: &Known<'_>, end: Place, wanted: &dyn Fn(Place) -> bool) -> Vec<Vec<Place>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([end]);
    // Each entry is a path from the sink backwards.
    let mut pending = vec![vec![end]];
    while let Some(path) = pending.pop() {
        let Some(&(id, column)) = path.last() else {
            continue;
        };
        if known.nodes[id].inputs.is_empty() {
            found.push(path.into_iter().rev().collect());
            continue;
        }
        // A masked column is its own continuation: the mask did not take away what is wanted.
        let masked = matches!(known.nodes[id].kind, NodeKind::Mask(_));
        let influences = known.flows[id].columns[column].influences.iter();
        let carrying = influences.filter(|influence| influence.carries_class() || (masked && influence.kind.is_direct()));
        let before: BTreeSet<Place> =
            carrying.map(|influence| (influence.input, influence.column)).filter(|&place| wanted(place)).collect();
        for place in before.into_iter().rev() {
            if seen.insert(place) {
                let mut longer = path.clone();
                longer.push(place);
                pending.push(longer);
            }
        }
    }
    found
}

/// What of an operator decides, as a filter does, which rows are there: the match of an inner join, the order of a rank.
fn decides(kind: &NodeKind) -> Option<(&'static str, LineageKind)> {
    let NodeKind::Operator(node) = kind else { return None };
    match &node.operator {
        Operator::Join(join) if join.kind == JoinKind::Inner => Some(("join", LineageKind::Join)),
        Operator::Rank(_) => Some(("order", LineageKind::Sort)),
        Operator::Match(_) => Some(("pattern", LineageKind::Sort)),
        _ => None,
    }
}

/// Filters that reveal, by which rows are there, what the sink may not hold.
fn filters(known: &Known<'_>) -> Vec<Diagnostic> {
    // For every node the sinks that its rows reach, and what watches them.
    let mut sinks: Vec<BTreeSet<NodeId>> = vec![BTreeSet::new(); known.nodes.len()];
    for (id, node) in known.nodes.iter().enumerate().rev() {
        if matches!(node.kind, NodeKind::Sink(_)) || observes(node) {
            sinks[id].insert(id);
        }
        let here = sinks[id].clone();
        for &input in &node.inputs {
            sinks[input].extend(here.iter().copied());
        }
    }
    let mut found = Vec::new();
    for (id, node) in known.nodes.iter().enumerate() {
        if !matches!(node.kind, NodeKind::Sql(_) | NodeKind::Operator(_)) || observes(node) {
            continue;
        }
        // Compared rather than only tested for null, if any filter does so.
        let mut used: BTreeMap<Place, (Classification, bool)> = BTreeMap::new();
        for filter in &known.flows[id].filters {
            let (class, compared) = used.entry((filter.input, filter.column)).or_default();
            *class = (*class).max(filter.class(known.nodes));
            *compared |= !filter.only_null_test;
        }
        if let Some((_, kind)) = decides(&node.kind) {
            let influences = known.flows[id].columns.iter().flat_map(|column| &column.influences);
            for influence in influences.filter(|influence| influence.kind == kind) {
                let class = known.nodes[influence.input].columns[influence.column].classification;
                used.insert((influence.input, influence.column), (class, true));
            }
        }
        let what = decides(&node.kind).map_or("filter", |(what, _)| what);
        for ((input, column), (class, compared)) in used {
            let facts = &known.nodes[input].columns[column];
            if class < Classification::Confidential {
                continue;
            }
            let below = |&sink: &NodeId| match &known.nodes[sink].kind {
                NodeKind::Sink(planned) if planned.sink.clearance < class => {
                    Some(format!("`{}` ({})", known.nodes[sink].name, planned.sink.clearance))
                }
                _ => None,
            };
            let path = format!("steps.{}.sql", node.step);
            let watched: BTreeSet<&str> =
                sinks[id].iter().map(|&end| &known.nodes[end]).filter(|node| observes(node)).map(|node| &*node.step).collect();
            if compared && !watched.is_empty() {
                let watched = watched.iter().map(|step| format!("`{step}`")).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "the {what} on `{}` ({class}) tells everyone who sees what {watched} observes what it holds",
                    facts.name
                );
                let mut diagnostic = Diagnostic::warning("alert-leak", path.clone(), message);
                let secret = |place: Place| known.nodes[place.0].columns[place.1].classification > Classification::Internal;
                for path in paths(known, (input, column), &secret) {
                    diagnostic.notes.extend(path.into_iter().map(|place| line(known, place)));
                }
                found.push(diagnostic.with_help("watch rows before the filter, or filter on a masked or less sensitive column"));
            }
            let reached: Vec<String> = sinks[id].iter().filter_map(below).collect();
            if reached.is_empty() {
                continue;
            }
            let told = if compared { "what it holds" } else { "whether it has a value" };
            let message =
                format!("the {what} on `{}` ({class}) tells of every row that reaches {} {told}", facts.name, reached.join(", "));
            let refused = compared && class == Classification::Restricted;
            let diagnostic = if refused {
                Diagnostic::error("filter-leak", path, message)
            } else {
                Diagnostic::warning("filter-leak", path, message)
            };
            let help = match compared {
                true => "filter on a masked or less sensitive column, or raise the clearance of the sink",
                false => {
                    "if that is all it tells, nothing needs to be done; a quality rule `not_null` keeps it out of the filter"
                }
            };
            found.push(diagnostic.with_help(help));
        }
    }
    found
}

/// Whether it only watches rows, for people who are cleared for internal data.
fn observes(node: &Node) -> bool {
    matches!(&node.kind, NodeKind::Operator(planned) if planned.operator.is_observer())
}

/// Conditions of alerts that tell whoever sees alerts, by what raises them, what a column above internal holds.
fn alerts(known: &Known<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (id, node) in known.nodes.iter().enumerate() {
        let NodeKind::Operator(planned) = &node.kind else { continue };
        let Operator::Alert(_) = &planned.operator else { continue };
        let secret = |place: Place| known.nodes[place.0].columns[place.1].classification > Classification::Internal;
        for filter in &known.flows[id].filters {
            let (name, class) = (&known.nodes[filter.input].columns[filter.column].name, filter.class(known.nodes));
            if class <= Classification::Internal {
                continue;
            }
            let told = if filter.only_null_test { "whether it has a value" } else { "what it holds" };
            let message = format!(
                "the condition on `{name}` ({class}) tells everyone who sees the alerts of `{}` {told} in some row",
                node.name
            );
            let mut diagnostic = Diagnostic::warning("alert-leak", format!("steps.{}.alert.when", node.name), message);
            for path in paths(known, (filter.input, filter.column), &secret) {
                diagnostic.notes.extend(path.into_iter().map(|place| line(known, place)));
            }
            diagnostic.notes.push(format!("step `{}` (alert): asks about `{name}`", node.name));
            found.push(diagnostic.with_help("ask about a masked or less sensitive column, if that serves"));
        }
    }
    found
}
