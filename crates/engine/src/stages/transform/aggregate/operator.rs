//! The operator: rows into groups, time into closed windows.

use std::{collections::BTreeMap, time::SystemTime};

use arrow::{
    array::{Array, TimestampMicrosecondArray},
    datatypes::SchemaRef,
    error::ArrowError,
};
use weir_plan::operator::{AggregateCall, AggregateFunction, AggregateNode, Grouping, TimeBasis, WindowKind};

use super::{
    accumulator::Accumulator,
    call::Call,
    emit::{Emitter, Fired},
    group::Group,
    panes::{Panes, Place},
    work::Work,
};
use crate::{
    batch::Batch,
    error::EngineError,
    stages::{
        Reason,
        transform::{
            operator::{Durable, Operator, OperatorContext, Output, Progress, Time},
            window::{micros, no_time},
        },
    },
    state::{KeyedState, Slot, StateError, key_hash},
};

/// GROUP BY in one lane. See the [module](super).
pub struct AggregateOperator {
    node: String,
    input: SchemaRef,
    keys: Vec<usize>,
    pub(super) panes: Panes,
    time: Option<TimeBasis>,
    pub(super) calls: Vec<Call>,
    /// Which call tells how many rows a group has, where that matters.
    counter: Option<usize>,
    least: i64,
    emitter: Emitter,
    pub(super) state: KeyedState<Group>,
    /// Keys by when they want attention. Entries may be out of date: a group knows its own time.
    timers: BTreeMap<i64, Waiting>,
    /// The groups whose time has come and that are being looked at, and that time.
    closing: (i64, std::vec::IntoIter<Slot>),
    watermark: i64,
    now: Option<i64>,
}

impl AggregateOperator {
    /// Opens the state `groups` of the context. Fails where types do not go together or the state cannot be restored.
    pub fn new(node: &AggregateNode, context: &OperatorContext) -> Result<Self, EngineError> {
        let mut state = context.open("groups")?;
        let wrong = |what: String| EngineError::internal(&context.node, what);
        let input = std::sync::Arc::clone(&context.inputs[0]);
        let retracts = context.input_changes.first().copied().unwrap_or(false);
        let (panes, time) = match &node.grouping {
            Grouping::Window { window, time } => (panes_of(window), Some(*time)),
            Grouping::Windowed { start, end } => (Panes::Carried { start: *start, end: *end }, None),
            Grouping::Updating { ttl } => (Panes::Updating { ttl: *ttl }, None),
        };
        let windows = if matches!(panes, Panes::Updating { .. }) { 0 } else { 3 };
        let first = node.keys.len() + windows;
        if context.output.fields().len() != first + node.calls.len() {
            return Err(wrong(format!(
                "{} columns are expected, the plan says {}",
                first + node.calls.len(),
                context.output.fields().len()
            )));
        }
        let mut calls = Vec::with_capacity(node.calls.len() + 1);
        for (n, call) in node.calls.iter().enumerate() {
            calls.push(Call::new(call, &input, retracts, context.output.field(first + n).data_type()).map_err(&wrong)?);
        }
        let counter = match retracts || node.min_rows.is_some() {
            false => None,
            true => Some(calls.iter().position(Call::counts_rows).map_or_else(
                || {
                    let count = AggregateCall {
                        function: AggregateFunction::Count,
                        args: Vec::new(),
                        distinct: false,
                        filter: None,
                        order: Vec::new(),
                    };
                    let count = Call::new(&count, &input, retracts, &arrow::datatypes::DataType::Int64);
                    calls.push(count.map_err(&wrong)?);
                    Ok(calls.len() - 1)
                },
                Ok,
            )?),
        };
        let emitter = Emitter::new(&node.keys, &input, std::sync::Arc::clone(&context.output), &calls, node.calls.len());
        let mut timers: BTreeMap<i64, Waiting> = BTreeMap::new();
        state.take_timers().into_iter().for_each(|(due, slot)| Waiting::add(&mut timers, due, slot));
        Ok(Self {
            node: context.node.clone(),
            input,
            keys: node.keys.clone(),
            panes,
            time,
            calls,
            counter,
            least: node.min_rows.map_or(1, |least| i64::try_from(least).unwrap_or(i64::MAX).max(1)),
            emitter: emitter.map_err(|error| wrong(format!("keys or results cannot be kept: {error}")))?,
            state,
            timers,
            closing: (i64::MIN, Vec::new().into_iter()),
            watermark: i64::MIN,
            now: None,
        })
    }

