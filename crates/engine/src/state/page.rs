//! A page: up to 64 entries side by side, the unit that is copied, written, sealed and dropped from memory.

use std::ops::Range;

use super::{
    StateError, StateValue,
    codec::{Reader, put_bytes},
    hash::{key_group, key_hash},
};

/// Entries of a page: as many as a word has bits.
pub(crate) const PAGE_SLOTS: usize = 64;
/// A page whose keys and heap exceed this takes no more entries, so that copying one stays cheap.
const ROOMY: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    length: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Page<V> {
    /// Bit `i` says that slot `i` holds an entry.
    live: u64,
    /// Bytes of `keys` that no entry uses any more.
    dead: u32,
    spans: [Span; PAGE_SLOTS],
    values: [Option<V>; PAGE_SLOTS],
    keys: Vec<u8>,
}

/// What the index of a state file tells of a page, so that its keys can be found without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageSummary {
    pub(crate) live: u64,
    /// One hash per live slot, in slot order.
    pub(crate) hashes: Vec<u64>,
    /// One timer per live slot, or none at all.
    pub(crate) timers: Vec<Option<i64>>,
}

/// The numbers of the bits that are set.
pub(crate) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros() as usize;
            word &= word - 1;
            bit
        })
    })
}

impl<V: StateValue> Page<V> {
    pub(crate) fn new() -> Self {
        let (spans, values) = ([Span::default(); PAGE_SLOTS], [const { None }; PAGE_SLOTS]);
        Self { live: 0, dead: 0, spans, values, keys: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether another entry may go in, by the number and by the size of those there are. `bytes` is [`Page::bytes`].
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.live != u64::MAX && bytes < size_of::<Self>() + ROOMY
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> + use<V> {
        bits(self.live)
    }

    pub(crate) fn holds(&self, slot: usize) -> bool {
        self.live >> slot & 1 == 1
    }

    /// The key in a slot; empty if there is none.
    pub(crate) fn key(&self, slot: usize) -> &[u8] {
        let span = self.spans[slot];
        &self.keys[span.start as usize..][..span.length as usize]
    }

    pub(crate) fn value(&self, slot: usize) -> Option<&V> {
        self.values[slot].as_ref()
    }

    pub(crate) fn value_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.values[slot].as_mut()
    }

    /// Puts an entry into a free slot. There must be room.
    pub(crate) fn insert(&mut self, key: &[u8], value: V) -> usize {
        let slot = self.live.trailing_ones() as usize;
        self.put(slot, key, value);
        slot
    }

    fn put(&mut self, slot: usize, key: &[u8], value: V) {
        let word = |size: usize| u32::try_from(size).expect("invariant: a page's keys are below 4 GiB");
        self.spans[slot] = Span { start: word(self.keys.len()), length: word(key.len()) };
        self.keys.extend_from_slice(key);
        self.values[slot] = Some(value);
        self.live |= 1 << slot;
    }

    pub(crate) fn remove(&mut self, slot: usize) -> Option<V> {
        let value = self.values[slot].take()?;
        self.live &= !(1 << slot);
        self.dead += std::mem::take(&mut self.spans[slot]).length;
        if self.dead as usize > self.keys.len() / 2 {
            self.close_gaps();
        }
        Some(value)
    }

    fn close_gaps(&mut self) {
        let mut keys = Vec::with_capacity(self.keys.len() - self.dead as usize);
        for slot in self.slots() {
            let start = keys.len() as u32;
            keys.extend_from_slice(self.key(slot));
            self.spans[slot].start = start;
        }
        (self.keys, self.dead) = (keys, 0);
    }

    /// Removes the entries of key groups that are another lane's.
    pub(crate) fn keep_groups(&mut self, groups: &Range<usize>) {
        for slot in self.slots() {
            if !groups.contains(&key_group(key_hash(self.key(slot)))) {
                self.remove(slot);
            }
        }
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let heap: usize = if std::mem::needs_drop::<V>() {
            self.slots().filter_map(|slot| self.value(slot)).map(V::heap_size).sum()
        } else {
            0
        };
        self.bytes_without_values() + heap
    }

    /// What it takes but for the heap of its values.
    pub(crate) fn bytes_without_values(&self) -> usize {
        // Two counters of the `Arc`, two words of the allocator.
        size_of::<Self>() + self.keys.capacity() + 48
    }

    /// Appends all entries: which slots are live, then key and value of each. `value` is room to encode a value in.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, value: &mut Vec<u8>) {
        out.extend_from_slice(&self.live.to_le_bytes());
        for slot in self.slots() {
            put_bytes(out, self.key(slot));
            value.clear();
            self.value(slot).expect("invariant: live slots have values").encode(value);
            put_bytes(out, value);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let live = reader.u64()?;
        let mut page = Self::new();
        page.keys.reserve_exact(key_bytes(live, reader.clone())?);
        for slot in bits(live) {
            let key = reader.bytes()?;
            page.put(slot, key, V::decode(reader.bytes()?)?);
        }
        reader.finish()?;
        Ok(page)
    }

    pub(crate) fn summary(&self) -> PageSummary {
        let hashes = self.slots().map(|slot| key_hash(self.key(slot))).collect();
        let mut timers: Vec<_> = self.slots().map(|slot| self.value(slot).and_then(V::timer)).collect();
        if timers.iter().all(Option::is_none) {
            timers.clear();
        }
        PageSummary { live: self.live, hashes, timers }
    }
}

/// How long all keys are together.
fn key_bytes(live: u64, mut reader: Reader<'_>) -> Result<usize, StateError> {
    let mut sum = 0;
    for _ in bits(live) {
        sum += reader.bytes()?.len();
        reader.bytes()?;
    }
    Ok(sum)
}

impl PageSummary {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.live.to_le_bytes());
        out.push(u8::from(!self.timers.is_empty()));
        self.hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
        for timer in &self.timers {
            // Microseconds since 1970: `i64::MIN` is no time that anything could wait for.
            out.extend_from_slice(&timer.unwrap_or(i64::MIN).to_le_bytes());
        }
    }

    /// Reads over `self`, whose vectors are used again.
    pub(crate) fn decode_into(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.live = reader.u64()?;
        let with_timers = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(StateError::Malformed("neither with timers nor without")),
        };
        let entries = self.live.count_ones() as usize;
        self.hashes.clear();
        let words = reader.take(entries * 8)?.as_chunks().0;
        self.hashes.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        self.timers.clear();
        if with_timers {
            let words = reader.take(entries * 8)?.as_chunks().0;
            let timers = words.iter().map(|word| Some(i64::from_le_bytes(*word)).filter(|&timer| timer != i64::MIN));
            self.timers.extend(timers);
        }
        Ok(())
    }

    /// Slot, hash and timer of each entry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, u64, Option<i64>)> {
        let timers = self.timers.iter().copied().chain(std::iter::repeat(None));
        bits(self.live).zip(&self.hashes).zip(timers).map(|((slot, &hash), timer)| (slot, hash, timer))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entry = (usize, Vec<u8>, Vec<u8>);

    fn entries(page: &Page<Vec<u8>>) -> Vec<Entry> {
        page.slots().map(|slot| (slot, page.key(slot).to_vec(), page.value(slot).unwrap().clone())).collect()
    }

    proptest! {
        #[test]
        fn keeps_entries_through_removals_and_the_file(
            steps in prop::collection::vec((any::<bool>(), 0..PAGE_SLOTS, prop::collection::vec(any::<u8>(), 0..30)), 0..300),
        ) {
            let (mut page, mut model) = (Page::new(), std::collections::BTreeMap::new());
            for (insert, slot, bytes) in steps {
                if insert && page.has_room(page.bytes()) {
                    let slot = page.insert(&bytes, [&bytes[..], b"value"].concat());
                    prop_assert!(model.insert(slot, bytes).is_none());
                } else {
                    prop_assert_eq!(page.remove(slot).is_some(), model.remove(&slot).is_some());
                }
            }
            let expected: Vec<Entry> =
                model.into_iter().map(|(slot, key)| (slot, key.clone(), [&key[..], b"value"].concat())).collect();
            prop_assert_eq!(&entries(&page), &expected);
            let (mut bytes, mut summary) = (Vec::new(), Vec::new());
            page.encode(&mut bytes, &mut Vec::new());
            prop_assert_eq!(entries(&Page::decode(&bytes).unwrap()), expected);
            page.summary().encode(&mut summary);
            let (mut read, mut reader) = (PageSummary::default(), Reader::new(&summary));
            read.decode_into(&mut reader).unwrap();
            prop_assert!(reader.is_empty());
            prop_assert_eq!(read, page.summary());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Page::<Vec<u8>>::decode(&bytes);
            let _ = PageSummary::default().decode_into(&mut Reader::new(&bytes));
        }
    }
}
