//! The state of one operator in one lane: what operators call.

use std::{ops::Range, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use weir_vault::Key;

use super::{
    StateError, StateValue,
    body::Pins,
    hash::{KEY_GROUPS, groups_of, key_hash},
    index::Index,
    manifest::LaneState,
    page::{PAGE_SLOTS, Page},
    paging::{Frame, Home, NO_HOME},
    seal::{Kind, Scratch},
    snapshot::Completed,
    spill::Spill,
    stores::Stores,
};

/// So many keys are looked up together.
const BATCH: usize = 128;

/// What a state needs to know of its surroundings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seals everything that is written.
    pub key: Key,
    /// The fingerprint of the operator: state is restored into the same operator only.
    pub operator: [u8; 32],
    /// Where state files are. Spilled pages go into unnamed files here, which vanish with the process.
    pub folder: PathBuf,
    /// How many bytes of pages may stay in memory; the index of some 16 bytes a key comes on top, and up to a quarter more for
    /// copies while a snapshot is written.
    pub memory_limit: Option<usize>,
}

/// Where an entry is, until it is removed: then another key may get the slot. Not kept over a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn new(page: usize, at: usize) -> Self {
        Self((page * PAGE_SLOTS + at) as u32)
    }

    pub(crate) fn page(self) -> usize {
        self.0 as usize / PAGE_SLOTS
    }

    pub(crate) fn at(self) -> usize {
        self.0 as usize % PAGE_SLOTS
    }

    /// Numbers the slots of a state from 0, densely enough to index a vector beside it.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What a state takes and does, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub entries: usize,
    pub pages: usize,
    pub resident_pages: usize,
    /// Bytes of the pages in memory.
    pub resident: usize,
    /// Bytes of pages that only a snapshot being written still holds.
    pub copies: usize,
    /// Bytes of the index and of the table of pages.
    pub index: usize,
    /// Bytes of live pages in spill files.
    pub spilled: u64,
    /// Pages read back, and pages dropped from memory, so far.
    pub loads: u64,
    pub evictions: u64,
}

impl Usage {
    /// All bytes of memory.
    pub fn memory(&self) -> usize {
        self.resident + self.copies + self.index
    }
}

