//! Counts as people know them: by the names of the document. A step with state is several nodes; its counts are those of the chain
//! as a whole.

use std::collections::BTreeMap;

use weir_plan::{NodeId, NodeKind, Plan};

use crate::{counts::NodeCounts, run::flow::flow};

/// A source, step or sink of the document with its counts.
#[derive(Clone, Copy, Debug)]
pub struct StepCounts<'p> {
    pub name: &'p str,
    /// The last of its nodes: the one whose rows others read.
    pub node: NodeId,
    pub counts: NodeCounts,
}

/// Sums up by step, in the order of the plan. Reference data is left out: it is no flow of rows.
pub fn by_step(plan: &Plan, counts: impl Fn(NodeId) -> NodeCounts) -> Vec<StepCounts<'_>> {
    let flow = flow(plan);
    let mut steps: Vec<StepCounts<'_>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, node) in plan.nodes.iter().enumerate().filter(|(_, node)| !matches!(node.kind, NodeKind::Table(_))) {
        let place = *places.entry(&node.step).or_insert_with(|| {
            steps.push(StepCounts { name: &node.step, node: id, counts: NodeCounts::default() });
            steps.len() - 1
        });
        let step = &mut steps[place];
        step.node = id;
        step.counts += counts(id);
        // What one node of a step hands to the next neither enters nor leaves the step.
        for (&input, fan) in flow[id].iter().filter(|(input, _)| plan.nodes[**input].step == node.step) {
            let inner = counts(input).out;
            step.counts.rows_in = step.counts.rows_in.saturating_sub(inner * fan);
            step.counts.out = step.counts.out.saturating_sub(inner * fan);
        }
    }
    steps
}
