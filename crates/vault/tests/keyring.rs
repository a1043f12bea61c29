//! Subjects' keys over the life of a run, with a store in memory.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use weir_vault::{
    Key, Lookup, MasterKey, ProjectKeys, RowKeys, StoredKey, SubjectId, SubjectKeyStore, SubjectKeyring, Subjects,
    keyring::KeyringError,
};

#[derive(Default)]
struct MemoryStore {
    keys: Mutex<HashMap<SubjectId, Lookup>>,
    loads: AtomicUsize,
    fails: Mutex<bool>,
}

impl MemoryStore {
    fn insert(&self, keys: &[StoredKey]) {
        let mut stored = self.keys.lock().unwrap();
        for key in keys {
            if stored.get(&key.subject) != Some(&Lookup::Erased) {
                stored.insert(key.subject, Lookup::Known(key.clone()));
            }
        }
    }

    fn erase(&self, subject: SubjectId) {
        self.keys.lock().unwrap().insert(subject, Lookup::Erased);
    }
}

impl SubjectKeyStore for MemoryStore {
    fn load(&self, subjects: &[SubjectId]) -> Result<Vec<Lookup>, Box<dyn Error + Send + Sync>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        if *self.fails.lock().unwrap() {
            return Err("the database is away".into());
        }
        let keys = self.keys.lock().unwrap();
        Ok(subjects.iter().map(|subject| keys.get(subject).cloned().unwrap_or(Lookup::Unknown)).collect())
    }
}

struct Fixture {
    project: ProjectKeys,
    store: Arc<MemoryStore>,
}

impl Fixture {
    fn new() -> Self {
        let master = MasterKey::from_key(Key::from_bytes(&[1; 32]));
        Self { project: ProjectKeys::create(&master, "p").unwrap().0, store: Arc::default() }
    }

    fn keyring(&self, capacity: usize) -> SubjectKeyring {
        SubjectKeyring::new(self.store.clone(), self.project.subject_key_sealer(), capacity)
    }

    fn subjects(&self, count: usize) -> Vec<SubjectId> {
        let hasher = self.project.subject_hasher();
        (0..count).map(|n| hasher.hash(&n.to_string())).collect()
    }
}

#[test]
fn a_key_is_made_once_and_found_again_by_the_next_run() {
    let fixture = Fixture::new();
    let subjects = fixture.subjects(100);
    let keyring = fixture.keyring(1000);
    let first = keyring.get_or_create(&subjects).unwrap();
    assert!(first.iter().all(Option::is_some));
    assert_eq!(keyring.get_or_create(&subjects).unwrap(), first);
    assert_eq!(fixture.store.loads.load(Ordering::Relaxed), 1, "one bulk load, then the cache");

    let new = keyring.drain_new();
    assert_eq!(new.len(), 100);
    assert!(keyring.drain_new().is_empty(), "handed over once");
    fixture.store.insert(&new);
    keyring.confirm(&new);
    assert_eq!(fixture.keyring(1000).get_or_create(&subjects).unwrap(), first);
}

#[test]
fn a_subject_named_twice_in_one_call_has_one_key() {
    let fixture = Fixture::new();
    let [a, b] = fixture.subjects(2).try_into().unwrap();
    let keyring = fixture.keyring(10);
    let keys = keyring.get_or_create(&[a, b, a]).unwrap();
    assert_eq!(keys[0], keys[2]);
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keyring.drain_new().len(), 2);
}

#[test]
fn unstored_keys_are_never_forgotten_and_stored_ones_are_within_the_cap() {
    let fixture = Fixture::new();
    let subjects = fixture.subjects(5_000);
    let keyring = fixture.keyring(320);
    let made = keyring.get_or_create(&subjects).unwrap();
    assert_eq!(keyring.len(), 5_000);
    let new = keyring.drain_new();
    assert_eq!(keyring.get_or_create(&subjects).unwrap(), made, "handed over, but not known to be durable");
    fixture.store.insert(&new);
    keyring.confirm(&new);
    assert!(keyring.len() <= 320, "{} keys in memory", keyring.len());
    assert_eq!(keyring.get_or_create(&subjects).unwrap(), made);
    assert!(keyring.drain_new().is_empty(), "nothing was made anew");
}

#[test]
fn keys_of_a_failed_transaction_come_again() {
    let fixture = Fixture::new();
    let keyring = fixture.keyring(10);
    let subjects = fixture.subjects(3);
    let made = keyring.get_or_create(&subjects).unwrap();
    let drained = keyring.drain_new();
    keyring.requeue(drained.clone());
    let mut again = keyring.drain_new();
    again.sort_by_key(|key| drained.iter().position(|other| other == key));
    assert_eq!(again, drained);
    assert_eq!(keyring.get_or_create(&subjects).unwrap(), made);
}

