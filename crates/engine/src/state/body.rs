//! Pages in memory: owned by the state, or pinned in a set that the state and a snapshot share.
//!
//! A snapshot moves the boxes of all changed pages into one set behind one `Arc`: eight bytes a page, no counting of
//! references page by page, no look at the pages themselves, which are likely in no cache. While the snapshot is there, a
//! pinned page that changes is copied; afterwards the pages come back out of the set, a few at a time.

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

struct Set<V> {
    pages: Pinned<V>,
    /// By place in `pages`: the number of the page.
    numbers: Vec<u32>,
    /// So far they have come back.
    returned: usize,
}

/// The sets of snapshots that are there, or were there until lately.
pub(crate) struct Pins<V>(Vec<Option<Set<V>>>);

impl<V> Default for Pins<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: StateValue> Pins<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn set(&mut self, set: u32) -> &mut Set<V> {
        self.0[set as usize].as_mut().expect("invariant: a set stays as long as pages are pinned in it")
    }

    pub(crate) fn get<'a>(&'a self, body: &'a Body<V>) -> Option<&'a Page<V>> {
        match body {
            Body::Absent => None,
            Body::Own(page) => Some(page),
            Body::Pinned { set, at } => self.0[*set as usize].as_ref()?.pages[*at as usize].as_deref(),
        }
    }

    /// Whether a snapshot has it too.
    pub(crate) fn is_shared(&self, body: &Body<V>) -> bool {
        match body {
            Body::Pinned { set, .. } => self.0[*set as usize].as_ref().is_some_and(|set| Arc::strong_count(&set.pages) > 1),
            _ => false,
        }
    }

    /// The page to be changed, and whether it had to be copied because a snapshot has it.
    pub(crate) fn own<'a>(&mut self, body: &'a mut Body<V>) -> Option<(&'a mut Page<V>, bool)> {
        let mut copied = false;
        if let Body::Pinned { set, at } = *body {
            let pages = &mut self.set(set).pages;
            let page = match Arc::get_mut(pages) {
                Some(pages) => pages[at as usize].take(),
                None => {
                    copied = true;
                    pages[at as usize].clone()
                }
            };
            *body = page.map_or(Body::Absent, Body::Own);
        }
        match body {
            Body::Own(page) => Some((page, copied)),
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
        let id = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        let mut set = Set { pages: Arc::default(), numbers: Vec::with_capacity(numbers.len()), returned: 0 };
        let mut pages = Vec::with_capacity(numbers.len());
        let mut places = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let body = &mut frames[number as usize].body;
            let place = match std::mem::replace(body, Body::Absent) {
                Body::Absent => None,
                Body::Own(page) => {
                    pages.push(Some(page));
                    set.numbers.push(number);
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
            set.pages = Arc::new(pages);
            match self.0.get_mut(id) {
                Some(free) => *free = Some(set),
                None => self.0.push(Some(set)),
            }
        }
        places
    }

    /// All sets, for a snapshot to look its pages up in.
    pub(crate) fn shared(&self) -> Vec<Option<Pinned<V>>> {
        self.0.iter().map(|set| set.as_ref().map(|set| Arc::clone(&set.pages))).collect()
    }

    /// Takes up to `most` pages back out of sets whose snapshots are gone, and drops what was copied or dropped meanwhile.
    pub(crate) fn take_back(&mut self, frames: &mut [Frame<V>], most: usize) {
        for (id, entry) in self.0.iter_mut().enumerate() {
            let Some(set) = entry else { continue };
            let Some(pages) = Arc::get_mut(&mut set.pages) else { continue };
            let end = pages.len().min(set.returned.saturating_add(most));
            for at in set.returned..end {
                let body = &mut frames[set.numbers[at] as usize].body;
                let page = pages[at].take();
                if matches!(body, Body::Pinned { set, at: place } if (*set as usize, *place as usize) == (id, at)) {
                    *body = page.map_or(Body::Absent, Body::Own);
                }
            }
            set.returned = end;
            if end == pages.len() {
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
        let snapshot = pins.shared();
        let (page, copied) = pins.own(&mut frames[0].body).unwrap();
        *page.value_mut(0).unwrap() = 9;
        assert!(copied);
        assert!(pins.is_shared(&frames[2].body) && !pins.is_shared(&frames[0].body));
        let of_snapshot = snapshot[0].as_ref().unwrap()[0].as_ref().unwrap();
        assert_eq!((of_snapshot.value(0), pins.get(&frames[0].body).unwrap().value(0)), (Some(&1), Some(&9)));
        pins.take_back(&mut frames, 10);
        assert!(!pins.is_empty(), "the snapshot is there");
        drop(snapshot);
        assert!(!pins.own(&mut frames[2].body).unwrap().1);
        pins.take_back(&mut frames, 1);
        assert!(!pins.is_empty());
        pins.take_back(&mut frames, 1);
        assert!(pins.is_empty());
        assert_eq!(frames.map(|frame| pins.get(&frame.body).unwrap().value(0).copied()), [9, 2, 3].map(Some));
    }
}
