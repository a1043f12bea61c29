//! Where things stand in the drawing: lanes in data order, nodes in their lanes, edges between them. Pure.

use weir_api::{Graph, GraphNode, NodeKind};

/// A stage's lane, in the order in which data meets the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    Source,
    Decode,
    Contract,
    Quality,
    Consent,
    Mask,
    Transform,
    Sink,
}

impl Lane {
    pub const ALL: [Self; 8] =
        [Self::Source, Self::Decode, Self::Contract, Self::Quality, Self::Consent, Self::Mask, Self::Transform, Self::Sink];

    /// The name in style sheets and in evidence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Decode => "decode",
            Self::Contract => "contract",
            Self::Quality => "quality",
            Self::Consent => "consent",
            Self::Mask => "mask",
            Self::Transform => "transform",
            Self::Sink => "sink",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Decode => "Decode",
            Self::Contract => "Contract",
            Self::Quality => "Quality",
            Self::Consent => "Consent",
            Self::Mask => "Mask",
            Self::Transform => "Transform",
            Self::Sink => "Sink",
        }
    }

    /// The first and the last lane of a node. A source reads, decodes and checks its contract: it spans three.
    pub fn of(node: &GraphNode) -> (Self, Self) {
        match (node.kind, node.operator.as_str()) {
            (NodeKind::Source, _) => (Self::Source, Self::Contract),
            (NodeKind::Sink, _) => (Self::Sink, Self::Sink),
            (NodeKind::Step, "quality") => (Self::Quality, Self::Quality),
            (NodeKind::Step, "consent") => (Self::Consent, Self::Consent),
            (NodeKind::Step, "mask") => (Self::Mask, Self::Mask),
            (NodeKind::Step, _) => (Self::Transform, Self::Transform),
        }
    }
}

/// A node that looks at rows and passes none on: it hangs below what it watches.
pub fn is_observer(node: &GraphNode) -> bool {
    node.kind == NodeKind::Step && node.operator == "alert"
}

/// The first and the last lane of each node; an observer stands where what it watches does.
fn spans(graph: &Graph) -> Vec<(Lane, Lane)> {
    let watched = |node: &GraphNode| {
        let edge = graph.edges.iter().find(|edge| edge.to == node.name)?;
        graph.nodes.iter().find(|one| one.name == edge.from && !is_observer(one))
    };
    graph.nodes.iter().map(|node| Lane::of(if is_observer(node) { watched(node).unwrap_or(node) } else { node })).collect()
}

pub const NODE_HEIGHT: f64 = 92.0;
const ROW_GAP: f64 = 26.0;
const TOP: f64 = 46.0;
const MARGIN: f64 = 12.0;
/// Between a lane's edge and its nodes; edges and their labels live there.
const GUTTER: f64 = 27.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaneBox {
    pub lane: Lane,
    pub x: f64,
    pub width: f64,
    /// No node stands in it.
    pub empty: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NodeBox {
    /// Index in the graph's nodes.
    pub index: usize,
    pub lane: Lane,
    pub x: f64,
    pub y: f64,
    pub width: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EdgeLine {
    /// Index in the graph's edges.
    pub index: usize,
    /// SVG path data.
    pub path: String,
    /// Where its label stands (the middle).
    pub label: (f64, f64),
    /// It carries no rows on: it leads to an observer.
    pub observes: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    pub lanes: Vec<LaneBox>,
    pub nodes: Vec<NodeBox>,
    pub edges: Vec<EdgeLine>,
}

/// The smallest and the greatest width of a node.
const NODE_WIDTH: (f64, f64) = (116.0, 288.0);
/// What a node needs beside its text: the bar before it and a margin behind it.
pub const NODE_FRAME: f64 = 34.0;
/// A text that is never cut.
const SHORT: f64 = 104.0;
/// What a page of the usual width has room for. A graph that is narrower may say more in its nodes.
const ROOM: f64 = 1_108.0;

/// What a node is and does, in its second line.
pub fn what(node: &GraphNode) -> String {
    match node.clearance {
        // What matters first, so that it is not what is cut.
        Some(class) => format!("clears {class} · {}", node.operator),
        None if node.summary.is_empty() => node.operator.clone(),
        None => format!("{} · {}", node.operator, node.summary),
    }
}

/// What of that fits. A clearance is told whole or not at all.
pub fn what_fits(node: &GraphNode, room: f64) -> String {
    let all = what(node);
    match node.clearance {
        Some(class) if text_width(&all, 11.0) > room => fitting(&format!("clears {class}"), 11.0, room),
        _ => fitting(&all, 11.0, room),
    }
}

/// How wide a text is drawn, at least nearly: by kinds of characters in a sans-serif typeface, rather too wide than too narrow.
pub fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '·' => 0.32,
            'f' | 't' | 'r' | ' ' | '(' | ')' | '/' | '-' => 0.4,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.92,
            'A'..='Z' => 0.7,
            _ if c.is_ascii() => 0.6,
            _ => 1.0,
        })
        .sum();
    em * size
}