/// A map from keys to values, used by one thread; see the [module](super) for how it is kept.
///
/// Calls fail if a page cannot be read back or spilled. Then the run must end, and resume from a checkpoint.
pub struct KeyedState<V> {
    pub(super) settings: Settings,
    pub(super) lane: usize,
    pub(super) lanes: usize,
    pub(super) groups: Range<usize>,
    pub(super) index: Index,
    pub(super) frames: Vec<Frame<V>>,
    /// Per page: where its content is in a file, if it is.
    pub(super) homes: Vec<Home>,
    pub(super) stores: Stores,
    pub(super) spill: Spill,
    /// Pages that may have room, as a stack.
    pub(super) open: Vec<u32>,
    /// Numbers of pages that were released.
    pub(super) free: Vec<u32>,
    /// Pages changed since the last snapshot, and those of snapshots not known to be written.
    pub(super) dirty: Vec<u32>,
    pub(super) in_flight: Vec<u32>,
    /// Counts snapshots from 1; a page's version is the epoch of its last change.
    pub(super) epoch: u32,
    pub(super) changed_in: u32,
    /// The last state written, and its epoch.
    pub(super) last: Option<(u32, LaneState)>,
    pub(super) rewrite: bool,
    pub(super) pins: Pins<V>,
    pub(super) completed: Arc<Mutex<Vec<Completed>>>,
    /// Counts changes, to do what is left to do now and then.
    pub(super) changes: u32,
    pub(super) resident: usize,
    /// Above this, pages are evicted: the limit, or more while a snapshot holds too much.
    pub(super) ceiling: usize,
    pub(super) hand: usize,
    /// A value that was handed out to be changed, and its heap before.
    pub(super) lent: Option<(Slot, usize)>,
    pub(super) timers: Vec<(i64, Slot)>,
    pub(super) loads: u64,
    pub(super) evictions: u64,
    pub(super) scratch: Scratch,
    pub(super) encoded: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl<V: StateValue> KeyedState<V> {
    /// Empty state of lane `lane` of `lanes`. It keeps whatever keys it is given; that they belong to the lane by
    /// [`lane_of`](super::lane_of) matters when it is restored.
    pub fn new(settings: Settings, lane: usize, lanes: usize) -> Self {
        assert!(lane < lanes && lanes <= KEY_GROUPS, "lane {lane} of {lanes}: there are 1 to {KEY_GROUPS} lanes");
        Self {
            ceiling: settings.memory_limit.unwrap_or(usize::MAX),
            settings,
            lane,
            lanes,
            groups: groups_of(lane, lanes),
            index: Index::new(),
            frames: Vec::new(),
            homes: Vec::new(),
            stores: Stores::default(),
            spill: Spill::default(),
            open: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            in_flight: Vec::new(),
            epoch: 1,
            changed_in: 1,
            last: None,
            rewrite: false,
            pins: Pins::default(),
            completed: Arc::default(),
            changes: 0,
            resident: 0,
            hand: 0,
            lent: None,
            timers: Vec::new(),
            loads: 0,
            evictions: 0,
            scratch: Scratch::default(),
            encoded: Vec::new(),
            value: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn usage(&self) -> Usage {
        let tables = self.frames.capacity() * size_of::<Frame<V>>() + self.homes.capacity() * size_of::<Home>();
        Usage {
            entries: self.len(),
            pages: self.frames.len() - self.free.len(),
            resident_pages: self.frames.iter().filter(|frame| !frame.body.is_absent()).count(),
            resident: self.resident,
            copies: self.pins.copies(),
            index: self.index.bytes() + tables,
            spilled: self.stores.spilled().0,
            loads: self.loads,
            evictions: self.evictions,
        }
    }

    /// The slot of a key, if there is an entry.
    pub fn slot_of(&mut self, key: &[u8]) -> Result<Option<Slot>, StateError> {
        self.slot_of_hashed(key_hash(key), key)
    }

    /// As [`slot_of`](Self::slot_of), with the [`key_hash`] at hand.
    pub fn slot_of_hashed(&mut self, hash: u64, key: &[u8]) -> Result<Option<Slot>, StateError> {
        let mut cold = Vec::new();
        for slot in self.index.candidates(hash).map(Slot) {
            match self.pins.get(&self.frames[slot.page()].body) {
                Some(page) if page.key(slot.at()) == key => return Ok(Some(slot)),
                Some(_) => {}
                None => cold.push(slot),
            }
        }
        for slot in cold {
            if self.page(slot.page())?.is_some_and(|page| page.key(slot.at()) == key) {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// The slot of a key, and whether it is new: then its value is what `make` made.
    pub fn slot_or_insert(&mut self, key: &[u8], make: impl FnOnce() -> V) -> Result<(Slot, bool), StateError> {
        self.slot_or_insert_hashed(key_hash(key), key, make)
    }

    /// As [`slot_or_insert`](Self::slot_or_insert), with the [`key_hash`] at hand.
    pub fn slot_or_insert_hashed(&mut self, hash: u64, key: &[u8], make: impl FnOnce() -> V) -> Result<(Slot, bool), StateError> {
        match self.slot_of_hashed(hash, key)? {
            Some(slot) => Ok((slot, false)),
            None => Ok((self.insert_new(hash, key, make())?, true)),
        }
    }

    /// The slots of many keys in their order, appended to `slots`. A key without entry gets one, made by `make` of its number.
    pub fn resolve<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k [u8]>,
        mut make: impl FnMut(usize) -> V,
        slots: &mut Vec<Slot>,
    ) -> Result<(), StateError> {
        let mut keys = keys.into_iter();
        let mut batch: Vec<(&[u8], u64, Option<u32>)> = Vec::with_capacity(BATCH);
        let mut n = 0;
        loop {
            // In stages, so that the processor waits for the memory of many keys at once and not for one after the other.
            batch.clear();
            batch.extend(keys.by_ref().take(BATCH).map(|key| (key, key_hash(key), None)));
            if batch.is_empty() {
                return Ok(());
            }
            for (_, hash, slot) in &mut batch {
                *slot = self.index.candidates(*hash).next();
            }
            let mut lengths = 0;
            for slot in batch.iter().filter_map(|(_, _, slot)| slot.map(Slot)) {
                lengths += self.pins.get(&self.frames[slot.page()].body).map_or(0, |page| page.key(slot.at()).len());
            }
            std::hint::black_box(lengths);
            for &(key, hash, slot) in &batch {
                let known = slot.map(Slot).filter(|slot| {
                    let page = self.pins.get(&self.frames[slot.page()].body);
                    page.is_some_and(|page| page.holds(slot.at()) && page.key(slot.at()) == key)
                });
                slots.push(match known {
                    Some(slot) => slot,
                    None => self.slot_or_insert_hashed(hash, key, || make(n))?.0,
                });
                n += 1;
            }
        }
    }

    pub fn get(&mut self, key: &[u8]) -> Result<Option<&V>, StateError> {
        match self.slot_of(key)? {
            Some(slot) => self.value(slot),
            None => Ok(None),
        }
    }

    pub fn get_mut(&mut self, key: &[u8]) -> Result<Option<&mut V>, StateError> {
        match self.slot_of(key)? {
            Some(slot) => self.value_mut(slot),
            None => Ok(None),
        }
    }

    /// The value of a key, to be changed; made first if there is none.
    pub fn get_or_insert_with(&mut self, key: &[u8], make: impl FnOnce() -> V) -> Result<&mut V, StateError> {
        let (slot, _) = self.slot_or_insert(key, make)?;
        Ok(self.value_mut(slot)?.expect("invariant: the slot was just found"))
    }

    /// Sets the value of a key and gives the one before.
    pub fn insert(&mut self, key: &[u8], value: V) -> Result<Option<V>, StateError> {
        let hash = key_hash(key);
        match self.slot_of_hashed(hash, key)? {
            Some(slot) => Ok(self.value_mut(slot)?.map(|old| std::mem::replace(old, value))),
            None => self.insert_new(hash, key, value).map(|_| None),
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> Result<Option<V>, StateError> {
        match self.slot_of(key)? {
            Some(slot) => self.remove_slot(slot),
            None => Ok(None),
        }
    }

    /// The key in a slot; `None` if the slot is free.
    pub fn key(&mut self, slot: Slot) -> Result<Option<&[u8]>, StateError> {
        Ok(self.page(slot.page())?.filter(|page| page.holds(slot.at())).map(|page| page.key(slot.at())))
    }

    /// The value in a slot; `None` if the slot is free.
    pub fn value(&mut self, slot: Slot) -> Result<Option<&V>, StateError> {
        Ok(self.page(slot.page())?.and_then(|page| page.value(slot.at())))
    }

    /// Key and value in a slot; `None` if the slot is free.
    pub fn entry(&mut self, slot: Slot) -> Result<Option<(&[u8], &V)>, StateError> {
        let page = self.page(slot.page())?;
        Ok(page.and_then(|page| Some((page.key(slot.at()), page.value(slot.at())?))))
    }

    /// The value in a slot, to be changed: its page will be written by the next snapshot.
    pub fn value_mut(&mut self, slot: Slot) -> Result<Option<&mut V>, StateError> {
        let lent = std::mem::needs_drop::<V>();
        let (page, lend) = self.page_mut(slot.page())?;
        let value = page.and_then(|page| page.value_mut(slot.at()));
        if lent && let Some(value) = &value {
            *lend = Some((slot, value.heap_size()));
        }
        Ok(value)
    }

    /// Removes the entry in a slot and gives its value.
    pub fn remove_slot(&mut self, slot: Slot) -> Result<Option<V>, StateError> {
        let Some(key) = self.key(slot)? else { return Ok(None) };
        let hash = key_hash(key);
        let Some(page) = self.page_mut(slot.page())?.0 else { return Ok(None) };
        let before = page.bytes_without_values();
        let value = page.remove(slot.at());
        let (after, empty) = (page.bytes_without_values(), page.is_empty());
        let heap = value.as_ref().map_or(0, V::heap_size);
        self.index.remove(hash, slot.0);
        if empty {
            self.release(slot.page());
        } else {
            self.resize(slot.page(), before + heap, after);
            self.mark_open(slot.page());
        }
        Ok(value)
    }

    /// Visits every entry, reading pages that are not in memory without keeping them there.
    pub fn for_each(&mut self, mut visit: impl FnMut(Slot, &[u8], &V)) -> Result<(), StateError> {
        for number in 0..self.frames.len() {
            let read;
            let page: &Page<V> = match self.pins.get(&self.frames[number].body) {
                Some(page) => page,
                None if self.homes[number] == NO_HOME => continue,
                None => {
                    read = self.read(number)?;
                    &read
                }
            };
            for at in page.slots() {
                let value = page.value(at).expect("invariant: live slots have values");
                visit(Slot::new(number, at), page.key(at), value);
            }
        }
        Ok(())
    }

    /// Removes every entry for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &V) -> bool) -> Result<(), StateError> {
        let mut removed = Vec::new();
        self.for_each(|slot, key, value| {
            if !keep(key, value) {
                removed.push(slot);
            }
        })?;
        for slot in removed {
            self.remove_slot(slot)?;
        }
        Ok(())
    }

    /// After a restore: every entry's [`StateValue::timer`], known without reading the entries. Given once.
    pub fn take_timers(&mut self) -> Vec<(i64, Slot)> {
        std::mem::take(&mut self.timers)
    }

    /// Reads up to `pages` pages back into memory, as far as the limit allows. Says whether more could be read. Worth
    /// calling after a restore when there is nothing else to do; `usize::MAX` reads everything at once.
    pub fn warm(&mut self, mut pages: usize) -> Result<bool, StateError> {
        for number in 0..self.frames.len() {
            if !self.frames[number].body.is_absent() || self.homes[number] == NO_HOME {
                continue;
            }
            if self.resident + self.pins.copies() + 2 * size_of::<Page<V>>() > self.ceiling {
                return Ok(false);
            }
            if pages == 0 {
                return Ok(true);
            }
            self.load(number)?;
            pages -= 1;
        }
        Ok(false)
    }

    /// Makes the next snapshot write every page anew. When two further checkpoints have been committed and their
    /// [`garbage`](super::garbage) removed, no file holds anything that was removed before this call.
    pub fn rewrite(&mut self) {
        self.rewrite = true;
    }

    /// Reads a page's body from its file, without keeping it.
    pub(super) fn read(&mut self, number: usize) -> Result<Page<V>, StateError> {
        let home = self.homes[number];
        let file = self.stores.file(home.store);
        let plain = file.read(Kind::Page, home.place, &mut self.scratch)?;
        let mut page = Page::decode(plain).map_err(|error| StateError::damaged(&file.name, error.to_string()))?;
        page.keep_groups(&self.groups);
        Ok(page)
    }
}

impl<V> std::fmt::Debug for KeyedState<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyedState(lane {} of {}, {} entries)", self.lane, self.lanes, self.index.len())
    }
}
