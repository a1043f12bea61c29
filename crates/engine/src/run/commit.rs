//! The committer: makes an epoch durable while the next one is already running.
//!
//! In this order, so that a death between any two steps loses nothing and repeats nothing: state files, the sinks' temporary files,
//! the checkpoint with its evidence in one transaction, the sinks' files under their names, word to the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use crossbeam_channel::{Receiver, Sender};
use hdrhistogram::Histogram;
use weir_connectors::{PartitionPosition, SealedEpoch};
use weir_plan::Plan;

use super::{Requests, dispatch::BarrierNote, exchange::receive, lane::LaneReport, listener::Listener, reader::Mailbox};
use crate::{
    checkpoint::{Checkpoint, CheckpointCommit, OperatorState, Output},
    counts::{NodeCounts, RuleCounts},
    error::EngineError,
    host::Host,
    observation::Observations,
    ordered::Cancel,
    quarantine::QuarantineSegment,
    stages::{event_time::Known, transform::driver::PendingKeyed},
    summary::EvidenceSummary,
};

/// The end of an epoch, as the writer leaves it.
pub struct CommitJob {
    pub note: BarrierNote,
    pub happened: Epoch,
    /// By sink node.
    pub sealed: BTreeMap<usize, Box<dyn SealedEpoch>>,
    pub quarantine: Vec<QuarantineSegment>,
    pub began_at: Instant,
}

/// What happened between two barriers, of all lanes. Indexed like the plan's nodes.
pub struct Epoch {
    pub counts: Vec<NodeCounts>,
    pub rules: Vec<BTreeMap<String, RuleCounts>>,
    pub states: Vec<(usize, OperatorState)>,
    pub keyed: Vec<PendingKeyed>,
    pub clock: BTreeMap<usize, Known>,
    pub observations: Observations,
}

pub struct Committer {
    pub plan: Arc<Plan>,
    pub host: Arc<dyn Host>,
    pub run: String,
    pub started: Instant,
    pub jobs: Receiver<CommitJob>,
    /// By source node index.
    pub mailboxes: BTreeMap<usize, Mailbox>,
    pub last: Checkpoint,
    pub definitions: BTreeMap<String, String>,
    /// The state of the checkpoint that the run began from.
    pub verification: Verification,
    pub cancel: Cancel,
    pub requests: Arc<Requests>,
    pub listener: Listener,
}

/// Whether the state that a run began with is known to be whole.
pub enum Verification {
    Whole,
    /// It is read on another thread, once `begin` is dropped: reading it would hold up the first checkpoint.
    Pending {
        begin: Option<Sender<()>>,
        whole: Receiver<()>,
    },
}

/// The end of a run.
pub struct Finished {
    pub last: Checkpoint,
    pub stopped: bool,
    pub evidence: EvidenceSummary,
}

impl Committer {
    pub fn run(mut self) -> Result<Finished, EngineError> {
        let seconds_before = self.last.seconds;
        let mut first = true;
        loop {
            let job = receive(&self.jobs, &self.cancel)?;
            let (last, stopped) = (job.note.last, job.note.stopped);
            self.last.seconds = seconds_before + self.started.elapsed().as_secs_f64();
            let positions = self.positions(&job.note);
            let moved = job.happened.counts.iter().any(|counts| counts.rows_in + counts.emitted > 0)
                || !job.happened.observations.is_empty()
                || positions != self.last.positions;
            if moved || self.last.checkpoints == 0 {
                let verified = self.await_verified(last)?;
                self.checkpoint(job, positions, first, verified)?;
                first = false;
            } else {
                self.requests.committed();
            }
            if last {
                let evidence = self.host.evidence()?;
                return Ok(Finished { last: self.last, stopped, evidence });
            }
        }
    }

    /// Whether all state of the checkpoint that the run began from has been read. One checkpoint may be committed before, so that a
    /// run with much state goes on at once: its rows come of pages that were whole, and nothing goes that a way back needs. Others
    /// wait, or the checkpoints to go back to would be forgotten one by one; so does the run's last.
    fn await_verified(&mut self, last: bool) -> Result<bool, EngineError> {
        let Verification::Pending { begin, whole } = &mut self.verification else { return Ok(true) };
        if !(last || self.last.unverified) {
            return Ok(false);
        }
        *begin = None;
        receive(whole, &self.cancel)?;
        self.verification = Verification::Whole;
        Ok(true)
    }