    /// What windows close by.
    fn clock(&self) -> i64 {
        match self.time {
            Some(TimeBasis::Processing) if self.watermark < i64::MAX => self.now.unwrap_or(i64::MIN),
            _ => self.watermark,
        }
    }

    /// The wall clock as the run tells it; before it first did, as the system does.
    fn now(&mut self) -> i64 {
        *self.now.get_or_insert_with(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
    }

    fn state_error(&self) -> impl Fn(StateError) -> EngineError + use<> {
        let node = self.node.clone();
        move |error| EngineError::state(&node, error)
    }

    /// What kernels say of a failure may hold values of rows; the kind of the failure must do.
    fn kernel_error(&self) -> impl Fn(ArrowError) -> EngineError + use<> {
        let node = self.node.clone();
        move |error| {
            let kind = match error {
                ArrowError::CastError(_) => "a value does not fit its type",
                ArrowError::ComputeError(_) | ArrowError::ArithmeticOverflow(_) | ArrowError::DivideByZero => {
                    "a result is out of range"
                }
                ArrowError::NotYetImplemented(_) | ArrowError::InvalidArgumentError(_) => "a type is not supported",
                _ => "a column could not be made",
            };
            EngineError::internal(&node, format!("groups could not be computed: {kind}"))
        }
    }

    /// Gives each row that counts its key and part.
    fn place_rows(&mut self, batch: &Batch, work: &mut Work, out: &mut Output) -> Result<(), EngineError> {
        let (kernel, failed) = (self.kernel_error(), self.state_error());
        let keys = self.emitter.keys(&self.keys, &batch.rows).map_err(&kernel)?;
        let key_of = |row: u32| keys.as_ref().map_or(&[][..], |keys| keys.row(row as usize).data());
        let now = if self.time == Some(TimeBasis::Processing) { self.now() } else { 0 };
        let clock = self.clock();
        let mut times = self.times(batch, now).map_err(&kernel)?;
        let (mut late, mut timeless) = (Vec::new(), Vec::new());
        // Most rows fall into the part that the row before fell into.
        let mut last = None;
        for row in 0..batch.num_rows() as u32 {
            let place = match &mut times {
                Times::None => Place::Part { start: 0, end: 0, due: i64::MAX },
                Times::Of(column) if column.is_null(row as usize) => {
                    timeless.push(row);
                    continue;
                }
                Times::Of(column) => {
                    let time = column.value(row as usize);
                    match (&self.panes, last) {
                        (Panes::Session { gap }, _) => {
                            self.place_in_session(row, time, *gap, clock, &key_of, batch, work, &mut late)?;
                            continue;
                        }
                        (_, Some((start, end, place))) if start <= time && time < end => place,
                        _ => {
                            let place = self.panes.place(time, clock);
                            if let Place::Part { start, end, .. } = place
                                && !matches!(self.panes, Panes::Cumulate { .. })
                            {
                                last = Some((start, end, place));
                            }
                            place
                        }
                    }
                }
                Times::Carried(starts, ends) => {
                    if starts.is_null(row as usize) || ends.is_null(row as usize) {
                        timeless.push(row);
                        continue;
                    }
                    let (start, end) = (starts.value(row as usize), ends.value(row as usize));
                    if end <= clock { Place::Late } else { Place::Part { start, end, due: end } }
                }
            };
            match place {
                Place::Late => late.push(row),
                Place::Outside => out.dropped += 1,
                Place::Part { start, mut end, due } => {
                    let key = match keys {
                        None if !work.keys.is_empty() => 0,
                        _ => work.key(row, key_hash(key_of(row)), key_of, &mut self.state).map_err(&failed)?,
                    };
                    let local = &mut work.keys[key as usize];
                    local.due = local.due.min(due);
                    if matches!(self.panes, Panes::Updating { .. }) {
                        end = local.group.parts().first().map_or(0, |part| part.end);
                    }
                    let part = work.part(key, start, end, &self.calls);
                    work.take(row, key, part);
                }
            }
        }
        if !timeless.is_empty() {
            let reasons = vec![vec![self.no_time()]; timeless.len()];
            out.reject(batch, timeless, reasons);
        }
        out.late(batch, late);
        Ok(())
    }

    fn place_in_session<'k>(
        &mut self,
        row: u32,
        time: i64,
        gap: i64,
        clock: i64,
        key_of: &impl Fn(u32) -> &'k [u8],
        batch: &Batch,
        work: &mut Work,
        late: &mut Vec<u32>,
    ) -> Result<(), EngineError> {
        let (kernel, failed) = (self.kernel_error(), self.state_error());
        let keys = work.keys.len();
        let key = work.key(row, key_hash(key_of(row)), key_of, &mut self.state).map_err(&failed)?;
        if work.keys.len() > keys {
            work.open_sessions(key);
        }
        let end = time.saturating_add(gap);
        let local = &mut work.keys[key as usize];
        // Sessions lie further apart than the gap, so a row touches at most the one before and the one behind it.
        let behind = local.sessions.partition_point(|session| session.start <= time);
        let joins_before = behind > 0 && local.sessions[behind - 1].end >= time;
        let joins_behind = local.sessions.get(behind).is_some_and(|session| session.start <= end);
        let at = match (joins_before, joins_behind) {
            (false, false) if end < clock => {
                late.push(row);
                return Ok(());
            }
            (false, false) => {
                let session = work.new_session(key, time, end);
                work.keys[key as usize].sessions.insert(behind, session);
                behind
            }
            (true, false) => behind - 1,
            (false, true) => behind,
            (true, true) => {
                // What came before counts in the two; what comes counts in the one they become.
                work.fold(&batch.rows, batch.changes.as_deref(), &self.calls).map_err(&kernel)?;
                let second = work.keys[key as usize].sessions.remove(behind);
                let first = &mut work.keys[key as usize].sessions[behind - 1];
                first.end = second.end;
                let (into, from) = (first.part, second.part);
                work.merge_sessions(into, from, &self.calls);
                behind - 1
            }
        };
        let local = &mut work.keys[key as usize];
        let session = &mut local.sessions[at];
        session.start = session.start.min(time);
        session.end = session.end.max(end);
        local.due = local.due.min(session.end.saturating_add(1));
        let part = session.part;
        work.take(row, key, part);
        Ok(())
    }

