//! What would make a leaking pipeline lawful: a mask, written out where it belongs.

use std::collections::BTreeMap;

use weir_spec::{Classification, DataType, Sink};

use crate::{
    leak::Place,
    plan::{NodeId, NodeKind},
    schema,
    steps::Known,
};

/// What masking has to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// This class or a lower one.
    Class(Classification),
    /// The same, and nothing may be left of the category.
    Forget(Classification),
}

/// Says which columns to mask at which step so that what these paths carry reaches the target.
pub(crate) fn mask(known: &Known<'_>, paths: &[Vec<Place>], sink: &Sink, target: Target) -> String {
    existing(known, paths, target).unwrap_or_else(|| before_sink(known, paths, sink, target))
}

/// A mask step that every path passes, after which the column is only passed on, so that a mask there disturbs no expression.
fn existing(known: &Known<'_>, paths: &[Vec<Place>], target: Target) -> Option<String> {
    let mut step: Option<NodeId> = None;
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        let at = path.iter().rposition(|&(id, _)| matches!(known.nodes[id].kind, NodeKind::Mask(_)))?;
        let (id, column) = path[at];
        let undisturbed = path[at + 1..].iter().all(|&(id, column)| known.flows[id].columns[column].how.is_none());
        // What the step already masks in vain would have to be masked otherwise; the same holds for a name used twice.
        if !undisturbed || *step.get_or_insert(id) != id {
            return None;
        }
        let (input, from) = path[at - 1];
        let operator = operator(known, (input, from), target);
        columns.insert(known.nodes[id].columns[column].name.clone(), operator);
    }
    let name = &known.nodes[step?].name;
    let names = columns.keys().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(" and ");
    let mut text = format!("mask {names} at step `{name}`:\nsteps:\n  {name}:\n    mask:\n      columns:");
    for (column, operator) in &columns {
        text.push_str(&format!("\n        {column}: {{ {operator} }}"));
    }
    Some(text)
}

/// A new step right before the sink.
fn before_sink(known: &Known<'_>, paths: &[Vec<Place>], sink: &Sink, target: Target) -> String {
    let Some(&[.., (from, column), (sink_id, _)]) = paths.first().map(Vec::as_slice) else {
        return "mask the column before the sink".to_owned();
    };
    let facts = &known.nodes[from].columns[column];
    let operator = operator(known, (from, column), target);
    let taken = |name: &str| known.nodes.iter().any(|node| node.name == name);
    let mut name = format!("{}_masked", known.nodes[sink_id].name);
    while taken(&name) {
        name.push('_');
    }
    format!(
        "mask `{0}` in a step before the sink:\nsteps:\n  {name}:\n    mask:\n      from: {1}\n      columns:\n        {0}: {{ {operator} }}\nsinks:\n  {2}:\n    from: {name}",
        facts.name, sink.from, known.nodes[sink_id].name
    )
}

/// The operator that keeps most of a column's use and reaches the target.
fn operator(known: &Known<'_>, (id, column): Place, target: Target) -> String {
    let node = &known.nodes[id];
    let facts = &node.columns[column];
    let data_type = schema::logical_type(node.schema.field(column).data_type());
    let (clearance, coarser_suffices) = match target {
        Target::Class(clearance) => (clearance, facts.classification.lowered() <= clearance),
        Target::Forget(clearance) => (clearance, false),
    };
    let has = |part: &str| facts.categories.iter().any(|category| category.contains(part));
    let pseudonym = clearance > Classification::Public;
    let text = match data_type {
        Some(DataType::Date | DataType::Timestamp) if coarser_suffices => "generalize: { to: year }",
        Some(DataType::String) if !pseudonym => "redact: {}",
        Some(DataType::String) if has("credit_card") || has("payment") || facts.name.contains("card") => {
            "token: { keep_last: 4 }"
        }
        Some(DataType::String) => "hash: {}",
        Some(DataType::Int32 | DataType::Int64) if pseudonym && (has("unique_id") || node.subject == Some(column)) => "hash: {}",
        _ => "null: {}",
    };
    text.to_owned()
}
