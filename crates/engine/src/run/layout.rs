//! Which nodes run together: the plan, cut where rows must change lanes.
//!
//! A segment is a set of nodes that one thread runs through for a ticket. The first segment holds the sources and all that follows
//! them without state; each ticket visits one of its lanes. Every operator with state begins a segment of its own, whose lanes own
//! the keys that hash to them; each ticket visits all of them.

use std::collections::BTreeMap;

use weir_plan::{NodeId, NodeKind, Plan, operator::Exchange};
use weir_spec::quality::Check;

/// The segment of the sources.
pub const SOURCES: usize = 0;

/// How a row finds its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// By the hash of these columns.
    Hash(Vec<usize>),
    /// To the only lane.
    Single,
    /// Wherever it came from.
    Lane,
}

/// Rows of one node on their way to a node in another segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: NodeId,
    pub to: NodeId,
    /// Which input of `to` this is.
    pub input: usize,
    pub route: Route,
    pub from_segment: usize,
    pub to_segment: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub lanes: usize,
    /// In the order of the plan.
    pub nodes: Vec<NodeId>,
    /// The segments that feed it.
    pub upstream: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In topological order; the first holds the sources.
    pub segments: Vec<Segment>,
    /// By node.
    pub segment_of: Vec<usize>,
    pub edges: Vec<Edge>,
}

impl Layout {
    pub fn of(plan: &Plan) -> Self {
        let lanes = plan.parallelism.max(1);
        let mut layout = Self {
            segments: vec![Segment { lanes, nodes: Vec::new(), upstream: Vec::new() }],
            segment_of: Vec::with_capacity(plan.nodes.len()),
            edges: Vec::new(),
        };
        for (id, node) in plan.nodes.iter().enumerate() {
            // Reference data is no flow of rows.
            let is_flow = |input: &NodeId| !matches!(plan.nodes[*input].kind, NodeKind::Table(_));
            let fed_by: Vec<usize> =
                node.inputs.iter().filter(|input| is_flow(input)).map(|&input| layout.segment_of[input]).collect();
            let routes: Option<Vec<Route>> = match &node.kind {
                NodeKind::Operator(operator) => Some(operator.exchange.iter().map(route).collect()),
                // Uniqueness is judged in the order of the input, which keyed lanes do not share.
                NodeKind::Quality(quality)
                    if fed_by != [SOURCES] && quality.rules.iter().any(|rule| matches!(rule.check, Check::Unique { .. })) =>
                {
                    Some(vec![Route::Single; fed_by.len()])
                }
                _ if fed_by.windows(2).any(|pair| pair[0] != pair[1]) => Some(vec![Route::Lane; fed_by.len()]),
                _ => None,
            };
            let Some(routes) = routes else {
                let segment = fed_by.first().copied().unwrap_or(SOURCES);
                layout.segments[segment].nodes.push(id);
                layout.segment_of.push(segment);
                continue;
            };
            let segment = layout.segments.len();
            let mut upstream = fed_by.clone();
            upstream.sort_unstable();
            upstream.dedup();
            let lanes = if routes.contains(&Route::Single) { 1 } else { lanes };
            layout.segments.push(Segment { lanes, nodes: vec![id], upstream });
            layout.segment_of.push(segment);
            let inputs = node.inputs.iter().zip(routes).enumerate().filter(|(_, (input, _))| is_flow(input));
            for ((input, (&from, route)), from_segment) in inputs.zip(fed_by) {
                layout.edges.push(Edge { from, to: id, input, route, from_segment, to_segment: segment });
            }
        }
        layout
    }

    /// Whether everything runs in the lanes of the sources.
    pub fn is_stateless(&self) -> bool {
        self.segments.len() == 1
    }

    /// For each segment, the segments it feeds, each once.
    pub fn downstream(&self, segment: usize) -> Vec<usize> {
        (0..self.segments.len()).filter(|&other| self.segments[other].upstream.contains(&segment)).collect()
    }

    /// The edges between two segments, in order.
    pub fn edges_between(&self, from: usize, to: usize) -> Vec<usize> {
        let between = |edge: &Edge| edge.from_segment == from && edge.to_segment == to;
        (0..self.edges.len()).filter(|&edge| between(&self.edges[edge])).collect()
    }

    /// For each node, the edges by which its rows leave the segment.
    pub fn leaving(&self) -> BTreeMap<NodeId, Vec<usize>> {
        let mut leaving: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (index, edge) in self.edges.iter().enumerate() {
            leaving.entry(edge.from).or_default().push(index);
        }
        leaving
    }
}

fn route(exchange: &Exchange) -> Route {
    match exchange {
        Exchange::Hash(columns) if columns.is_empty() => Route::Single,
        Exchange::Hash(columns) => Route::Hash(columns.clone()),
        Exchange::Single => Route::Single,
        Exchange::Any => Route::Lane,
    }
}
