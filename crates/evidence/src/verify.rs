//! The offline verifier: leaves in order on one side, signed heads on the other; it names the first thing that does not fit.
//!
//! What the evidence can tell: a leaf whose bytes do not give its stored hash is named exactly. If someone changed the
//! hash too, only heads notice: the leaf then lies after the last head that fits and before the first one that does not.
//! Leaves after the last head are guarded by their own hashes and numbers only; [`Verified::signed_size`] says where that
//! begins. Each head names the one before it, and a log is signed with its first leaves: a head that was removed is missed, and
//! so are all of them. A log cut off together with its last heads needs a head that was kept outside.

use std::{collections::HashSet, fmt, ops::ControlFlow};

use serde::{Deserialize, Serialize};

use crate::{
    hash::Hash,
    head::{Previous, TreeHead},
    key::PublicKey,
    merkle::{CompactRange, leaf_hash},
    timestamp::Timestamp,
};

/// What the verifier takes for granted: which log it is and who may sign for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    pub log_id: String,
    pub keys: Vec<PublicKey>,
}

/// Where a head was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadOrigin {
    /// The log's database or the bundle.
    Log,
    /// The file beside the database.
    HeadsFile,
    /// The copy of the newest head that is sealed under the master key.
    Sealed,
    /// Kept by someone else and given for this verification.
    Outside,
}

impl fmt::Display for HeadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "in the log",
            Self::HeadsFile => "in the heads file",
            Self::Sealed => "in the sealed copy",
            Self::Outside => "kept outside",
        })
    }
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Verified(Verified),
    Broken(Broken),
}

/// Everything fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// How many leaves the log has.
    pub size: u64,
    pub root: Hash,
    /// Distinct heads that were checked against the leaves.
    pub heads_checked: u64,
    /// Up to here a signature vouches for the leaves.
    pub signed_size: u64,
    /// When the last of the largest heads was signed.
    pub last_head_at: Option<Timestamp>,
    /// What this rests on less than usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// What is no fault, but good to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Heads of a version that did not name the head before.
    Unlinked { heads: u64 },
    /// The newest head has not come into the heads file: the process that signed it died, or is about to write it.
    Unfiled { size: u64 },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlinked { heads } => write!(
                f,
                "{heads} of the heads do not name the one before them, as an earlier version of Weir signed; whether others were \
                 removed between them cannot be told"
            ),
            Self::Unfiled { size } => write!(
                f,
                "the newest head, over {size} leaves, is not in the heads file yet; Weir puts it there when it signs or starts next"
            ),
        }
    }
}

