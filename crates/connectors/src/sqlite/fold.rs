//! What an epoch does to a table, in memory: one entry a key, however often its row changed; or rows in their order, where none is
//! replaced.
//!
//! Where the changes of a key come in order, the last one says what is left. Where they come in any order, rows are counted: what
//! was added and taken back as often is as it was before the epoch, a row that was added more often is what is left now, and where
//! there is none such, one that was taken back more often is what is gone. That holds whatever the order, because an epoch ends
//! between two batches of input, where a table has one row a key at most.

use ahash::AHashMap;

use super::value::Record;

/// An entry beside its bytes.
const OVERHEAD: usize = 64;

/// How changes of one key are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Folding {
    /// Not at all: every row is added.
    Append = 0,
    InOrder = 1,
    Counted = 2,
}

impl Folding {
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Append, Self::InOrder, Self::Counted].into_iter().find(|folding| *folding as u8 == code)
    }
}

/// What becomes of the row of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    Put(&'a [u8]),
    Delete,
    /// As it was before.
    Same,
}

/// The changes so far.
#[derive(Debug, Default)]
pub(super) struct Fold {
    entries: AHashMap<Box<[u8]>, Vec<u8>>,
    /// Rows that are only added.
    rows: Vec<u8>,
    size: usize,
}

impl Fold {
    pub fn add(&mut self, folding: Folding, record: &Record<'_>) {
        match folding {
            Folding::Append => {
                write_entry(&mut self.rows, &[], record.row);
                self.size = self.rows.len();
            }
            Folding::InOrder | Folding::Counted => {
                let change = |value: &mut Vec<u8>| match folding {
                    Folding::Counted => count(value, if record.added { 1 } else { -1 }, record.row),
                    _ => {
                        value.clear();
                        value.push(record.added.into());
                        if record.added {
                            value.extend_from_slice(record.row);
                        }
                    }
                };
                match self.entries.get_mut(record.key) {
                    Some(value) => {
                        let before = value.len();
                        change(value);
                        self.size = self.size + value.len() - before;
                    }
                    None => {
                        let mut value = Vec::with_capacity(record.row.len() + 16);
                        change(&mut value);
                        self.size += record.key.len() + value.len() + OVERHEAD;
                        self.entries.insert(record.key.into(), value);
                    }
                }
            }
        }
    }

    /// What was folded so far; the next epoch is expected to change as many keys.
    pub fn take(&mut self) -> Self {
        let next = Self { entries: AHashMap::with_capacity(self.entries.len()), ..Self::default() };
        std::mem::replace(self, next)
    }

    /// Bytes held, about.
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Everything as entries: rows in their order, others in the order of their keys. Nothing is left.
    pub fn drain(&mut self, mut write: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        self.size = 0;
        write(&std::mem::take(&mut self.rows))?;
        let mut entries: Vec<(Box<[u8]>, Vec<u8>)> = self.entries.drain().collect();
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut out = Vec::new();
        for (key, value) in entries {
            out.clear();
            write_entry(&mut out, &key, &value);
            write(&out)?;
        }
        Ok(())
    }
}

/// `key length | value length | key | value`.
fn write_entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(&(key.len() as u64).to_le_bytes());
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// The bytes before an entry's key and value.
pub(super) const ENTRY_HEAD: usize = 16;

/// The rows of a key with how often each was added, in the order in which they were added last.
fn counted(mut value: &[u8]) -> impl Iterator<Item = (i64, &[u8])> {
    std::iter::from_fn(move || {
        let (times, row, rest) = first_counted(value)?;
        value = rest;
        Some((times, row))
    })
}

/// The first of them, and what is behind it.
fn first_counted(value: &[u8]) -> Option<(i64, &[u8], &[u8])> {
    let (head, rest) = value.split_first_chunk::<16>()?;
    let half = |at: usize| head[at..at + 8].try_into().ok();
    let (row, rest) = rest.split_at_checked(u64::from_le_bytes(half(8)?) as usize)?;
    Some((i64::from_le_bytes(half(0)?), row, rest))
}

fn write_count(out: &mut Vec<u8>, times: i64, row: &[u8]) {
    out.extend_from_slice(&times.to_le_bytes());
    out.extend_from_slice(&(row.len() as u64).to_le_bytes());
    out.extend_from_slice(row);
}

/// Adds a row so often. What comes to nought is forgotten.
fn count(value: &mut Vec<u8>, times: i64, row: &[u8]) {
    let mut at = 0;
    let mut sum = times;
    while let Some((before, other, _)) = first_counted(&value[at..]) {
        let end = at + 16 + other.len();
        if other == row {
            sum += before;
            value.drain(at..end);
            break;
        }
        at = end;
    }
    if sum != 0 {
        write_count(value, sum, row);
    }
}

/// Puts a later part of an epoch's changes of a key behind an earlier one.
pub(super) fn join(folding: Folding, earlier: &mut Vec<u8>, later: &[u8]) {
    match folding {
        Folding::Counted => counted(later).for_each(|(times, row)| count(earlier, times, row)),
        Folding::InOrder | Folding::Append => {
            earlier.clear();
            earlier.extend_from_slice(later);
        }
    }
}

/// What an entry's value means.
pub(super) fn outcome(folding: Folding, value: &[u8]) -> Outcome<'_> {
    match folding {
        Folding::Append => Outcome::Put(value),
        Folding::InOrder => match value.split_first() {
            Some((1, row)) => Outcome::Put(row),
            _ => Outcome::Delete,
        },
        Folding::Counted => {
            let (mut last, mut gone) = (None, false);
            for (times, row) in counted(value) {
                if times > 0 {
                    last = Some(row);
                }
                gone |= times < 0;
            }
            match last {
                Some(row) => Outcome::Put(row),
                None if gone => Outcome::Delete,
                None => Outcome::Same,
            }
        }
    }
}
