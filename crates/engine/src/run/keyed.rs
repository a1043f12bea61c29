//! A lane of a keyed segment: owns the keys that hash to it, sees every ticket, drives an operator and what follows it.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{
    chain::{Chain, Flow, LaneNode},
    exchange::{Content, Inbox, Outbox, Packet, send},
    lane::{FromLane, LaneReport},
    layout::Edge,
};
use crate::{
    batch::Batch,
    error::EngineError,
    ordered::Cancel,
    stages::{
        Processed, Rejected, Turn,
        transform::operator::{Progress, Time},
    },
};

pub struct KeyedLane {
    pub index: usize,
    pub chain: Chain,
    /// The segment's nodes, in the order of the plan.
    pub nodes: Arc<[usize]>,
    /// All edges of the layout.
    pub edges: Arc<[Edge]>,
    /// The watermark of each edge into this segment, from each lane that feeds it.
    pub marks: Vec<EdgeMarks>,
    pub outboxes: Vec<Outbox>,
    pub cancel: Cancel,
    /// No ticket has come yet: operators do not know how far time had come before the last checkpoint.
    pub fresh: bool,
    /// Whether rows come by one edge and from an operator: their order is that in which they arrive, and none is behind the watermark. So
    /// each part of a ticket can be looked at as it comes.
    pub at_once: bool,
}

/// How far the lanes that feed an edge have come.
pub struct EdgeMarks {
    pub edge: usize,
    /// One for each lane of the segment it comes from, or one for all where each ticket visits one of them.
    pub lanes: Vec<i64>,
}

/// What has come of a ticket, and what came of that.
#[derive(Default)]
struct Arrived {
    barrier: Option<u64>,
    /// The ticket's source, and the clock when it was made.
    made: (usize, i64),
    /// Edge and rows, still to be looked at.
    rows: Vec<(usize, Batch)>,
    /// Edge, and how many lanes have told its watermark.
    marked: Vec<(usize, usize)>,
    flow: Flow,
}

impl KeyedLane {
    pub fn run(mut self, mut inbox: Inbox<Packet>, output: &Sender<FromLane>) -> Result<(), EngineError> {
        loop {
            let mut arrived = Arrived::default();
            let ticket = match inbox.next(|packet| self.take(packet, &mut arrived)) {
                Ok(ticket) => ticket,
                Err(EngineError::Cancelled) if !self.cancel.is_cancelled() => return Ok(()),
                Err(error) => return Err(error),
            };
            let done = match arrived.barrier {
                Some(epoch) => self.barrier(ticket, epoch)?,
                None => self.work(ticket, arrived, output)?,
            };
            send(output, done, &self.cancel)?;
        }
    }

    /// Takes in some of a ticket.
    fn take(&mut self, packet: Packet, arrived: &mut Arrived) -> Result<(), EngineError> {
        let (source, now, pieces, marks) = match packet.content {
            Content::Barrier { epoch } => {
                arrived.barrier = Some(epoch);
                return Ok(());
            }
            Content::Part { source, now, pieces } => (source, now, pieces, None),
            Content::Rows { source, now, pieces, marks } => (source, now, pieces, Some(marks)),
        };
        arrived.made = (source, now);
        arrived.rows.extend(pieces);
        for &(edge, mark) in marks.iter().flat_map(|marks| marks.iter()) {
            let lane = match arrived.marked.iter_mut().find(|(of, _)| *of == edge) {
                Some((_, lane)) => {
                    *lane += 1;
                    *lane
                }
                None => {
                    arrived.marked.push((edge, 0));
                    0
                }
            };
            if let Some(known) = self.marks.iter_mut().find(|known| known.edge == edge)
                && let Some(known) = known.lanes.get_mut(lane)
            {
                *known = mark;
            }
        }
        if self.at_once { self.look(packet.ticket, arrived) } else { Ok(()) }
    }

    /// Gives the rows that have arrived to whom they are for.
    fn look(&mut self, ticket: u64, arrived: &mut Arrived) -> Result<(), EngineError> {
        let turn = arrived.turn(ticket);
        if std::mem::take(&mut self.fresh) {
            self.advance(turn, &mut arrived.flow, None)?;
        }
        for (edge, batch) in arrived.rows.drain(..) {
            let Edge { from, to, input, .. } = self.edges[edge];
            self.feed(to, input, batch, Turn { from, ..turn }, &mut arrived.flow)?;
        }
        Ok(())
    }

