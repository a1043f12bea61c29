//! A run: threads for readers, one dispatcher, lanes and one writer, from start or from the last checkpoint to the end.

mod chain;
mod commit;
mod compile;
mod definitions;
mod dispatch;
mod exchange;
mod fallback;
pub(crate) mod flow;
mod keyed;
mod lane;
mod layout;
mod listener;
mod parts;
mod reader;
mod sinks;
mod sources;
mod window;
mod writer;

pub use definitions::{check_definitions, check_replacement};
pub use sinks::finish_commit;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::bounded;
use parking_lot::Mutex;
use weir_connectors::BaseDir;
use weir_plan::Plan;

use crate::{
    checkpoint::Checkpoint, error::EngineError, host::Host, live::Live, observation::Observations, ordered::Cancel,
    summary::Summary,
};

/// How often operators with state hear of the time while no rows come.
const TICK: Duration = Duration::from_millis(50);

/// When a run reads all of its state at the latest, in search of damage; otherwise after its first checkpoint.
const VERIFY_AFTER: Duration = Duration::from_secs(2);

/// Where and how a pipeline runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run's id, for evidence and the summary.
    pub run: String,
    /// Relative paths begin here; sources, tables and sinks keep to what it allows.
    pub base_dir: BaseDir,
    /// Names this pipeline's temporary files in sinks' folders; the same in every run of it. Letters, digits, `-`, `_`.
    pub tag: String,
}

/// How to watch and stop a run from another thread.
#[derive(Clone, Debug, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    /// Chunks of a source after which the run stops by itself; 0 for never.
    stop_after: Arc<AtomicU64>,
    abort: Cancel,
    live: Arc<Mutex<Option<Arc<Live>>>>,
    listener: listener::Listener,
}

impl Control {
    /// Asks the run to take a last checkpoint and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Asks the run to stop as soon as one of its sources has given this many chunks.
    pub fn stop_after(&self, chunks: u64) {
        self.stop_after.store(chunks, Ordering::SeqCst);
    }

