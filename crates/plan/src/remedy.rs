//! What would make a leaking pipeline lawful: a mask, written out where it belongs.

use std::collections::BTreeMap;

use weir_spec::{Classification, DataType};

use crate::{
    path::Place,
    plan::{NodeId, NodeKind},
    schema,
    steps::Known,
};

/// What masking has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// This class or a lower one.
    Class(Classification),
    /// The same, and nothing may be left of the category.
    Forget(Classification),
}

impl Target {
    /// What reaches both.
    pub fn stronger(self, other: Self) -> Self {
        match (self, other) {
            (Self::Class(one), Self::Class(other)) => Self::Class(one.min(other)),
            (Self::Class(one) | Self::Forget(one), Self::Class(other) | Self::Forget(other)) => Self::Forget(one.min(other)),
        }
    }
}

/// A mask step that every path passes, after which the column is only passed on, so that a mask there disturbs no expression.
pub(crate) fn existing(known: &Known<'_>, paths: &[Vec<Place>], target: Target) -> Option<String> {
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
    let names = listed(columns.keys());
    let mut text = format!("mask {names} at step `{name}`:\nsteps:\n  {name}:\n    mask:\n      columns:");
    for (column, operator) in &columns {
        text.push_str(&format!("\n        {column}: {{ {operator} }}"));
    }
    Some(text)
}

/// The name of a new mask step for what this sink or step reads.
pub(crate) fn step_name(known: &Known<'_>, reader: &str) -> String {
    let taken = |name: &str| known.nodes.iter().any(|node| node.step == name);
    let mut name = format!("{reader}_masked");
    while taken(&name) {
        name.push('_');
    }
    name
}

/// A new step right before the sink, which masks these columns of it.
pub(crate) fn before_sink(known: &Known<'_>, sink: NodeId, step: &str, targets: &BTreeMap<usize, Target>) -> String {
    let (node, from) = (&known.nodes[sink], known.nodes[sink].inputs[0]);
    let masks =
        targets.iter().map(|(&column, &target)| (node.columns[column].name.clone(), operator(known, (from, column), target)));
    let masks: Vec<(String, String)> = masks.collect();
    let names = listed(masks.iter().map(|(column, _)| column));
    let yaml = mask_step(step, &known.nodes[from].name, &masks);
    format!("mask {names} in a step before the sink:\nsteps:\n{yaml}\nsinks:\n  {}:\n    from: {step}", node.name)
}

/// Columns in words: `a`, `b` and `c`.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A mask step as a document has it, indented below `steps:`.
pub(crate) fn mask_step(name: &str, from: &str, masks: &[(String, String)]) -> String {
    let mut text = format!("  {name}:\n    mask:\n      from: {from}\n      columns:");
    for (column, operator) in masks {
        text.push_str(&format!("\n        {column}: {{ {operator} }}"));
    }
    text
}

/// To clear these sinks for data of this class, and what that would mean.
pub(crate) fn raise(known: &Known<'_>, sinks: &[NodeId], class: Classification) -> String {
    let mut recipients: Vec<&str> = Vec::new();
    let mut yaml = String::new();
    for &sink in sinks {
        let node = &known.nodes[sink];
        yaml.push_str(&format!("\n  {}:\n    clearance: {class}", node.name));
        let recipient = match &node.kind {
            NodeKind::Sink(planned) => planned.sink.recipient.as_deref(),
            _ => None,
        };
        let recipient = recipient.unwrap_or("whoever reads it");
        if !recipients.contains(&recipient) {
            recipients.push(recipient);
        }
    }
    let implies = match class {
        Classification::Restricted => "restricted data, which needs explicit permission",
        Classification::Confidential => "confidential data, for those who need it",
        Classification::Internal => "internal data, which must not leave the organisation",
        Classification::Public => "public data",
    };
    format!("raise the clearance, so that {} may hold {implies}:\nsinks:{yaml}", recipients.join(" and "))
}

/// The operator that keeps most of a column's use and reaches the target.
pub(crate) fn operator(known: &Known<'_>, (id, column): Place, target: Target) -> String {
    let node = &known.nodes[id];
    let facts = &node.columns[column];
    let data_type = schema::logical_type(node.schema.field(column).data_type());
    let (clearance, coarser_suffices) = match target {
        Target::Class(clearance) => (clearance, known.origin().lowered(id, column) <= clearance),
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
