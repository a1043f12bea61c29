//! From plan to running parts: one set of stages a lane, shared state, readers and writers, restored from a checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use crossbeam_channel::{Receiver, Sender, bounded};
use weir_connectors::{ConnectorError, SinkWriter};
use weir_plan::{NodeKind, Plan};

use super::{
    Options,
    chain::{Chain, LaneNode},
    definitions::{check_definitions, definitions},
    dispatch::{Positions, ToLane},
    exchange::{Inbox, Outbox, Packet},
    flow::{flow, visits},
    keyed::{EdgeMarks, KeyedLane},
    lane::{FromLane, Lane, batch_histogram},
    layout::{Layout, SOURCES},
    parts::{Parts, Shared, lane_node},
    reader::{Mailbox, OpenSource},
    sinks, sources,
};
use crate::{checkpoint::Checkpoint, error::EngineError, host::Host, live::Live, ordered::Cancel};

/// Tickets that wait before a lane of the sources.
const LANE_QUEUE: usize = 2;
/// Tickets that wait between two lanes.
const PACKET_QUEUE: usize = 4;
/// Tickets that wait before the writer, from each lane.
const DONE_QUEUE: usize = 8;

/// A lane of the sources with its ends of the channels.
pub type WiredLane = (Lane, Receiver<ToLane>, Sender<FromLane>);
/// A keyed lane with its ends of the channels.
pub type WiredKeyedLane = (KeyedLane, Inbox<Packet>, Sender<FromLane>);

/// Everything a run needs, ready to be put on threads.
pub struct Compiled {
    pub lanes: Vec<WiredLane>,
    pub keyed_lanes: Vec<WiredKeyedLane>,
    pub to_lanes: Vec<Sender<ToLane>>,
    pub to_writer: Inbox<FromLane>,
    pub readers: Vec<OpenSource>,
    pub mailboxes: BTreeMap<usize, Mailbox>,
    pub sinks: BTreeMap<usize, Box<dyn SinkWriter>>,
    pub positions: BTreeMap<usize, Positions>,
    pub definitions: BTreeMap<String, String>,
    /// For each node, its inputs with how often a row of each is counted.
    pub flow: Arc<Vec<BTreeMap<usize, u64>>>,
    pub live: Arc<Live>,
    /// Operators go by time, also when no rows come.
    pub timed: bool,
}

