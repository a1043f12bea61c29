//! Pages in memory: owned by the state, or pinned in a set that the state and a snapshot share.
//!
//! A snapshot moves the boxes of all changed pages into sets of some thousands, each behind one `Arc`: eight bytes a page, no
//! counting of references page by page, no look at the pages themselves, which are likely in no cache. While the snapshot has a
//! set, a pinned page of it that changes is copied. The snapshot gives up one set after the other as it writes them; then the pages
//! come back out of the set, a few at a time, and may be dropped from memory long before all of the snapshot is written.

use std::sync::Arc;

use super::{StateValue, page::Page, paging::Frame};

/// The pages that a snapshot and the state share.
pub(crate) type Pinned<V> = Arc<Vec<Option<Box<Page<V>>>>>;

pub(crate) enum Body<V> {
    /// Not in memory.
    Absent,
    Own(Box<Page<V>>),
    Pinned {
        set: u32,
        at: u32,
    },
}

impl<V> Body<V> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Pages of a set: enough for a set to cost nothing, few enough for memory to come free while a snapshot is written.
const SET_PAGES: usize = 2048;

struct Set<V> {
    pages: Pinned<V>,
    /// By place in `pages`: the number of the page.
    numbers: Vec<u32>,
    /// So far they have come back.
    returned: usize,
    /// Bytes of pages that are there twice, because they changed while a snapshot had the set.
    copies: usize,
}

/// The sets of snapshots that are there, or were there until lately.
pub(crate) struct Pins<V> {
    sets: Vec<Option<Set<V>>>,
    /// Sets there are.
    there: usize,
    /// Bytes of copies, of all sets.
    copies: usize,
}

impl<V> Default for Pins<V> {
    fn default() -> Self {
        Self { sets: Vec::new(), there: 0, copies: 0 }
    }
}