    fn positions(&self, note: &BarrierNote) -> BTreeMap<String, Vec<PartitionPosition>> {
        note.positions
            .iter()
            .map(|(&source, positions)| (self.plan.nodes[source].name.clone(), positions.values().cloned().collect()))
            .collect()
    }

    fn checkpoint(
        &mut self,
        job: CommitJob,
        positions: BTreeMap<String, Vec<PartitionPosition>>,
        first: bool,
        verified: bool,
    ) -> Result<(), EngineError> {
        let CommitJob { note, happened, mut sealed, quarantine, began_at } = job;
        let plan = Arc::clone(&self.plan);
        let name = |node: usize| plan.nodes[node].name.clone();

        let mut checkpoint = self.last.clone();
        checkpoint.version = Checkpoint::VERSION;
        checkpoint.epoch = note.epoch;
        checkpoint.checkpoints += 1;
        checkpoint.unverified = !verified;
        checkpoint.definitions = self.definitions.clone();
        checkpoint.positions = positions;
        checkpoint.states = happened.states.into_iter().map(|(node, state)| (name(node), state)).collect();
        for (node, known) in happened.clock {
            let known = serde_json::to_value(known).map_err(|e| EngineError::internal("checkpoint", e))?;
            checkpoint.states.insert(name(node), OperatorState::Inline(known));
        }
        self.write_keyed(note.epoch, happened.keyed, &mut checkpoint)?;
        checkpoint.pre_commits.clear();
        for (&sink, epoch) in &mut sealed {
            let pre_commit = epoch.pre_commit().map_err(|e| EngineError::connector(&plan.nodes[sink].name, e))?;
            let output = checkpoint.outputs.entry(name(sink)).or_insert(Output { since: note.epoch, files: 0 });
            output.files += pre_commit.files.len() as u64;
            checkpoint.pre_commits.insert(name(sink), pre_commit);
        }
        for (node, counts) in happened.counts.iter().enumerate() {
            *checkpoint.counts.entry(name(node)).or_default() += *counts;
        }
        for (node, rules) in happened.rules.iter().enumerate().filter(|(_, rules)| !rules.is_empty()) {
            let totals = checkpoint.rules.entry(plan.nodes[node].step.clone()).or_default();
            for (rule, counts) in rules {
                *totals.entry(rule.clone()).or_default() += counts;
            }
        }

        let decision =
            crate::checkpoint::decision(&plan, &self.run, &checkpoint, &happened.counts, &happened.rules, &*self.host, first)?;
        let told = happened.observations.clone();
        self.host.commit(CheckpointCommit {
            checkpoint: checkpoint.clone(),
            began_at,
            quarantine,
            observations: happened.observations,
            decision,
        })?;
        // The next barrier may be on its way while files get their names.
        self.requests.committed();
        self.listener.tell(&told);

        for (&sink, epoch) in &mut sealed {
            let node = &plan.nodes[sink].name;
            if let Some(pre_commit) = checkpoint.pre_commits.get(node) {
                epoch.commit(pre_commit).map_err(|e| EngineError::connector(node, e))?;
            }
        }
        if let Verification::Pending { begin, .. } = &mut self.verification {
            *begin = None;
        }
        if verified {
            for (source, mailbox) in &self.mailboxes {
                if let Some(positions) = checkpoint.positions.get(&plan.nodes[*source].name) {
                    *mailbox.lock() = Some(positions.clone());
                }
            }
            self.forget_state_files(&checkpoint);
        }
        self.last = checkpoint;
        Ok(())
    }