    /// A source has given this many chunks.
    fn given(&self, chunks: u64) {
        if self.stop_after.load(Ordering::Relaxed) == chunks {
            self.stop();
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the run at once, without a checkpoint, as if the process had died: for a lease that was lost.
    pub fn abort(&self) {
        self.abort.cancel();
    }

    /// Tells what each checkpoint has noticed once it is committed, on the committer's thread: the next checkpoint waits meanwhile.
    /// What a checkpoint that is discarded later had noticed may be told again.
    pub fn on_observations(&self, hear: impl FnMut(&Observations) + Send + 'static) {
        self.listener.set(hear);
    }

    /// The counts of a run that has begun, in the order of its plan's nodes.
    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.lock().clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All sources are bounded and exhausted.
    Finished,
    /// Somebody asked it to stop.
    Stopped,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub status: Status,
    pub summary: Summary,
    /// Time from a chunk's arrival in a lane to its being encoded, in microseconds.
    pub batch_micros: BatchTimes,
}

/// Percentiles of batch times, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchTimes {
    pub p50: u64,
    pub p99: u64,
}

/// Runs a pipeline to its end on the calling thread and others. Blocking.
/// It begins from the newest checkpoint that is whole.
pub fn run(plan: &Arc<Plan>, host: &Arc<dyn Host>, options: &Options, control: &Control) -> Result<Outcome, EngineError> {
    let mut candidates = host.restorable()?;
    candidates.reverse();
    loop {
        let before = host.newest_epoch()?;
        let newest = candidates.last().map(|candidate| candidate.checkpoint.as_ref());
        let damage = match newest.transpose() {
            Err(what) => fallback::record_damage(what),
            Ok(checkpoint) => match attempt(plan, host, options, control, checkpoint.cloned(), before) {
                Err(damage @ EngineError::Damaged { .. }) if checkpoint.is_some() => {
                    if host.newest_epoch()? != before {
                        candidates = host.restorable()?;
                        candidates.reverse();
                        // With a checkpoint of its own, the run has left the damaged one behind, unless that one was committed before
                        // all state had been read.
                        let newest = candidates.last().and_then(|newest| newest.checkpoint.as_ref().ok());
                        if !newest.is_some_and(|newest| newest.unverified) {
                            return Err(damage);
                        }
                    }
                    damage
                }
                result => return result,
            },
        };
        fallback::go_back(plan, host, options, &mut candidates, damage)?;
    }
}

/// One run from one checkpoint.
fn attempt(
    plan: &Arc<Plan>,
    host: &Arc<dyn Host>,
    options: &Options,
    control: &Control,
    restored: Option<Checkpoint>,
    newest_epoch: u64,
) -> Result<Outcome, EngineError> {
    let started = Instant::now();
    let control = &Control { abort: control.abort.inner(), ..control.clone() };
    let cancel = control.abort.clone();
    let compiled = compile::compile(plan, host, options, restored.as_ref(), &cancel)?;
    *control.live.lock() = Some(Arc::clone(&compiled.live));

    let failure = Failure::new(cancel.clone());
    let (news_tx, news) = bounded(1);
    let requests = Arc::new(Requests::new(news_tx));
    let (barrier_tx, barrier_rx) = crossbeam_channel::unbounded();
    let (jobs_tx, jobs_rx) = bounded(1);
    let last = restored.unwrap_or_default();
    let next_epoch = newest_epoch.max(last.epoch) + 1;

    let outcome = std::thread::scope(|scope| {
        let mut inputs = Vec::new();
        for source in compiled.readers {
            let (tx, rx) = bounded(2);
            inputs.push(dispatch::Input { node: source.node, chunks: rx, _running: Arc::clone(&source.mailbox) });
            let reader = reader::ReaderThread {
                source,
                limit: plan.batch,
                chunks: tx,
                live: Arc::clone(&compiled.live),
                control: control.clone(),
            };
            let failure = failure.clone();
            spawn(scope, "weir-reader", move || failure.watch(|| reader.run()));
        }
        for (lane, input, output) in compiled.lanes {
            let failure = failure.clone();
            spawn(scope, "weir-lane", move || failure.watch(|| lane.run(&input, &output)));
        }
        for (lane, inbox, output) in compiled.keyed_lanes {
            let failure = failure.clone();
            spawn(scope, "weir-keyed", move || failure.watch(|| lane.run(inbox, &output)));
        }
        let every = plan.checkpoint.every.as_duration();
        let dispatcher = dispatch::Dispatcher {
            inputs,
            news,
            window: window::Window::new(compiled.to_lanes.len(), transit_target(every)),
            lanes: compiled.to_lanes,
            barriers: barrier_tx,
            every,
            positions: compiled.positions,
            next_epoch,
            resumed: last.epoch > 0,
            control: control.clone(),
            cancel: cancel.clone(),
            requests: Arc::clone(&requests),
            tick: compiled.timed.then_some(TICK),
        };
        let watch = failure.clone();
        spawn(scope, "weir-dispatcher", move || watch.watch(|| dispatcher.run()));

        // State is read when it is needed; all of it is read once, so that what is damaged shows before no way leads back any more.
        let mut verification = commit::Verification::Whole;
        if last.state_files().next().is_some() {
            let ((begin_tx, begin), (whole_tx, whole)) = (bounded::<()>(0), bounded(1));
            verification = commit::Verification::Pending { begin: Some(begin_tx), whole };
            let (checkpoint, watch, plan_of, host_of) = (last.clone(), failure.clone(), Arc::clone(plan), Arc::clone(host));
            let cancel = cancel.clone();
            spawn(scope, "weir-verify", move || {
                watch.watch(|| {
                    // Nothing is ever sent: what is awaited is that the other end goes, which it does at the latest with the run.
                    let _ = begin.recv_timeout(VERIFY_AFTER);
                    if !cancel.is_cancelled() {
                        fallback::verify(&plan_of, &*host_of, &checkpoint)?;
                    }
                    if whole_tx.send(()).is_err() {
                        tracing::debug!("the run ended before its state was read");
                    }
                    Ok(())
                })
            });
        }

        let committer = commit::Committer {
            plan: Arc::clone(plan),
            host: Arc::clone(host),
            run: options.run.clone(),
            started,
            jobs: jobs_rx,
            mailboxes: compiled.mailboxes,
            last,
            definitions: compiled.definitions,
            verification,
            cancel: cancel.clone(),
            requests: Arc::clone(&requests),
            listener: control.listener.clone(),
        };
        let watch = failure.clone();
        let committing = scope.spawn(move || watch.watch(|| committer.run()));
        let writer = writer::Writer {
            plan: Arc::clone(plan),
            barriers: barrier_rx,
            jobs: jobs_tx,
            sinks: compiled.sinks,
            expected_flow: compiled.flow,
            next_epoch,
            quarantine: host.quarantine_sealer(),
            cancel: cancel.clone(),
            requests,
        };
        let times = failure.watch(|| writer.run(compiled.to_writer));
        let finished = committing.join().ok().flatten();
        finished.zip(times)
    });
    // The first failure is the one to tell; the others only followed from it.
    if let Some(error) = failure.take() {
        return Err(error);
    }
    let (finished, times) = outcome.ok_or(EngineError::Cancelled)?;
    let batch_micros = BatchTimes { p50: times.value_at_quantile(0.5), p99: times.value_at_quantile(0.99) };
    let status = if finished.stopped { Status::Stopped } else { Status::Finished };
    let summary = Summary::of(plan, &options.run, status.as_str(), &finished.last, finished.evidence.clone());
    Ok(Outcome { status, summary, batch_micros })
}

fn spawn<'scope, F>(scope: &'scope std::thread::Scope<'scope, '_>, name: &str, work: F)
where
    F: FnOnce() -> Option<()> + Send + 'scope,
{
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, move || {
            work();
        })
        .expect("the system can start a thread");
}