/// The text as far as it fits.
pub fn fitting(text: &str, size: f64, room: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if text_width(&out, size) + size > room {
            out.pop();
            break;
        }
    }
    out.push('…');
    out
}

/// The width that a node must have, for its name and what it clears, and the one that it would fill.
fn node_widths(node: &GraphNode) -> (f64, f64) {
    let must = node.clearance.map_or(0.0, |class| text_width(&format!("clears {class}"), 11.0));
    // What is short is worth its room.
    let short = Some(text_width(&what(node), 11.0)).filter(|width| *width <= SHORT);
    let must = must.max(text_width(&node.name, 13.0)).max(short.unwrap_or(0.0));
    // A little more, so that no rounding cuts a letter.
    let framed = |text: f64| (text + NODE_FRAME + 1.0).clamp(NODE_WIDTH.0, NODE_WIDTH.1);
    (framed(must), framed(must.max(text_width(&what(node), 11.0))))
}

/// Width of a lane whose widest node has this width: the three that sources span share one card; empty lanes shrink to their name.
fn lane_width(lane: Lane, node: Option<f64>) -> f64 {
    match (lane, node) {
        (Lane::Source | Lane::Decode | Lane::Contract, node) => ((node.unwrap_or(0.0) + 2.0 * GUTTER) / 3.0).max(70.0),
        (_, None) => 74.0,
        (_, Some(node)) => node + 2.0 * GUTTER,
    }
}

/// The widths of all lanes: as they must be, and wider as far as there is room for what nodes would say.
fn lane_widths(graph: &Graph, spans: &[(Lane, Lane)]) -> Vec<f64> {
    let widest = |lane: Lane, of: fn((f64, f64)) -> f64| {
        let here = spans.iter().zip(&graph.nodes).filter(|((first, last), _)| (*first..=*last).contains(&lane));
        let widest = here.map(|(_, node)| of(node_widths(node))).reduce(f64::max);
        lane_width(lane, widest)
    };
    let must: Vec<f64> = Lane::ALL.iter().map(|lane| widest(*lane, |(must, _)| must)).collect();
    let would: Vec<f64> = Lane::ALL.iter().map(|lane| widest(*lane, |(_, would)| would)).collect();
    let (least, most) = (must.iter().sum::<f64>(), would.iter().sum::<f64>());
    let share = if most > least { ((ROOM - 2.0 * MARGIN - least) / (most - least)).clamp(0.0, 1.0) } else { 0.0 };
    must.iter().zip(&would).map(|(must, would)| must + (would - must) * share).collect()
}

pub fn layout(graph: &Graph) -> Layout {
    let spans = spans(graph);
    let mut x = MARGIN;
    let lanes: Vec<LaneBox> = Lane::ALL
        .into_iter()
        .zip(lane_widths(graph, &spans))
        .map(|(lane, width)| {
            let empty = !spans.iter().any(|(first, last)| (*first..=*last).contains(&lane));
            let here = LaneBox { lane, x, width, empty };
            x += width;
            here
        })
        .collect();
    let nodes = place(graph, &spans, &lanes);
    let rows = nodes.iter().map(|node| node.y + NODE_HEIGHT).fold(TOP + NODE_HEIGHT, f64::max);
    let edges = graph.edges.iter().enumerate().filter_map(|(index, edge)| {
        let of = |name: &str| nodes.iter().find(|node| graph.nodes[node.index].name == name);
        let (from, to) = (of(&edge.from)?, of(&edge.to)?);
        if is_observer(&graph.nodes[to.index]) && to.lane == from.lane && to.y > from.y {
            return Some(hang(index, from, to));
        }
        let blocked = nodes.iter().any(|node| node.y == to.y && node.x > from.x + from.width && node.x + node.width < to.x);
        Some(connect(index, from, to, blocked))
    });
    let edges = edges.collect();
    // Room for lines that run below the last row.
    Layout { width: x + MARGIN, height: rows + ROW_GAP, lanes, nodes, edges }
}

