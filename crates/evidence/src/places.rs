//! The places in which a log keeps its heads: the database, the file beside it, and the sealed copy of the newest one. They tell
//! the same, so that a head removed from one of them is missed.
//!
//! A head comes into the database and the sealed copy in one transaction, then into the file; the next is signed only after that. So
//! the one honest difference is that the newest head is not in the file.

use std::collections::HashSet;

use crate::{
    head::{HeadSignature, TreeHead},
    verify::{HeadOrigin, Note, Reason},
};

/// The heads of a log by where they were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// The database's, in the order in which they were signed.
    pub log: Vec<TreeHead>,
    /// The heads file's; none also where there is no such file.
    pub file: Vec<TreeHead>,
    pub sealed: Option<TreeHead>,
}

impl Places {
    /// All heads, as a verifier takes them.
    pub fn heads(&self) -> impl Iterator<Item = (HeadOrigin, TreeHead)> + '_ {
        let log = self.log.iter().map(|head| (HeadOrigin::Log, head));
        let file = self.file.iter().map(|head| (HeadOrigin::HeadsFile, head));
        let sealed = self.sealed.iter().map(|head| (HeadOrigin::Sealed, head));
        log.chain(file).chain(sealed).map(|(origin, head)| (origin, head.clone()))
    }

    /// Whether they tell the same; a note where the newest head is on its way into the file.
    pub fn compare(&self) -> Result<Option<Note>, Reason> {
        let Self { log, file, sealed } = self;
        let (in_log, in_file) = (ids(log), ids(file));
        missing(file, &in_log, HeadOrigin::HeadsFile, HeadOrigin::Log)?;
        let newest = log.last();
        match (newest, sealed) {
            (Some(newest), Some(copy)) if id(copy) == id(newest) => {}
            (Some(newest), Some(copy)) if in_log.contains(&id(copy)) => {
                let problem = format!("is over {} leaves, but the newest head is over {}", copy.size, newest.size);
                return Err(Reason::SealedCopy { problem });
            }
            (_, Some(copy)) => missing(std::slice::from_ref(copy), &in_log, HeadOrigin::Sealed, HeadOrigin::Log)?,
            // Versions that did not name the head before kept no copy either.
            (Some(newest), None) if newest.previous.is_some() => {
                return Err(Reason::SealedCopy { problem: "is missing".to_owned() });
            }
            (_, None) => {}
        }
        let Some(newest) = newest.filter(|newest| !in_file.contains(&id(newest))) else {
            return missing(log, &in_file, HeadOrigin::Log, HeadOrigin::HeadsFile).map(|()| None);
        };
        let earlier = &log[..log.len() - 1];
        match missing(earlier, &in_file, HeadOrigin::Log, HeadOrigin::HeadsFile) {
            Ok(()) => Ok(Some(Note::Unfiled { size: newest.size })),
            Err(_) => missing(log, &in_file, HeadOrigin::Log, HeadOrigin::HeadsFile).map(|()| None),
        }
    }
}

/// Signatures are of everything else.
fn id(head: &TreeHead) -> (u64, HeadSignature) {
    (head.size, head.signature)
}

fn ids(heads: &[TreeHead]) -> HashSet<(u64, HeadSignature)> {
    heads.iter().map(id).collect()
}

fn missing(
    heads: &[TreeHead],
    known: &HashSet<(u64, HeadSignature)>,
    found: HeadOrigin,
    missing: HeadOrigin,
) -> Result<(), Reason> {
    let mut gone = heads.iter().filter(|head| !known.contains(&id(head)));
    match gone.next() {
        None => Ok(()),
        Some(first) => {
            let heads = 1 + gone.count() as u64;
            Err(Reason::MissingHeads { heads, size: first.size, head_at: first.at.clone(), found, missing })
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::{Hash, Previous, SigningKey, Timestamp};

    fn heads(count: u64) -> Vec<TreeHead> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut heads: Vec<TreeHead> = Vec::new();
        for size in 1..=count {
            let previous = heads.last().map_or_else(Previous::none, Previous::from);
            let at = Timestamp::from_micros(1_772_366_400_000_000 + size as i64).unwrap();
            heads.push(TreeHead::sign(&key, "log", size, Hash::of(&[size as u8]), at, Some(previous)).unwrap());
        }
        heads
    }

    /// Three heads in all places, after `tamper` had its way with them.
    fn check(tamper: impl FnOnce(&mut Places), expected: Expect) {
        let mut places = Places { log: heads(3), file: heads(3), sealed: heads(3).pop() };
        tamper(&mut places);
        expected.assert_eq(&match places.compare() {
            Ok(None) => "they tell the same".to_owned(),
            Ok(Some(note)) => format!("note: {note}"),
            Err(reason) => reason.to_string(),
        });
    }

    #[test]
    fn what_is_the_same_everywhere_is_fine() {
        check(|_| {}, expect!["they tell the same"]);
        check(|places| *places = Places::default(), expect!["they tell the same"]);
        check(|places| places.file.push(heads(3).remove(1)), expect!["they tell the same"]);
    }

    #[test]
    fn the_newest_head_may_be_on_its_way_into_the_file() {
        check(
            |places| drop(places.file.pop()),
            expect![
                "note: the newest head, over 3 leaves, is not in the heads file yet; Weir puts it there when it signs or starts next"
            ],
        );
        let first = |places: &mut Places| *places = Places { log: heads(1), file: Vec::new(), sealed: heads(1).pop() };
        check(
            first,
            expect![
                "note: the newest head, over 1 leaves, is not in the heads file yet; Weir puts it there when it signs or starts next"
            ],
        );
    }

    #[test]
    fn heads_missing_in_the_file_are_named() {
        check(
            |places| drop(places.file.remove(1)),
            expect![
                "the head of 2026-03-01T12:00:00.000002Z over 2 leaves is in the log and not in the heads file; it was removed there or put here"
            ],
        );
        check(
            |places| places.file.clear(),
            expect![
                "3 heads are in the log and not in the heads file, the first of 2026-03-01T12:00:00.000001Z over 1 leaves; they were removed there or put here"
            ],
        );
    }

    #[test]
    fn heads_missing_in_the_log_are_named() {
        check(
            |places| drop(places.log.pop()),
            expect![
                "the head of 2026-03-01T12:00:00.000003Z over 3 leaves is in the heads file and not in the log; it was removed there or put here"
            ],
        );
        check(
            |places| places.log.clear(),
            expect![
                "3 heads are in the heads file and not in the log, the first of 2026-03-01T12:00:00.000001Z over 1 leaves; they were removed there or put here"
            ],
        );
    }

    #[test]
    fn heads_missing_in_both_are_told_by_the_sealed_copy() {
        let cut = |places: &mut Places| (places.log, places.file) = (heads(2), heads(2));
        check(
            cut,
            expect![
                "the head of 2026-03-01T12:00:00.000003Z over 3 leaves is in the sealed copy and not in the log; it was removed there or put here"
            ],
        );
        check(
            |places| (places.log, places.file) = (Vec::new(), Vec::new()),
            expect![
                "the head of 2026-03-01T12:00:00.000003Z over 3 leaves is in the sealed copy and not in the log; it was removed there or put here"
            ],
        );
    }

    #[test]
    fn a_sealed_copy_that_is_gone_or_old_is_noticed() {
        check(
            |places| places.sealed = None,
            expect!["the sealed copy of the newest head is missing; the newest heads may be gone"],
        );
        check(
            |places| places.sealed = heads(2).pop(),
            expect![
                "the sealed copy of the newest head is over 2 leaves, but the newest head is over 3; the newest heads may be gone"
            ],
        );
    }
}
