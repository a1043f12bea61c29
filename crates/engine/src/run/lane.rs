//! A lane: takes every n-th ticket through all stages and hands the result to the writer.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use hdrhistogram::Histogram;
use weir_connectors::{Chunk, Encoded};

use super::dispatch::ToLane;
use crate::{
    checkpoint::OperatorState,
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
    live::Live,
    ordered::Cancel,
    stages::{Processed, Rejected, Turn, decode::DecodeStage, guard::Guarded, sink::SinkStage},
};

/// A node as a lane runs it.
pub enum LaneNode {
    Source(Box<DecodeStage>),
    Step(Guarded),
    Sink(SinkStage),
}

/// What a lane tells the writer.
pub enum FromLane {
    Done {
        ticket: u64,
        /// Node index of the sink, and its rows.
        encoded: Vec<(usize, Encoded)>,
        /// Node index, source node index, rows.
        rejected: Vec<(usize, usize, Rejected)>,
    },
    Barrier {
        ticket: u64,
        report: Box<LaneReport>,
    },
}

/// What happened in a lane since the last barrier. Indexed like the plan's nodes.
pub struct LaneReport {
    pub counts: Vec<NodeCounts>,
    pub rules: Vec<BTreeMap<String, RuleCounts>>,
    /// From the one lane that takes snapshots.
    pub states: Vec<(usize, OperatorState)>,
    pub batch_micros: Histogram<u32>,
}

/// Times of batches in microseconds, up to a minute, to three digits.
pub fn batch_histogram() -> Histogram<u32> {
    Histogram::new_with_max(60_000_000, 3).expect("invariant: a minute and three digits are valid bounds")
}

pub struct Lane {
    pub index: usize,
    /// Indexed like the plan's nodes.
    pub nodes: Vec<LaneNode>,
    pub consumers: Arc<Vec<Vec<usize>>>,
    /// `visits[source][node]`: how many batches a ticket of that source brings to a node.
    pub visits: Arc<Vec<Vec<usize>>>,
    /// `fan[node][input]`: how often a step counts a batch from that input (the arms of a UNION ALL).
    pub fan: Arc<Vec<BTreeMap<usize, u64>>>,
    pub live: Arc<Live>,
    pub cancel: Cancel,
    pub batch_micros: Histogram<u32>,
}

impl Lane {
    pub fn run(mut self, input: &Receiver<ToLane>, output: &Sender<FromLane>) -> Result<(), EngineError> {
        loop {
            let message = match input.recv_timeout(Duration::from_millis(50)) {
                Ok(message) => message,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => return Err(EngineError::Cancelled),
                Err(RecvTimeoutError::Timeout) => continue,
            };
            let done = match message {
                ToLane::Work { ticket, source, partition, chunk } => {
                    let began = Instant::now();
                    let done = self.work(ticket, source, &partition, &chunk)?;
                    self.batch_micros.saturating_record(began.elapsed().as_micros() as u64);
                    done
                }
                ToLane::Barrier { ticket, epoch } => self.barrier(ticket, epoch)?,
            };
            self.send(output, done)?;
        }
    }

    fn work(&mut self, ticket: u64, source: usize, partition: &Arc<str>, chunk: &Chunk) -> Result<FromLane, EngineError> {
        for (node, &visits) in self.nodes.iter().zip(&self.visits[source]) {
            match node {
                LaneNode::Source(stage) if visits == 0 => stage.skip(ticket),
                LaneNode::Step(stage) if visits == 0 => stage.skip(ticket),
                _ => {}
            }
        }
        let turn = Turn { ticket, source, from: source };
        let LaneNode::Source(stage) = &mut self.nodes[source] else {
            return Err(EngineError::internal("lane", "a chunk was sent to a node that is no source"));
        };
        let before = stage.counts;
        let processed = stage.process(chunk, partition, turn)?;
        self.live.add(source, difference(stage.counts, before));
        let mut result = Flow { encoded: Vec::new(), rejected: Vec::new() };
        self.push(source, processed, turn, &mut result)?;
        Ok(FromLane::Done { ticket, encoded: result.encoded, rejected: result.rejected })
    }

    /// Takes what a node put out to everyone who reads from it.
    fn push(&mut self, node: usize, processed: Processed, turn: Turn, result: &mut Flow) -> Result<(), EngineError> {
        result
            .rejected
            .extend(processed.rejected.into_iter().filter(|rows| !rows.is_empty()).map(|rows| (node, turn.source, rows)));
        let consumers = Arc::clone(&self.consumers);
        let fans = Arc::clone(&self.fan);
        for batch in processed.out {
            for &consumer in &consumers[node] {
                match &mut self.nodes[consumer] {
                    LaneNode::Step(stage) => {
                        let fan = fans[consumer].get(&node).copied().unwrap_or(1);
                        let (processed, counts) = stage.process(batch.clone(), Turn { from: node, ..turn }, fan)?;
                        self.live.add(consumer, counts);
                        self.push(consumer, processed, turn, result)?;
                    }
                    LaneNode::Sink(stage) => {
                        if batch.num_rows() > 0 {
                            let encoded = stage.process(&batch)?;
                            let rows = encoded.rows;
                            self.live.add(consumer, NodeCounts { rows_in: rows, out: rows, ..NodeCounts::default() });
                            result.encoded.push((consumer, encoded));
                        }
                    }
                    LaneNode::Source(_) => return Err(EngineError::internal("lane", "a source cannot read from another node")),
                }
            }
        }
        Ok(())
    }

    fn barrier(&mut self, ticket: u64, epoch: u64) -> Result<FromLane, EngineError> {
        let mut report = LaneReport {
            counts: Vec::with_capacity(self.nodes.len()),
            rules: Vec::with_capacity(self.nodes.len()),
            states: Vec::new(),
            batch_micros: self.batch_micros.clone(),
        };
        self.batch_micros.reset();
        let takes_snapshots = self.index == 0;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let (counts, rules, state) = match node {
                LaneNode::Source(stage) => {
                    let state = if takes_snapshots { stage.snapshot(ticket)? } else { None };
                    (std::mem::take(&mut stage.counts), stage.take_rules(), state)
                }
                LaneNode::Step(stage) => {
                    let state = if takes_snapshots { stage.snapshot(ticket, epoch)? } else { None };
                    (stage.take_counts(), stage.take_rules(), state)
                }
                LaneNode::Sink(stage) => (std::mem::take(&mut stage.counts), BTreeMap::new(), None),
            };
            report.counts.push(counts);
            report.rules.push(rules);
            report.states.extend(state.map(|state| (index, state)));
        }
        Ok(FromLane::Barrier { ticket, report: Box::new(report) })
    }

    fn send(&self, output: &Sender<FromLane>, message: FromLane) -> Result<(), EngineError> {
        let mut message = message;
        loop {
            match output.send_timeout(message, Duration::from_millis(50)) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Disconnected(_)) => return Err(EngineError::Cancelled),
                Err(SendTimeoutError::Timeout(back)) => {
                    if self.cancel.is_cancelled() {
                        return Err(EngineError::Cancelled);
                    }
                    message = back;
                }
            }
        }
    }
}

struct Flow {
    encoded: Vec<(usize, Encoded)>,
    rejected: Vec<(usize, usize, Rejected)>,
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
    }
}
