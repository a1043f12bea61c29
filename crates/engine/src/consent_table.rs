//! Consent in memory: does this person allow this purpose, at this moment?
//!
//! One table per purpose. Persons appear as keyed hashes ([`SubjectId`]), 128 bits of which are the key. An entry takes 24 bytes,
//! and a third as much again stays free; a look-up is one probe into one cache line as a rule.

mod slots;

use std::collections::BinaryHeap;

use weir_vault::{SubjectId, Subjects};

use self::slots::{Key, Slots};

/// What a person has said about a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsentState {
    Granted,
    Denied,
    Withdrawn,
}

/// What holds for a person now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    Denied,
    Withdrawn,
    /// Granted once, but no longer valid.
    Expired,
    /// The person has said nothing.
    Unknown,
}

/// A change of one person's consent to the table's purpose. Times are seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentChange {
    pub subject: SubjectId,
    pub state: ConsentState,
    /// From when it holds; a time in the future takes effect then.
    pub valid_from: i64,
    pub expires_at: Option<i64>,
}

/// Everyone's consent to one purpose.
#[derive(Debug, Default)]
pub struct ConsentTable {
    entries: Slots,
    /// Changes that hold from a later time, soonest first.
    pending: BinaryHeap<Pending>,
    /// The version of the project's consent this table reflects.
    version: u64,
}

/// State in the two lowest bits, of which not both are set; expiry in seconds above them, whose greatest value means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed(u64);

const NEVER: u64 = u64::MAX >> 2;

impl Packed {
    fn new(state: ConsentState, expires_at: Option<i64>) -> Self {
        let state = match state {
            ConsentState::Granted => 0,
            ConsentState::Denied => 1,
            ConsentState::Withdrawn => 2,
        };
        let expiry = expires_at.map_or(NEVER, |at| u64::try_from(at).unwrap_or(0).min(NEVER - 1));
        Self(expiry << 2 | state)
    }