/// Rows: each node stands level with its first input where that place is free, otherwise in the next free row of its lane. Observers come
/// after all others, so that they part no chain.
fn place(graph: &Graph, spans: &[(Lane, Lane)], lanes: &[LaneBox]) -> Vec<NodeBox> {
    let mut order: Vec<usize> = (0..graph.nodes.len()).collect();
    order.sort_by_key(|index| (is_observer(&graph.nodes[*index]), graph.nodes[*index].depth, *index));
    let mut taken: Vec<(Lane, usize)> = Vec::new();
    let mut rows: Vec<usize> = vec![0; graph.nodes.len()];
    for &index in &order {
        let name = &graph.nodes[index].name;
        let input = graph.edges.iter().find(|edge| &edge.to == name).map(|edge| &edge.from);
        let input = input.and_then(|from| graph.nodes.iter().position(|node| &node.name == from));
        let wanted = input.map_or(0, |from| rows[from]);
        let lane = spans[index].0;
        let free = |row: &usize| !taken.contains(&(lane, *row));
        let row = (wanted + usize::from(is_observer(&graph.nodes[index]))..).find(free).unwrap_or(wanted);
        taken.push((lane, row));
        rows[index] = row;
    }
    let boxes = order.into_iter().map(|index| {
        let (first, last) = spans[index];
        let at = |lane: Lane| lanes.iter().find(|one| one.lane == lane).expect("invariant: every lane has a box");
        let (left, right) = (at(first), at(last));
        NodeBox {
            index,
            lane: first,
            x: left.x + GUTTER,
            y: TOP + rows[index] as f64 * (NODE_HEIGHT + ROW_GAP),
            width: right.x + right.width - left.x - 2.0 * GUTTER,
        }
    });
    boxes.collect()
}

/// From the bottom of what is watched to the top of its observer; beside nodes that stand between.
fn hang(index: usize, from: &NodeBox, to: &NodeBox) -> EdgeLine {
    let (bottom, top) = (from.y + NODE_HEIGHT, to.y - 5.0);
    let x = from.x + 18.0;
    if to.y - bottom <= ROW_GAP + 0.5 {
        return EdgeLine { index, path: format!("M{x},{bottom}L{x},{top}"), label: (x, bottom), observes: true };
    }
    let (beside, middle) = (from.x - GUTTER / 2.0, to.y + NODE_HEIGHT / 2.0);
    let path = format!("M{},{}L{beside},{}L{beside},{middle}L{},{middle}", from.x, bottom - 12.0, bottom - 12.0, to.x - 5.0);
    EdgeLine { index, path, label: (beside, bottom), observes: true }
}

