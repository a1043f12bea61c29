//! The writer: takes what lanes have done in ticket order, appends it to sinks, and commits checkpoints.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use hdrhistogram::Histogram;
use weir_connectors::SinkWriter;
use weir_plan::{NodeKind, Plan};

use super::{
    BatchTimes, Requests,
    dispatch::BarrierNote,
    lane::{FromLane, LaneReport},
    reader::Mailbox,
};
use crate::{
    checkpoint::{Checkpoint, CheckpointCommit, OperatorState},
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
    host::Host,
    ordered::Cancel,
    quarantine::{Collector, QuarantineSealer},
    summary::EvidenceSummary,
};

/// Rejected rows held in memory before a checkpoint is asked for.
const MAX_QUARANTINE_BYTES: usize = 32 << 20;

pub struct Writer {
    pub plan: Arc<Plan>,
    pub host: Arc<dyn Host>,
    pub run: String,
    pub started: Instant,
    pub lanes: Vec<Receiver<FromLane>>,
    pub barriers: Receiver<BarrierNote>,
    /// By node index.
    pub sinks: BTreeMap<usize, Box<dyn SinkWriter>>,
    /// For each node, its inputs with how often a row of each is counted.
    pub expected_flow: Arc<Vec<BTreeMap<usize, u64>>>,
    /// By source node index.
    pub mailboxes: BTreeMap<usize, Mailbox>,
    pub last: Checkpoint,
    pub definitions: BTreeMap<String, String>,
    pub quarantine: Arc<QuarantineSealer>,
    pub cancel: Cancel,
    pub requests: Arc<Requests>,
}

/// The end of a run.
pub struct Finished {
    pub last: Checkpoint,
    pub stopped: bool,
    pub evidence: EvidenceSummary,
    pub batch_micros: BatchTimes,
}

/// What happened between two barriers, of all lanes. Indexed like the plan's nodes.
struct Epoch {
    counts: Vec<NodeCounts>,
    rules: Vec<BTreeMap<String, RuleCounts>>,
    states: Vec<(usize, OperatorState)>,
}

impl Writer {
    pub fn run(mut self) -> Result<Finished, EngineError> {
        let mut collector = Collector::new(Arc::clone(&self.plan), Arc::clone(&self.quarantine));
        let mut times = super::lane::batch_histogram();
        let seconds_before = self.last.seconds;
        let mut epoch = self.last.epoch + 1;
        let mut first = true;
        let mut ticket = 0;
        loop {
            let lane = (ticket % self.lanes.len() as u64) as usize;
            match self.receive(lane)? {
                FromLane::Done { ticket: got, encoded, rejected } => {
                    expect_ticket(ticket, got)?;
                    for (sink, rows) in encoded {
                        let name = &self.plan.nodes[sink].name;
                        let writer = self.sinks.get_mut(&sink).ok_or_else(|| EngineError::internal(name, "has no writer"))?;
                        writer.write(rows).map_err(|e| EngineError::connector(name, e))?;
                    }
                    for (node, source, rows) in rejected {
                        collector.add(epoch, node, source, rows)?;
                    }
                    if collector.bytes() > MAX_QUARANTINE_BYTES {
                        self.requests.checkpoint.store(true, Ordering::Relaxed);
                    }
                }
                FromLane::Barrier { ticket: got, report } => {
                    expect_ticket(ticket, got)?;
                    let mut happened = Epoch::new(self.plan.nodes.len());
                    happened.add(*report, &mut times);
                    for other in (0..self.lanes.len()).filter(|&other| other != lane) {
                        match self.receive(other)? {
                            FromLane::Barrier { ticket: got, report } => {
                                expect_ticket(ticket, got)?;
                                happened.add(*report, &mut times);
                            }
                            FromLane::Done { .. } => return Err(EngineError::internal("writer", "a lane is behind its barrier")),
                        }
                    }
                    let note = self.barriers.recv().map_err(|_| EngineError::Cancelled)?;
                    if note.epoch != epoch {
                        return Err(EngineError::internal(
                            "writer",
                            format!("barrier {} came where {epoch} was due", note.epoch),
                        ));
                    }
                    self.last.seconds = seconds_before + self.started.elapsed().as_secs_f64();
                    let positions = self.positions(&note);
                    let moved = happened.counts.iter().any(|counts| counts.rows_in > 0) || positions != self.last.positions;
                    if moved || self.last.checkpoints == 0 {
                        self.checkpoint(&note, happened, positions, &mut collector, first)?;
                        first = false;
                    }
                    self.requests.in_flight.store(false, Ordering::SeqCst);
                    epoch += 1;
                    if note.last {
                        let batch_micros = BatchTimes { p50: times.value_at_quantile(0.5), p99: times.value_at_quantile(0.99) };
                        let evidence = self.host.evidence()?;
                        return Ok(Finished { last: self.last, stopped: note.stopped, evidence, batch_micros });
                    }
                }
            }
            ticket += 1;
        }
    }

