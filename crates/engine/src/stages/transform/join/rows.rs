//! Rows in state: the rows of one key, side by side in two buffers.

use crate::state::{
    StateError, StateValue,
    codec::{Reader, put_bytes, put_varint},
};

/// What is known of a stored row besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Event time, or when it was written (processing time), by the operator's need.
    pub time: i64,
    /// How many rows of the other side it matched, or the like.
    pub count: u32,
    /// A hash of the bytes, or how many of them are the sort key.
    pub tag: u32,
    start: u32,
    len: u32,
}

impl StoredRow {
    /// Tells rows of a list apart, as long as none is removed for good.
    pub fn id(&self) -> u32 {
        self.start
    }
}

/// Rows in an order that the operator keeps. Removing one leaves a gap; gaps are closed when they are more than half.
#[derive(Clone, Debug, Default)]
pub struct RowList {
    rows: Vec<StoredRow>,
    bytes: Vec<u8>,
    dead: usize,
}

impl RowList {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn rows(&self) -> &[StoredRow] {
        &self.rows
    }

    pub fn row_mut(&mut self, at: usize) -> &mut StoredRow {
        &mut self.rows[at]
    }

    pub fn bytes(&self, at: usize) -> &[u8] {
        self.bytes_of(&self.rows[at])
    }

    pub fn bytes_of(&self, row: &StoredRow) -> &[u8] {
        &self.bytes[row.start as usize..][..row.len as usize]
    }

    /// The id that the next row will get.
    pub fn next_id(&self) -> u32 {
        word(self.bytes.len())
    }

    /// Puts a row at a place; its bytes are the parts one after the other.
    pub fn insert(&mut self, at: usize, time: i64, count: u32, tag: u32, parts: [&[u8]; 2]) {
        let len = parts[0].len() + parts[1].len();
        let start = word(self.bytes.len());
        word(self.bytes.len() + len);
        if self.bytes.is_empty() {
            // Most keys have one row: take no more room than it needs.
            self.bytes.reserve_exact(len);
        }
        if self.rows.is_empty() {
            self.rows.reserve_exact(1);
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.rows.insert(at, StoredRow { time, count, tag, start, len: len as u32 });
    }

    /// Puts a row behind all others that are not newer.
    pub fn insert_by_time(&mut self, time: i64, count: u32, tag: u32, bytes: &[u8]) {
        let at = match self.rows.last() {
            Some(last) if last.time > time => self.rows.partition_point(|row| row.time <= time),
            _ => self.rows.len(),
        };
        self.insert(at, time, count, tag, [bytes, &[]]);
    }

    /// Removes a row. Its bytes stay readable, and ids valid, until [`Self::close_gaps`].
    pub fn remove(&mut self, at: usize) -> StoredRow {
        let row = self.rows.remove(at);
        self.dead += row.len as usize;
        row
    }

    /// Removes the first `count` rows.
    pub fn remove_first(&mut self, count: usize) {
        self.dead += self.rows.drain(..count).map(|row| row.len as usize).sum::<usize>();
        self.close_gaps();
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&StoredRow) -> bool) {
        let dead = &mut self.dead;
        self.rows.retain(|row| {
            let kept = keep(row);
            *dead += if kept { 0 } else { row.len as usize };
            kept
        });
        self.close_gaps();
    }

    /// Gives back the room of removed rows, if it is worth it.
    pub fn close_gaps(&mut self) {
        if self.rows.is_empty() {
            *self = Self::default();
        } else if self.dead > self.bytes.len() / 2 {
            let mut bytes = Vec::with_capacity(self.bytes.len() - self.dead);
            for row in &mut self.rows {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(&self.bytes[row.start as usize..][..row.len as usize]);
                row.start = start;
            }
            (self.bytes, self.dead) = (bytes, 0);
            if self.rows.capacity() > 2 * self.rows.len() {
                self.rows.shrink_to(self.rows.len());
            }
        }
    }