    fn times(&self, batch: &Batch, now: i64) -> Result<Times, ArrowError> {
        let column = |column: usize| micros(batch.rows.column(column));
        Ok(match (&self.panes, self.time) {
            (Panes::Carried { start, end }, _) => Times::Carried(column(*start)?, column(*end)?),
            (_, Some(TimeBasis::Event(time))) => Times::Of(column(time)?),
            (_, Some(TimeBasis::Processing)) => Times::Of(TimestampMicrosecondArray::from_value(now, batch.num_rows())),
            (_, None) => Times::None,
        })
    }

    fn no_time(&self) -> Reason {
        let column = match (&self.panes, self.time) {
            (Panes::Carried { end, .. }, _) => *end,
            (_, Some(TimeBasis::Event(column))) => column,
            _ => return no_time("time"),
        };
        no_time(self.input.field(column).name())
    }

    /// Gives the groups of a batch back to the state.
    fn put_back(&mut self, work: &mut Work) -> Result<(), EngineError> {
        let failed = self.state_error();
        let (updating, sessions) = (matches!(self.panes, Panes::Updating { .. }), matches!(self.panes, Panes::Session { .. }));
        work.lay_back(sessions, &self.calls);
        let touched = if matches!(self.panes, Panes::Updating { ttl: Some(_) }) { self.now() } else { 0 };
        for local in &mut work.keys {
            let mut group = std::mem::take(&mut local.group);
            if updating {
                let empty = self.counter.is_some_and(|counter| {
                    group.parts().first().is_some_and(|part| rows_of(&part.values.as_slice()[counter]) == 0)
                });
                match group.parts_mut() {
                    [part] if !empty => part.end = touched,
                    _ => drop(group.take()),
                }
                if group.due == i64::MAX {
                    local.due = local.due.min(self.panes.due(&group, touched));
                }
            }
            if group.parts().is_empty() {
                self.state.remove_slot(local.slot).map_err(&failed)?;
                continue;
            }
            if local.due < group.due {
                group.due = local.due;
                Waiting::add(&mut self.timers, local.due, local.slot);
            }
            group.measure();
            *self.state.value_mut(local.slot).map_err(&failed)?.expect("invariant: the slot was taken in this batch") = group;
        }
        Ok(())
    }

