//! Subjects' keys while a run needs them: made on first sight, cached, handed over in bulk to be stored with the checkpoint.
//!
//! ```text
//! lanes --get_or_create--> keyring --load--> store          a key not known there is made here
//! checkpoint --drain_new--> insert in its transaction --confirm--> from now on the key may leave the cache
//! ```
//!
//! One keyring serves one run. What a key encrypted becomes visible with the checkpoint that stores the key, so a run that
//! dies loses both or neither. Two runs may each make a key for one subject at the same time: both are stored, and values
//! name the key they need.

use std::{collections::HashMap, error::Error, fmt, sync::Arc};

use parking_lot::Mutex;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    key::{Key, KeyError, random},
    seal::{SealError, Sealed, Sealer},
    subject::{SubjectId, Subjects},
};

/// A random name of one key of one subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKeyId([u8; 16]);

impl SubjectKeyId {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SubjectKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SubjectKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A subject's key, ready for use. Cheap to clone; the secret exists once and is wiped with the last clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKey(Arc<(SubjectKeyId, Key)>);

impl SubjectKey {
    pub fn new(id: SubjectKeyId, key: Key) -> Self {
        Self(Arc::new((id, key)))
    }

    pub fn id(&self) -> SubjectKeyId {
        self.0.0
    }

    pub fn key(&self) -> &Key {
        &self.0.1
    }
}

/// A subject's key as stored: sealed under the project's keys, bound to its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub subject: SubjectId,
    pub key_id: SubjectKeyId,
    pub sealed: Sealed,
}

impl StoredKey {
    /// Seals a key with [`crate::ProjectKeys::subject_key_sealer`].
    pub fn seal(sealer: &Sealer, subject: SubjectId, key: &SubjectKey) -> Result<Self, SealError> {
        let sealed = sealer.seal(&aad(&subject, &key.id()), key.key().expose())?;
        Ok(Self { subject, key_id: key.id(), sealed })
    }

    /// Opens it again.
    pub fn open(&self, sealer: &Sealer) -> Result<SubjectKey, SealError> {
        let secret = sealer.open(&aad(&self.subject, &self.key_id), &self.sealed)?;
        let key = Key::from_bytes(secret.as_slice().try_into().map_err(|_| SealError::NotSealed)?);
        Ok(SubjectKey::new(self.key_id, key))
    }
}

fn aad(subject: &SubjectId, key_id: &SubjectKeyId) -> Vec<u8> {
    [b"weir/subject-key/v1/", subject.as_bytes().as_slice(), key_id.as_bytes()].concat()
}

/// What the store knows of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Never seen: a key may be made.
    Unknown,
    /// Any one of the subject's keys.
    Known(StoredKey),
    /// The person was erased; there is a tombstone, and no new key is ever made.
    Erased,
}

/// Where keys are kept between runs.
///
/// The transaction that inserts new keys must refuse those of subjects with a tombstone: an erasure may come in between.
pub trait SubjectKeyStore: Send + Sync {
    /// What is known of each subject, in the order asked.
    fn load(&self, subjects: &[SubjectId]) -> Result<Vec<Lookup>, Box<dyn Error + Send + Sync>>;
}

/// Why keys cannot be had.
#[derive(Debug, Error)]
pub enum KeyringError {
    #[error("subjects' keys cannot be loaded: {0}")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    #[error("the key store answered for {found} subjects of {asked}")]
    Answers { asked: usize, found: usize },
    #[error("a subject's stored key {key_id} cannot be opened: {source}")]
    Open { key_id: SubjectKeyId, source: SealError },
    #[error(transparent)]
    Random(#[from] KeyError),
    #[error("a new subject key cannot be sealed: {0}")]
    Seal(#[from] SealError),
}

const SHARDS: usize = 16;

/// The keys of a run's subjects, shared by its lanes.
pub struct SubjectKeyring {
    store: Arc<dyn SubjectKeyStore>,
    sealer: Sealer,
    shards: [Mutex<Shard>; SHARDS],
}

impl fmt::Debug for SubjectKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKeyring").finish_non_exhaustive()
    }
}

type Cache = HashMap<SubjectId, Option<SubjectKey>, ahash::RandomState>;

