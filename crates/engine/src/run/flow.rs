//! How many rows and batches the plan sends from node to node: what conservation is checked against.

use std::collections::BTreeMap;

use weir_plan::{NodeKind, Plan};

/// The sources whose rows reach a node.
pub fn sources_of(plan: &Plan, index: usize) -> impl Iterator<Item = (usize, &weir_plan::SourceNode)> {
    let mut reached = vec![false; plan.nodes.len()];
    let mut stack = vec![index];
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            stack.extend(&plan.nodes[node].inputs);
        }
    }
    plan.nodes.iter().enumerate().zip(reached).filter(|(_, reached)| *reached).filter_map(|((index, node), _)| match &node.kind {
        NodeKind::Source(source) => Some((index, source)),
        _ => None,
    })
}

/// For each node, its inputs with how often it counts a row of each: once, or once for every arm of a UNION ALL.
pub fn flow(plan: &Plan) -> Vec<BTreeMap<usize, u64>> {
    plan.nodes
        .iter()
        .map(|node| {
            let mut flow: BTreeMap<usize, u64> = BTreeMap::new();
            for &input in node.inputs.iter().filter(|&&input| !matches!(plan.nodes[input].kind, NodeKind::Table(_))) {
                *flow.entry(input).or_default() += 1;
            }
            if let NodeKind::Sql(sql) = &node.kind {
                flow.values_mut().for_each(|fan| *fan = 0);
                for branch in &sql.branches {
                    *flow.entry(branch.input).or_default() += 1;
                }
            }
            flow
        })
        .collect()
}

/// `visits[source][node]`: how many batches one ticket of a source brings to a node.
pub fn visits(plan: &Plan, flow: &[BTreeMap<usize, u64>]) -> Vec<Vec<usize>> {
    (0..plan.nodes.len())
        .map(|source| {
            let mut arriving = vec![0usize; plan.nodes.len()];
            let mut leaving = vec![0usize; plan.nodes.len()];
            for (index, node) in plan.nodes.iter().enumerate() {
                if index == source && matches!(node.kind, NodeKind::Source(_)) {
                    (arriving[index], leaving[index]) = (1, 1);
                    continue;
                }
                for &input in flow[index].keys() {
                    arriving[index] += leaving[input];
                    leaving[index] += leaving[input];
                }
            }
            arriving
        })
        .collect()
}