/// What the dispatcher hears of those behind it.
#[derive(Debug)]
struct Requests {
    /// Take a checkpoint soon: rejected rows fill the memory.
    checkpoint: AtomicBool,
    /// A barrier is on its way or its epoch is being committed; no other is sent before that is done.
    committing: AtomicBool,
    /// The writer has done with all tickets before this one.
    written: AtomicU64,
    /// Wakes the dispatcher. One word is enough, however much is new.
    news: crossbeam_channel::Sender<()>,
}

impl Requests {
    fn new(news: crossbeam_channel::Sender<()>) -> Self {
        Self { checkpoint: AtomicBool::new(false), committing: AtomicBool::new(false), written: AtomicU64::new(0), news }
    }

    fn wake(&self) {
        // Full: a word is on its way already. Disconnected: the dispatcher has nothing more to do.
        let _ = self.news.try_send(());
    }

    /// The dispatcher may send the next barrier.
    fn committed(&self) {
        self.committing.store(false, Ordering::SeqCst);
        self.wake();
    }

    fn written(&self, next_ticket: u64) {
        self.written.store(next_ticket, Ordering::SeqCst);
        self.wake();
    }
}

/// How long a ticket may be under way where a barrier is due every so often: barriers should not queue up behind each other.
fn transit_target(every: Duration) -> Duration {
    (every / 2).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

/// The first failure of any thread; raising it cancels the others.
#[derive(Clone)]
struct Failure {
    first: Arc<Mutex<Option<EngineError>>>,
    cancel: Cancel,
}

impl Failure {
    fn new(cancel: Cancel) -> Self {
        Self { first: Arc::default(), cancel }
    }

    /// Runs a thread's work; its error, or its panic, becomes the run's failure.
    fn watch<R>(&self, work: impl FnOnce() -> Result<R, EngineError>) -> Option<R> {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(EngineError::internal(std::thread::current().name().unwrap_or("thread"), "panicked")));
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let mut first = self.first.lock();
                if first.as_ref().is_none_or(|first| matches!(first, EngineError::Cancelled)) {
                    *first = Some(error);
                }
                drop(first);
                self.cancel.cancel();
                None
            }
        }
    }

    fn take(&self) -> Option<EngineError> {
        self.first.lock().take()
    }
}
