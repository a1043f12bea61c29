//! Counts as people know them: by the names of the document. A step with state is several nodes; its counts are those of the chain
//! as a whole. What measures the windows of a quality step is left out.

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
    // Windows are measured of the rows that the step's own node takes in: to count them again would be wrong.
    let beside = |id: NodeId| plan.is_observer(id) && plan.nodes[id].name != plan.nodes[id].step;
    let is_flow = |id: NodeId| !matches!(plan.nodes[id].kind, NodeKind::Table(_)) && !beside(id);
    for (id, node) in plan.nodes.iter().enumerate().filter(|(id, _)| is_flow(*id)) {
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