/// Something does not fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// The first leaf that is provably affected or may be; none where the heads themselves are at fault.
    pub at: Option<u64>,
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// The leaf's bytes do not give the hash stored with it.
    ChangedLeaf,
    /// The leaf is not there; the next one present is `next`.
    MissingLeaf { next: u64 },
    /// A leaf of this number came where another was due.
    UnexpectedLeaf { found: u64 },
    /// The leaf was written under another number: leaves were removed, inserted or reordered.
    MisplacedLeaf { written_as: u64 },
    /// The bytes are no leaf.
    NotALeaf,
    /// A leaf in `first..=last` was changed together with its hash, or removed, inserted or reordered with all numbers.
    ChangedBetweenHeads { first: u64, last: u64, origin: HeadOrigin, head_at: Timestamp },
    /// A head proves that the log once had `expected` leaves.
    CutTail { expected: u64, found: u64, origin: HeadOrigin, head_at: Timestamp },
    /// A head of another log: this log was replaced, or the head belongs elsewhere.
    ForeignLog { expected: String, found: String, origin: HeadOrigin },
    /// A head signed with a key that is not this log's: this log was replaced, or the head belongs elsewhere.
    ForeignKey { found: String, origin: HeadOrigin },
    /// A head whose signature is wrong: it was changed or forged.
    WrongSignature { size: u64, origin: HeadOrigin },
    /// Two signed heads of one size with different roots: the log has two histories.
    ConflictingHeads { size: u64, origins: [HeadOrigin; 2] },
    /// The database files the leaf under something that it does not state: searches would mislead.
    Misfiled { field: String },
    /// What the database holds in the leaf's place cannot be read as a leaf.
    Unreadable { problem: String },
    /// The leaf lies behind the end of the log as the log itself counts: it was put there.
    Uncounted { counted: u64 },
    /// There are leaves and no head. A log is signed with its first leaves, so that its heads were removed.
    NoHead { leaves: u64 },
    /// There are no leaves, though this instance has a key that has signed some.
    Emptied,
    /// The head over `size` leaves names one over `previous` leaves before it, which is nowhere.
    MissingPrevious { size: u64, previous: u64, origin: HeadOrigin, head_at: Timestamp },
    /// So many heads are in one place and not in the other; the first of them is over `size` leaves.
    MissingHeads { heads: u64, size: u64, head_at: Timestamp, found: HeadOrigin, missing: HeadOrigin },
    /// A head that cannot be read, or that is filed under something that it does not state.
    DamagedHead { origin: HeadOrigin, problem: String },
    /// The sealed copy of the newest head is not that.
    SealedCopy { problem: String },
    /// The log counts leaves that are not there.
    Short { counted: u64, found: u64 },
    /// What the log keeps for appending to it does not fit its leaves.
    WrongFrontier { size: u64 },
    /// A bundle that is damaged, incomplete or edited.
    DamagedBundle { line: u64, problem: String },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(verified) => verified.fmt(f),
            Self::Broken(broken) => broken.fmt(f),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, root, heads_checked, signed_size, last_head_at, notes: _ } = self;
        write!(f, "verified: {size} leaves, root {root}, {heads_checked} signed heads")?;
        match last_head_at {
            Some(at) => write!(f, ", the last of {at} over {signed_size} leaves"),
            None => f.write_str("; nothing is signed yet"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(seq) => write!(f, "broken at leaf {seq}: {}", self.reason),
            None => write!(f, "broken: {}", self.reason),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChangedLeaf => f.write_str("its content does not give the hash stored with it"),
            Self::MissingLeaf { next } => write!(f, "it is missing; the next one is {next}"),
            Self::UnexpectedLeaf { found } => write!(f, "leaf {found} came in its place"),
            Self::MisplacedLeaf { written_as } => {
                write!(f, "what is stored here was written as leaf {written_as}; leaves were removed, inserted or reordered")
            }
            Self::NotALeaf => f.write_str("what is stored here is no leaf of an evidence log"),
            Self::ChangedBetweenHeads { first, last, origin, head_at } => write!(
                f,
                "a leaf from {first} to {last} was changed, removed, inserted or reordered together with its hash; \
                 the head of {head_at} {origin} proves it"
            ),
            Self::CutTail { expected, found, origin, head_at } => {
                write!(f, "the log ends after {found} leaves, but the head of {head_at} {origin} proves {expected}")
            }
            Self::ForeignLog { expected, found, origin } => write!(
                f,
                "a head {origin} is of log {found}, this is log {expected}; the log was replaced or the head belongs elsewhere"
            ),
            Self::ForeignKey { found, origin } => write!(
                f,
                "a head {origin} is signed with key {found}, which is not this log's; the log was replaced or the head belongs elsewhere"
            ),
            Self::WrongSignature { size, origin } => {
                write!(f, "the head over {size} leaves {origin} has a wrong signature; it was changed or forged")
            }
            Self::ConflictingHeads { size, origins: [one, other] } => write!(
                f,
                "two signed heads over {size} leaves, one {one} and one {other}, have different roots; the log has two histories"
            ),
            Self::Misfiled { field } => {
                write!(f, "the database files it under another {field} than the leaf states; searches by it mislead")
            }
            Self::Unreadable { problem } => write!(f, "what the database holds here is not what Weir wrote: {problem}"),
            Self::Uncounted { counted } => {
                write!(f, "it lies behind the end of the log, which counts {counted} leaves; it was put there")
            }
            Self::NoHead { leaves } => write!(
                f,
                "the log has {leaves} leaves and no signed head; a log is signed with its first leaves, so that its heads were removed"
            ),
            Self::Emptied => {
                f.write_str("the log is empty, though this instance has signed one; its leaves and heads were removed")
            }
            Self::MissingPrevious { size, previous, origin, head_at } => write!(
                f,
                "the head of {head_at} over {size} leaves {origin} follows one over {previous} leaves, which is missing; it was removed"
            ),
            Self::MissingHeads { heads: 1, size, head_at, found, missing } => write!(
                f,
                "the head of {head_at} over {size} leaves is {found} and not {missing}; it was removed there or put here"
            ),
            Self::MissingHeads { heads, size, head_at, found, missing } => write!(
                f,
                "{heads} heads are {found} and not {missing}, the first of {head_at} over {size} leaves; they were removed there or \
                 put here"
            ),
            Self::DamagedHead { origin, problem } => write!(f, "a head {origin} is not what Weir wrote: {problem}"),
            Self::SealedCopy { problem } => {
                write!(f, "the sealed copy of the newest head {problem}; the newest heads may be gone")
            }
            Self::Short { counted, found } => {
                write!(f, "the log counts {counted} leaves, but only {found} are there; its end was cut off")
            }
            Self::WrongFrontier { size } => write!(
                f,
                "what the log keeps to append to its {size} leaves does not fit them; the leaves or the database's count of them was \
                 changed"
            ),
            Self::DamagedBundle { line, problem } => write!(f, "bundle, line {line}: {problem}"),
        }
    }
}