impl<V: StateValue> Pins<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.there == 0
    }

    /// Bytes that pages take which are there twice.
    pub(crate) fn copies(&self) -> usize {
        self.copies
    }

    fn set(&mut self, set: u32) -> &mut Set<V> {
        self.sets[set as usize].as_mut().expect("invariant: a set stays as long as pages are pinned in it")
    }

    pub(crate) fn get<'a>(&'a self, body: &'a Body<V>) -> Option<&'a Page<V>> {
        match body {
            Body::Absent => None,
            Body::Own(page) => Some(page),
            Body::Pinned { set, at } => self.sets[*set as usize].as_ref()?.pages[*at as usize].as_deref(),
        }
    }

    /// Whether a snapshot has it too.
    pub(crate) fn is_shared(&self, body: &Body<V>) -> bool {
        match body {
            Body::Pinned { set, .. } => self.sets[*set as usize].as_ref().is_some_and(|set| Arc::strong_count(&set.pages) > 1),
            _ => false,
        }
    }

    /// The page to be changed, which takes so many bytes. It is copied where a snapshot has it.
    pub(crate) fn own<'a>(&mut self, body: &'a mut Body<V>, bytes: usize) -> Option<&'a mut Page<V>> {
        if let Body::Pinned { set, at } = *body {
            let set = self.set(set);
            let page = match Arc::get_mut(&mut set.pages) {
                Some(pages) => pages[at as usize].take(),
                None => {
                    let copy = set.pages[at as usize].clone();
                    set.copies += bytes;
                    self.copies += bytes;
                    copy
                }
            };
            *body = page.map_or(Body::Absent, Body::Own);
        }
        match body {
            Body::Own(page) => Some(page),
            _ => None,
        }
    }

    /// Drops a page, unless a snapshot has it too: then it goes with the snapshot.
    pub(crate) fn discard(&mut self, body: &mut Body<V>) {
        if let Body::Pinned { set, at } = std::mem::replace(body, Body::Absent)
            && let Some(pages) = Arc::get_mut(&mut self.set(set).pages)
        {
            pages[at as usize] = None;
        }
    }

    /// Pins pages for a snapshot and says in which sets and where they are. Those already pinned stay where they are.
    pub(crate) fn pin(&mut self, frames: &mut [Frame<V>], numbers: &[u32]) -> Vec<(u32, Option<(u32, u32)>)> {
        let mut places = Vec::with_capacity(numbers.len());
        for numbers in numbers.chunks(SET_PAGES) {
            let id = self.sets.iter().position(Option::is_none).unwrap_or(self.sets.len());
            let mut own = Vec::with_capacity(numbers.len());
            let mut pages = Vec::with_capacity(numbers.len());
            for &number in numbers {
                let body = &mut frames[number as usize].body;
                let place = match std::mem::replace(body, Body::Absent) {
                    Body::Absent => None,
                    Body::Own(page) => {
                        pages.push(Some(page));
                        own.push(number);
                        Some((id as u32, pages.len() as u32 - 1))
                    }
                    Body::Pinned { set, at } => Some((set, at)),
                };
                if let Some((set, at)) = place {
                    *body = Body::Pinned { set, at };
                }
                places.push((number, place));
            }
            if !pages.is_empty() {
                let set = Set { pages: Arc::new(pages), numbers: own, returned: 0, copies: 0 };
                self.there += 1;
                match self.sets.get_mut(id) {
                    Some(free) => *free = Some(set),
                    None => self.sets.push(Some(set)),
                }
            }
        }
        places
    }

    /// The sets in which these pages are, for a snapshot to look them up in.
    pub(crate) fn shared(&self, places: &[(u32, Option<(u32, u32)>)]) -> Vec<Option<Pinned<V>>> {
        let mut shared = vec![None; self.sets.len()];
        for &(set, _) in places.iter().filter_map(|(_, place)| place.as_ref()) {
            if shared[set as usize].is_none() {
                shared[set as usize] = self.sets[set as usize].as_ref().map(|set| Arc::clone(&set.pages));
            }
        }
        shared
    }

    /// Takes up to `most` pages back out of sets that no snapshot has any more, and drops what was copied or dropped meanwhile.
    pub(crate) fn take_back(&mut self, frames: &mut [Frame<V>], mut most: usize) {
        for (id, entry) in self.sets.iter_mut().enumerate() {
            if most == 0 {
                break;
            }
            let Some(set) = entry else { continue };
            let Some(pages) = Arc::get_mut(&mut set.pages) else { continue };
            let end = pages.len().min(set.returned.saturating_add(most));
            most -= end - set.returned;
            for at in set.returned..end {
                let body = &mut frames[set.numbers[at] as usize].body;
                let page = pages[at].take();
                if matches!(body, Body::Pinned { set, at: place } if (*set as usize, *place as usize) == (id, at)) {
                    *body = page.map_or(Body::Absent, Body::Own);
                }
            }
            set.returned = end;
            if end == pages.len() {
                self.copies -= set.copies;
                self.there -= 1;
                *entry = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_snapshot_still_has_is_copied() {
        let frame = |value: u64| {
            let mut page = Page::new();
            page.insert(b"key", value);
            Frame { body: Body::Own(Box::new(page)), bytes: 0, version: 0, flags: 0 }
        };
        let (mut pins, mut frames) = (Pins::default(), [frame(1), frame(2), frame(3)]);
        let places = pins.pin(&mut frames, &[0, 2]);
        assert_eq!(places, [(0, Some((0, 0))), (2, Some((0, 1)))]);
        let snapshot = pins.shared(&places);
        *pins.own(&mut frames[0].body, 100).unwrap().value_mut(0).unwrap() = 9;
        assert_eq!(pins.copies(), 100);
        assert!(pins.is_shared(&frames[2].body) && !pins.is_shared(&frames[0].body));
        let of_snapshot = snapshot[0].as_ref().unwrap()[0].as_ref().unwrap();
        assert_eq!((of_snapshot.value(0), pins.get(&frames[0].body).unwrap().value(0)), (Some(&1), Some(&9)));
        pins.take_back(&mut frames, 10);
        assert!(!pins.is_empty(), "the snapshot is there");
        drop(snapshot);
        pins.own(&mut frames[2].body, 100).unwrap();
        assert_eq!(pins.copies(), 100, "nobody else has it");
        pins.take_back(&mut frames, 1);
        assert!(!pins.is_empty());
        pins.take_back(&mut frames, 1);
        assert!(pins.is_empty());
        assert_eq!(pins.copies(), 0);
        assert_eq!(frames.map(|frame| pins.get(&frame.body).unwrap().value(0).copied()), [9, 2, 3].map(Some));
    }

    #[test]
    fn what_a_snapshot_has_written_comes_back_before_the_rest() {
        let pages = 2 * SET_PAGES + 1;
        let frame = |value: u64| {
            let mut page = Page::new();
            page.insert(b"key", value);
            Frame { body: Body::Own(Box::new(page)), bytes: 0, version: 0, flags: 0 }
        };
        let mut frames: Vec<_> = (0..pages as u64).map(frame).collect();
        let mut pins = Pins::default();
        let places = pins.pin(&mut frames, &(0..pages as u32).collect::<Vec<_>>());
        let mut snapshot = pins.shared(&places);
        assert_eq!(snapshot.len(), 3);
        snapshot[0] = None;
        pins.take_back(&mut frames, usize::MAX);
        let owned = |frames: &[Frame<u64>]| frames.iter().filter(|frame| matches!(frame.body, Body::Own(_))).count();
        assert_eq!(owned(&frames), SET_PAGES);
        assert!(!pins.is_shared(&frames[0].body) && pins.is_shared(&frames[SET_PAGES].body));
        drop(snapshot);
        pins.take_back(&mut frames, usize::MAX);
        assert_eq!(owned(&frames), pages);
        assert!(pins.is_empty());
    }
}
