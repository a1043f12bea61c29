//! Alerts: raised once per cause, resolved when the cause is gone.
//!
//! A cause is a rule, or a condition together with the values of its key columns (as a keyed hash or a hash of the row's bytes: what
//! is kept here never shows them). While a cause lasts nothing further is said of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{
    StateError,
    codec::{Reader, put_bytes, put_varint},
};

/// An alert that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Microseconds, on the clock that the caller gives.
    pub raised_at: i64,
    /// When the cause was last seen.
    pub seen_at: i64,
    /// How often, the first time included.
    pub count: u64,
}

/// What became of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    Raised { cause: Vec<u8>, at: i64 },
    Resolved { cause: Vec<u8>, at: i64, alert: Alert },
}

/// The open alerts of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertTracker {
    open: BTreeMap<Vec<u8>, Alert>,
    /// The same by when their causes were last seen: what expires is found without a look at the others.
    by_time: BTreeSet<(i64, Vec<u8>)>,
}

impl AlertTracker {
    pub fn open(&self) -> &BTreeMap<Vec<u8>, Alert> {
        &self.open
    }

    /// The cause was seen.
    pub fn seen(&mut self, cause: &[u8], at: i64) -> Option<Transition> {
        if let Some(alert) = self.open.get_mut(cause) {
            alert.count += 1;
            if at > alert.seen_at {
                let mut entry = (alert.seen_at, cause.to_vec());
                self.by_time.remove(&entry);
                entry.0 = at;
                self.by_time.insert(entry);
                alert.seen_at = at;
            }
            return None;
        }
        self.open.insert(cause.to_vec(), Alert { raised_at: at, seen_at: at, count: 1 });
        self.by_time.insert((at, cause.to_vec()));
        Some(Transition::Raised { cause: cause.to_vec(), at })
    }

    /// The cause was seen; if that is `after` since the last time or more, it had been gone in between.
    pub fn seen_again(&mut self, cause: &[u8], at: i64, after: i64) -> Vec<Transition> {
        let due = self.open.get(cause).map(|alert| alert.seen_at.saturating_add(after));
        let gone = due.filter(|due| *due <= at).and_then(|due| self.gone(cause, due));
        gone.into_iter().chain(self.seen(cause, at)).collect()
    }

    /// The cause is known to be gone: a rule is kept again.
    pub fn gone(&mut self, cause: &[u8], at: i64) -> Option<Transition> {
        let alert = self.open.remove(cause)?;
        self.by_time.remove(&(alert.seen_at, cause.to_vec()));
        Some(Transition::Resolved { cause: cause.to_vec(), at, alert })
    }

    /// Resolves what was not seen for so long, the earliest first.
    pub fn expire(&mut self, now: i64, after: i64) -> Vec<Transition> {
        let mut gone = Vec::new();
        while let Some((seen_at, cause)) = self.by_time.first().filter(|(seen_at, _)| seen_at.saturating_add(after) <= now) {
            let (at, cause) = (seen_at.saturating_add(after), cause.clone());
            gone.extend(self.gone(&cause, at));
        }
        gone
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.open.len() as u64);
        for (cause, alert) in &self.open {
            put_bytes(out, cause);
            out.extend_from_slice(&alert.raised_at.to_le_bytes());
            out.extend_from_slice(&alert.seen_at.to_le_bytes());
            put_varint(out, alert.count);
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes);
        let mut open = BTreeMap::new();
        for _ in 0..reader.size()? {
            let cause = reader.bytes()?.to_vec();
            open.insert(cause, Alert { raised_at: reader.i64()?, seen_at: reader.i64()?, count: reader.varint()? });
        }
        reader.finish()?;
        let by_time = open.iter().map(|(cause, alert): (&Vec<u8>, &Alert)| (alert.seen_at, cause.clone())).collect();
        Ok(Self { open, by_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_raises_one_alert_and_is_resolved_when_it_is_gone() {
        let mut tracker = AlertTracker::default();
        assert!(matches!(tracker.seen(b"a", 10), Some(Transition::Raised { at: 10, .. })));
        assert_eq!((tracker.seen(b"a", 20), tracker.gone(b"b", 20)), (None, None));
        assert!(tracker.seen(b"b", 25).is_some(), "another cause");

        let mut bytes = Vec::new();
        tracker.encode(&mut bytes);
        let mut tracker = AlertTracker::decode(&bytes).unwrap();
        assert!(tracker.expire(69, 50).is_empty(), "a was seen at 20");
        let alert = Alert { raised_at: 10, seen_at: 20, count: 2 };
        assert_eq!(tracker.expire(70, 50), [Transition::Resolved { cause: b"a".to_vec(), at: 70, alert }]);
        assert!(matches!(tracker.gone(b"b", 80), Some(Transition::Resolved { at: 80, .. })));
        assert!(tracker.open().is_empty() && tracker.seen(b"a", 90).is_some(), "it may come again");
    }
}
