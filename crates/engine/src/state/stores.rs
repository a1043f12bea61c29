//! The files in which pages of a state are: state files of checkpoints, and spill files.

use super::{compact::FileUse, paging::Home, seal::SharedFile};

/// What a file is to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Named by a checkpoint.
    Checkpoint { id: [u8; 16], foreign: bool },
    /// Ours alone, without a name.
    Spill,
}

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) file: SharedFile,
    pub(crate) origin: Origin,
    pub(crate) total: u64,
    pub(crate) live: u64,
    pages: u32,
}

impl Store {
    pub(crate) fn file_use(&self) -> FileUse {
        let foreign = matches!(self.origin, Origin::Checkpoint { foreign: true, .. });
        FileUse { live: self.live, total: self.total, foreign }
    }
}

/// By number: a file with pages that live there, counted.
#[derive(Clone, Default)]
pub(crate) struct Stores(Vec<Option<Store>>);

impl Stores {
    pub(crate) fn add(&mut self, file: SharedFile, origin: Origin, total: u64) -> u32 {
        let store = Some(Store { file, origin, total, live: 0, pages: 0 });
        let number = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        match self.0.get_mut(number) {
            Some(free) => *free = store,
            None => self.0.push(store),
        }
        number as u32
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Store> {
        self.0.get(number as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Store {
        self.0[number as usize].as_mut().expect("invariant: a file stays as long as pages live in it")
    }

    /// The file with this number, in which pages live.
    pub(crate) fn file(&self, number: u32) -> &SharedFile {
        &self.get(number).expect("invariant: a file stays as long as pages live in it").file
    }

    pub(crate) fn is_spill(&self, number: u32) -> bool {
        self.get(number).is_some_and(|store| store.origin == Origin::Spill)
    }

    pub(crate) fn gain(&mut self, home: Home) {
        let store = self.get_mut(home.store);
        store.pages += 1;
        store.live += u64::from(home.place.length);
    }

    /// A page moved away. The file goes with the last one, if `done` with it.
    pub(crate) fn lose(&mut self, home: Home, done: bool) {
        let store = self.get_mut(home.store);
        store.pages -= 1;
        store.live -= u64::from(home.place.length);
        if store.pages == 0 && done {
            self.0[home.store as usize] = None;
        }
    }

    /// Forgets a file in which nothing lives.
    pub(crate) fn forget_if_empty(&mut self, number: u32) {
        if self.get(number).is_some_and(|store| store.pages == 0) {
            self.0[number as usize] = None;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Store)> {
        self.0.iter().enumerate().filter_map(|(n, store)| Some((n as u32, store.as_ref()?)))
    }

    /// Live and total bytes of spill files.
    pub(crate) fn spilled(&self) -> (u64, u64) {
        let spills = self.iter().filter(|(_, store)| store.origin == Origin::Spill);
        spills.fold((0, 0), |(live, total), (_, store)| (live + store.live, total + store.total))
    }
}
