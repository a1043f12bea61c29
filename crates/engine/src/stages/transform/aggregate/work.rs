//! One batch on its way into the state: its keys and parts, each found once, with their accumulators side by side.
//!
//! The groups that a batch touches are taken out of the state, their accumulators laid side by side call by call, changed by one
//! loop for each call, and put back. So the state is asked once a key and batch, not once a row, and what an accumulator sees
//! is the sequence of its rows alone: results do not depend on how rows are cut into batches, to the last bit of a float.

use arrow::{array::RecordBatch, error::ArrowError};
use hashbrown::HashTable;
use weir_plan::operator::Change;

use super::{
    accumulator::Accumulator,
    call::Call,
    fold::{Columns, Grouped},
    group::{Group, Part, Values},
};
use crate::state::{KeyedState, Slot, StateError};

/// A key of the batch.
pub(super) struct LocalKey {
    pub(super) slot: Slot,
    hash: u64,
    /// Its first row; its key stands for all.
    pub(super) row: u32,
    /// The part that was used last.
    latest: u32,
    /// Its group, while it is out of the state.
    pub(super) group: Group,
    /// Whether the group had parts before.
    pub(super) existed: bool,
    /// When it is due, by what the batch brought.
    pub(super) due: i64,
    /// For sessions: all of them, in order.
    pub(super) sessions: Vec<Session>,
}

/// A part of a key that the batch touches.
pub(super) struct LocalPart {
    pub(super) key: u32,
    pub(super) start: i64,
    pub(super) end: i64,
}

/// An open session, and the part that is kept for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) part: u32,
}

/// See the [module](self).
pub(super) struct Work {
    key_table: HashTable<u32>,
    part_table: HashTable<u32>,
    pub(super) keys: Vec<LocalKey>,
    pub(super) parts: Vec<LocalPart>,
    /// For each call, the accumulator of each part.
    pub(super) values: Vec<Vec<Accumulator>>,
    /// Rows that count, with their parts and arrivals.
    rows: Vec<u32>,
    of: Vec<u32>,
    arrivals: Vec<u64>,
    count_arrivals: bool,
    folded: usize,
    columns: Columns,
}

const NONE: u32 = u32::MAX;

impl Work {
    pub(super) fn new(calls: &[Call], rows: usize) -> Self {
        Self {
            key_table: HashTable::new(),
            part_table: HashTable::new(),
            keys: Vec::new(),
            parts: Vec::new(),
            values: calls.iter().map(|_| Vec::new()).collect(),
            rows: Vec::with_capacity(rows),
            of: Vec::with_capacity(rows),
            arrivals: Vec::new(),
            count_arrivals: calls.iter().any(Call::needs_arrivals),
            folded: 0,
            columns: Columns::default(),
        }
    }

    pub(super) fn taken(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The number of a row's key; its group is taken out of the state at first.
    pub(super) fn key<'k>(
        &mut self,
        row: u32,
        hash: u64,
        key_of: impl Fn(u32) -> &'k [u8],
        state: &mut KeyedState<Group>,
    ) -> Result<u32, StateError> {
        let key = key_of(row);
        let keys = &self.keys;
        let found = self.key_table.find(hash, |&n| {
            let known = &keys[n as usize];
            known.hash == hash && key_of(known.row) == key
        });
        if let Some(&n) = found {
            return Ok(n);
        }
        let (slot, _) = state.slot_or_insert_hashed(hash, key, Group::default)?;
        let group = std::mem::take(state.value_mut(slot)?.expect("invariant: the slot was just found"));
        let n = self.keys.len() as u32;
        let existed = !group.parts().is_empty();
        let due = group.due;
        self.keys.push(LocalKey { slot, hash, row, latest: NONE, group, existed, due, sessions: Vec::new() });
        self.key_table.insert_unique(hash, n, |&n| keys_hash(&self.keys, n));
        Ok(n)
    }