    /// Whether groups wait whose time has come by `until`: takes those that have waited longest.
    fn is_due(&mut self, until: i64, fired: &mut Fired) -> bool {
        while self.closing.1.len() == 0 {
            let Some(first) = self.timers.first_entry().filter(|first| *first.key() <= until) else { return false };
            let (due, waiting) = first.remove_entry();
            let mut slots = waiting.into_slots();
            // Page by page, each once.
            slots.sort_unstable();
            slots.dedup();
            self.closing = (due, slots.into_iter());
            fired.later();
        }
        true
    }

    /// Closes what is due of groups, until there is enough.
    fn close(&mut self, fired: &mut Fired) -> Result<(), EngineError> {
        let failed = self.state_error();
        let due = self.closing.0;
        let mut closed = Vec::new();
        while !fired.is_full()
            && let Some(slot) = self.closing.1.next()
        {
            let Some(group) = self.state.value_mut(slot).map_err(&failed)? else { continue };
            if group.due != due {
                continue;
            }
            self.panes.close(group, due, &self.calls, &mut closed);
            group.due = self.panes.due(group, due);
            group.measure();
            let (next, gone) = (group.due, group.parts().is_empty());
            if !gone && next < i64::MAX {
                Waiting::add(&mut self.timers, next, slot);
            }
            closed.retain(|closed| self.counter.is_none_or(|counter| rows_of(&closed.values.as_slice()[counter]) >= self.least));
            if !closed.is_empty() {
                let key = self.state.key(slot).map_err(&failed)?.unwrap_or_default();
                closed.drain(..).for_each(|closed| fired.push(key, closed));
            }
            if gone {
                self.state.remove_slot(slot).map_err(&failed)?;
            }
        }
        Ok(())
    }
}

/// The groups that a time is waited for by. Sessions end one by one, so most have a time of their own, of which there may be
/// tens of millions.
enum Waiting {
    One(Slot),
    #[expect(clippy::box_collection, reason = "a third less memory for each of those that have one slot")]
    Many(Box<Vec<Slot>>),
}

impl Waiting {
    fn add(timers: &mut BTreeMap<i64, Self>, due: i64, slot: Slot) {
        let more = |waiting: &mut Self| match waiting {
            Self::One(first) => *waiting = Self::Many(Box::new(vec![*first, slot])),
            Self::Many(slots) => slots.push(slot),
        };
        timers.entry(due).and_modify(more).or_insert(Self::One(slot));
    }

