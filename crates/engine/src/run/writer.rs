//! The writer: takes what lanes have done in ticket order, appends it to sinks, and ends epochs at barriers.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use hdrhistogram::Histogram;
use weir_connectors::SinkWriter;
use weir_plan::{NodeKind, Plan};

use super::{
    Requests,
    commit::{CommitJob, Epoch},
    dispatch::BarrierNote,
    exchange::{Inbox, send},
    lane::FromLane,
};
use crate::{
    counts::NodeCounts,
    error::EngineError,
    ordered::Cancel,
    quarantine::{Collector, QuarantineSealer},
};

/// Rejected rows held in memory before a checkpoint is asked for.
const MAX_QUARANTINE_BYTES: usize = 32 << 20;

pub struct Writer {
    pub plan: Arc<Plan>,
    pub barriers: Receiver<BarrierNote>,
    pub jobs: Sender<CommitJob>,
    /// By node index.
    pub sinks: BTreeMap<usize, Box<dyn SinkWriter>>,
    /// For each node, its inputs with how often a row of each is counted.
    pub expected_flow: Arc<Vec<BTreeMap<usize, u64>>>,
    pub next_epoch: u64,
    pub quarantine: Arc<QuarantineSealer>,
    pub cancel: Cancel,
    pub requests: Arc<Requests>,
}

impl Writer {
    /// Returns the times of all batches.
    pub fn run(mut self, mut inbox: Inbox<FromLane>) -> Result<Histogram<u32>, EngineError> {
        let mut collector = Collector::new(Arc::clone(&self.plan), Arc::clone(&self.quarantine));
        let mut times = super::lane::batch_histogram();
        let mut epoch = self.next_epoch;
        loop {
            let mut happened = Epoch::new(self.plan.nodes.len());
            let mut barrier = false;
            let ticket = inbox.next(|message| {
                match message {
                    FromLane::Rows { encoded, rejected, .. } => {
                        for (sink, rows) in encoded {
                            let name = &self.plan.nodes[sink].name;
                            let writer = self.sinks.get_mut(&sink).ok_or_else(|| EngineError::internal(name, "has no writer"))?;
                            writer.write(rows).map_err(|e| EngineError::connector(name, e))?;
                        }
                        for (node, source, rows) in rejected {
                            collector.add(epoch, node, source, rows)?;
                        }
                    }
                    FromLane::Barrier { report, .. } => {
                        barrier = true;
                        happened.add(*report, &mut times);
                    }
                }
                Ok(())
            })?;
            self.requests.written(ticket + 1);
            if !barrier {
                if collector.bytes() > MAX_QUARANTINE_BYTES {
                    self.requests.checkpoint.store(true, Ordering::Relaxed);
                    self.requests.wake();
                    self.hold_back(&collector)?;
                }
                continue;
            }
            let note = self.barriers.recv().map_err(|_| EngineError::Cancelled)?;
            if note.epoch != epoch {
                return Err(EngineError::internal("writer", format!("barrier {} came where {epoch} was due", note.epoch)));
            }
            self.check_conservation(&happened.counts)?;
            let last = note.last;
            let job = self.seal(note, happened, &mut collector)?;
            send(&self.jobs, job, &self.cancel)?;
            epoch += 1;
            if last {
                return Ok(times);
            }
        }
    }

    /// Ends the epoch in all sinks.
    fn seal(&mut self, note: BarrierNote, happened: Epoch, collector: &mut Collector) -> Result<CommitJob, EngineError> {
        let began_at = Instant::now();
        let mut sealed = BTreeMap::new();
        for (&sink, writer) in &mut self.sinks {
            let epoch = writer.seal(note.epoch).map_err(|e| EngineError::connector(&self.plan.nodes[sink].name, e))?;
            sealed.insert(sink, epoch);
        }
        let quarantine = collector.take(note.epoch)?;
        Ok(CommitJob { note, happened, sealed, quarantine, began_at })
    }

    /// While a checkpoint is being committed no other can begin. Waits for it once twice the memory is taken that should have
    /// led to one: a flood of rejected rows then slows the sources down.
    fn hold_back(&self, collector: &Collector) -> Result<(), EngineError> {
        while collector.bytes() > 2 * MAX_QUARANTINE_BYTES && self.requests.committing.load(Ordering::SeqCst) {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
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
}