    /// Writes what operators remember, the lanes side by side. Files are named by node, state, lane and epoch.
    fn write_keyed(&self, epoch: u64, keyed: Vec<PendingKeyed>, checkpoint: &mut Checkpoint) -> Result<(), EngineError> {
        let write = |pending: PendingKeyed| {
            let (node, name, lane) = (&self.plan.nodes[pending.node].name, pending.name, pending.lane);
            let file = format!("{}-{name}-{lane}-{epoch:08}.state", node.replace('#', "."));
            Ok((node, name, pending.write(&file).map_err(|e| EngineError::state(node, e))?))
        };
        let lanes = keyed.iter().map(|pending| pending.lane + 1).max().unwrap_or(1);
        let mut by_lane: Vec<Vec<PendingKeyed>> = (0..lanes).map(|_| Vec::new()).collect();
        keyed.into_iter().for_each(|pending| by_lane[pending.lane].push(pending));
        let write_all = |pending: Vec<PendingKeyed>| pending.into_iter().map(write).collect::<Result<Vec<_>, EngineError>>();
        let written: Vec<_> = std::thread::scope(|scope| {
            let others: Vec<_> = by_lane.drain(1..).map(|pending| scope.spawn(move || write_all(pending))).collect();
            let own = by_lane.pop().map_or_else(|| Ok(Vec::new()), write_all);
            let joined = others.into_iter().map(|other| {
                other.join().unwrap_or_else(|_| Err(EngineError::internal("checkpoint", "panicked while state was written")))
            });
            std::iter::once(own).chain(joined).collect::<Result<_, EngineError>>()
        })?;
        for (node, name, state) in written.into_iter().flatten() {
            let of_node = checkpoint.states.entry(node.clone()).or_insert_with(|| OperatorState::Keyed(BTreeMap::new()));
            if let OperatorState::Keyed(states) = of_node {
                states.entry(name.to_owned()).or_default().push(state);
            }
        }
        Ok(())
    }

    /// Removes state files that neither this checkpoint nor the one before needs. Lanes may be writing those of the next by now.
    fn forget_state_files(&self, current: &Checkpoint) {
        let needed: BTreeSet<&str> = [current, &self.last].into_iter().flat_map(Checkpoint::state_files).collect();
        let Ok(entries) = std::fs::read_dir(self.host.state_dir()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let forgotten = name.to_str().is_some_and(|name| !needed.contains(name) && is_of_epoch_up_to(name, current.epoch));
            if forgotten && let Err(error) = std::fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "a state file that is no longer needed could not be removed");
            }
        }
    }
}

/// Whether a file holds state as of this epoch or an earlier one: `STEM-EPOCH.seen`, `STEM-EPOCH.state`.
fn is_of_epoch_up_to(name: &str, epoch: u64) -> bool {
    let stem = name.strip_suffix(".seen").or_else(|| name.strip_suffix(".state"));
    let of = stem.and_then(|stem| stem.rsplit_once('-')).and_then(|(_, of)| of.parse::<u64>().ok());
    of.is_some_and(|of| of <= epoch)
}

impl Epoch {
    pub fn new(nodes: usize) -> Self {
        Self {
            counts: vec![NodeCounts::default(); nodes],
            rules: vec![BTreeMap::new(); nodes],
            states: Vec::new(),
            keyed: Vec::new(),
            clock: BTreeMap::new(),
            observations: Observations::default(),
        }
    }

    pub fn add(&mut self, report: LaneReport, times: &mut Histogram<u32>) {
        for (total, counts) in self.counts.iter_mut().zip(report.chain.counts) {
            *total += counts;
        }
        for (total, rules) in self.rules.iter_mut().zip(report.chain.rules) {
            for (rule, counts) in rules {
                *total.entry(rule).or_default() += &counts;
            }
        }
        self.states.extend(report.chain.states);
        self.keyed.extend(report.chain.keyed);
        self.observations.append(report.chain.observations);
        self.clock.extend(report.clock.into_iter().flatten());
        if let Some(batches) = report.batch_micros
            && times.add(&batches).is_err()
        {
            tracing::debug!("a batch took longer than the histogram of batch times can hold");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_of_epoch_up_to;

    #[test]
    fn state_that_the_next_epoch_is_writing_already_is_not_old() {
        for (name, old) in [
            ("checked-0-00000007.seen", true),
            ("checked-0-00000008.seen", false),
            ("w.1-groups-0-00000007.state", true),
            ("w.1-groups-1-00000123.state", false),
            ("checked-0-00000007.tmp", false),
            ("other.seen", false),
        ] {
            assert_eq!(is_of_epoch_up_to(name, 7), old, "{name}");
        }
    }
}