    fn verdict(self, now: i64) -> Verdict {
        match self.0 & 3 {
            0 => {
                let expiry = self.0 >> 2;
                if expiry != NEVER && i64::try_from(expiry).unwrap_or(i64::MAX) <= now {
                    Verdict::Expired
                } else {
                    Verdict::Granted
                }
            }
            1 => Verdict::Denied,
            _ => Verdict::Withdrawn,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Pending {
    order: u64,
    change: ConsentChange,
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A max-heap: the soonest, and among equals the first recorded, is the greatest.
        other.change.valid_from.cmp(&self.change.valid_from).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl ConsentTable {
    /// Records a change as of `now`. Changes of one person must come in the order in which they were made.
    pub fn apply(&mut self, change: ConsentChange, version: u64, now: i64) {
        self.version = self.version.max(version);
        if change.valid_from > now {
            self.pending.push(Pending { order: version, change });
        } else {
            self.put(change);
        }
    }

    /// Lets changes take effect whose time has come. To be called now and then, at least once a second.
    pub fn advance(&mut self, now: i64) {
        while self.pending.peek().is_some_and(|pending| pending.change.valid_from <= now) {
            if let Some(pending) = self.pending.pop() {
                self.put(pending.change);
            }
        }
    }

    /// Whether [`Self::advance`] would change anything.
    pub fn is_due(&self, now: i64) -> bool {
        self.pending.peek().is_some_and(|pending| pending.change.valid_from <= now)
    }

    fn put(&mut self, change: ConsentChange) {
        self.entries.insert(key(&change.subject), Packed::new(change.state, change.expires_at).0);
    }

    /// What holds for this person at `now`.
    pub fn verdict(&self, subject: &SubjectId, now: i64) -> Verdict {
        verdict(self.entries.get(key(subject)), now)
    }

    /// What holds for the person each row is about at `now`; nobody has said anything. Quicker than one by one.
    pub fn verdicts(&self, subjects: &Subjects, now: i64) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(subjects.len());
        // The hash of nobody is in no table, but only [`Subjects`] knows that.
        let keys = subjects.iter().map(|subject| subject.map_or([0; 2], key));
        self.entries.get_each(keys, |word| verdicts.push(verdict(word, now)));
        if subjects.has_nobody() {
            for (verdict, _) in verdicts.iter_mut().zip(subjects.iter()).filter(|(_, subject)| subject.is_none()) {
                *verdict = Verdict::Unknown;
            }
        }
        verdicts
    }

    /// The version of the project's consent that decisions heed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Says that all changes up to this version have been applied, also those of other purposes.
    pub fn set_version(&mut self, version: u64) {
        self.version = self.version.max(version);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[inline]
fn verdict(word: Option<u64>, now: i64) -> Verdict {
    word.map_or(Verdict::Unknown, |word| Packed(word).verdict(now))
}

/// In the order of the hash's bytes, which is the store's.
#[inline]
fn key(subject: &SubjectId) -> Key {
    let (words, _) = subject.as_bytes().as_chunks::<8>();
    [u64::from_be_bytes(words[0]), u64::from_be_bytes(words[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 32])
    }

    fn change(n: u8, state: ConsentState, valid_from: i64, expires_at: Option<i64>) -> ConsentChange {
        ConsentChange { subject: subject(n), state, valid_from, expires_at }
    }

    #[test]
    fn a_person_who_said_nothing_is_unknown() {
        assert_eq!(ConsentTable::default().verdict(&subject(1), 0), Verdict::Unknown);
    }

    #[test]
    fn the_last_word_counts() {
        let mut table = ConsentTable::default();
        table.apply(change(1, ConsentState::Granted, 10, None), 1, 20);
        assert_eq!(table.verdict(&subject(1), 20), Verdict::Granted);
        table.apply(change(1, ConsentState::Withdrawn, 15, None), 2, 20);
        assert_eq!(table.verdict(&subject(1), 20), Verdict::Withdrawn);
        assert_eq!(table.version(), 2);
    }

    #[test]
    fn rows_together_are_judged_as_one_by_one_and_nobody_has_said_anything() {
        let mut table = ConsentTable::default();
        for n in 0..=200 {
            let state = if n % 3 == 0 { ConsentState::Denied } else { ConsentState::Granted };
            table.apply(change(n, state, 0, (n % 5 == 0).then_some(100)), 1, 0);
        }
        let rows: Vec<Option<SubjectId>> = (0..=255).chain(0..7).map(|n| (n % 11 != 0).then(|| subject(n))).collect();
        let expected: Vec<Verdict> =
            rows.iter().map(|row| row.as_ref().map_or(Verdict::Unknown, |subject| table.verdict(subject, 100))).collect();
        assert_eq!(table.verdicts(&Subjects::from_rows(rows), 100), expected);
    }

    #[test]
    fn a_grant_ends_at_its_expiry_and_a_denial_does_not() {
        let mut table = ConsentTable::default();
        table.apply(change(1, ConsentState::Granted, 0, Some(100)), 1, 0);
        table.apply(change(2, ConsentState::Denied, 0, Some(100)), 2, 0);
        assert_eq!(table.verdict(&subject(1), 99), Verdict::Granted);
        assert_eq!(table.verdict(&subject(1), 100), Verdict::Expired);
        assert_eq!(table.verdict(&subject(2), 100), Verdict::Denied);
    }

    #[test]
    fn a_change_that_holds_from_later_waits_for_its_time() {
        let mut table = ConsentTable::default();
        table.apply(change(1, ConsentState::Granted, 0, None), 1, 50);
        table.apply(change(1, ConsentState::Denied, 200, None), 2, 50);
        table.apply(change(1, ConsentState::Granted, 100, None), 3, 50);
        assert!(!table.is_due(99));
        table.advance(150);
        assert_eq!(table.verdict(&subject(1), 150), Verdict::Granted);
        table.advance(200);
        assert_eq!(table.verdict(&subject(1), 200), Verdict::Denied);
    }
}