    fn into_slots(self) -> Vec<Slot> {
        match self {
            Self::One(slot) => vec![slot],
            Self::Many(slots) => *slots,
        }
    }
}

enum Times {
    None,
    Of(TimestampMicrosecondArray),
    Carried(TimestampMicrosecondArray, TimestampMicrosecondArray),
}

fn panes_of(window: &WindowKind) -> Panes {
    match *window {
        WindowKind::Tumble { size, offset } => Panes::Hop { size, slide: size, offset },
        WindowKind::Hop { size, slide, offset } => Panes::Hop { size, slide, offset },
        WindowKind::Cumulate { size, step, offset } => Panes::Cumulate { size, step, offset },
        WindowKind::Session { gap } => Panes::Session { gap },
    }
}

fn rows_of(count: &Accumulator) -> i64 {
    match count {
        Accumulator::Count(rows) => *rows,
        _ => 0,
    }
}

impl Operator for AggregateOperator {
    fn process(&mut self, _input: usize, batch: &Batch, out: &mut Output) -> Result<(), EngineError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let kernel = self.kernel_error();
        let mut work = Work::new(&self.calls, batch.num_rows());
        self.place_rows(batch, &mut work, out)?;
        out.absorbed += work.taken();
        let changes = batch.changes.as_deref();
        if !matches!(self.panes, Panes::Updating { .. }) {
            work.fold(&batch.rows, changes, &self.calls).map_err(kernel)?;
            return self.put_back(&mut work);
        }
        // Here a key has one part, so keys and parts have the same numbers.
        let seen = |work: &Work| -> Vec<bool> {
            let enough = |n: usize| self.counter.is_none_or(|counter| rows_of(&work.values[counter][n]) >= self.least);
            work.keys.iter().enumerate().map(|(n, _)| enough(n)).collect()
        };
        let was: Vec<bool> = seen(&work).into_iter().zip(&work.keys).map(|(seen, key)| seen && key.existed).collect();
        let before = self.emitter.results(&work.values, &self.calls).map_err(&kernel)?;
        work.fold(&batch.rows, changes, &self.calls).map_err(&kernel)?;
        let is = seen(&work);
        let after = self.emitter.results(&work.values, &self.calls).map_err(&kernel)?;
        let keys = self.emitter.keys(&self.keys, &batch.rows).map_err(&kernel)?;
        let key_of = |row: u32| keys.as_ref().map_or(&[][..], |keys| keys.row(row as usize).data());
        let rows = work.keys.iter().map(|key| key_of(key.row));
        self.emitter.changes(rows, (&was, &before), (&is, &after), out).map_err(&kernel)?;
        self.put_back(&mut work)
    }

    fn advance(&mut self, time: Time, out: &mut Output) -> Result<Progress, EngineError> {
        self.watermark = self.watermark.max(time.watermark);
        self.now = Some(self.now.map_or(time.now, |now| now.max(time.now)));
        let until = if matches!(self.panes, Panes::Updating { .. }) { time.now } else { self.clock() };
        let mut fired = Fired::default();
        while !fired.is_full() && self.is_due(until, &mut fired) {
            self.close(&mut fired)?;
        }
        self.emitter.windows(&fired, &self.calls, out).map_err(self.kernel_error())?;
        Ok(if fired.is_full() { Progress::More } else { Progress::Done })
    }

    /// Windows that are open end after the watermark; the last microsecond of one is not before it. A session may still be open
    /// at its very end.
    fn output_watermark(&self, watermark: i64) -> i64 {
        match self.panes {
            Panes::Session { .. } if watermark < i64::MAX => watermark.saturating_sub(1),
            _ => watermark,
        }
    }

    fn states(&mut self) -> Vec<(&'static str, &mut dyn Durable)> {
        vec![("groups", &mut self.state)]
    }
}
