//! A lane of the sources: takes every n-th ticket through all stages that need no state, and hands on what comes of it.

use std::{sync::Arc, time::Instant};

use crossbeam_channel::{Receiver, Sender};
use hdrhistogram::Histogram;
use weir_connectors::{Chunk, Encoded};

use super::{
    chain::{Chain, ChainReport, Flow, LaneNode},
    dispatch::ToLane,
    exchange::{Outbox, Ticketed, receive, send},
};
use crate::{
    counts::NodeCounts,
    error::EngineError,
    ordered::Cancel,
    stages::{Rejected, Turn, event_time::EventClock, event_time::Marks},
};

/// What a lane tells the writer.
pub enum FromLane {
    Rows {
        ticket: u64,
        /// Node index of the sink, and its rows.
        encoded: Vec<(usize, Encoded)>,
        /// Node index, node index of where the rows came from, rows.
        rejected: Vec<(usize, usize, Rejected)>,
        /// Whether this is all of the ticket, or the rest of it.
        done: bool,
    },
    Barrier {
        ticket: u64,
        report: Box<LaneReport>,
    },
}

impl Ticketed for FromLane {
    fn ticket(&self) -> u64 {
        match self {
            Self::Rows { ticket, .. } | Self::Barrier { ticket, .. } => *ticket,
        }
    }
    fn is_barrier(&self) -> bool {
        matches!(self, Self::Barrier { .. })
    }
    fn is_part(&self) -> bool {
        matches!(self, Self::Rows { done: false, .. })
    }
}

/// What happened in a lane since the last barrier.
pub struct LaneReport {
    pub chain: ChainReport,
    /// From the one lane that speaks for it: the event time of each source.
    pub clock: Option<std::collections::BTreeMap<usize, crate::stages::event_time::Known>>,
    pub batch_micros: Option<Histogram<u32>>,
}

/// Times of batches in microseconds, up to a minute, to three digits.
pub fn batch_histogram() -> Histogram<u32> {
    Histogram::new_with_max(60_000_000, 3).expect("invariant: a minute and three digits are valid bounds")
}

pub struct Lane {
    pub index: usize,
    pub chain: Chain,
    /// The segment's nodes, in the order of the plan.
    pub nodes: Arc<[usize]>,
    /// `visits[source][node]`: how many batches a ticket of that source brings to a node.
    pub visits: Arc<Vec<Vec<usize>>>,
    /// None when no source has event time.
    pub clock: Option<Arc<EventClock>>,
    pub outboxes: Vec<Outbox>,
    pub cancel: Cancel,
    pub batch_micros: Histogram<u32>,
}

impl Lane {
    pub fn run(mut self, input: &Receiver<ToLane>, output: &Sender<FromLane>) -> Result<(), EngineError> {
        loop {
            let message = match receive(input, &self.cancel) {
                Ok(message) => message,
                // The dispatcher hangs up when the run is over.
                Err(EngineError::Cancelled) if !self.cancel.is_cancelled() => return Ok(()),
                Err(error) => return Err(error),
            };
            let done = match message {
                ToLane::Work { ticket, now, source, partition, chunk, done } => {
                    let began = Instant::now();
                    let turn = Turn { ticket, source, from: source, now };
                    let done = self.work(turn, &partition, &chunk, done)?;
                    self.batch_micros.saturating_record(began.elapsed().as_micros() as u64);
                    done
                }
                ToLane::Tick { ticket, now, ended } => self.tick(ticket, now, ended)?,
                ToLane::Barrier { ticket, epoch } => self.barrier(ticket, epoch)?,
            };
            send(output, done, &self.cancel)?;
        }
    }

    fn work(&mut self, turn: Turn, partition: &Arc<str>, chunk: &Chunk, done: bool) -> Result<FromLane, EngineError> {
        let Turn { ticket, source, now, .. } = turn;
        self.skip(ticket, Some(source));
        let LaneNode::Source(stage) = &mut self.chain.nodes[source] else {
            return Err(EngineError::internal("lane", "a chunk was sent to a node that is no source"));
        };
        let before = stage.counts;
        let processed = stage.process(chunk, partition, done, turn)?;
        self.chain.live.add(source, difference(stage.counts, before));
        let marks = match &stage.event_time {
            Some(_) => Some(std::mem::take(&mut stage.marks)),
            None => self.clock.as_ref().map(|clock| clock.tick(ticket, now)).transpose()?,
        };
        let mut flow = Flow::default();
        self.chain.push(source, processed, turn, &mut flow)?;
        self.hand_on(turn, marks, flow)
    }

    fn tick(&mut self, ticket: u64, now: i64, ended: Option<usize>) -> Result<FromLane, EngineError> {
        self.skip(ticket, None);
        let marks = match (&self.clock, ended) {
            (Some(clock), Some(source)) => Some(clock.end(ticket, source, now)?),
            (Some(clock), None) => Some(clock.tick(ticket, now)?),
            (None, _) => None,
        };
        let source = ended.unwrap_or(0);
        self.hand_on(Turn { ticket, source, from: source, now }, marks, Flow::default())
    }

    /// Tells state in turn that this ticket does not visit it.
    fn skip(&self, ticket: u64, source: Option<usize>) {
        for (index, node) in self.chain.nodes.iter().enumerate() {
            let visits = source.map_or(0, |source| self.visits[source][index]);
            if visits == 0
                && let LaneNode::Step(stage) = node
            {
                stage.skip(ticket);
            }
        }
    }

    fn hand_on(&mut self, turn: Turn, marks: Option<Marks>, flow: Flow) -> Result<FromLane, EngineError> {
        let Turn { ticket, source, now, .. } = turn;
        if !self.outboxes.is_empty() {
            for &(source, mark) in marks.iter().flat_map(|marks| marks.iter()) {
                self.chain.watermarks[source] = mark;
            }
            let nodes = Arc::clone(&self.nodes);
            self.chain.advance(&nodes, |_, _, watermark| Ok(watermark))?;
            let marks = self.chain.marks();
            self.outboxes.iter().try_for_each(|outbox| outbox.rows(ticket, source, now, &flow.outgoing, &marks))?;
        }
        Ok(FromLane::Rows { ticket, encoded: flow.encoded, rejected: flow.rejected, done: true })
    }

    fn barrier(&mut self, ticket: u64, epoch: u64) -> Result<FromLane, EngineError> {
        let speaks = self.index == 0;
        let chain = self.chain.report(self.index, ticket, epoch, speaks)?;
        let clock = self.clock.as_ref().filter(|_| speaks).map(|clock| clock.snapshot(ticket)).transpose()?;
        let batch_micros = Some(self.batch_micros.clone());
        self.batch_micros.reset();
        self.outboxes.iter().try_for_each(|outbox| outbox.barrier(ticket, epoch))?;
        Ok(FromLane::Barrier { ticket, report: Box::new(LaneReport { chain, clock, batch_micros }) })
    }
}

fn difference(after: NodeCounts, before: NodeCounts) -> NodeCounts {
    NodeCounts {
        rows_in: after.rows_in - before.rows_in,
        out: after.out - before.out,
        malformed: after.malformed - before.malformed,
        quarantined: after.quarantined - before.quarantined,
        denied: after.denied - before.denied,
        late: after.late - before.late,
        dropped: after.dropped - before.dropped,
        absorbed: after.absorbed - before.absorbed,
        emitted: after.emitted - before.emitted,
        held: after.held - before.held,
        unnamed: after.unnamed - before.unnamed,
        flagged: after.flagged - before.flagged,
    }
}
