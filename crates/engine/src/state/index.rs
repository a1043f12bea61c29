//! From a key's hash to its slot: extendible hashing over small tables, so that no insertion ever rehashes all keys.
//!
//! Each entry is eight bytes, 32 bits of the hash and a slot number, plus one byte of `hashbrown`'s. A table that is full is
//! split in two by one more bit of the hash; the directory tells which table has which bits. Loads run from 44 to 88 %, so a
//! key costs about 14 bytes. Some 0.1 % of lookups (at four million keys) find another key's slot as well; keys are compared.

use hashbrown::HashTable;

use super::hash::KEY_GROUPS;

/// A table is split when it holds so many: just as many as fit before it would double.
const SPLIT_AT: usize = (1 << 16) / 8 * 7;
/// Beyond this depth a table grows instead: keys that all have the same hash cannot be split.
const MAX_DEPTH: u32 = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u32,
    slot: u32,
}

#[derive(Debug)]
struct Shard {
    /// How many of the tag's lower bits all entries have in common.
    depth: u32,
    table: HashTable<Entry>,
}

#[derive(Debug)]
pub(crate) struct Index {
    /// By the lower bits of a tag: the shard.
    directory: Vec<u32>,
    shards: Vec<Shard>,
    len: usize,
}

/// The part of the hash that the index keeps; the upper bits are the key group, which a lane's keys share.
fn tag(hash: u64) -> u32 {
    const { assert!(KEY_GROUPS <= 1 << 32) };
    hash as u32
}

/// Hash within a table. Its lower and its upper bits matter; a shard's tags have their lower bits in common.
fn spread(tag: u32) -> u64 {
    let product = u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { directory: vec![0], shards: vec![Shard { depth: 0, table: HashTable::new() }], len: 0 }
    }

    /// Builds the whole index at once, table by table, which stays within the processor's cache.
    pub(crate) fn build(entries: usize, each: impl FnOnce(&mut Builder)) -> Self {
        let depth = (entries / (SPLIT_AT * 3 / 4)).next_power_of_two().trailing_zeros();
        let depth = if entries <= SPLIT_AT { 0 } else { depth.min(MAX_DEPTH) };
        let mut builder = Builder { mask: (1 << depth) - 1, parts: vec![Vec::new(); 1 << depth], len: 0 };
        each(&mut builder);
        let shards = builder.parts.into_iter().map(|part| {
            let mut table = HashTable::with_capacity(part.len());
            for entry in part {
                table.insert_unique(spread(entry.tag), entry, |entry: &Entry| spread(entry.tag));
            }
            Shard { depth, table }
        });
        Self { shards: shards.collect(), directory: (0..1 << depth).collect(), len: builder.len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn shard(&self, tag: u32) -> usize {
        self.directory[tag as usize & (self.directory.len() - 1)] as usize
    }

    /// The slots that a key with this hash may be in; almost always none or one.
    pub(crate) fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> {
        let tag = tag(hash);
        let table = &self.shards[self.shard(tag)].table;
        table.iter_hash(spread(tag)).filter(move |entry| entry.tag == tag).map(|entry| entry.slot)
    }

    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        let tag = tag(hash);
        let mut shard = self.shard(tag);
        while self.shards[shard].table.len() >= SPLIT_AT && self.shards[shard].depth < MAX_DEPTH {
            self.split(shard);
            shard = self.shard(tag);
        }
        self.shards[shard].table.insert_unique(spread(tag), Entry { tag, slot }, |entry| spread(entry.tag));
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let tag = tag(hash);
        let shard = self.shard(tag);
        let table = &mut self.shards[shard].table;
        if let Ok(entry) = table.find_entry(spread(tag), |entry| entry.slot == slot && entry.tag == tag) {
            entry.remove();
            self.len -= 1;
            if table.capacity() > 64 && table.len() < table.capacity() / 8 {
                let keep = table.len() * 2;
                table.shrink_to(keep, |entry| spread(entry.tag));
            }
        }
    }

    fn split(&mut self, shard: usize) {
        let depth = self.shards[shard].depth;
        if self.directory.len() == 1 << depth {
            self.directory.extend_from_within(..);
        }
        let bit = 1u32 << depth;
        let old = std::mem::take(&mut self.shards[shard].table);
        let mut halves = [(); 2].map(|()| HashTable::with_capacity(old.len() / 2));
        for entry in old {
            let half = &mut halves[usize::from(entry.tag & bit != 0)];
            half.insert_unique(spread(entry.tag), entry, |entry: &Entry| spread(entry.tag));
        }
        let [table, other] = halves;
        self.shards[shard] = Shard { depth: depth + 1, table };
        let new = self.shards.len() as u32;
        self.shards.push(Shard { depth: depth + 1, table: other });
        for (prefix, owner) in self.directory.iter_mut().enumerate() {
            if *owner as usize == shard && prefix as u32 & bit != 0 {
                *owner = new;
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(|shard| shard.table.allocation_size()).sum();
        tables + self.shards.len() * size_of::<Shard>() + self.directory.len() * size_of::<u32>()
    }
}

/// Collects the entries of an [`Index::build`].
#[derive(Debug)]
pub(crate) struct Builder {
    mask: u32,
    parts: Vec<Vec<Entry>>,
    len: usize,
}

impl Builder {
    pub(crate) fn add(&mut self, hash: u64, slot: u32) {
        let tag = tag(hash);
        self.parts[(tag & self.mask) as usize].push(Entry { tag, slot });
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> u64 {
        super::super::key_hash(&n.to_le_bytes())
    }

    fn check(index: &Index, present: impl Fn(u32) -> bool, upto: u32) {
        for n in 0..upto {
            assert_eq!(index.candidates(hash(n)).any(|slot| slot == n), present(n), "{n}");
        }
        assert_eq!(index.len(), (0..upto).filter(|&n| present(n)).count());
    }

    #[test]
    fn finds_what_was_put_in_through_splits_and_removals() {
        let mut index = Index::new();
        (0..300_000).for_each(|n| index.insert(hash(n), n));
        assert!(index.shards.len() > 5, "it was split");
        check(&index, |_| true, 300_000);
        (0..300_000).filter(|n| n % 3 != 0).for_each(|n| index.remove(hash(n), n));
        check(&index, |n| n % 3 == 0, 300_000);
        let before = index.bytes();
        (0..300_000).for_each(|n| index.remove(hash(n), n));
        assert!(index.bytes() < before / 10, "room is given back");
    }

    #[test]
    fn built_at_once_is_the_same_as_built_one_by_one() {
        for estimate in [0, 1000, 200_000, 1_000_000] {
            let mut index = Index::build(estimate, |builder| (0..200_000).for_each(|n| builder.add(hash(n), n)));
            check(&index, |_| true, 200_000);
            (200_000..400_000).for_each(|n| index.insert(hash(n), n));
            check(&index, |_| true, 400_000);
        }
    }

    #[test]
    fn keys_with_the_same_lower_bits_do_not_split_for_ever() {
        let mut index = Index::new();
        let hash = |n: u32| u64::from(n % (1 << 14)) << MAX_DEPTH;
        (0..SPLIT_AT as u32 + 10).for_each(|n| index.insert(hash(n), n));
        for n in 0..SPLIT_AT as u32 + 10 {
            assert!(index.candidates(hash(n)).any(|slot| slot == n));
        }
    }
}