    pub fn heap_size(&self) -> usize {
        self.rows.capacity() * size_of::<StoredRow>() + self.bytes.capacity()
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.rows.len() as u64);
        for row in &self.rows {
            out.extend_from_slice(&row.time.to_le_bytes());
            put_varint(out, u64::from(row.count));
            put_varint(out, u64::from(row.tag));
            put_bytes(out, self.bytes_of(row));
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let count = reader.size()?;
        // Each row takes eleven bytes at least, so a wrong count cannot ask for much memory.
        let mut list = Self { rows: Vec::with_capacity(count.min(reader.remaining().len() / 11)), ..Self::default() };
        let small = |number: u64| u32::try_from(number).map_err(|_| StateError::Malformed("a number is too large"));
        for _ in 0..count {
            let (time, count, tag) = (reader.i64()?, small(reader.varint()?)?, small(reader.varint()?)?);
            list.insert(list.len(), time, count, tag, [reader.bytes()?, &[]]);
        }
        Ok(list)
    }
}

fn word(size: usize) -> u32 {
    u32::try_from(size).expect("invariant: the rows of one key stay below 4 GiB")
}

/// What a join keeps of one key: the rows of both inputs.
#[derive(Clone, Debug)]
pub struct KeyRows {
    pub sides: [RowList; 2],
    /// When something is to be done about the key next; `i64::MAX` for never. Also in the operator's [`super::timers::Timers`].
    pub timer: i64,
}

impl Default for KeyRows {
    fn default() -> Self {
        Self { sides: Default::default(), timer: i64::MAX }
    }
}

impl KeyRows {
    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(RowList::is_empty)
    }
}

impl StateValue for KeyRows {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timer.to_le_bytes());
        self.sides.iter().for_each(|side| side.encode(out));
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let timer = reader.i64()?;
        let sides = [RowList::decode(&mut reader)?, RowList::decode(&mut reader)?];
        reader.finish()?;
        Ok(Self { sides, timer })
    }

    fn heap_size(&self) -> usize {
        self.sides.iter().map(RowList::heap_size).sum()
    }

    fn timer(&self) -> Option<i64> {
        (self.timer != i64::MAX).then_some(self.timer)
    }
}

/// What a window join or a window rank keeps of one key: the rows of each open window.
#[derive(Clone, Debug, Default)]
pub struct WindowRows {
    /// By end and start.
    pub windows: Vec<OneWindow>,
}

#[derive(Clone, Debug)]
pub struct OneWindow {
    pub end: i64,
    pub start: i64,
    pub sides: [RowList; 2],
}

impl WindowRows {
    /// The window, made if there is none; and whether it is now the first to end.
    pub fn window(&mut self, start: i64, end: i64) -> (&mut OneWindow, bool) {
        match self.windows.binary_search_by_key(&(end, start), |window| (window.end, window.start)) {
            Ok(at) => (&mut self.windows[at], false),
            Err(at) => {
                if self.windows.is_empty() {
                    self.windows.reserve_exact(1);
                }
                self.windows.insert(at, OneWindow { end, start, sides: Default::default() });
                (&mut self.windows[at], at == 0)
            }
        }
    }

    /// The window, if there are rows in it.
    pub fn find(&self, start: i64, end: i64) -> Option<&OneWindow> {
        let at = self.windows.binary_search_by_key(&(end, start), |window| (window.end, window.start)).ok()?;
        Some(&self.windows[at])
    }

    /// Takes out the windows that ended then or before.
    pub fn take_closed(&mut self, until: i64) -> Vec<OneWindow> {
        let closed = self.windows.partition_point(|window| window.end <= until);
        self.windows.drain(..closed).collect()
    }
}

impl StateValue for WindowRows {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.windows.len() as u64);
        for window in &self.windows {
            out.extend_from_slice(&window.end.to_le_bytes());
            out.extend_from_slice(&window.start.to_le_bytes());
            window.sides.iter().for_each(|side| side.encode(out));
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let count = reader.size()?;
        let mut windows = Vec::with_capacity(count.min(reader.remaining().len() / 18));
        for _ in 0..count {
            let (end, start) = (reader.i64()?, reader.i64()?);
            windows.push(OneWindow { end, start, sides: [RowList::decode(&mut reader)?, RowList::decode(&mut reader)?] });
        }
        reader.finish()?;
        Ok(Self { windows })
    }

    fn heap_size(&self) -> usize {
        let rows = |window: &OneWindow| window.sides.iter().map(RowList::heap_size).sum::<usize>();
        self.windows.capacity() * size_of::<OneWindow>() + self.windows.iter().map(rows).sum::<usize>()
    }

    fn timer(&self) -> Option<i64> {
        self.windows.first().map(|window| window.end)
    }
}
