//! What steps with state leave open: the order of rows, and by which changes a table comes about.

use std::collections::{BTreeMap, BTreeSet};

use weir_plan::{Node, NodeKind, Plan};

/// What the same input may give in more than one way.
pub struct LeftOpen {
    /// Nodes behind an operator with state: their rows come in any order.
    order: BTreeSet<String>,
    /// Nodes whose rows are changes: how many depends on how often a table is looked at.
    out: BTreeSet<String>,
    /// Nodes that take in changes.
    input: BTreeSet<String>,
}

impl LeftOpen {
    pub fn of(plan: &Plan) -> Self {
        let mut open = Self { order: BTreeSet::new(), out: BTreeSet::new(), input: BTreeSet::new() };
        // Every node stands behind its inputs.
        for node in &plan.nodes {
            let inputs: Vec<&Node> = node.inputs.iter().map(|&input| &plan.nodes[input]).collect();
            if matches!(node.kind, NodeKind::Operator(_)) || inputs.iter().any(|input| open.order.contains(&input.name)) {
                open.order.insert(node.name.clone());
            }
            let takes_changes = inputs.iter().any(|input| input.changes);
            if takes_changes {
                open.input.insert(node.name.clone());
            }
            if node.changes || takes_changes {
                open.out.insert(node.name.clone());
            }
        }
        open
    }

    /// Whether the number of rows that a node takes in is defined.
    pub fn counts_in(&self, node: &str) -> bool {
        !self.input.contains(node)
    }

    /// Whether the number of rows that leave a node is defined.
    pub fn counts_out(&self, node: &str) -> bool {
        !self.out.contains(node)
    }

    /// The rows of a sink as far as they are defined: changes as the table they make, and sorted behind steps with state.
    pub fn shown(&self, sink: &Node, rows: String) -> String {
        if !self.order.contains(&sink.name) {
            return rows;
        }
        let mut lines: Vec<String> = rows.lines().map(str::to_owned).collect();
        if self.input.contains(&sink.name) {
            lines = table(&lines);
        }
        lines.sort();
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

/// The rows that are left after these changes. What was taken back more often than added is shown with its number.
fn table(changes: &[String]) -> Vec<String> {
    let mut rows: BTreeMap<String, i64> = BTreeMap::new();
    for line in changes {
        let (op, row) = line.strip_prefix(r#"{"op":""#).and_then(|rest| rest.split_once(r#"","#)).unwrap();
        *rows.entry(format!("{{{row}")).or_default() += match op {
            "+I" | "+U" => 1,
            "-U" | "-D" => -1,
            other => panic!("`{other}` is no change"),
        };
    }
    let mut left = Vec::new();
    for (row, times) in rows {
        match usize::try_from(times) {
            Ok(times) => left.extend(std::iter::repeat_n(row, times)),
            Err(_) => left.push(format!("{times} times {row}")),
        }
    }
    left
}
