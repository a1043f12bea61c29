//! Casbin's answer with its reason: an effector that remembers which rule was the first to allow.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use casbin::{EffectKind, Effector, EffectorStream};

/// The place of the rule that allowed the last request, or `usize::MAX`.
#[derive(Clone)]
pub(crate) struct Matched(Arc<AtomicUsize>);

impl Matched {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    pub(crate) fn take(&self) -> Option<usize> {
        let at = self.0.swap(usize::MAX, Ordering::Relaxed);
        (at != usize::MAX).then_some(at)
    }
}

/// Allows at the first rule that allows, and records its place.
pub(crate) struct FirstAllow(pub(crate) Matched);

struct FirstAllowStream {
    matched: Matched,
    seen: usize,
    allowed: bool,
}

impl Effector for FirstAllow {
    fn new_stream(&self, _expression: &str, _capacity: usize) -> Box<dyn EffectorStream> {
        Box::new(FirstAllowStream { matched: self.0.clone(), seen: 0, allowed: false })
    }
}

impl EffectorStream for FirstAllowStream {
    fn next(&self) -> bool {
        self.allowed
    }

    fn push_effect(&mut self, effect: EffectKind) -> bool {
        if effect == EffectKind::Allow {
            self.allowed = true;
            self.matched.0.store(self.seen, Ordering::Relaxed);
        }
        self.seen += 1;
        self.allowed
    }
}
