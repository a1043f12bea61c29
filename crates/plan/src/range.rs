//! Between which values the numbers of a column lie, where rules on their way see to it.

use weir_spec::quality::{Check, OnFail, Scalar};

use crate::{
    flow::Flow,
    plan::{LineageKind, Node, NodeId, NodeKind, PlannedRule},
};

/// The least and the greatest value that a column has where it leaves a node: by the `between` rules of contracts and quality steps
/// that let no other row pass, as far back as the column is passed on as it is. None where it is not bounded on both sides.
pub(crate) fn of(id: NodeId, column: usize, nodes: &[Node], flows: &[Flow]) -> Option<(f64, f64)> {
    let (least, greatest) = bounds(id, column, nodes, flows);
    (least.is_finite() && greatest.is_finite()).then_some((least, greatest))
}

/// The same, infinite on a side where nothing bounds it.
pub(crate) fn bounds(id: NodeId, column: usize, nodes: &[Node], flows: &[Flow]) -> (f64, f64) {
    let (mut id, mut column) = (id, column);
    let (mut least, mut greatest) = (f64::NEG_INFINITY, f64::INFINITY);
    loop {
        let node = &nodes[id];
        for rule in enforced(&node.kind) {
            if let Check::Between { column: name, min, max } = &rule.check
                && *name == node.columns[column].name
            {
                least = least.max(number(min.as_ref()).unwrap_or(least));
                greatest = greatest.min(number(max.as_ref()).unwrap_or(greatest));
            }
        }
        let flow = flows[id].columns.get(column);
        match flow.map(|flow| flow.influences.iter().collect::<Vec<_>>()).as_deref() {
            Some([only]) if only.kind == LineageKind::Identity && only.field.is_empty() && !only.masking => {
                (id, column) = (only.input, only.column);
            }
            _ => break,
        }
    }
    (least, greatest)
}

/// The rules that every row has kept that leaves the node.
fn enforced(kind: &NodeKind) -> &[PlannedRule] {
    match kind {
        NodeKind::Source(source) => &source.rules,
        NodeKind::Table(table) => &table.rules,
        NodeKind::Quality(quality) if quality.on_fail != OnFail::Flag => &quality.rules,
        _ => &[],
    }
}

fn number(bound: Option<&Scalar>) -> Option<f64> {
    match bound? {
        Scalar::Int(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        Scalar::Bool(_) | Scalar::String(_) => None,
    }
}
