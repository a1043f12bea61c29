//! The leak check: no column reaches a sink that is too sensitive for it, or whose category the purpose does not allow.

use std::collections::BTreeMap;

use weir_spec::{Diagnostic, Pipeline, Trail};

use crate::{
    indirect,
    path::{Place, line, paths},
    plan::{Node, NodeId, NodeKind},
    purpose::{CategoryRule, PurposePolicy},
    remedy::{self, Target},
    steps::Known,
};

/// Every finding about every sink that could be planned.
pub(crate) fn check(pipeline: &Pipeline, known: &Known<'_>, policy: &PurposePolicy) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (id, node) in known.nodes.iter().enumerate() {
        if let NodeKind::Sink(_) = &node.kind {
            found.extend(Leak { known, id, node }.findings(&pipeline.purpose, policy));
        }
    }
    found.extend(indirect::filters(known));
    found.extend(indirect::alerts(known));
    found
}

struct Leak<'l> {
    known: &'l Known<'l>,
    id: NodeId,
    node: &'l Node,
}

/// A column that the sink may not have.
struct Leaking<'p> {
    column: usize,
    paths: Vec<Vec<Place>>,
    why: Why<'p>,
    /// What a mask step that is there already could do about it.
    existing: Option<String>,
}

#[derive(Clone, Copy)]
enum Why<'p> {
    /// Its class is above the clearance.
    Class,
    /// The purpose does not allow this category of it, by this rule.
    Category(&'p str, &'p CategoryRule),
}

impl<'l> Leak<'l> {
    /// Every column that leaks, each with what would mend it. What mends several of them is written out once, with the first: a document
    /// can hold one step of a name, and one clearance.
    fn findings(&self, purpose: &str, policy: &PurposePolicy) -> Vec<Diagnostic> {
        let columns = 0..self.node.columns.len();
        let leaking: Vec<Leaking<'_>> = columns.flat_map(|column| self.leaking(column, purpose, policy)).collect();
        let mut targets: BTreeMap<usize, Target> = BTreeMap::new();
        for one in leaking.iter().filter(|one| one.existing.is_none()) {
            let target = self.target(one.why);
            targets.entry(one.column).and_modify(|known| *known = known.stronger(target)).or_insert(target);
        }
        let name = |column: usize| self.node.columns[column].name.as_str();
        let step = remedy::step_name(self.known, &self.node.name);
        let highest = leaking.iter().map(|one| self.node.columns[one.column].classification).max().unwrap_or_default();
        let (mut masks_told, mut clearance_told) = (None, None);
        let mut found = Vec::new();
        for one in &leaking {
            let mask = match (&one.existing, masks_told) {
                (Some(existing), _) => existing.clone(),
                (None, Some(first)) if first == one.column => {
                    format!("mask `{}` in a step before the sink, as above", name(first))
                }
                (None, Some(first)) => {
                    format!("`{step}`, the step proposed for `{}`, masks `{}` too", name(first), name(one.column))
                }
                (None, None) => {
                    masks_told = Some(one.column);
                    remedy::before_sink(self.known, self.id, &step, &targets)
                }
            };
            let other = match (one.why, clearance_told) {
                (Why::Class, Some(first)) => format!("or raise the clearance, as proposed for `{}`", name(first)),
                (Why::Class, None) => {
                    clearance_told = Some(one.column);
                    format!("or {}", remedy::raise(self.known, &[self.id], highest))
                }
                (Why::Category(_, rule), _) => {
                    let allowed = rule.purposes.iter().map(|purpose| format!("`{purpose}`")).collect::<Vec<_>>().join(", ");
                    format!("or process it for a purpose that allows it, if that is the purpose: {allowed}")
                }
            };
            found.push(self.told(one, purpose).with_help(format!("{mask}\n{other}")));
        }
        found
    }

    /// Why a column leaks, if it does.
    fn leaking(&self, column: usize, purpose: &str, policy: &'l PurposePolicy) -> Vec<Leaking<'l>> {
        let facts = &self.node.columns[column];
        let clearance = self.clearance();
        let mut whys = Vec::new();
        if facts.classification > clearance {
            whys.push(Why::Class);
        }
        // One that could not be read has been spoken of.
        if !purpose.is_empty() {
            let refused = facts.categories.iter().filter_map(|category| Some((category, policy.refusal(category, purpose)?)));
            whys.extend(refused.map(|(category, rule)| Why::Category(category, rule)));
        }
        let leaking = whys.into_iter().map(|why| {
            let wanted = |(id, column): Place| {
                let facts = &self.known.nodes[id].columns[column];
                match why {
                    Why::Class => facts.classification > clearance,
                    Why::Category(category, _) => facts.categories.iter().any(|held| held == category),
                }
            };
            let paths = paths(self.known, (self.id, column), &wanted);
            let existing = remedy::existing(self.known, &paths, self.target(why));
            Leaking { column, paths, why, existing }
        });
        leaking.collect()
    }

    fn clearance(&self) -> weir_spec::Classification {
        match &self.node.kind {
            NodeKind::Sink(planned) => planned.sink.clearance,
            _ => weir_spec::Classification::Restricted,
        }
    }

    fn target(&self, why: Why<'_>) -> Target {
        match why {
            Why::Class => Target::Class(self.clearance()),
            Why::Category(..) => Target::Forget(self.clearance()),
        }
    }

    /// What is wrong and how it comes about, from source to sink.
    fn told(&self, one: &Leaking<'_>, purpose: &str) -> Diagnostic {
        let (facts, sink) = (&self.node.columns[one.column], &self.node.name);
        let (code, message) = match one.why {
            Why::Class => (
                "leak",
                format!(
                    "`{}` is {} and would reach sink `{sink}`, which is cleared for {}",
                    facts.name,
                    facts.classification,
                    self.clearance()
                ),
            ),
            Why::Category(category, _) => (
                "purpose",
                format!(
                    "the purpose `{purpose}` does not allow {category}, but `{}` would carry it to sink `{sink}`",
                    facts.name
                ),
            ),
        };
        let mut diagnostic = Diagnostic::error(code, format!("sinks.{sink}"), message);
        diagnostic.notes.extend(one.paths.iter().flatten().map(|&place| line(self.known, place)));
        if let Why::Category(_, rule) = one.why {
            diagnostic.notes.push(format!("rule on {}: {}", rule.category, rule.reason));
        }
        diagnostic.with_trail(self.trail(one))
    }

    /// The paths by the names of the document's parts; the nodes of one step are one part.
    fn trail(&self, one: &Leaking<'_>) -> Trail {
        let ways = one.paths.iter().map(|path| {
            let mut way: Vec<String> = path.iter().map(|&(id, _)| self.known.nodes[id].step.clone()).collect();
            way.dedup();
            way
        });
        Trail { column: self.node.columns[one.column].name.clone(), sink: self.node.name.clone(), ways: ways.collect() }
    }
}