pub fn compile(
    plan: &Arc<Plan>,
    host: &Arc<dyn Host>,
    options: &Options,
    restored: Option<&Checkpoint>,
    cancel: &Cancel,
) -> Result<Compiled, EngineError> {
    let definitions = definitions(plan);
    if let Some(checkpoint) = restored {
        check_definitions(checkpoint, plan)?;
    }
    let layout = Layout::of(plan);
    if !layout.is_stateless() {
        let folder = host.state_dir();
        std::fs::create_dir_all(&folder).map_err(|error| EngineError::connector("state", ConnectorError::io(&folder, error)))?;
    }
    let flow = Arc::new(flow(plan));
    let visits = Arc::new(visits(plan, &flow));
    let shared = Shared::restore(plan, host, options, restored, !layout.is_stateless(), cancel)?;
    let consumers: Arc<Vec<Vec<usize>>> = Arc::new((0..plan.nodes.len()).map(|node| plan.consumers(node).collect()).collect());
    let live = Arc::new(Live::new(
        plan.nodes
            .iter()
            .map(|node| restored.and_then(|checkpoint| checkpoint.counts.get(&node.name)).copied().unwrap_or_default()),
    ));

    let mut readers = Vec::new();
    let mut mailboxes = BTreeMap::new();
    let mut positions = BTreeMap::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        if let NodeKind::Source(source) = &node.kind {
            let resume = restored.and_then(|checkpoint| checkpoint.positions.get(&node.name)).cloned().unwrap_or_default();
            let reader = sources::open(node, source, &**host, options, &resume)?;
            let mailbox = Mailbox::default();
            mailboxes.insert(index, Arc::clone(&mailbox));
            positions.insert(index, resume.into_iter().map(|position| (position.partition.clone(), position)).collect());
            readers.push(OpenSource { node: index, name: node.name.clone(), reader, mailbox });
        }
    }

    let parts = Parts { plan, host, options, restored, shared: &shared, visits: &visits, layout: &layout };
    let mut common = Common {
        consumers,
        fan: Arc::clone(&flow),
        leaving: Arc::new(layout.leaving()),
        inputs: Arc::new(plan.nodes.iter().map(|node| node.inputs.clone()).collect()),
        live: Arc::clone(&live),
        watermarks: (0..plan.nodes.len()).map(|node| shared.watermark(plan, node)).collect(),
    };
    let mut wires = Wires::new(&layout);
    let (mut lanes, mut keyed_lanes, mut to_lanes, mut to_writer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, segment) in layout.segments.iter().enumerate() {
        let mut done = Vec::new();
        for (index, nodes) in segment_nodes(&parts, number)?.into_iter().enumerate() {
            if index == 0 {
                common.resume(plan, &segment.nodes, &nodes);
            }
            let chain = common.chain(nodes);
            let outboxes = wires.outboxes(plan, &layout, number, index, cancel)?;
            let nodes: Arc<[usize]> = segment.nodes.clone().into();
            let (output, from_lane) = bounded(DONE_QUEUE);
            done.push(from_lane);
            if number == SOURCES {
                let (to_lane, input) = bounded(LANE_QUEUE);
                to_lanes.push(to_lane);
                let lane = Lane {
                    index,
                    chain,
                    nodes,
                    visits: Arc::clone(&visits),
                    clock: shared.clock.clone(),
                    outboxes,
                    cancel: cancel.clone(),
                    batch_micros: batch_histogram(),
                };
                lanes.push((lane, input, output));
            } else {
                let into = layout.edges.iter().enumerate().filter(|(_, edge)| edge.to_segment == number);
                let at_once = into.clone().count() == 1 && into.clone().all(|(_, edge)| edge.from_segment != SOURCES);
                let marks = into.map(|(edge, of)| EdgeMarks {
                    edge,
                    lanes: vec![
                        common.watermarks[of.from];
                        if of.from_segment == SOURCES { 1 } else { layout.segments[of.from_segment].lanes }
                    ],
                });
                let lane = KeyedLane {
                    index,
                    chain,
                    nodes,
                    edges: layout.edges.clone().into(),
                    marks: marks.collect(),
                    outboxes,
                    cancel: cancel.clone(),
                    fresh: true,
                    at_once,
                };
                let inbox = Inbox::new("keyed lane", wires.take_inputs(&layout, number, index), cancel.clone());
                keyed_lanes.push((lane, inbox, output));
            }
        }
        to_writer.push((number, done));
    }
    let to_writer = Inbox::new("writer", to_writer, cancel.clone());
    let timed = !layout.is_stateless();
    // Last, because it changes what others see: only when nothing else stands against the run.
    let mut sinks = sinks::open(plan, options)?;
    sinks::recover(plan, &mut sinks, restored)?;
    Ok(Compiled { lanes, keyed_lanes, to_lanes, to_writer, readers, mailboxes, sinks, positions, definitions, flow, live, timed })
}

/// The nodes of a segment, for each of its lanes. Lanes are made side by side: each reads its share of the state.
fn segment_nodes(parts: &Parts<'_>, segment: usize) -> Result<Vec<Vec<LaneNode>>, EngineError> {
    let nodes_of = |lane: usize| {
        let nodes = (0..parts.plan.nodes.len()).map(|node| match parts.layout.segment_of[node] == segment {
            true => lane_node(parts, node, lane),
            false => Ok(LaneNode::Elsewhere),
        });
        nodes.collect::<Result<Vec<_>, _>>()
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..parts.layout.segments[segment].lanes).map(|lane| scope.spawn(move || nodes_of(lane))).collect();
        let made = |lane: std::thread::ScopedJoinHandle<'_, _>| {
            lane.join().unwrap_or_else(|_| Err(EngineError::internal("lane", "panicked while it was made")))
        };
        lanes.into_iter().map(made).collect()
    })
}

