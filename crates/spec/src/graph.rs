//! The graph of a pipeline: who reads whom, in what order, and where it runs in circles.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{
    pipeline::{Pipeline, Step},
    sql::sql_inputs,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Source,
    Step,
    Sink,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphNode {
    pub name: String,
    pub kind: NodeKind,
    /// The connector of a source or sink (`file`), the operator of a step (`quality`).
    pub operator: String,
}

/// Rows flow from one node to another; both are indices into [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// Sources, steps, sinks, each in the order of the document.
    pub nodes: Vec<GraphNode>,
    /// References to names that do not exist have no edge.
    pub edges: Vec<Edge>,
    /// The nodes so that each comes after all that it reads. Nodes of a cycle, and those behind one, are missing.
    pub order: Vec<usize>,
    /// Each cycle once, in the direction of the rows.
    pub cycles: Vec<Vec<usize>>,
}

/// A reference of a step or sink to what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    /// Where the document says so: `steps.safe.mask.from`, `steps.total.sql`.
    pub path: String,
}

/// What a step reads. Empty names, left by documents with errors, are skipped.
pub fn step_inputs(name: &str, step: &Step) -> Vec<Input> {
    let path = |key: &str| format!("steps.{name}.{key}");
    let from = |from: &String, key: &str| vec![Input { name: from.clone(), path: path(key) }];
    let mut inputs = match step {
        Step::Quality(quality) => from(&quality.from, "quality.from"),
        Step::Consent(consent) => from(&consent.from, "consent.from"),
        Step::Mask(mask) => from(&mask.from, "mask.from"),
        Step::Alert(alert) => from(&alert.from, "alert.from"),
        Step::Sql(sql) => sql_inputs(&sql.query).into_iter().map(|name| Input { name, path: path("sql") }).collect(),
    };
    inputs.retain(|input| !input.name.is_empty());
    inputs
}

/// The graph of a pipeline. Where a source and a step have the same name, the name means the source.
pub fn graph(pipeline: &Pipeline) -> Graph {
    let mut nodes = Vec::new();
    let mut add = |name: &String, kind, operator: &str| {
        nodes.push(GraphNode { name: name.clone(), kind, operator: operator.to_owned() });
        nodes.len() - 1
    };
    let mut by_name = HashMap::new();
    for (name, source) in &pipeline.sources {
        let index = add(name, NodeKind::Source, source.connector.key());
        by_name.entry(name.as_str()).or_insert(index);
    }
    let mut readers = Vec::new();
    for (name, step) in &pipeline.steps {
        let index = add(name, NodeKind::Step, step.key());
        by_name.entry(name.as_str()).or_insert(index);
        readers.push((index, step_inputs(name, step).into_iter().map(|input| input.name).collect::<Vec<_>>()));
    }
    for (name, sink) in &pipeline.sinks {
        readers.push((add(name, NodeKind::Sink, sink.connector.key()), vec![sink.from.clone()]));
    }
    let mut edges = Vec::new();
    for (to, inputs) in &readers {
        edges.extend(inputs.iter().filter_map(|input| by_name.get(input.as_str())).map(|from| Edge { from: *from, to: *to }));
    }
    let order = order(nodes.len(), &edges);
    let cycles = cycles(nodes.len(), &edges, &order);
    Graph { nodes, edges, order, cycles }
}

/// Kahn's algorithm, taking the earliest node of the document whenever there is a choice.
fn order(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut waiting_for: Vec<usize> = (0..count).map(|node| edges.iter().filter(|edge| edge.to == node).count()).collect();
    let mut ready: std::collections::BTreeSet<usize> = (0..count).filter(|node| waiting_for[*node] == 0).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for edge in edges.iter().filter(|edge| edge.from == node) {
            waiting_for[edge.to] -= 1;
            if waiting_for[edge.to] == 0 {
                ready.insert(edge.to);
            }
        }
    }
    order
}

fn cycles(count: usize, edges: &[Edge], order: &[usize]) -> Vec<Vec<usize>> {
    let mut left: HashSet<usize> = (0..count).filter(|node| !order.contains(node)).collect();
    let mut found = Vec::new();
    while let Some(start) = left.iter().min().copied() {
        // Whoever is left waits for somebody who is left, or for a node of a cycle already found: walk back until a node comes again.
        let mut trail = vec![start];
        let cycle = loop {
            let last = trail[trail.len() - 1];
            let Some(before) = edges.iter().filter(|edge| edge.to == last).map(|edge| edge.from).find(|from| left.contains(from))
            else {
                break None;
            };
            if let Some(at) = trail.iter().position(|node| *node == before) {
                break Some(trail.split_off(at));
            }
            trail.push(before);
        };
        match cycle {
            Some(mut cycle) => {
                cycle.reverse();
                let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(i, _)| i);
                cycle.rotate_left(first);
                left.retain(|node| !cycle.contains(node));
                found.push(cycle);
            }
            None => left.retain(|node| !trail.contains(node)),
        }
    }
    found
}

impl Graph {
    pub fn index(&self, kind: NodeKind, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.kind == kind && node.name == name)
    }

    /// What a node reads.
    pub fn inputs(&self, node: usize) -> impl Iterator<Item = usize> {
        self.edges.iter().filter(move |edge| edge.to == node).map(|edge| edge.from)
    }

    /// Who reads a node.
    pub fn readers(&self, node: usize) -> impl Iterator<Item = usize> {
        self.edges.iter().filter(move |edge| edge.from == node).map(|edge| edge.to)
    }

    /// A node and everything it reads, directly or not.
    pub fn upstream(&self, node: usize) -> HashSet<usize> {
        let mut seen = HashSet::from([node]);
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            stack.extend(self.inputs(node).filter(|input| seen.insert(*input)));
        }
        seen
    }
}