/// A part of the subjects. Stored keys live in two generations: a hit moves to `hot`; when `hot` is full it becomes `cold`,
/// and what was cold is forgotten. None stands for an erased subject.
struct Shard {
    /// Made here, not confirmed as stored: never forgotten.
    unstored: HashMap<SubjectId, SubjectKey, ahash::RandomState>,
    /// The sealed form of those not yet handed over.
    fresh: Vec<StoredKey>,
    hot: Cache,
    cold: Cache,
    generation: usize,
}

impl Shard {
    fn get(&mut self, subject: &SubjectId) -> Option<Option<SubjectKey>> {
        if let Some(key) = self.unstored.get(subject) {
            return Some(Some(key.clone()));
        }
        if let Some(found) = self.hot.get(subject) {
            return Some(found.clone());
        }
        let found = self.cold.remove(subject)?;
        self.remember(*subject, found.clone());
        Some(found)
    }

    fn remember(&mut self, subject: SubjectId, key: Option<SubjectKey>) {
        if self.hot.len() >= self.generation {
            self.cold = std::mem::take(&mut self.hot);
        }
        self.hot.insert(subject, key);
    }
}

impl SubjectKeyring {
    /// Keeps at most about `capacity` stored keys in memory (some 150 bytes each), besides those not stored yet.
    pub fn new(store: Arc<dyn SubjectKeyStore>, sealer: Sealer, capacity: usize) -> Self {
        let shards = std::array::from_fn(|_| {
            Mutex::new(Shard {
                unstored: HashMap::default(),
                fresh: Vec::new(),
                hot: Cache::default(),
                cold: Cache::default(),
                generation: (capacity / SHARDS / 2).max(1),
            })
        });
        Self { store, sealer, shards }
    }

    /// The key of each subject, in order, made if there is none; none for an erased subject.
    pub fn get_or_create(&self, subjects: &[SubjectId]) -> Result<Vec<Option<SubjectKey>>, KeyringError> {
        let mut keys = Vec::with_capacity(subjects.len());
        let mut missing = Vec::new();
        for (position, subject) in subjects.iter().enumerate() {
            let cached = self.shard(subject).lock().get(subject);
            if cached.is_none() {
                missing.push(position);
            }
            keys.push(cached.flatten());
        }
        if !missing.is_empty() {
            let wanted: Vec<SubjectId> = missing.iter().map(|position| subjects[*position]).collect();
            for (position, key) in missing.into_iter().zip(self.load_or_create(&wanted)?) {
                keys[position] = key;
            }
        }
        Ok(keys)
    }

    /// The keys made since the last call, to be inserted in the checkpoint's transaction. Follow with
    /// [`SubjectKeyring::confirm`], or with [`SubjectKeyring::requeue`] if the transaction failed and the run goes on.
    pub fn drain_new(&self) -> Vec<StoredKey> {
        self.shards.iter().flat_map(|shard| std::mem::take(&mut shard.lock().fresh)).collect()
    }

    /// These keys are durable now.
    pub fn confirm(&self, stored: &[StoredKey]) {
        for key in stored {
            let mut shard = self.shard(&key.subject).lock();
            if let Some(made) = shard.unstored.remove(&key.subject) {
                shard.remember(key.subject, Some(made));
            }
        }
    }

    /// These keys could not be stored; they come again with the next [`SubjectKeyring::drain_new`].
    pub fn requeue(&self, keys: Vec<StoredKey>) {
        for key in keys {
            let mut shard = self.shard(&key.subject).lock();
            // A subject erased meanwhile has lost its key.
            if shard.unstored.get(&key.subject).is_some_and(|made| made.id() == key.key_id) {
                shard.fresh.push(key);
            }
        }
    }

    /// Forgets the keys of subjects that were erased; call it after their tombstones are committed.
    pub fn erase(&self, subjects: &[SubjectId]) {
        for subject in subjects {
            let mut shard = self.shard(subject).lock();
            shard.unstored.remove(subject);
            shard.fresh.retain(|key| key.subject != *subject);
            shard.cold.remove(subject);
            shard.hot.remove(subject);
            shard.remember(*subject, None);
        }
    }

