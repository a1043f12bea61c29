//! Snapshots: taken at a barrier in a moment, written beside the processing.

use std::{collections::BTreeSet, fs, sync::Arc};

use parking_lot::Mutex;

use super::{
    StateError, StateValue,
    body::Pinned,
    compact,
    file::FileWriter,
    keyed::{KeyedState, Settings},
    manifest::{LaneState, LivePages, Manifest},
    page::Page,
    paging::{Home, LISTED, NO_HOME},
    seal::{Kind, Place, Scratch, SharedFile},
    stores::{Origin, Stores},
};

/// A state at a barrier. Later changes are not in it. Send it to another thread and [`write`](Self::write) it there.
///
/// While it is there, a page that changes is copied first. Dropped unwritten, its changes are in the next snapshot instead.
pub struct Snapshot<V> {
    settings: Settings,
    lane: usize,
    lanes: usize,
    epoch: u32,
    entries: u64,
    /// Changed pages, and where in which set of `pins` they are. The others were spilled; their homes tell where.
    pages: Vec<(u32, Option<(u32, u32)>)>,
    pins: Vec<Option<Pinned<V>>>,
    homes: Vec<Home>,
    stores: Stores,
    /// What was written last, if nothing has changed since.
    unchanged: Option<LaneState>,
    rewrite: bool,
    groups: std::ops::Range<usize>,
    completed: Arc<Mutex<Vec<Completed>>>,
}

/// A snapshot that was written: where its pages are now.
pub(crate) struct Completed {
    epoch: u32,
    state: LaneState,
    file: SharedFile,
    id: [u8; 16],
    bytes: u64,
    homes: Vec<(u32, Place)>,
}

impl<V: StateValue> KeyedState<V> {
    /// The state as it is now. Takes some tens of microseconds per thousand changed pages.
    pub fn snapshot(&mut self) -> Snapshot<V> {
        self.settle();
        self.take_completed(usize::MAX);
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in std::mem::take(&mut self.in_flight) {
            let home = self.homes[number as usize];
            let safe = home != NO_HOME && !self.stores.is_spill(home.store);
            if self.frames[number as usize].flags & LISTED == 0 && !safe {
                dirty.push(number);
            }
        }
        dirty.retain(|&number| {
            let frame = &mut self.frames[number as usize];
            frame.flags &= !LISTED;
            !frame.body.is_absent() || self.homes[number as usize] != NO_HOME
        });
        let pages = self.pins.pin(&mut self.frames, &dirty);
        self.in_flight = dirty;
        let rewrite = std::mem::take(&mut self.rewrite);
        let last = self.last.as_ref().filter(|(epoch, _)| *epoch >= self.changed_in && pages.is_empty() && !rewrite);
        let snapshot = Snapshot {
            settings: self.settings.clone(),
            lane: self.lane,
            lanes: self.lanes,
            epoch: self.epoch,
            entries: self.len() as u64,
            pins: self.pins.shared(&pages),
            pages,
            homes: self.homes.clone(),
            stores: self.stores.clone(),
            unchanged: last.map(|(_, state)| state.clone()),
            rewrite,
            groups: self.groups.clone(),
            completed: Arc::clone(&self.completed),
        };
        self.epoch += 1;
        snapshot
    }

    /// Learns where the pages of snapshots that were written meanwhile are now, up to `most` of each: they need not be kept in
    /// memory any more.
    pub(super) fn take_completed(&mut self, most: usize) {
        let mut completed = std::mem::take(&mut *self.completed.lock());
        completed.sort_by_key(|completed| completed.epoch);
        for Completed { epoch, state, file, id, bytes, mut homes } in completed {
            let origin = Origin::Checkpoint { id, foreign: false };
            let known = self.stores.iter().find(|(_, store)| store.origin == origin).map(|(store, _)| store);
            let store = known.unwrap_or_else(|| self.stores.add(Arc::clone(&file), origin, bytes));
            for (number, place) in homes.drain(homes.len().saturating_sub(most)..) {
                let frame = &self.frames[number as usize];
                let released = frame.body.is_absent() && self.homes[number as usize] == NO_HOME;
                if frame.version <= epoch && !released {
                    self.set_home(number as usize, Home { store, place });
                }
            }
            self.stores.forget_if_empty(store);
            if !homes.is_empty() {
                self.completed.lock().push(Completed { epoch, state, file, id, bytes, homes });
                continue;
            }
            if self.last.as_ref().is_none_or(|(last, _)| *last < epoch) {
                self.last = Some((epoch, state));
            }
        }
    }
}

impl<V: StateValue> Snapshot<V> {
    /// How many pages have changed since the snapshot before.
    pub fn changed_pages(&self) -> usize {
        self.pages.len()
    }

    /// Writes what has changed, and some of what has not, to a file of this name in the state folder, and makes it durable.
    /// The name must be new to the folder. What it returns belongs into the checkpoint. If nothing has changed, nothing is
    /// written, and the state of the snapshot before is returned.
    pub fn write(mut self, name: &str) -> Result<LaneState, StateError> {
        if let Some(state) = self.unchanged.take() {
            return Ok(state);
        }
        let written = self.write_file(name);
        if written.is_err() {
            // What is left of it would be replaced by the next attempt under this name; it may just as well go now.
            let _ = fs::remove_file(self.settings.folder.join(format!("{name}.part")));
        }
        written
    }