/// From the right side of one node to the left side of the other: over to the target's row beside the first, then straight.
/// Where nodes stand in that row, and for a step back, the line runs below them.
fn connect(index: usize, from: &NodeBox, to: &NodeBox, blocked: bool) -> EdgeLine {
    let (x1, y1) = (from.x + from.width, from.y + NODE_HEIGHT / 2.0);
    let (x2, y2) = (to.x - 5.0, to.y + NODE_HEIGHT / 2.0);
    let turn = 2.0 * GUTTER - 8.0;
    if x2 <= x1 || blocked {
        let below = from.y.max(to.y) + NODE_HEIGHT + ROW_GAP / 2.0;
        let (out, back) = (x1 + turn / 2.0, x2 - turn / 2.0);
        let path = format!(
            "M{x1},{y1}C{out},{y1} {out},{y1} {out},{}C{out},{below} {out},{below} {},{below}L{},{below}C{back},{below} {back},{below} {back},{}C{back},{y2} {back},{y2} {x2},{y2}",
            (y1 + below) / 2.0,
            out + (back - out).signum() * 20.0,
            back - (back - out).signum() * 20.0,
            (y2 + below) / 2.0,
        );
        return EdgeLine { index, path, label: ((x1 + x2) / 2.0, below - 4.0), observes: false };
    }
    let path = if (y1 - y2).abs() < 0.5 {
        format!("M{x1},{y1}L{x2},{y2}")
    } else {
        format!("M{x1},{y1}C{},{y1} {},{y2} {},{y2}L{x2},{y2}", x1 + turn * 0.7, x1 + turn * 0.3, x1 + turn)
    };
    let beside = x2 - x1 <= 2.0 * GUTTER + 1.0;
    let label = if beside { ((x1 + x2) / 2.0, (y1 + y2) / 2.0) } else { (x2 - GUTTER, y2) };
    EdgeLine { index, path, label: (label.0, label.1 - 8.0), observes: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::GraphEdge;

    fn graph(nodes: &[(&str, NodeKind, &str, u32)], edges: &[(&str, &str)]) -> Graph {
        Graph {
            nodes: nodes
                .iter()
                .map(|(name, kind, operator, depth)| GraphNode {
                    name: (*name).into(),
                    kind: *kind,
                    operator: (*operator).into(),
                    parts: Vec::new(),
                    summary: String::new(),
                    columns: Vec::new(),
                    clearance: None,
                    depth: *depth,
                })
                .collect(),
            edges: edges
                .iter()
                .map(|(from, to)| GraphEdge { from: (*from).into(), to: (*to).into(), classification: None })
                .collect(),
        }
    }

    #[test]
    fn no_two_nodes_overlap_and_all_are_inside() {
        let graph = graph(
            &[
                ("a", NodeKind::Source, "file", 0),
                ("b", NodeKind::Source, "http", 0),
                ("checked", NodeKind::Step, "quality", 1),
                ("checked2", NodeKind::Step, "quality", 2),
                ("both", NodeKind::Step, "sql", 3),
                ("out", NodeKind::Sink, "file", 4),
                ("copy", NodeKind::Sink, "stdout", 4),
            ],
            &[("a", "checked"), ("checked", "checked2"), ("b", "both"), ("checked2", "both"), ("both", "out"), ("both", "copy")],
        );
        let drawn = layout(&graph);
        assert_eq!(drawn.nodes.len(), 7);
        assert_eq!(drawn.edges.len(), 6);
        for (i, a) in drawn.nodes.iter().enumerate() {
            assert!(a.x >= 0.0 && a.x + a.width <= drawn.width && a.y + NODE_HEIGHT <= drawn.height);
            for b in &drawn.nodes[i + 1..] {
                let apart = a.x + a.width <= b.x || b.x + b.width <= a.x || (a.y - b.y).abs() >= NODE_HEIGHT;
                assert!(apart, "{} and {}", graph.nodes[a.index].name, graph.nodes[b.index].name);
            }
        }
    }

    #[test]
    fn a_chain_runs_level() {
        let graph = graph(
            &[("a", NodeKind::Source, "file", 0), ("m", NodeKind::Step, "mask", 1), ("s", NodeKind::Sink, "file", 2)],
            &[("a", "m"), ("m", "s")],
        );
        let drawn = layout(&graph);
        assert!(drawn.nodes.iter().all(|node| node.y == drawn.nodes[0].y));
        assert!(drawn.lanes.iter().any(|lane| lane.lane == Lane::Quality && lane.empty));
    }

    #[test]
    fn observers_hang_below_what_they_watch_and_part_no_chain() {
        let graph = graph(
            &[
                ("a", NodeKind::Source, "file", 0),
                ("volume", NodeKind::Step, "alert", 1),
                ("checked", NodeKind::Step, "quality", 1),
                ("late", NodeKind::Step, "alert", 2),
                ("wrong", NodeKind::Step, "alert", 2),
                ("out", NodeKind::Sink, "file", 2),
            ],
            &[("a", "volume"), ("a", "checked"), ("checked", "late"), ("checked", "wrong"), ("checked", "out")],
        );
        let drawn = layout(&graph);
        let at = |name: &str| drawn.nodes.iter().find(|node| graph.nodes[node.index].name == name).unwrap();
        for (watched, observers) in [("a", vec!["volume"]), ("checked", vec!["late", "wrong"])] {
            for observer in observers {
                assert_eq!((at(observer).x, at(observer).lane), (at(watched).x, at(watched).lane), "{observer}");
                assert!(at(observer).y > at(watched).y, "{observer}");
            }
        }
        assert!(["a", "checked", "out"].iter().all(|name| at(name).y == at("a").y), "the chain runs level");
        assert!(at("late").y != at("wrong").y);
        let observes: Vec<_> =
            drawn.edges.iter().filter(|edge| edge.observes).map(|edge| graph.edges[edge.index].to.as_str()).collect();
        assert_eq!(observes, ["volume", "late", "wrong"]);
    }

    #[test]
    fn lanes_grow_with_what_their_nodes_say() {
        let mut graph = graph(&[("a", NodeKind::Source, "file", 0), ("out", NodeKind::Sink, "file", 1)], &[("a", "out")]);
        let narrow = layout(&graph).nodes[1].width;
        graph.nodes[1].clearance = Some(weir_api::Classification::Confidential);
        let wide = layout(&graph).nodes[1].width;
        assert!(wide > narrow);
        assert_eq!(what_fits(&graph.nodes[1], wide - NODE_FRAME), "clears confidential · file", "nothing is cut");
        assert_eq!(what_fits(&graph.nodes[1], 115.0), "clears confidential");
        graph.nodes[1].name = "a-name-that-is-much-too-long-for-any-box-of-a-graph-and-goes-on".into();
        let most = layout(&graph).nodes[1].width;
        assert_eq!(most, NODE_WIDTH.1);
        let cut = fitting(&graph.nodes[1].name, 13.0, most - NODE_FRAME);
        assert!(cut.ends_with('…') && text_width(&cut, 13.0) <= most - NODE_FRAME, "{cut}");
    }

    #[test]
    fn an_edge_to_nothing_is_not_drawn() {
        let graph = graph(&[("a", NodeKind::Source, "file", 0)], &[("a", "gone")]);
        assert!(layout(&graph).edges.is_empty());
    }
}