/// What the chains of all lanes share.
struct Common {
    consumers: Arc<Vec<Vec<usize>>>,
    fan: Arc<Vec<BTreeMap<usize, u64>>>,
    leaving: Arc<BTreeMap<usize, Vec<usize>>>,
    inputs: Arc<Vec<Vec<usize>>>,
    live: Arc<Live>,
    /// Before the first ticket. Reference data holds nobody back.
    watermarks: Vec<i64>,
}

impl Common {
    /// Where the watermarks of a segment's nodes stood at the last checkpoint, now that those of its inputs are known.
    fn resume(&mut self, plan: &Plan, segment: &[usize], nodes: &[LaneNode]) {
        for &node in segment.iter().filter(|&&node| !plan.nodes[node].inputs.is_empty()) {
            let least = plan.nodes[node].inputs.iter().map(|&input| self.watermarks[input]).min().unwrap_or(i64::MIN);
            self.watermarks[node] = match &nodes[node] {
                LaneNode::Operator(stage) if least > i64::MIN => stage.operator.output_watermark(least),
                _ => least,
            };
        }
    }

    fn chain(&self, nodes: Vec<LaneNode>) -> Chain {
        Chain {
            watermarks: self.watermarks.clone(),
            nodes,
            consumers: Arc::clone(&self.consumers),
            fan: Arc::clone(&self.fan),
            leaving: Arc::clone(&self.leaving),
            inputs: Arc::clone(&self.inputs),
            live: Arc::clone(&self.live),
        }
    }
}

/// A place in the layout: segment and lane.
type Place = (usize, usize);

/// The channels between the lanes of different segments.
struct Wires {
    /// By place of the sender and segment of the receivers, one a lane.
    senders: BTreeMap<(Place, usize), Vec<Sender<Packet>>>,
    /// By place of the receiver and segment of the senders, one a lane.
    receivers: BTreeMap<(Place, usize), Vec<Receiver<Packet>>>,
}

impl Wires {
    fn new(layout: &Layout) -> Self {
        let mut wires = Self { senders: BTreeMap::new(), receivers: BTreeMap::new() };
        for (to, segment) in layout.segments.iter().enumerate() {
            for &from in &segment.upstream {
                for from_lane in 0..layout.segments[from].lanes {
                    for to_lane in 0..segment.lanes {
                        let (sender, receiver) = bounded(PACKET_QUEUE);
                        wires.senders.entry(((from, from_lane), to)).or_default().push(sender);
                        wires.receivers.entry(((to, to_lane), from)).or_default().push(receiver);
                    }
                }
            }
        }
        wires
    }

    fn outboxes(
        &mut self,
        plan: &Plan,
        layout: &Layout,
        from: usize,
        lane: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Outbox>, EngineError> {
        layout
            .downstream(from)
            .into_iter()
            .map(|to| {
                let edges = layout.edges_between(from, to).into_iter().map(|edge| {
                    let of = &layout.edges[edge];
                    (edge, of.route.clone(), Arc::clone(&plan.nodes[of.from].schema))
                });
                let lanes = self.senders.remove(&((from, lane), to)).unwrap_or_default();
                Outbox::new(edges, lanes, lane, cancel.clone())
            })
            .collect()
    }

    fn take_inputs(&mut self, layout: &Layout, to: usize, lane: usize) -> Vec<(usize, Vec<Receiver<Packet>>)> {
        let upstream = layout.segments[to].upstream.iter();
        upstream.map(|&from| (from, self.receivers.remove(&((to, lane), from)).unwrap_or_default())).collect()
    }
}