    /// What is to be done when all of a ticket has come.
    fn work(&mut self, ticket: u64, mut arrived: Arrived, output: &Sender<FromLane>) -> Result<FromLane, EngineError> {
        let turn = arrived.turn(ticket);
        if std::mem::take(&mut self.fresh) {
            self.advance(turn, &mut arrived.flow, Some(output))?;
        }
        // By input, and in order within it, so that the outcome does not depend on which lane was read first.
        arrived.rows.sort_by_key(|(edge, _)| *edge);
        for known in &self.marks {
            let from = self.edges[known.edge].from;
            self.chain.watermarks[from] = known.lanes.iter().copied().min().unwrap_or(i64::MIN);
        }
        self.look(ticket, &mut arrived)?;
        let mut flow = arrived.flow;
        self.advance(turn, &mut flow, Some(output))?;
        let marks = self.chain.marks();
        self.outboxes.iter().try_for_each(|outbox| outbox.rows(ticket, turn.source, turn.now, &flow.outgoing, &marks))?;
        Ok(FromLane::Rows { ticket, encoded: flow.encoded, rejected: flow.rejected, done: true })
    }

    /// Lets operators act on the time as it stands. Where there is much that they put out, it goes ahead in parts, once all of the
    /// ticket has come and there is someone to send it to.
    fn advance(&mut self, turn: Turn, flow: &mut Flow, output: Option<&Sender<FromLane>>) -> Result<(), EngineError> {
        let nodes = Arc::clone(&self.nodes);
        let (outboxes, cancel) = (&self.outboxes, &self.cancel);
        self.chain.advance(&nodes, |chain, node, watermark| {
            loop {
                let LaneNode::Operator(stage) = &mut chain.nodes[node] else { return Ok(watermark) };
                let (processed, counts, progress) = stage.advance(Time { watermark, now: turn.now })?;
                let held = stage.operator.output_watermark(watermark);
                chain.live.add(node, counts);
                chain.push(node, processed, Turn { source: node, from: node, ..turn }, flow)?;
                match (progress, output) {
                    (Progress::Done, _) => return Ok(held),
                    (Progress::More, None) => {}
                    (Progress::More, Some(output)) => {
                        let Flow { encoded, rejected, outgoing } = std::mem::take(flow);
                        outboxes.iter().try_for_each(|outbox| outbox.part(turn.ticket, turn.source, turn.now, &outgoing))?;
                        send(output, FromLane::Rows { ticket: turn.ticket, encoded, rejected, done: false }, cancel)?;
                    }
                }
            }
        })
    }

    fn feed(&mut self, node: usize, input: usize, batch: Batch, turn: Turn, flow: &mut Flow) -> Result<(), EngineError> {
        let LaneNode::Operator(stage) = &mut self.chain.nodes[node] else { return self.chain.feed(node, batch, turn, flow) };
        let watermark = self.chain.inputs[node].iter().map(|&input| self.chain.watermarks[input]).min().unwrap_or(i64::MIN);
        let (processed, counts) = stage.process(input, &batch, Time { watermark, now: turn.now })?;
        self.chain.live.add(node, counts);
        // Rows rejected here are rows of the input; rows put out are the operator's own, as are those it had absorbed before.
        let own = |rows: &Rejected| Arc::ptr_eq(&rows.partition, &stage.partition);
        let source = |rows: &Rejected| if own(rows) { node } else { batch.origin.source };
        flow.rejected.extend(processed.rejected.into_iter().map(|rows| (node, source(&rows), rows)));
        let made = Processed { out: processed.out, ..Default::default() };
        self.chain.push(node, made, Turn { source: node, from: node, ..turn }, flow)
    }

    fn barrier(&mut self, ticket: u64, epoch: u64) -> Result<FromLane, EngineError> {
        let chain = self.chain.report(self.index, ticket, epoch, self.index == 0)?;
        self.outboxes.iter().try_for_each(|outbox| outbox.barrier(ticket, epoch))?;
        Ok(FromLane::Barrier { ticket, report: Box::new(LaneReport { chain, clock: None, batch_micros: None }) })
    }
}

impl Arrived {
    fn turn(&self, ticket: u64) -> Turn {
        let (source, now) = self.made;
        Turn { ticket, source, from: source, now }
    }
}
