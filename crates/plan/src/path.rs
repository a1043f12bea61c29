//! How a column comes to be where it is, from its sources on, and where its rows go: for people.

use std::collections::BTreeSet;

use crate::{
    plan::{NodeId, NodeKind},
    steps::Known,
};

/// A column of a node.
pub(crate) type Place = (NodeId, usize);

/// A step of a path in words.
pub(crate) fn line(known: &Known<'_>, (id, column): Place) -> String {
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
        NodeKind::Sink(_) => sink_line(known, id),
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
pub(crate) fn paths(known: &Known<'_>, end: Place, wanted: &dyn Fn(Place) -> bool) -> Vec<Vec<Place>> {
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

/// The steps through which rows of a node go to a sink, in words; the sink is the last.
pub(crate) fn onwards(known: &Known<'_>, from: NodeId, sink: NodeId) -> Vec<String> {
    // Nodes come after their inputs: what leads to the sink is found backwards, the way itself forwards.
    let mut leads = BTreeSet::from([sink]);
    for id in (from..sink).rev() {
        let read_by = |&reader: &NodeId| known.nodes[reader].inputs.contains(&id);
        if leads.iter().any(read_by) {
            leads.insert(id);
        }
    }
    let mut told: Vec<String> = Vec::new();
    let mut here = from;
    while here != sink {
        let Some(&next) = leads.iter().find(|&&next| known.nodes[next].inputs.contains(&here)) else { break };
        let (node, last) = (&known.nodes[next], &known.nodes[here].step);
        match &node.kind {
            NodeKind::Sink(_) => told.push(sink_line(known, next)),
            kind if node.step != *last => told.push(format!("step `{}` ({}): passes those rows on", node.step, kind.as_str())),
            _ => {}
        }
        here = next;
    }
    told
}

fn sink_line(known: &Known<'_>, id: NodeId) -> String {
    let node = &known.nodes[id];
    let NodeKind::Sink(planned) = &node.kind else { return String::new() };
    let recipient = planned.sink.recipient.as_ref().map_or_else(String::new, |recipient| format!(", recipient {recipient}"));
    format!("sink `{}`: clearance {}{recipient}", node.name, planned.sink.clearance)
}