#[test]
fn an_erased_subject_has_no_key_and_never_gets_one() {
    let fixture = Fixture::new();
    let [known, fresh, unseen] = fixture.subjects(3).try_into().unwrap();
    let keyring = fixture.keyring(10);
    keyring.get_or_create(&[known]).unwrap();
    let new = keyring.drain_new();
    fixture.store.insert(&new);
    keyring.confirm(&new);
    keyring.get_or_create(&[fresh]).unwrap();

    for subject in [known, fresh, unseen] {
        fixture.store.erase(subject);
    }
    keyring.erase(&[known, fresh]);
    assert_eq!(keyring.get_or_create(&[known, fresh, unseen]).unwrap(), [None, None, None]);
    assert!(keyring.drain_new().is_empty(), "the key made before the erasure is gone");
    assert_eq!(fixture.keyring(10).get_or_create(&[known]).unwrap(), [None]);
}

#[test]
fn keys_drained_before_an_erasure_do_not_come_back() {
    let fixture = Fixture::new();
    let subjects = fixture.subjects(1);
    let keyring = fixture.keyring(10);
    keyring.get_or_create(&subjects).unwrap();
    let drained = keyring.drain_new();
    fixture.store.erase(subjects[0]);
    keyring.erase(&subjects);
    keyring.requeue(drained.clone());
    assert!(keyring.drain_new().is_empty());
    keyring.confirm(&drained);
    assert_eq!(keyring.get_or_create(&subjects).unwrap(), [None]);
}

#[test]
fn lanes_agree_on_one_key_for_each_subject() {
    let fixture = Fixture::new();
    let subjects = fixture.subjects(2_000);
    let keyring = fixture.keyring(10_000);
    let answers: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..4)
            .map(|lane| {
                let (keyring, subjects) = (&keyring, &subjects);
                scope.spawn(move || {
                    let mut keys = vec![None; subjects.len()];
                    // Each lane in its own order, in small batches.
                    for start in (0..subjects.len()).step_by(50) {
                        let start = (start + lane * 500) % subjects.len();
                        let found = keyring.get_or_create(&subjects[start..start + 50]).unwrap();
                        keys[start..start + 50].clone_from_slice(&found);
                    }
                    keys
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|keys| keys == &answers[0]));
    assert_eq!(keyring.drain_new().len(), subjects.len());
}

#[test]
fn two_runs_that_meet_a_subject_at_once_each_have_a_key() {
    let fixture = Fixture::new();
    let subjects = fixture.subjects(1);
    let [one, two] = [fixture.keyring(10), fixture.keyring(10)];
    let [a, b] = [one.get_or_create(&subjects).unwrap(), two.get_or_create(&subjects).unwrap()];
    assert_ne!(a, b);
    let sealer = fixture.project.subject_key_sealer();
    for (made, keyring) in [(a, one), (b, two)] {
        let stored = keyring.drain_new();
        assert_eq!(Some(stored[0].open(&sealer).unwrap()), made[0]);
    }
}

#[test]
fn a_stored_key_opens_for_its_own_subject_and_project_only() {
    let fixture = Fixture::new();
    let [one, two] = fixture.subjects(2).try_into().unwrap();
    let keyring = fixture.keyring(10);
    keyring.get_or_create(&[one]).unwrap();
    let stored = keyring.drain_new().remove(0);
    let sealer = fixture.project.subject_key_sealer();
    assert!(stored.open(&sealer).is_ok());
    assert!(StoredKey { subject: two, ..stored.clone() }.open(&sealer).is_err());
    assert!(stored.open(&Fixture::new().project.subject_key_sealer()).is_err());

    // A row swapped in the database is an error, not another person's key.
    fixture.store.keys.lock().unwrap().insert(two, Lookup::Known(stored.clone()));
    let forged = StoredKey { subject: two, ..stored };
    fixture.store.keys.lock().unwrap().insert(two, Lookup::Known(forged));
    assert!(matches!(fixture.keyring(10).get_or_create(&[two]), Err(KeyringError::Open { .. })));
}

#[test]
fn a_store_that_is_away_is_an_error_and_makes_no_keys() {
    let fixture = Fixture::new();
    let keyring = fixture.keyring(10);
    *fixture.store.fails.lock().unwrap() = true;
    let error = keyring.get_or_create(&fixture.subjects(1)).unwrap_err();
    assert!(error.to_string().contains("the database is away"), "{error}");
    assert!(keyring.drain_new().is_empty());
}

#[test]
fn rows_without_a_subject_or_with_an_erased_one_are_reported() {
    let fixture = Fixture::new();
    let [a, b] = fixture.subjects(2).try_into().unwrap();
    fixture.store.erase(b);
    let subjects = Subjects::from_rows([Some(a), None, Some(b), Some(a)]);
    let keys = RowKeys::resolve(&fixture.keyring(10), &subjects).unwrap();
    assert_eq!(keys.missing().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(keys.get(0), keys.get(3));
}
