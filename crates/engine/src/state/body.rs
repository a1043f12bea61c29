//! A page in memory: owned while only the state has it, shared while a snapshot may have it too.
//!
//! Owned pages change without any counting of references. A snapshot shares a page by moving its box behind a small `Arc`:
//! the page itself, which is likely in no cache, is not touched, so that sharing many pages takes a moment only.

use std::sync::Arc;

use super::{StateValue, page::Page};

/// What a state and a snapshot share.
pub(crate) struct Held<V>(Box<Page<V>>);

impl<V> std::ops::Deref for Held<V> {
    type Target = Page<V>;
    fn deref(&self) -> &Page<V> {
        &self.0
    }
}

pub(crate) enum Body<V> {
    /// Not in memory.
    Absent,
    Own(Box<Page<V>>),
    Shared(Arc<Held<V>>),
}

impl<V: StateValue> Body<V> {
    pub(crate) fn new(page: Page<V>) -> Self {
        Self::Own(Box::new(page))
    }

    pub(crate) fn get(&self) -> Option<&Page<V>> {
        match self {
            Self::Absent => None,
            Self::Own(page) => Some(page),
            Self::Shared(held) => Some(held),
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether a snapshot has it too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(held) if Arc::strong_count(held) > 1)
    }

    pub(crate) fn share(&mut self) -> Option<Arc<Held<V>>> {
        let held = match std::mem::replace(self, Self::Absent) {
            Self::Absent => return None,
            Self::Own(page) => Arc::new(Held(page)),
            Self::Shared(held) => held,
        };
        *self = Self::Shared(Arc::clone(&held));
        Some(held)
    }

    /// The page to be changed, and whether it had to be copied because a snapshot has it.
    pub(crate) fn own(&mut self) -> Option<(&mut Page<V>, bool)> {
        let mut copied = false;
        if let Self::Shared(_) = self
            && let Self::Shared(held) = std::mem::replace(self, Self::Absent)
        {
            *self = Self::Own(match Arc::try_unwrap(held) {
                Ok(held) => held.0,
                Err(held) => {
                    copied = true;
                    held.0.clone()
                }
            });
        }
        match self {
            Self::Own(page) => Some((page, copied)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_snapshot_still_has_is_copied() {
        let mut page = Page::new();
        page.insert(b"key", 1u64);
        let mut body = Body::new(page);
        let held = body.share().unwrap();
        assert!(body.is_shared());
        let (page, copied) = body.own().unwrap();
        *page.value_mut(0).unwrap() = 2;
        assert!(copied);
        assert_eq!((held.value(0), body.get().unwrap().value(0)), (Some(&1), Some(&2)));
        drop(body.share());
        assert!(!body.is_shared());
        assert!(!body.own().unwrap().1);
        assert!(Body::<u64>::Absent.share().is_none());
    }
}
