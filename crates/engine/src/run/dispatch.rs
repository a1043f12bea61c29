//! The dispatcher: numbers the chunks of all sources, hands them to lanes in turn, and injects barriers.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender};
use weir_connectors::{Chunk, PartitionPosition};

use super::{
    Control, Requests,
    exchange::send,
    reader::{FromReader, Mailbox},
    window::Window,
};
use crate::{error::EngineError, ordered::Cancel};

/// When a run that goes on from a checkpoint takes its first one: output has stood still, and little has changed by then that would have
/// to be written.
const SOON: Duration = Duration::from_millis(50);

/// How often the dispatcher looks whether the run was cancelled.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// Positions of one source, by partition.
pub type Positions = BTreeMap<String, PartitionPosition>;

/// What a lane is told.
pub enum ToLane {
    Work {
        ticket: u64,
        /// The clock, microseconds.
        now: i64,
        source: usize,
        partition: Arc<str>,
        chunk: Chunk,
        /// The partition's last.
        done: bool,
    },
    /// Time goes on without rows.
    Tick {
        ticket: u64,
        now: i64,
        /// A source that has no more rows.
        ended: Option<usize>,
    },
    Barrier {
        ticket: u64,
        epoch: u64,
    },
}

/// What the writer must know of a barrier besides what lanes tell it.
pub struct BarrierNote {
    pub epoch: u64,
    /// Source node index -> its partitions' positions.
    pub positions: BTreeMap<usize, Positions>,
    /// The run ends with this barrier.
    pub last: bool,
    /// It ends because somebody asked for it.
    pub stopped: bool,
}

pub struct Input {
    pub node: usize,
    pub chunks: Receiver<FromReader>,
    /// Held so that the reader knows that the run still goes on.
    pub _running: Mailbox,
}

pub struct Dispatcher {
    pub inputs: Vec<Input>,
    pub lanes: Vec<Sender<ToLane>>,
    pub barriers: Sender<BarrierNote>,
    pub every: Duration,
    pub positions: BTreeMap<usize, Positions>,
    pub next_epoch: u64,
    /// The run goes on from a checkpoint.
    pub resumed: bool,
    pub control: Control,
    pub cancel: Cancel,
    pub requests: Arc<Requests>,
    /// Wakes the dispatcher: the writer or the committer has news in `requests`.
    pub news: Receiver<()>,
    pub window: Window,
    /// How often lanes hear of the time when no rows come; for plans with state.
    pub tick: Option<Duration>,
}

impl Dispatcher {
    pub fn run(mut self) -> Result<(), EngineError> {
        let mut ticket = 0;
        let mut open: Vec<bool> = vec![true; self.inputs.len()];
        let mut due = Instant::now() + if self.resumed { self.every.min(SOON) } else { self.every };
        let mut last_sent = Instant::now();
        loop {
            self.window.done(self.requests.written.load(Ordering::SeqCst), Instant::now());
            let committing = self.requests.committing.load(Ordering::SeqCst);
            let wanted = Instant::now() >= due || self.requests.checkpoint.load(Ordering::Relaxed);
            if wanted && !committing {
                self.requests.checkpoint.store(false, Ordering::Relaxed);
                self.barrier(&mut ticket, false)?;
                due = Instant::now() + self.every;
            }
            if open.iter().all(|open| !open) {
                return self.barrier(&mut ticket, true);
            }
            let full = self.window.is_full();
            if !full && self.tick.is_some_and(|tick| last_sent.elapsed() >= tick) {
                self.tick(&mut ticket, None)?;
                last_sent = Instant::now();
            }
            // A barrier that is due while a checkpoint is being committed waits for word of that.
            let until_due = if committing { Duration::MAX } else { due.saturating_duration_since(Instant::now()) };
            let Some(input) = self.ready(&open, full, until_due.min(LOOK_AROUND)) else {
                self.check()?;
                continue;
            };
            match self.inputs[input].chunks.try_recv() {
                Ok(FromReader::Chunk { chunk, partition, position }) => {
                    let source = self.inputs[input].node;
                    let done = position.as_ref().is_some_and(|position| position.done);
                    if let Some(position) = position {
                        self.positions.entry(source).or_default().insert(position.partition.clone(), position);
                    }
                    let lane = (ticket % self.lanes.len() as u64) as usize;
                    self.window.sent(ticket, Instant::now());
                    self.send(lane, ToLane::Work { ticket, now: now(), source, partition, chunk, done })?;
                    ticket += 1;
                    last_sent = Instant::now();
                }
                Ok(FromReader::End { positions, exhausted }) => {
                    let known = self.positions.entry(self.inputs[input].node).or_default();
                    known.extend(positions.into_iter().map(|position| (position.partition.clone(), position)));
                    open[input] = false;
                    if exhausted && self.tick.is_some() {
                        self.tick(&mut ticket, Some(self.inputs[input].node))?;
                    }
                }
                Err(crossbeam_channel::TryRecvError::Empty) => {}
                // A reader hangs up before its end only when it failed.
                Err(crossbeam_channel::TryRecvError::Disconnected) => return Err(EngineError::Cancelled),
            }
        }
    }

    /// An open input that has something to say, if one has within the wait and before there are other news. None is asked while
    /// the window is full.
    fn ready(&self, open: &[bool], full: bool, wait: Duration) -> Option<usize> {
        let mut select = Select::new();
        let candidates: Vec<usize> = (0..self.inputs.len()).filter(|&input| open[input] && !full).collect();
        for &input in &candidates {
            select.recv(&self.inputs[input].chunks);
        }
        select.recv(&self.news);
        let ready = select.ready_timeout(wait).ok()?;
        if ready == candidates.len() {
            // Whoever had news has stored them before.
            while self.news.try_recv().is_ok() {}
        }
        candidates.get(ready).copied()
    }

    fn barrier(&mut self, ticket: &mut u64, last: bool) -> Result<(), EngineError> {
        if last {
            while self.requests.committing.load(Ordering::SeqCst) {
                self.check()?;
                if self.news.recv_timeout(LOOK_AROUND).is_err_and(|error| error == RecvTimeoutError::Disconnected) {
                    return Err(EngineError::Cancelled);
                }
            }
        }
        self.requests.committing.store(true, Ordering::SeqCst);
        self.window.sent(*ticket, Instant::now());
        let note =
            BarrierNote { epoch: self.next_epoch, positions: self.positions.clone(), last, stopped: self.control.is_stopping() };
        self.barriers.send(note).map_err(|_| EngineError::Cancelled)?;
        for lane in 0..self.lanes.len() {
            self.send(lane, ToLane::Barrier { ticket: *ticket, epoch: self.next_epoch })?;
        }
        self.next_epoch += 1;
        *ticket += 1;
        Ok(())
    }

    fn tick(&mut self, ticket: &mut u64, ended: Option<usize>) -> Result<(), EngineError> {
        let lane = (*ticket % self.lanes.len() as u64) as usize;
        self.window.sent(*ticket, Instant::now());
        self.send(lane, ToLane::Tick { ticket: *ticket, now: now(), ended })?;
        *ticket += 1;
        Ok(())
    }

    fn send(&self, lane: usize, message: ToLane) -> Result<(), EngineError> {
        send(&self.lanes[lane], message, &self.cancel)
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

/// The clock, microseconds since 1970-01-01T00:00:00Z.
fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
