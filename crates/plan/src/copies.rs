//! How many rows the arms of UNION ALL make of one row of a source. Each step that reads another twice doubles its rows, so that a short
//! document could ask for more of them than there are particles in the universe.

use std::collections::BTreeMap;

use crate::plan::{Node, NodeId, NodeKind};

/// More rows than this of one row of a source are refused.
pub(crate) const MOST: u64 = 1_000;

/// For each node planned so far, by source how many rows of it come of one row there.
#[derive(Default)]
pub(crate) struct Copies(Vec<BTreeMap<NodeId, u64>>);

impl Copies {
    /// Counts those of the nodes that are new; answers the source of which there are too many in one of them, with their number.
    pub fn count(&mut self, nodes: &[Node]) -> Option<(NodeId, u64)> {
        let mut too_many = None;
        for (id, node) in nodes.iter().enumerate().skip(self.0.len()) {
            let mut copies: BTreeMap<NodeId, u64> = BTreeMap::new();
            if node.inputs.is_empty() {
                copies.insert(id, 1);
            }
            match &node.kind {
                NodeKind::Sql(sql) => {
                    for branch in &sql.branches {
                        for (source, count) in &self.0[branch.input] {
                            let sum = copies.entry(*source).or_default();
                            *sum = sum.saturating_add(*count);
                        }
                    }
                }
                // What a join or a window makes of a row depends on other rows, or is written out.
                _ => {
                    for input in &node.inputs {
                        for (source, count) in &self.0[*input] {
                            let most = copies.entry(*source).or_default();
                            *most = (*most).max(*count);
                        }
                    }
                }
            }
            too_many =
                too_many.or_else(|| copies.iter().find(|(_, count)| **count > MOST).map(|(source, count)| (*source, *count)));
            self.0.push(copies);
        }
        too_many
    }
}