    fn write_file(&mut self, name: &str) -> Result<LaneState, StateError> {
        let Settings { key, operator, folder, .. } = &self.settings;
        let mut writer = FileWriter::create(folder, name, key, *operator, self.lane, self.lanes)?;
        let mut room = Room::default();
        let mut homes = Vec::with_capacity(self.pages.len());
        let mut left = vec![0_u32; self.pins.len()];
        self.pages.iter().filter_map(|(_, place)| place.as_ref()).for_each(|(set, _)| left[*set as usize] += 1);
        for (number, page) in std::mem::take(&mut self.pages) {
            let place = match page {
                Some((set, at)) => {
                    let place = room.write(&mut writer, self.pinned(set, at))?;
                    left[set as usize] -= 1;
                    if left[set as usize] == 0 {
                        // The state may have the memory of these back before all is written.
                        self.pins[set as usize] = None;
                    }
                    place
                }
                None => self.rewritten(number, &mut writer, &mut room)?,
            };
            homes.push((number, place));
            self.homes[number as usize] = NO_HOME;
        }
        let by_store = self.live_pages();
        let uses: Vec<_> = by_store.iter().map(|(store, _)| self.stores.get_mut(*store).file_use()).collect();
        for (n, mut most) in compact::plan(&uses, writer.bytes(), self.rewrite) {
            for &number in &by_store[n].1 {
                let length = u64::from(self.homes[number as usize].place.length);
                if most < length {
                    break;
                }
                most -= length;
                let place = self.rewritten(number, &mut writer, &mut room)?;
                homes.push((number, place));
                self.homes[number as usize] = NO_HOME;
            }
        }
        let mut manifest = Manifest { entries: self.entries, ..Manifest::default() };
        for (store, numbers) in self.live_pages() {
            let store = self.stores.get_mut(store);
            let Origin::Checkpoint { id, .. } = store.origin else { continue };
            let mut ordinals: Vec<u32> = numbers.iter().map(|&number| self.homes[number as usize].place.ordinal).collect();
            ordinals.sort_unstable();
            manifest.files.insert(store.file.name.clone(), LivePages { id, bytes: store.total, ordinals });
        }
        let mut files: BTreeSet<String> = manifest.files.keys().cloned().collect();
        files.insert(name.to_owned());
        let id = writer.id();
        let ordinals = homes.iter().map(|(_, place)| place.ordinal).collect();
        manifest.files.insert(String::new(), LivePages { id, bytes: 0, ordinals });
        let finished = writer.finish(&manifest.encode())?;
        let state = LaneState {
            lane: self.lane,
            lanes: self.lanes,
            file: name.to_owned(),
            id: hex::encode(id),
            bytes: finished.bytes,
            entries: self.entries,
            files,
        };
        let completed =
            Completed { epoch: self.epoch, state: state.clone(), file: finished.file, id, bytes: finished.bytes, homes };
        self.completed.lock().push(completed);
        Ok(state)
    }

    fn pinned(&self, set: u32, at: u32) -> &Page<V> {
        let set = self.pins[set as usize].as_ref().expect("invariant: the snapshot has the sets of its time");
        set[at as usize].as_ref().expect("invariant: a pinned page stays while a snapshot has its set")
    }

    /// Writes a page again that is in some file.
    fn rewritten(&self, number: u32, writer: &mut FileWriter, room: &mut Room) -> Result<Place, StateError> {
        let home = self.homes[number as usize];
        let file = self.stores.file(home.store);
        let plain = file.read(Kind::Page, home.place, &mut room.scratch)?;
        let mut page = Page::<V>::decode(plain).map_err(|error| StateError::damaged(&file.name, error.to_string()))?;
        page.keep_groups(&self.groups);
        room.write(writer, &page)
    }

    /// By file: the pages that live there.
    fn live_pages(&self) -> Vec<(u32, Vec<u32>)> {
        let mut by_store: Vec<(u32, Vec<u32>)> = self.stores.iter().map(|(store, _)| (store, Vec::new())).collect();
        for (number, home) in self.homes.iter().enumerate().filter(|(_, home)| **home != NO_HOME) {
            if let Ok(n) = by_store.binary_search_by_key(&home.store, |(store, _)| *store) {
                by_store[n].1.push(number as u32);
            }
        }
        by_store.retain(|(_, pages)| !pages.is_empty());
        by_store
    }
}

impl<V> std::fmt::Debug for Snapshot<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} pages changed, {} entries)", self.pages.len(), self.entries)
    }
}

/// Room that is used for page after page.
#[derive(Default)]
struct Room {
    encoded: Vec<u8>,
    value: Vec<u8>,
    scratch: Scratch,
}

impl Room {
    fn write<V: StateValue>(&mut self, writer: &mut FileWriter, page: &Page<V>) -> Result<Place, StateError> {
        self.encoded.clear();
        page.encode(&mut self.encoded, &mut self.value);
        writer.page(&self.encoded, &page.summary())
    }
}