    /// How many keys are in memory.
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.unstored.len() + shard.hot.len() + shard.cold.len()
        };
        self.shards.iter().map(count).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, subject: &SubjectId) -> &Mutex<Shard> {
        &self.shards[usize::from(subject.as_bytes()[0]) % SHARDS]
    }

    /// Asks the store in one call, without a lock; what another lane found or made meanwhile comes first.
    fn load_or_create(&self, subjects: &[SubjectId]) -> Result<Vec<Option<SubjectKey>>, KeyringError> {
        let answers = self.store.load(subjects).map_err(KeyringError::Store)?;
        if answers.len() != subjects.len() {
            return Err(KeyringError::Answers { asked: subjects.len(), found: answers.len() });
        }
        let mut keys = Vec::with_capacity(subjects.len());
        for (subject, answer) in subjects.iter().zip(answers) {
            let known = match answer {
                Lookup::Known(stored) => {
                    let open = |source| KeyringError::Open { key_id: stored.key_id, source };
                    Some(Some(stored.open(&self.sealer).map_err(open)?))
                }
                Lookup::Erased => Some(None),
                Lookup::Unknown => None,
            };
            let mut shard = self.shard(subject).lock();
            let key = match (shard.get(subject), known) {
                (Some(cached), _) => cached,
                (None, Some(known)) => {
                    shard.remember(*subject, known.clone());
                    known
                }
                (None, None) => Some(self.create(&mut shard, *subject)?),
            };
            keys.push(key);
        }
        Ok(keys)
    }

    fn create(&self, shard: &mut Shard, subject: SubjectId) -> Result<SubjectKey, KeyringError> {
        // One call to the operating system for both.
        let mut bytes = Zeroizing::new([0; 48]);
        random(bytes.as_mut_slice())?;
        let (id, secret) = bytes.split_first_chunk().expect("invariant: 16 bytes and 32");
        let secret = secret.first_chunk().expect("invariant: 32 bytes");
        let key = SubjectKey::new(SubjectKeyId(*id), Key::from_bytes(secret));
        shard.fresh.push(StoredKey::seal(&self.sealer, subject, &key)?);
        shard.unstored.insert(subject, key.clone());
        Ok(key)
    }
}

/// The keys of a batch's rows, for the `encrypt` mask.
#[derive(Clone, Debug, Default)]
pub struct RowKeys {
    keys: Vec<SubjectKey>,
    /// Of each row, the index of its key.
    rows: Vec<Option<u32>>,
}

impl RowKeys {
    /// Looks up each distinct subject of a batch once.
    pub fn resolve(keyring: &SubjectKeyring, subjects: &Subjects) -> Result<Self, KeyringError> {
        let mut indices: HashMap<&SubjectId, usize, ahash::RandomState> = HashMap::default();
        let mut distinct = Vec::new();
        let rows: Vec<Option<usize>> = subjects
            .iter()
            .map(|subject| {
                let subject = subject?;
                Some(*indices.entry(subject).or_insert_with(|| {
                    distinct.push(*subject);
                    distinct.len() - 1
                }))
            })
            .collect();
        let found = keyring.get_or_create(&distinct)?;
        Ok(Self::new(found, rows))
    }

    /// From keys (none for erased subjects) and, of each row, the index of its subject's key.
    pub(crate) fn new(found: Vec<Option<SubjectKey>>, rows: Vec<Option<usize>>) -> Self {
        let mut keys = Vec::with_capacity(found.len());
        let places: Vec<Option<u32>> = found
            .into_iter()
            .map(|key| {
                keys.push(key?);
                Some(u32::try_from(keys.len() - 1).expect("invariant: a batch has fewer than 2^32 rows"))
            })
            .collect();
        let rows = rows.into_iter().map(|row| row.and_then(|index| places[index])).collect();
        Self { keys, rows }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The key of a row; none if the row names no subject or the subject was erased.
    pub fn get(&self, row: usize) -> Option<&SubjectKey> {
        self.rows[row].map(|index| &self.keys[index as usize])
    }

    /// Which rows have no key: deny them before masking, or [`crate::MaskOp::apply`] fails.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().enumerate().filter(|(_, key)| key.is_none()).map(|(row, _)| row)
    }

    /// Only the rows that `keep` says; it must have as many entries as there are rows.
    pub fn filter(&self, keep: impl IntoIterator<Item = bool>) -> Self {
        let rows = self.rows.iter().zip(keep).filter(|(_, keep)| *keep).map(|(row, _)| *row).collect();
        Self { keys: self.keys.clone(), rows }
    }
}