/// Verifies a log in one pass over its leaves, in memory that does not grow with them.
#[derive(Debug)]
pub struct Verifier {
    /// By size; those before `next` fit.
    heads: Vec<(HeadOrigin, TreeHead)>,
    next: usize,
    tree: CompactRange,
    broken: Option<Broken>,
    /// What is wrong beside the leaves. Told if nothing is wrong with them: a leaf says more.
    beside: Option<Reason>,
    notes: Vec<Note>,
}

impl Verifier {
    /// Checks the heads by themselves. A fault among them is the outcome, whatever the leaves are.
    pub fn new(trust: &Trust, heads: impl IntoIterator<Item = (HeadOrigin, TreeHead)>) -> Self {
        let mut seen = HashSet::new();
        let mut heads: Vec<_> = heads.into_iter().filter(|(_, head)| seen.insert(identity(head))).collect();
        heads.sort_by(|(_, a), (_, b)| (a.size, &a.at).cmp(&(b.size, &b.at)));
        let broken = check_heads(trust, &heads).err().map(|reason| Broken { at: None, reason });
        let mut verifier = Self { heads, next: 0, tree: CompactRange::new(), broken, beside: None, notes: Vec::new() };
        verifier.compare_heads();
        verifier
    }

    /// Takes the next leaf: its number and hash as stored, its canonical bytes. `Break` as soon as the outcome is certain.
    pub fn leaf(&mut self, seq: u64, canonical: &[u8], stored: &Hash) -> ControlFlow<()> {
        if self.broken.is_none() {
            match self.check_leaf(seq, canonical, stored) {
                Ok(hash) => {
                    self.tree.append(hash);
                    self.compare_heads();
                }
                Err(reason) => self.broken = Some(Broken { at: Some(self.tree.size()), reason }),
            }
        }
        if self.broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// How many leaves fit so far: for showing progress.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree over the leaves that fit so far.
    pub fn tree(&self) -> &CompactRange {
        &self.tree
    }

    /// The verdict, once all leaves were given.
    pub fn finish(mut self) -> Outcome {
        if let Some(broken) = self.broken {
            return Outcome::Broken(broken);
        }
        let found = self.tree.size();
        // The largest head tells best how much is gone.
        if let Some((origin, head)) = self.heads[self.next..].last() {
            let reason = Reason::CutTail { expected: head.size, found, origin: *origin, head_at: head.at.clone() };
            return Outcome::Broken(Broken { at: Some(found), reason });
        }
        let own = || self.heads.iter().filter(|(origin, _)| *origin != HeadOrigin::Outside);
        let reason = self.beside.take().or_else(|| {
            let unsigned = found > 0 && own().next().is_none();
            if unsigned { Some(Reason::NoHead { leaves: found }) } else { missing_previous(&self.heads) }
        });
        if let Some(reason) = reason {
            return Outcome::Broken(Broken { at: None, reason });
        }
        let unlinked = own().filter(|(_, head)| head.previous.is_none()).count() as u64;
        self.notes.extend((unlinked > 0).then_some(Note::Unlinked { heads: unlinked }));
        let last = self.heads.last();
        Outcome::Verified(Verified {
            size: found,
            root: self.tree.root(),
            heads_checked: self.heads.len() as u64,
            signed_size: last.map_or(0, |(_, head)| head.size),
            last_head_at: last.map(|(_, head)| head.at.clone()),
            notes: self.notes,
        })
    }

    /// Declares the log broken for a reason found outside the leaves, unless it is already.
    pub fn break_at(&mut self, at: Option<u64>, reason: Reason) {
        self.broken.get_or_insert(Broken { at, reason });
    }

    /// Declares the log broken for a reason that says less than what is wrong with a leaf: it is the verdict if the leaves fit, and the
    /// first of several such reasons counts.
    pub fn break_beside(&mut self, reason: Reason) {
        self.beside.get_or_insert(reason);
    }

    /// Something that is no fault.
    pub fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    fn check_leaf(&self, seq: u64, canonical: &[u8], stored: &Hash) -> Result<Hash, Reason> {
        #[derive(Deserialize)]
        struct Numbered {
            seq: u64,
        }
        let due = self.tree.size();
        if seq > due {
            return Err(Reason::MissingLeaf { next: seq });
        }
        if seq < due {
            return Err(Reason::UnexpectedLeaf { found: seq });
        }
        let hash = leaf_hash(canonical);
        if hash != *stored {
            return Err(Reason::ChangedLeaf);
        }
        match serde_json::from_slice(canonical) {
            Ok(Numbered { seq }) if seq == due => Ok(hash),
            Ok(Numbered { seq }) => Err(Reason::MisplacedLeaf { written_as: seq }),
            Err(_) => Err(Reason::NotALeaf),
        }
    }

    /// Compares the tree with the heads of exactly this size.
    fn compare_heads(&mut self) {
        while self.broken.is_none() {
            let Some((origin, head)) = self.heads.get(self.next).filter(|(_, head)| head.size == self.tree.size()) else {
                return;
            };
            if head.root != self.tree.root() {
                let first = self.next.checked_sub(1).map_or(0, |fitting| self.heads[fitting].1.size);
                let last = head.size.saturating_sub(1);
                let reason = Reason::ChangedBetweenHeads { first, last, origin: *origin, head_at: head.at.clone() };
                self.broken = Some(Broken { at: Some(first), reason });
                return;
            }
            self.next += 1;
        }
    }
}

fn identity(head: &TreeHead) -> (u64, Hash, Timestamp, String, String, [u8; 64]) {
    // What it says of the head before is covered by the signature.
    let TreeHead { log_id, size, root, at, previous: _, key_id, signature } = head;
    (*size, *root, at.clone(), log_id.clone(), key_id.clone(), *signature.as_bytes())
}

/// The first head whose predecessor is not among those of the log.
fn missing_previous(heads: &[(HeadOrigin, TreeHead)]) -> Option<Reason> {
    let own = heads.iter().filter(|(origin, _)| *origin != HeadOrigin::Outside);
    let known: HashSet<_> = own.map(|(_, head)| Previous::from(head)).collect();
    heads.iter().find_map(|(origin, head)| {
        let previous = head.previous.filter(|previous| *previous != Previous::none() && !known.contains(previous))?;
        let (size, head_at) = (head.size, head.at.clone());
        Some(Reason::MissingPrevious { size, previous: previous.size, origin: *origin, head_at })
    })
}

/// Checks heads, sorted by size, without any leaves.
fn check_heads(trust: &Trust, heads: &[(HeadOrigin, TreeHead)]) -> Result<(), Reason> {
    for (origin, head) in heads {
        let origin = *origin;
        if head.log_id != trust.log_id {
            return Err(Reason::ForeignLog { expected: trust.log_id.clone(), found: head.log_id.clone(), origin });
        }
        let Some(key) = trust.keys.iter().find(|key| key.key_id() == head.key_id) else {
            return Err(Reason::ForeignKey { found: head.key_id.clone(), origin });
        };
        if !head.is_signed_by(key) {
            return Err(Reason::WrongSignature { size: head.size, origin });
        }
    }
    for pair in heads.windows(2) {
        let [(one, a), (other, b)] = pair else { unreachable!("windows of two") };
        if a.size == b.size && a.root != b.root {
            return Err(Reason::ConflictingHeads { size: a.size, origins: [*one, *other] });
        }
    }
    Ok(())
}
