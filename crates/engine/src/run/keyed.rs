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
    error::EngineError,
    ordered::Cancel,
    stages::{Processed, Rejected, Turn, transform::operator::Time},
};

pub struct KeyedLane {
    pub index: usize,
    pub chain: Chain,
    /// The segment's nodes, in the order of the plan.
    pub nodes: Arc<[usize]>,
    /// All edges of the layout.
    pub edges: Arc<[Edge]>,
    pub inbox: Inbox<Packet>,
    /// The watermark of each edge into this segment, from each lane that feeds it.
    pub marks: Vec<EdgeMarks>,
    pub outboxes: Vec<Outbox>,
    pub cancel: Cancel,
    /// No ticket has come yet: operators do not know how far time had come before the last checkpoint.
    pub fresh: bool,
}

/// How far the lanes that feed an edge have come.
pub struct EdgeMarks {
    pub edge: usize,
    /// One for each lane of the segment it comes from, or one for all where each ticket visits one of them.
    pub lanes: Vec<i64>,
}

impl KeyedLane {
    pub fn run(mut self, output: &Sender<FromLane>) -> Result<(), EngineError> {
        loop {
            let (ticket, packets) = match self.inbox.next() {
                Ok(packets) => packets,
                Err(EngineError::Cancelled) if !self.cancel.is_cancelled() => return Ok(()),
                Err(error) => return Err(error),
            };
            let done = match packets.first().map(|packet| &packet.content) {
                Some(Content::Barrier { epoch }) => {
                    let epoch = *epoch;
                    self.barrier(ticket, epoch)?
                }
                _ => self.work(ticket, packets)?,
            };
            send(output, done, &self.cancel)?;
        }
    }

    fn work(&mut self, ticket: u64, packets: Vec<Packet>) -> Result<FromLane, EngineError> {
        let mut flow = Flow::default();
        let mut turn = Turn { ticket, source: 0, from: 0, now: i64::MIN };
        let mut arrived: Vec<(usize, crate::batch::Batch)> = Vec::new();
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for packet in packets {
            let Content::Rows { source, now, pieces, marks } = packet.content else {
                return Err(EngineError::internal("keyed lane", "a barrier among rows"));
            };
            (turn.source, turn.now) = (source, now);
            arrived.extend(pieces);
            for &(edge, mark) in marks.iter() {
                let position = seen.iter().position(|(of, _)| *of == edge);
                let lane = match position {
                    Some(position) => {
                        seen[position].1 += 1;
                        seen[position].1
                    }
                    None => {
                        seen.push((edge, 0));
                        0
                    }
                };
                if let Some(known) = self.marks.iter_mut().find(|known| known.edge == edge)
                    && let Some(known) = known.lanes.get_mut(lane)
                {
                    *known = mark;
                }
            }
        }
        if std::mem::take(&mut self.fresh) {
            self.advance(turn, &mut flow)?;
        }
        // By input, and in order within it, so that the outcome does not depend on which lane was read first.
        arrived.sort_by_key(|(edge, _)| *edge);
        for known in &self.marks {
            let from = self.edges[known.edge].from;
            self.chain.watermarks[from] = known.lanes.iter().copied().min().unwrap_or(i64::MIN);
        }
        for (edge, batch) in arrived {
            let Edge { from, to, input, .. } = self.edges[edge];
            self.feed(to, input, batch, Turn { from, ..turn }, &mut flow)?;
        }
        self.advance(turn, &mut flow)?;
        let marks = self.chain.marks();
        self.outboxes.iter().try_for_each(|outbox| outbox.rows(ticket, turn.source, turn.now, &flow.outgoing, &marks))?;
        Ok(FromLane::Done { ticket, encoded: flow.encoded, rejected: flow.rejected })
    }

    /// Lets operators act on the time as it stands.
    fn advance(&mut self, turn: Turn, flow: &mut Flow) -> Result<(), EngineError> {
        let nodes = Arc::clone(&self.nodes);
        self.chain.advance(&nodes, |chain, node, watermark| {
            let LaneNode::Operator(stage) = &mut chain.nodes[node] else { return Ok(watermark) };
            let (processed, counts) = stage.advance(Time { watermark, now: turn.now })?;
            let held = stage.operator.output_watermark(watermark);
            chain.live.add(node, counts);
            chain.push(node, processed, Turn { source: node, from: node, ..turn }, flow)?;
            Ok(held)
        })
    }

    fn feed(
        &mut self,
        node: usize,
        input: usize,
        batch: crate::batch::Batch,
        turn: Turn,
        flow: &mut Flow,
    ) -> Result<(), EngineError> {
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
