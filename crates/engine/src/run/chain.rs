//! The nodes that one lane of a segment runs through, and the way of a batch among them.

use std::{collections::BTreeMap, sync::Arc};

use weir_connectors::Encoded;

use crate::{
    batch::Batch,
    checkpoint::OperatorState,
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
    live::Live,
    observation::Observations,
    stages::{
        Processed, Rejected, Turn,
        decode::DecodeStage,
        guard::Guarded,
        sink::SinkStage,
        transform::driver::{OperatorStage, PendingKeyed},
    },
};

/// A node as a lane runs it.
pub enum LaneNode {
    Source(Box<DecodeStage>),
    Step(Guarded),
    Operator(Box<OperatorStage>),
    Sink(SinkStage),
    /// In another segment.
    Elsewhere,
}

/// What a ticket brought a lane.
#[derive(Default)]
pub struct Flow {
    /// Node index of the sink, and its rows.
    pub encoded: Vec<(usize, Encoded)>,
    /// Node index, node index of where the rows came from, rows.
    pub rejected: Vec<(usize, usize, Rejected)>,
    /// Edge, and rows on it.
    pub outgoing: Vec<(usize, Batch)>,
}

/// What happened in a lane since the last barrier. Indexed like the plan's nodes.
pub struct ChainReport {
    pub counts: Vec<NodeCounts>,
    pub rules: Vec<BTreeMap<String, RuleCounts>>,
    pub states: Vec<(usize, OperatorState)>,
    /// Keyed state as of the barrier, still to be written.
    pub keyed: Vec<PendingKeyed>,
    pub observations: Observations,
}

pub struct Chain {
    /// Indexed like the plan's nodes.
    pub nodes: Vec<LaneNode>,
    pub consumers: Arc<Vec<Vec<usize>>>,
    /// `fan[node][input]`: how often a step counts a batch from that input (the arms of a UNION ALL).
    pub fan: Arc<Vec<BTreeMap<usize, u64>>>,
    /// `leaving[node]`: edges by which its rows leave the segment.
    pub leaving: Arc<BTreeMap<usize, Vec<usize>>>,
    /// For each node, its inputs.
    pub inputs: Arc<Vec<Vec<usize>>>,
    /// The watermark of each node, as of the last ticket.
    pub watermarks: Vec<i64>,
    pub live: Arc<Live>,
}

impl Chain {
    /// Takes what a node put out to everyone who reads from it.
    pub fn push(&mut self, node: usize, processed: Processed, turn: Turn, flow: &mut Flow) -> Result<(), EngineError> {
        flow.rejected
            .extend(processed.rejected.into_iter().filter(|rows| !rows.is_empty()).map(|rows| (node, turn.source, rows)));
        let consumers = Arc::clone(&self.consumers);
        let leaving = Arc::clone(&self.leaving);
        for batch in processed.out {
            for &consumer in &consumers[node] {
                self.feed(consumer, batch.clone(), Turn { from: node, ..turn }, flow)?;
            }
            for &edge in leaving.get(&node).into_iter().flatten() {
                flow.outgoing.push((edge, batch.clone()));
            }
        }
        Ok(())
    }

    /// Gives a batch to a node of this segment, if it is here.
    pub fn feed(&mut self, node: usize, batch: Batch, turn: Turn, flow: &mut Flow) -> Result<(), EngineError> {
        match &mut self.nodes[node] {
            LaneNode::Step(stage) => {
                let fan = self.fan[node].get(&turn.from).copied().unwrap_or(1);
                let (processed, counts) = stage.process(batch, turn, fan)?;
                self.live.add(node, counts);
                self.push(node, processed, turn, flow)
            }
            LaneNode::Sink(stage) => {
                if batch.num_rows() > 0 {
                    let encoded = stage.process(&batch)?;
                    let rows = encoded.rows;
                    self.live.add(node, NodeCounts { rows_in: rows, out: rows, ..NodeCounts::default() });
                    flow.encoded.push((node, encoded));
                }
                Ok(())
            }
            LaneNode::Operator(_) | LaneNode::Elsewhere => Ok(()),
            LaneNode::Source(_) => Err(EngineError::internal("lane", "a source cannot read from another node")),
        }
    }

    /// Recomputes the watermarks of the nodes of this segment, in order, from those of their inputs; operators go by
    /// `operator`, which also lets them act.
    pub fn advance(
        &mut self,
        nodes: &[usize],
        mut operator: impl FnMut(&mut Self, usize, i64) -> Result<i64, EngineError>,
    ) -> Result<(), EngineError> {
        let inputs = Arc::clone(&self.inputs);
        for &node in nodes {
            if matches!(self.nodes[node], LaneNode::Source(_)) {
                continue;
            }
            let least = inputs[node].iter().map(|&input| self.watermarks[input]).min().unwrap_or(i64::MIN);
            self.watermarks[node] = match self.nodes[node] {
                LaneNode::Operator(_) => operator(self, node, least)?,
                _ => least,
            };
        }
        Ok(())
    }

    /// The watermark on each edge that leaves this segment.
    pub fn marks(&self) -> Vec<(usize, i64)> {
        self.leaving
            .iter()
            .filter(|(node, _)| !matches!(self.nodes[**node], LaneNode::Elsewhere))
            .flat_map(|(&node, edges)| edges.iter().map(move |&edge| (edge, self.watermarks[node])))
            .collect()
    }

    /// Counts, rules and state at a barrier. `takes_snapshots` says that this lane speaks for state that lanes share.
    pub fn report(&mut self, lane: usize, ticket: u64, epoch: u64, takes_snapshots: bool) -> Result<ChainReport, EngineError> {
        let mut report = ChainReport {
            counts: Vec::with_capacity(self.nodes.len()),
            rules: Vec::with_capacity(self.nodes.len()),
            states: Vec::new(),
            keyed: Vec::new(),
            observations: Observations::default(),
        };
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let (counts, rules) = match node {
                LaneNode::Source(stage) => (std::mem::take(&mut stage.counts), stage.take_rules()),
                LaneNode::Step(stage) => {
                    if takes_snapshots {
                        report.states.extend(stage.snapshot(ticket, epoch)?.map(|state| (index, state)));
                    }
                    (stage.take_counts(), stage.take_rules())
                }
                LaneNode::Operator(stage) => {
                    report.keyed.extend(stage.snapshot(index, lane));
                    report.observations.append(stage.operator.take_observations());
                    (stage.take_counts(), stage.operator.take_rules())
                }
                LaneNode::Sink(stage) => (std::mem::take(&mut stage.counts), BTreeMap::new()),
                LaneNode::Elsewhere => (NodeCounts::default(), BTreeMap::new()),
            };
            report.counts.push(counts);
            report.rules.push(rules);
        }
        Ok(report)
    }
}
