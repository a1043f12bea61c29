//! Pages in and out of memory: finding room, copying on write, eviction, reading back.

use std::sync::Arc;

use super::{
    Slot, StateError, StateValue,
    body::Body,
    keyed::KeyedState,
    page::{PAGE_SLOTS, Page},
    seal::{Kind, Place},
};

/// Where a page's content is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) store: u32,
    pub(crate) place: Place,
}

/// The page is in memory only, or there is no page.
pub(crate) const NO_HOME: Home = Home { store: u32::MAX, place: Place { offset: 0, length: 0, ordinal: 0 } };

/// Used since the clock's hand last passed.
const TOUCHED: u8 = 1;
/// In the list of changed pages.
pub(crate) const LISTED: u8 = 2;
/// In the stack of pages that may have room.
const OPEN: u8 = 4;

/// Pages per [`KeyedState::catch_up`], every 64 changes.
const CATCH_UP: usize = 256;

/// A place for a page in memory.
pub(crate) struct Frame<V> {
    pub(crate) body: Body<V>,
    /// What the page takes, as counted in `resident`.
    pub(crate) bytes: usize,
    pub(crate) version: u32,
    pub(crate) flags: u8,
}

type Lent = Option<(Slot, usize)>;

impl<V: StateValue> KeyedState<V> {
    /// A page, read back if need be; `None` if it was released.
    pub(super) fn page(&mut self, number: usize) -> Result<Option<&Page<V>>, StateError> {
        if self.frames[number].body.is_absent() && !self.load(number)? {
            return Ok(None);
        }
        let frame = &mut self.frames[number];
        frame.flags |= TOUCHED;
        Ok(self.pins.get(&frame.body))
    }

    /// A page to be changed, and where to note which value is lent.
    pub(super) fn page_mut(&mut self, number: usize) -> Result<(Option<&mut Page<V>>, &mut Lent), StateError> {
        self.settle();
        self.relieve()?;
        self.changes = self.changes.wrapping_add(1);
        if self.changes.is_multiple_of(64) {
            self.catch_up();
        }
        if self.frames[number].body.is_absent() && !self.load(number)? {
            return Ok((None, &mut self.lent));
        }
        let frame = &self.frames[number];
        if frame.version != self.epoch || frame.flags & LISTED == 0 || self.homes[number] != NO_HOME {
            self.changed(number);
        }
        let frame = &mut self.frames[number];
        frame.flags |= TOUCHED;
        let page = self.pins.own(&mut frame.body, frame.bytes).expect("invariant: loaded above");
        Ok((Some(page), &mut self.lent))
    }

    /// What is left to do after a snapshot was written, a little at a time.
    #[cold]
    fn catch_up(&mut self) {
        self.take_completed(CATCH_UP);
        if !self.pins.is_empty() {
            self.pins.take_back(&mut self.frames, CATCH_UP);
        }
    }

    /// Notes that a page is no longer as any file has it.
    fn changed(&mut self, number: usize) {
        self.drop_home(number);
        let frame = &mut self.frames[number];
        (frame.version, self.changed_in) = (self.epoch, self.epoch);
        if frame.flags & LISTED == 0 {
            frame.flags |= LISTED;
            self.dirty.push(number as u32);
        }
    }

    /// Counts how the value that was lent last has grown.
    pub(super) fn settle(&mut self) {
        let Some((slot, before)) = self.lent.take() else { return };
        let page = self.pins.get(&self.frames[slot.page()].body);
        let after = page.and_then(|page| page.value(slot.at())).map_or(before, V::heap_size);
        self.resize(slot.page(), before, after);
    }

    /// A part of a page that took `before` bytes takes `after` now.
    pub(super) fn resize(&mut self, number: usize, before: usize, after: usize) {
        let frame = &mut self.frames[number];
        let bytes = (frame.bytes + after).saturating_sub(before);
        self.resident = (self.resident + bytes).saturating_sub(frame.bytes);
        frame.bytes = bytes;
    }

    pub(super) fn mark_open(&mut self, number: usize) {
        let frame = &mut self.frames[number];
        if frame.flags & OPEN == 0 {
            frame.flags |= OPEN;
            self.open.push(number as u32);
        }
    }

    /// Enters a key that has no entry.
    pub(super) fn insert_new(&mut self, hash: u64, key: &[u8], value: V) -> Result<Slot, StateError> {
        self.settle();
        self.relieve()?;
        let number = self.page_with_room()?;
        let heap = value.heap_size();
        let page = self.page_mut(number)?.0.expect("invariant: pages with room are in memory");
        let before = page.bytes_without_values();
        let at = page.insert(key, value);
        let after = page.bytes_without_values() + heap;
        self.resize(number, before, after);
        let slot = Slot::new(number, at);
        self.index.insert(hash, slot.0);
        Ok(slot)
    }

