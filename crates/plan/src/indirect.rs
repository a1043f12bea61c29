//! Indirect flows: what is there, and in which order or group, tells of the column that decided it.
//!
//! | decided by | is about | a restricted column | a confidential one |
//! | --- | --- | --- | --- |
//! | a filter, a join, an order, a group of computed values, a pattern, a rule that names values | what it holds | error | warning |
//! | a rule on a list in a file | whether the list holds it | warning | warning |
//! | a rule that many values keep | something that many have in common: one class lower | warning | nothing |
//! | a filter `IS NULL` | whether there is a value | warning | warning |
//! | what cannot be computed for every value | which values those are | warning | nothing |
//! | a rule `not_null` or `format` | | nothing | nothing |
//!
//! Each holds for sinks that are not cleared for the class in question.

use std::collections::{BTreeMap, BTreeSet};

use weir_spec::{Classification, Diagnostic, Severity};

use crate::{
    flow::{By, Tells},
    operator::Operator,
    path::{Place, line, onwards, paths},
    plan::{Node, NodeId, NodeKind},
    remedy::{self, Target},
    steps::Known,
};

/// What decides about the rows of a node, by a column, put together from all its uses there.
struct Decides<'k> {
    known: &'k Known<'k>,
    id: NodeId,
    place: Place,
    by: By,
    class: Classification,
    tells: Tells,
    severity: Severity,
    /// Sinks that are cleared for this class may know it.
    above: Classification,
    /// The sinks and the observers that the rows reach.
    ends: &'k BTreeSet<NodeId>,
}

/// Filters, and what else decides as a filter does, that reveal by which rows are there what a sink may not hold.
pub(crate) fn filters(known: &Known<'_>) -> Vec<Diagnostic> {
    // For every node the sinks that its rows reach, and what watches them.
    let mut ends: Vec<BTreeSet<NodeId>> = vec![BTreeSet::new(); known.nodes.len()];
    for (id, node) in known.nodes.iter().enumerate().rev() {
        if matches!(node.kind, NodeKind::Sink(_)) || observes(node) {
            ends[id].insert(id);
        }
        let here = ends[id].clone();
        for &input in &node.inputs {
            ends[input].extend(here.iter().copied());
        }
    }
    let deciding = deciding(known, &ends);
    let mut proposals = Proposals::of(&deciding);
    let mut found = Vec::new();
    for decides in &deciding {
        decides.watched().into_iter().for_each(|finding| add(&mut found, finding));
        decides.reaches(&mut proposals).into_iter().for_each(|finding| add(&mut found, finding));
    }
    found
}

/// Everything that decides about rows by a column that is sensitive enough.
fn deciding<'k>(known: &'k Known<'k>, ends: &'k [BTreeSet<NodeId>]) -> Vec<Decides<'k>> {
    let mut deciding = Vec::new();
    for (id, node) in known.nodes.iter().enumerate() {
        let decides = matches!(node.kind, NodeKind::Sql(_) | NodeKind::Operator(_) | NodeKind::Quality(_)) && !observes(node);
        if !decides {
            continue;
        }
        let mut used: BTreeMap<(Place, By), (Classification, Tells)> = BTreeMap::new();
        for filter in &known.flows[id].filters {
            let place = (filter.input, filter.column);
            let by = if filter.by == By::Condition { By::Join } else { filter.by };
            // Whether there is a value may itself have been chosen: `CASE WHEN card = … THEN 1 END IS NULL`, a left join.
            let tells = match filter.tells {
                Tells::Presence if !known.origin().is_own(place.0, place.1) => Tells::Value,
                tells => tells,
            };
            let (class, most) = used.entry((place, by)).or_insert((Classification::Public, tells));
            *class = (*class).max(filter.class(known.nodes));
            *most = (*most).max(tells);
        }
        let used = used.into_iter().filter_map(|((place, by), (class, tells))| {
            let (severity, above) = weight(by, tells, class)?;
            Some(Decides { known, id, place, by, class, tells, severity, above, ends: &ends[id] })
        });
        deciding.extend(used);
    }
    deciding
}