    fn receive(&self, lane: usize) -> Result<FromLane, EngineError> {
        loop {
            match self.lanes[lane].recv_timeout(Duration::from_millis(50)) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) if !self.cancel.is_cancelled() => {}
                Err(_) => return Err(EngineError::Cancelled),
            }
        }
    }

    fn positions(&self, note: &BarrierNote) -> BTreeMap<String, Vec<weir_connectors::PartitionPosition>> {
        note.positions
            .iter()
            .map(|(&source, positions)| (self.plan.nodes[source].name.clone(), positions.values().cloned().collect()))
            .collect()
    }

    fn checkpoint(
        &mut self,
        note: &BarrierNote,
        happened: Epoch,
        positions: BTreeMap<String, Vec<weir_connectors::PartitionPosition>>,
        collector: &mut Collector,
        first: bool,
    ) -> Result<(), EngineError> {
        let began_at = Instant::now();
        self.check_conservation(&happened.counts)?;
        let plan = Arc::clone(&self.plan);
        let name = |node: usize| plan.nodes[node].name.clone();

        let mut checkpoint = self.last.clone();
        checkpoint.version = Checkpoint::VERSION;
        checkpoint.epoch = note.epoch;
        checkpoint.checkpoints += 1;
        checkpoint.definitions = self.definitions.clone();
        checkpoint.positions = positions;
        checkpoint.states = happened.states.into_iter().map(|(node, state)| (name(node), state)).collect();
        checkpoint.pre_commits.clear();
        for (&sink, writer) in &mut self.sinks {
            let pre_commit = writer.pre_commit(note.epoch).map_err(|e| EngineError::connector(&plan.nodes[sink].name, e))?;
            checkpoint.pre_commits.insert(name(sink), pre_commit);
        }
        for (node, counts) in happened.counts.iter().enumerate() {
            *checkpoint.counts.entry(name(node)).or_default() += *counts;
        }
        for (node, rules) in happened.rules.iter().enumerate().filter(|(_, rules)| !rules.is_empty()) {
            let totals = checkpoint.rules.entry(name(node)).or_default();
            for (rule, counts) in rules {
                *totals.entry(rule.clone()).or_default() += counts;
            }
        }

        let decision =
            crate::checkpoint::decision(&plan, &self.run, &checkpoint, &happened.counts, &happened.rules, &*self.host, first)?;
        let quarantine = collector.take(note.epoch)?;
        self.host.commit(CheckpointCommit { checkpoint: checkpoint.clone(), began_at, quarantine, decision })?;

        for (&sink, writer) in &mut self.sinks {
            let node = &plan.nodes[sink].name;
            if let Some(pre_commit) = checkpoint.pre_commits.get(node) {
                writer.commit(pre_commit).map_err(|e| EngineError::connector(node, e))?;
            }
        }
        for (source, mailbox) in &self.mailboxes {
            if let Some(positions) = checkpoint.positions.get(&plan.nodes[*source].name) {
                *mailbox.lock() = Some(positions.clone());
            }
        }
        self.forget_state_files(&checkpoint);
        self.last = checkpoint;
        Ok(())
    }

    /// Rows in equals rows out plus all ways of leaving, for each node; and what a node took in is what its inputs gave.
    fn check_conservation(&self, counts: &[NodeCounts]) -> Result<(), EngineError> {
        for (index, node) in self.plan.nodes.iter().enumerate() {
            if !counts[index].is_conserved() {
                return Err(EngineError::internal(&node.name, format!("rows are not conserved: {:?}", counts[index])));
            }
            if matches!(node.kind, NodeKind::Source(_)) {
                continue;
            }
            let given: u64 = self.expected_flow[index].iter().map(|(&input, fan)| counts[input].out * fan).sum();
            if given != counts[index].rows_in {
                let taken = counts[index].rows_in;
                return Err(EngineError::internal(&node.name, format!("took in {taken} rows where its inputs gave {given}")));
            }
        }
        Ok(())
    }

    /// Removes state files that neither this checkpoint nor the one before needs.
    fn forget_state_files(&self, current: &Checkpoint) {
        let needed: std::collections::BTreeSet<&str> = [current, &self.last]
            .into_iter()
            .flat_map(|checkpoint| checkpoint.states.values())
            .filter_map(|state| match state {
                OperatorState::Files(files) => Some(files),
                OperatorState::Inline(_) => None,
            })
            .flatten()
            .map(|file| file.name.as_str())
            .collect();
        let Ok(entries) = std::fs::read_dir(self.host.state_dir()) else { return };
        for entry in entries.flatten() {
            let keep = entry.file_name().to_str().is_some_and(|name| needed.contains(name) || !name.ends_with(".seen"));
            if !keep && let Err(error) = std::fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "a state file that is no longer needed could not be removed");
            }
        }
    }
}

impl Epoch {
    fn new(nodes: usize) -> Self {
        Self { counts: vec![NodeCounts::default(); nodes], rules: vec![BTreeMap::new(); nodes], states: Vec::new() }
    }

    fn add(&mut self, report: LaneReport, times: &mut Histogram<u32>) {
        for (total, counts) in self.counts.iter_mut().zip(report.counts) {
            *total += counts;
        }
        for (total, rules) in self.rules.iter_mut().zip(report.rules) {
            for (rule, counts) in rules {
                *total.entry(rule).or_default() += &counts;
            }
        }
        self.states.extend(report.states);
        if times.add(&report.batch_micros).is_err() {
            tracing::debug!("a batch took longer than the histogram of batch times can hold");
        }
    }
}

fn expect_ticket(due: u64, got: u64) -> Result<(), EngineError> {
    if due == got { Ok(()) } else { Err(EngineError::internal("writer", format!("ticket {got} came where {due} was due"))) }
}