    /// A page in memory that takes another entry.
    fn page_with_room(&mut self) -> Result<usize, StateError> {
        while let Some(&number) = self.open.last() {
            let frame = &mut self.frames[number as usize];
            if self.pins.get(&frame.body).is_some_and(|page| page.has_room(frame.bytes)) {
                return Ok(number as usize);
            }
            frame.flags &= !OPEN;
            self.open.pop();
        }
        let number = match self.free.pop() {
            Some(number) => number as usize,
            None => {
                let number = self.frames.len();
                if number >= (u32::MAX as usize + 1) / PAGE_SLOTS {
                    return Err(StateError::Full);
                }
                self.add_frame(NO_HOME);
                number
            }
        };
        let page = Page::new();
        let bytes = page.bytes();
        let frame = &mut self.frames[number];
        (frame.body, frame.bytes) = (Body::Own(Box::new(page)), bytes);
        self.resident += bytes;
        self.mark_open(number);
        Ok(number)
    }

    /// A place for one more page.
    pub(super) fn add_frame(&mut self, home: Home) {
        self.frames.push(Frame { body: Body::Absent, bytes: 0, version: 0, flags: 0 });
        self.homes.push(home);
        if home != NO_HOME {
            self.stores.gain(home);
        }
    }

    /// Gives up a page that is empty.
    pub(super) fn release(&mut self, number: usize) {
        self.changed(number);
        let frame = &mut self.frames[number];
        self.pins.discard(&mut frame.body);
        self.resident = self.resident.saturating_sub(std::mem::take(&mut frame.bytes));
        self.free.push(number as u32);
    }

    pub(super) fn set_home(&mut self, number: usize, home: Home) {
        self.drop_home(number);
        self.stores.gain(home);
        self.homes[number] = home;
    }

    fn drop_home(&mut self, number: usize) {
        let home = std::mem::replace(&mut self.homes[number], NO_HOME);
        if home != NO_HOME {
            self.stores.lose(home, self.spill.current() != Some(home.store));
        }
    }

    /// Reads a page back. Says no if there is none.
    pub(super) fn load(&mut self, number: usize) -> Result<bool, StateError> {
        if self.homes[number] == NO_HOME {
            return Ok(false);
        }
        self.settle();
        self.relieve()?;
        let page = self.read(number)?;
        let bytes = page.bytes();
        let has_room = page.has_room(bytes);
        let frame = &mut self.frames[number];
        (frame.body, frame.bytes) = (Body::Own(Box::new(page)), bytes);
        self.resident += bytes;
        self.loads += 1;
        if has_room {
            self.mark_open(number);
        }
        Ok(true)
    }

    /// What counts against the limit. Copies for a snapshot may take a quarter more: else what is in use would be spilled
    /// while what the snapshot holds cannot be.
    fn load_of_memory(&self) -> usize {
        self.resident + self.pins.copies().saturating_sub(self.settings.memory_limit.unwrap_or(usize::MAX) / 4)
    }

    /// Keeps to the limit.
    fn relieve(&mut self) -> Result<(), StateError> {
        if self.load_of_memory() > self.ceiling { self.evict() } else { Ok(()) }
    }

    /// Drops pages that were not used of late (second chance) until a sixteenth of the limit is free. Those which no file
    /// has are spilled first. What a snapshot still holds stays: dropping it would free nothing.
    #[cold]
    fn evict(&mut self) -> Result<(), StateError> {
        let limit = self.settings.memory_limit.unwrap_or(usize::MAX);
        self.take_completed(64 * CATCH_UP);
        self.pins.take_back(&mut self.frames, 64 * CATCH_UP);
        let mut steps = 2 * self.frames.len();
        // Never more than that at once: where a snapshot holds most, all that is in use would be dropped time and again.
        let goal = (limit - limit / 16).max(self.load_of_memory().saturating_sub(limit / 16));
        while self.load_of_memory() > goal && steps > 0 {
            steps -= 1;
            self.hand = (self.hand + 1) % self.frames.len();
            let frame = &mut self.frames[self.hand];
            let Some(page) = self.pins.get(&frame.body) else { continue };
            if frame.flags & TOUCHED != 0 {
                frame.flags &= !TOUCHED;
                continue;
            }
            if self.pins.is_shared(&frame.body) {
                continue;
            }
            if self.homes[self.hand] == NO_HOME {
                self.encoded.clear();
                page.encode(&mut self.encoded, &mut self.value);
                let home = self.spill.append(&self.encoded, &self.settings.folder, &mut self.stores, &mut self.scratch)?;
                self.set_home(self.hand, home);
            }
            let frame = &mut self.frames[self.hand];
            self.pins.discard(&mut frame.body);
            self.resident = self.resident.saturating_sub(std::mem::take(&mut frame.bytes));
            self.evictions += 1;
        }
        self.spill.flush()?;
        self.tidy_spill()?;
        // Not again until there is something to gain, should a snapshot hold nearly everything.
        self.ceiling = limit.max(self.load_of_memory() + limit / 64);
        Ok(())
    }

    /// Moves the live pages out of one spill file that is mostly garbage.
    fn tidy_spill(&mut self) -> Result<(), StateError> {
        let Some(store) = self.spill.wasteful(&self.stores) else { return Ok(()) };
        let file = Arc::clone(self.stores.file(store));
        for number in 0..self.homes.len() {
            if self.homes[number].store != store {
                continue;
            }
            let plain = file.read(Kind::Page, self.homes[number].place, &mut self.scratch)?;
            self.encoded.clear();
            self.encoded.extend_from_slice(plain);
            let home = self.spill.append(&self.encoded, &self.settings.folder, &mut self.stores, &mut self.scratch)?;
            self.set_home(number, home);
        }
        self.spill.flush()
    }
}
