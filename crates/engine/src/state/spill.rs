//! Changed pages that memory has no room for, in unnamed files that vanish with the process.
//!
//! Each file has a random key that only this process knows. Files are appended to up to 32 MiB, given up when no page lives
//! in them any more, and emptied when most of what they hold is garbage.

use std::{io::Write, path::Path, sync::Arc};

use weir_vault::Key;

use super::{
    StateError,
    paging::Home,
    seal::{BlockFile, Cipher, Kind, Place, Scratch, SharedFile, random},
    stores::{Origin, Stores},
};

const SEGMENT: u64 = 32 << 20;
const BUFFER: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Spill {
    current: Option<Segment>,
}

struct Segment {
    store: u32,
    file: SharedFile,
    next: Place,
    /// Sealed, not yet in the file.
    buffer: Vec<u8>,
}

impl Spill {
    /// The file that is appended to.
    pub(crate) fn current(&self) -> Option<u32> {
        self.current.as_ref().map(|segment| segment.store)
    }

    /// Seals an encoded page. It can be read after the next [`flush`](Self::flush).
    pub(crate) fn append(
        &mut self,
        plain: &[u8],
        folder: &Path,
        stores: &mut Stores,
        scratch: &mut Scratch,
    ) -> Result<Home, StateError> {
        if self.current.as_ref().is_none_or(|segment| segment.next.offset >= SEGMENT) {
            self.flush()?;
            if let Some(full) = self.current.take() {
                stores.forget_if_empty(full.store);
            }
            let file = tempfile::tempfile_in(folder).map_err(StateError::io("(spill)", "create"))?;
            let cipher = Cipher::new(&Key::from_bytes(&random()?), b"spill");
            let file = Arc::new(BlockFile { name: "(spill)".to_owned(), cipher, file });
            let store = stores.add(Arc::clone(&file), Origin::Spill, 0);
            self.current = Some(Segment { store, file, next: Place::default(), buffer: Vec::with_capacity(BUFFER) });
        }
        let segment = self.current.as_mut().expect("invariant: made above");
        let length = segment.file.cipher.seal(Kind::Page, segment.next.ordinal, plain, scratch, &mut segment.buffer);
        let place = Place { length, ..segment.next };
        segment.next = Place { offset: place.offset + u64::from(length), length: 0, ordinal: place.ordinal + 1 };
        stores.get_mut(segment.store).total += u64::from(length);
        let home = Home { store: segment.store, place };
        if segment.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(home)
    }

    pub(crate) fn flush(&mut self) -> Result<(), StateError> {
        if let Some(segment) = &mut self.current {
            (&segment.file.file).write_all(&segment.buffer).map_err(StateError::io("(spill)", "write"))?;
            segment.buffer.clear();
        }
        Ok(())
    }

    /// A file to move the live pages out of, if most of what is spilled is garbage.
    pub(crate) fn wasteful(&self, stores: &Stores) -> Option<u32> {
        let (live, total) = stores.spilled();
        if total <= 2 * live + 2 * SEGMENT {
            return None;
        }
        let full = stores.iter().filter(|(n, store)| store.origin == Origin::Spill && Some(*n) != self.current());
        full.min_by_key(|(_, store)| store.live).map(|(n, _)| n)
    }
}