    /// The part of a key from `start` to `end`.
    pub(super) fn part(&mut self, key: u32, start: i64, end: i64, calls: &[Call]) -> u32 {
        let local = &mut self.keys[key as usize];
        let is = |parts: &[LocalPart], n: u32| {
            let part = &parts[n as usize];
            (part.key, part.start, part.end) == (key, start, end)
        };
        if local.latest == NONE {
            // A key's first part is found by the key, the others by the table: most keys have one.
        } else if is(&self.parts, local.latest) {
            return local.latest;
        } else if let Some(&n) = self.part_table.find(part_hash(key, start, end), |&n| is(&self.parts, n)) {
            local.latest = n;
            return n;
        }
        let known = local.group.parts_mut().iter_mut().rev().find(|part| (part.start, part.end) == (start, end));
        let n = self.parts.len() as u32;
        match known {
            Some(part) => {
                for (values, value) in self.values.iter_mut().zip(part.values.as_mut_slice()) {
                    values.push(std::mem::take(value));
                }
            }
            None => {
                local.group.push(Part { start, end, values: Values::empty(calls.len()) });
                self.values.iter_mut().for_each(|values| values.push(Accumulator::Empty));
            }
        }
        local.latest = n;
        self.parts.push(LocalPart { key, start, end });
        let parts = &self.parts;
        self.part_table.insert_unique(part_hash(key, start, end), n, |&n| {
            let part = &parts[n as usize];
            part_hash(part.key, part.start, part.end)
        });
        n
    }

    /// Lays out all sessions of a key, once.
    pub(super) fn open_sessions(&mut self, key: u32) {
        let local = &mut self.keys[key as usize];
        for mut part in local.group.take() {
            let n = self.parts.len() as u32;
            for (values, value) in self.values.iter_mut().zip(part.values.as_mut_slice()) {
                values.push(std::mem::take(value));
            }
            local.sessions.push(Session { start: part.start, end: part.end, part: n });
            self.parts.push(LocalPart { key, start: part.start, end: part.end });
        }
        local.sessions.sort_by_key(|session| session.start);
    }

    /// Begins a session without rows.
    pub(super) fn new_session(&mut self, key: u32, start: i64, end: i64) -> Session {
        let part = self.parts.len() as u32;
        self.values.iter_mut().for_each(|values| values.push(Accumulator::Empty));
        self.parts.push(LocalPart { key, start, end });
        Session { start, end, part }
    }

    /// Makes two sessions one, `into` keeping its part.
    pub(super) fn merge_sessions(&mut self, into: u32, from: u32, calls: &[Call]) {
        for (values, call) in self.values.iter_mut().zip(calls) {
            let value = std::mem::take(&mut values[from as usize]);
            values[into as usize].merge(value, call.kernel.greatest());
        }
    }

    /// Lets a row count in a part.
    pub(super) fn take(&mut self, row: u32, key: u32, part: u32) {
        self.rows.push(row);
        self.of.push(part);
        if self.count_arrivals {
            let group = &mut self.keys[key as usize].group;
            self.arrivals.push(group.arrivals);
            group.arrivals += 1;
        }
    }

    /// Folds the rows taken since the last time.
    pub(super) fn fold(&mut self, batch: &RecordBatch, changes: Option<&[Change]>, calls: &[Call]) -> Result<(), ArrowError> {
        let from = std::mem::replace(&mut self.folded, self.rows.len());
        if from == self.rows.len() {
            return Ok(());
        }
        let arrivals = if self.count_arrivals { &self.arrivals[from..] } else { &[] };
        let grouped = Grouped { batch, changes, rows: &self.rows[from..], parts: &self.of[from..], arrivals };
        for (call, values) in calls.iter().zip(&mut self.values) {
            call.fold(&grouped, &mut self.columns, values)?;
        }
        Ok(())
    }

    /// Puts accumulators back into the groups of their keys. Sessions make new parts.
    pub(super) fn lay_back(&mut self, sessions: bool, calls: &[Call]) {
        if sessions {
            for local in &mut self.keys {
                let parts = local.sessions.iter().map(|session| {
                    let values = self.values.iter_mut().map(|values| std::mem::take(&mut values[session.part as usize]));
                    let values = if calls.is_empty() { Values::empty(0) } else { Values::from(values.collect::<Vec<_>>()) };
                    Part { start: session.start, end: session.end, values }
                });
                let parts = parts.collect();
                local.group.put(parts);
            }
            return;
        }
        for (n, local) in self.parts.iter().enumerate() {
            let group = &mut self.keys[local.key as usize].group;
            let part = group.parts_mut().iter_mut().rev().find(|part| (part.start, part.end) == (local.start, local.end));
            let part = part.expect("invariant: a local part has one in its group");
            for (value, values) in part.values.as_mut_slice().iter_mut().zip(&mut self.values) {
                *value = std::mem::take(&mut values[n]);
            }
        }
    }
}

fn keys_hash(keys: &[LocalKey], n: u32) -> u64 {
    keys[n as usize].hash
}

fn part_hash(key: u32, start: i64, end: i64) -> u64 {
    let mixed = (start as u64 ^ (end as u64).rotate_left(32) ^ u64::from(key) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}