/// How bad it is, and for sinks below which clearance. See the table above.
fn weight(by: By, tells: Tells, class: Classification) -> Option<(Severity, Classification)> {
    let above = match (by, tells) {
        (By::Failure, _) if class < Classification::Restricted => return None,
        (_, Tells::Coarse) => class.lowered(),
        _ => class,
    };
    let named = tells == Tells::Value && by != By::Failure;
    match above {
        Classification::Restricted if named => Some((Severity::Error, above)),
        Classification::Restricted | Classification::Confidential => Some((Severity::Warning, above)),
        Classification::Internal | Classification::Public => None,
    }
}

/// What is proposed for all that is found, each thing written out once, with the first that it mends: a document can hold one step of a
/// name, and one clearance.
#[derive(Default)]
struct Proposals {
    /// The columns to be masked behind each node, with the operators.
    masks: BTreeMap<NodeId, BTreeMap<String, String>>,
    /// What each sink would have to be cleared for.
    clearances: BTreeMap<NodeId, Classification>,
    /// What was written out, and for which column.
    told: BTreeMap<String, String>,
}

impl Proposals {
    fn of(deciding: &[Decides<'_>]) -> Self {
        let mut proposals = Self::default();
        for decides in deciding {
            for sink in decides.sinks() {
                let class = proposals.clearances.entry(sink).or_default();
                *class = (*class).max(decides.above);
            }
            if decides.is_mended_by_masks() {
                for (from, column, operator) in decides.masks() {
                    proposals.masks.entry(from).or_default().insert(column, operator);
                }
            }
        }
        proposals
    }

    /// The column for which this was written out already; from now on it is.
    fn told_for(&mut self, what: String, column: &str) -> Option<String> {
        match self.told.get(&what) {
            Some(first) => Some(format!("as proposed for `{first}`")),
            None => {
                self.told.insert(what, column.to_owned());
                None
            }
        }
    }
}

/// Puts findings that say the same together: both sides of a self-join, say.
fn add(found: &mut Vec<Diagnostic>, finding: Diagnostic) {
    let same =
        |other: &&mut Diagnostic| other.path == finding.path && other.message == finding.message && other.code == finding.code;
    match found.iter_mut().find(same) {
        Some(other) => {
            let more = finding.notes.into_iter().filter(|note| !other.notes.contains(note)).collect::<Vec<_>>();
            other.notes.extend(more);
        }
        None => found.push(finding),
    }
}

impl Decides<'_> {
    fn name(&self) -> &str {
        &self.known.nodes[self.place.0].columns[self.place.1].name
    }

    fn node(&self) -> &Node {
        &self.known.nodes[self.id]
    }

    /// The rule that decides, where one does.
    fn rule(&self) -> String {
        match (&self.node().kind, self.by) {
            (NodeKind::Quality(quality), By::Rule(number)) => {
                quality.rules.get(number).map_or_else(String::new, |rule| format!(" `{}`", rule.name))
            }
            _ => String::new(),
        }
    }

    fn what(&self) -> String {
        match self.by {
            By::Filter => "filter".to_owned(),
            By::Condition | By::Join => "join".to_owned(),
            By::Order => "order".to_owned(),
            By::Group => "grouping".to_owned(),
            By::Pattern => "pattern".to_owned(),
            By::Rule(_) => format!("rule{}", self.rule()),
            By::Failure => "computation".to_owned(),
        }
    }

