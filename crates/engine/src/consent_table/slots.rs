//! A flat table from 128-bit hashes to words, for millions of entries that are looked up many at a time.
//!
//! The second word of a key says where its search begins, in proportion; an entry lies at or right behind that place (linear
//! probing), as a rule within one cache line. Not the first word: a store gives keys in order, and those read so far would crowd at one
//! end of a table that has yet to grow, each behind all the others.
//!
//! At millions of entries each look-up waits for memory. [`Slots::get_each`] therefore reads the places of several keys before
//! it looks at the first, and waits for all of them at once.

/// The first words of several keys are read before the first is judged.
const AHEAD: usize = 16;
/// An entry's word where there is none. No state of consent has these bits; see `Packed`.
const EMPTY: u64 = u64::MAX;
const LEAST: usize = 64;

/// 128 bits of a keyed hash. Uniform, and no one who does not hold the key can choose it, so it need not be hashed again.
pub type Key = [u64; 2];

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Key,
    word: u64,
}

const FREE: Slot = Slot { key: [0; 2], word: EMPTY };

/// Words other than [`u64::MAX`], by key.
#[derive(Debug, Default)]
pub struct Slots {
    slots: Vec<Slot>,
    len: usize,
}

impl Slots {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Three of four slots at most are taken.
    fn slots_for(entries: usize) -> usize {
        (entries + entries / 3 + 1).max(LEAST)
    }

    #[inline]
    fn start(&self, key: Key) -> usize {
        ((u128::from(key[1]) * self.slots.len() as u128) >> 64) as usize
    }

    /// The slot of the key, or the free one where it belongs. There is always a free one.
    #[inline]
    fn find(&self, key: Key) -> usize {
        let mut at = self.start(key);
        loop {
            let slot = &self.slots[at];
            if slot.word == EMPTY || slot.key == key {
                return at;
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
    }

    /// Sets the word of a key.
    pub fn insert(&mut self, key: Key, word: u64) {
        debug_assert_ne!(word, EMPTY);
        if Self::slots_for(self.len + 1) > self.slots.len() {
            self.grow();
        }
        let at = self.find(key);
        self.len += usize::from(self.slots[at].word == EMPTY);
        self.slots[at] = Slot { key, word };
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![FREE; Self::slots_for(2 * self.len.max(LEAST))];
        for slot in std::mem::replace(&mut self.slots, larger).into_iter().filter(|slot| slot.word != EMPTY) {
            let at = self.find(slot.key);
            self.slots[at] = slot;
        }
    }

    /// The word of a key.
    #[inline]
    pub fn get(&self, key: Key) -> Option<u64> {
        if self.slots.is_empty() {
            return None;
        }
        Some(self.slots[self.find(key)].word).filter(|&word| word != EMPTY)
    }

    /// Calls `found` with the word of each key, in order.
    pub fn get_each(&self, keys: impl IntoIterator<Item = Key>, mut found: impl FnMut(Option<u64>)) {
        let mut keys = keys.into_iter();
        let mut ahead = [[0; 2]; AHEAD];
        loop {
            let mut count = 0;
            for (place, key) in ahead.iter_mut().zip(keys.by_ref()) {
                *place = key;
                count += 1;
            }
            let ahead = &ahead[..count];
            if self.slots.is_empty() {
                ahead.iter().for_each(|_| found(None));
            } else {
                let mut first = [FREE; AHEAD];
                for (slot, &key) in first.iter_mut().zip(ahead) {
                    *slot = self.slots[self.start(key)];
                }
                for (slot, &key) in first.iter().zip(ahead) {
                    found(match slot {
                        Slot { word: EMPTY, .. } => None,
                        slot if slot.key == key => Some(slot.word),
                        _ => self.get(key),
                    });
                }
            }
            if count < AHEAD {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys that crowd at one end, so that searches meet and go around.
    fn keys() -> impl Strategy<Value = Key> {
        let word = prop_oneof![Just(0), Just(u64::MAX), u64::MAX - 40..=u64::MAX, 0..40u64, any::<u64>()];
        (0..3u64, word).prop_map(|(first, second)| [first, second])
    }

    #[test]
    fn keys_in_order_do_not_crowd() {
        let mut slots = Slots::default();
        let mix = |n: u64| (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..100_000 {
            slots.insert([n << 40, mix(mix(n))], n);
        }
        // Knuth: a search that finds nothing takes 8.5 steps on average where three of four slots are taken.
        let taken: Vec<bool> = slots.slots.iter().map(|slot| slot.word != EMPTY).collect();
        let longest = taken.split(|taken| !taken).map(<[bool]>::len).max().unwrap();
        assert!(longest < 1_000, "{longest} entries without a gap");
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            inserted in prop::collection::vec((keys(), 0..9u64), 0..400),
            asked in prop::collection::vec(keys(), 0..60),
        ) {
            let mut slots = Slots::default();
            let mut map = HashMap::new();
            for (key, word) in &inserted {
                slots.insert(*key, *word);
                map.insert(*key, *word);
            }
            prop_assert_eq!(slots.len(), map.len());
            let asked: Vec<Key> = asked.into_iter().chain(inserted.iter().map(|(key, _)| *key)).collect();
            let expected: Vec<Option<u64>> = asked.iter().map(|key| map.get(key).copied()).collect();
            prop_assert_eq!(asked.iter().map(|key| slots.get(*key)).collect::<Vec<_>>(), expected.clone());
            let mut each = Vec::new();
            slots.get_each(asked, |word| each.push(word));
            prop_assert_eq!(each, expected);
        }
    }
}