    fn told(&self) -> &'static str {
        match (self.by, self.tells) {
            (By::Failure, _) => "that it could be computed",
            (_, Tells::Presence) => "whether it has a value",
            (_, Tells::Coarse) => "roughly what it holds",
            (_, Tells::Member) => "whether a list holds it",
            (_, Tells::Value) => "what it holds",
        }
    }

    /// Where in the document it is said.
    fn path(&self) -> String {
        match self.by {
            By::Rule(number) => format!("steps.{}.quality.rules[{number}]", self.node().step),
            _ => format!("steps.{}.sql", self.node().step),
        }
    }

    /// From the column's sources to what decides.
    fn way(&self) -> Vec<String> {
        let secret = |(id, column): Place| self.known.nodes[id].columns[column].classification > Classification::Internal;
        let mut way: Vec<String> =
            paths(self.known, self.place, &secret).into_iter().flatten().map(|place| line(self.known, place)).collect();
        let (node, name) = (self.node(), self.name());
        let did = match self.by {
            By::Filter => format!("filters on `{name}`"),
            By::Condition | By::Join => format!("joins on `{name}`"),
            By::Order => format!("orders by `{name}`"),
            By::Group => format!("groups by `{name}`"),
            By::Pattern => format!("asks about `{name}` in a pattern"),
            By::Rule(_) => format!("takes rows away by{} on `{name}`", self.rule()),
            By::Failure => format!("computes with `{name}` what cannot be computed for every value"),
        };
        way.push(format!("step `{}` ({}): {did}", node.step, node.kind.as_str()));
        way
    }

    /// What is said where somebody watches the rows.
    fn watched(&self) -> Option<Diagnostic> {
        let watching = self.ends.iter().map(|&end| &self.known.nodes[end]).filter(|node| observes(node));
        let watched: BTreeSet<String> = watching.map(|node| format!("`{}`", node.step)).collect();
        if watched.is_empty() || self.tells == Tells::Presence {
            return None;
        }
        let message = format!(
            "the {} on `{}` ({}) tells everyone who sees what {} observes {}",
            self.what(),
            self.name(),
            self.class,
            watched.into_iter().collect::<Vec<_>>().join(", "),
            self.told()
        );
        let mut diagnostic = Diagnostic::warning("alert-leak", self.path(), message);
        diagnostic.notes = self.way();
        let help = match self.by {
            By::Rule(_) => "watch rows before the rule, or let rows go on: `on_fail: flag`",
            _ => "watch rows before the filter, or filter on a masked or less sensitive column",
        };
        Some(diagnostic.with_help(help))
    }

    fn clearance(&self, end: NodeId) -> Option<Classification> {
        match &self.known.nodes[end].kind {
            NodeKind::Sink(planned) => Some(planned.sink.clearance),
            _ => None,
        }
    }

    /// The sinks that its rows reach and that are not cleared for it.
    fn sinks(&self) -> Vec<NodeId> {
        let below = |&end: &NodeId| self.clearance(end).is_some_and(|clearance| clearance < self.above);
        self.ends.iter().copied().filter(below).collect()
    }

    /// What is said where the rows reach such sinks.
    fn reaches(&self, proposals: &mut Proposals) -> Option<Diagnostic> {
        let sinks = self.sinks();
        if sinks.is_empty() {
            return None;
        }
        let reached =
            sinks.iter().filter_map(|&sink| Some(format!("`{}` ({})", self.known.nodes[sink].name, self.clearance(sink)?)));
        let message = format!(
            "the {} on `{}` ({}) tells of every row that reaches {} {}",
            self.what(),
            self.name(),
            self.class,
            reached.collect::<Vec<_>>().join(", "),
            self.told()
        );
        let mut diagnostic = match self.severity {
            Severity::Error => Diagnostic::error("filter-leak", self.path(), message),
            Severity::Warning => Diagnostic::warning("filter-leak", self.path(), message),
        };
        diagnostic.notes = self.way();
        for &sink in &sinks {
            for step in onwards(self.known, self.id, sink) {
                if !diagnostic.notes.contains(&step) {
                    diagnostic.notes.push(step);
                }
            }
        }
        if self.tells == Tells::Presence {
            let help = "if that is all it tells, nothing needs to be done; a quality rule `not_null` keeps it out of the filter";
            return Some(diagnostic.with_help(help));
        }
        let first = match self.by {
            By::Rule(_) => self.flag(proposals),
            By::Failure => {
                "let it be null where it cannot be computed: NULLIF(…, 0) for a divisor, TRY_CAST for a cast".to_owned()
            }
            _ => self.mask_before(proposals),
        };
        let class = sinks.iter().filter_map(|sink| proposals.clearances.get(sink)).max().copied().unwrap_or(self.above);
        let raise = match proposals.told_for(format!("{sinks:?}"), self.name()) {
            Some(before) => format!("raise the clearance, {before}"),
            None => remedy::raise(self.known, &sinks, class),
        };
        Some(diagnostic.with_help(format!("{first}\nor {raise}")))
    }

    /// To let the rows go on that a rule takes away.
    fn flag(&self, proposals: &mut Proposals) -> String {
        let step = &self.node().step;
        match proposals.told_for(format!("flag {step}"), self.name()) {
            Some(before) => format!("let the rows go on and count those that fail, {before}"),
            None => {
                format!("let the rows go on and count those that fail:\nsteps:\n  {step}:\n    quality:\n      on_fail: flag")
            }
        }
    }

    fn is_mended_by_masks(&self) -> bool {
        self.tells != Tells::Presence && !matches!(self.by, By::Rule(_) | By::Failure)
    }

    /// What to mask before the step that decides, at which node, and with what.
    fn masks(&self) -> Vec<(NodeId, String, String)> {
        let (known, step) = (self.known, &self.node().step);
        let Some(clearance) = self.sinks().into_iter().filter_map(|sink| self.clearance(sink)).min() else {
            return Vec::new();
        };
        let secret = |(id, column): Place| known.nodes[id].columns[column].classification > clearance;
        let before = paths(known, self.place, &secret).into_iter().filter_map(|path| {
            let &(id, column) = path.iter().rev().find(|(id, _)| known.nodes[*id].step != *step)?;
            let operator = remedy::operator(known, (id, column), Target::Class(clearance));
            Some((id, known.nodes[id].columns[column].name.clone(), operator))
        });
        before.collect()
    }

    /// To mask the column before the step that decides by it.
    fn mask_before(&self, proposals: &mut Proposals) -> String {
        let (known, step) = (self.known, &self.node().step);
        let froms: BTreeSet<NodeId> = self.masks().into_iter().map(|(from, ..)| from).collect();
        let (mut words, mut yaml) = (Vec::new(), String::new());
        for id in froms {
            let from = &known.nodes[id].name;
            let new = remedy::step_name(known, from);
            let masks: Vec<(String, String)> = proposals.masks.get(&id).cloned().unwrap_or_default().into_iter().collect();
            let reading = format!("write `{new} AS {from}` for `{from}` in the query of `{step}`");
            match proposals.told_for(format!("mask {id}"), self.name()) {
                Some(before) => words.push(format!("let `{new}` mask it, {before}, and {reading}")),
                None => {
                    let names = remedy::listed(masks.iter().map(|(column, _)| column));
                    words.push(format!("mask {names} in a step before it, and {reading}"));
                    yaml.push_str(&format!("\n{}", remedy::mask_step(&new, from, &masks)));
                }
            }
        }
        if words.is_empty() {
            return "decide by a masked or less sensitive column".to_owned();
        }
        let alike = "what it is compared with must be masked alike";
        let yaml = if yaml.is_empty() { yaml } else { format!(":\nsteps:{yaml}") };
        format!("{} ({alike}){yaml}", words.join("; "))
    }
}

/// Whether it only watches rows, for people who are cleared for internal data.
fn observes(node: &Node) -> bool {
    matches!(&node.kind, NodeKind::Operator(planned) if planned.operator.is_observer())
}

/// Conditions of alerts that tell whoever sees alerts, by what raises them, what a column above internal holds.
pub(crate) fn alerts(known: &Known<'_>) -> Vec<Diagnostic> {
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
            let only_tested = filter.tells == Tells::Presence && known.origin().is_own(filter.input, filter.column);
            let told = if only_tested { "whether it has a value" } else { "what it holds" };
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
