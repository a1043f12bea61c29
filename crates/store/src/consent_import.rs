//! Taking over consents, one or millions: the last word of each person counts, an older one changes nothing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Statement, Value};
use weir_api::{ConsentState, ProjectId};
use weir_authz::{Action, Grant};

use crate::{
    bulk,
    consent::{PurposeId, ensure_purpose, state_code, take_versions},
    db::{Db, Tx},
    error::Result,
    permit::needs_in,
    stored::{hash32, unsigned},
    time::micros,
};

/// How many hashes one question names.
const AT_ONCE: usize = 8_000;
/// How many words are turned into parameters at a time: one statement each for state and feed.
const WRITTEN_AT_ONCE: usize = 2_000;

/// What a person says from a time on. Times are microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConsent {
    pub subject: [u8; 32],
    pub purpose: String,
    pub state: ConsentState,
    pub valid_from: i64,
    pub expires_at: Option<i64>,
}

/// What became of a batch. `accepted + outdated + future` equals its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    pub accepted: u64,
    /// There is a later word of the same person on the same purpose, before or in the batch.
    pub outdated: u64,
    /// Lies in the future: refused, because it would hide what holds now.
    pub future: u64,
    /// The version of the last one accepted, if any was.
    pub version: Option<u64>,
}

#[derive(Clone, Copy)]
struct Word {
    state: ConsentState,
    valid_from: i64,
    expires_at: Option<i64>,
}

/// Takes over a batch, in one transaction with whatever else the caller does. For millions, call it with some 200,000 at a time, each in
/// a transaction of its own, so that others can write in between.
pub async fn import(
    tx: &Tx,
    grant: &Grant,
    project: ProjectId,
    batch: &[NewConsent],
    now: DateTime<Utc>,
) -> Result<ImportOutcome> {
    needs_in(grant, &[Action::ConsentWrite], project)?;
    let mut outcome = ImportOutcome::default();
    let mut purposes: HashMap<&str, PurposeId> = HashMap::new();
    let mut words: HashMap<(PurposeId, [u8; 32]), Word> = HashMap::with_capacity(batch.len());
    let latest = micros(now);
    for new in batch {
        if new.valid_from > latest {
            outcome.future += 1;
            continue;
        }
        let purpose = match purposes.get(new.purpose.as_str()) {
            Some(purpose) => *purpose,
            None => {
                let purpose = ensure_purpose(tx, project, &new.purpose).await?;
                purposes.insert(&new.purpose, purpose);
                purpose
            }
        };
        let word = Word { state: new.state, valid_from: new.valid_from, expires_at: new.expires_at };
        match words.entry((purpose, new.subject)) {
            std::collections::hash_map::Entry::Occupied(mut earlier) => {
                outcome.outdated += 1;
                // Of two words of one moment the one read later counts.
                if earlier.get().valid_from <= word.valid_from {
                    earlier.insert(word);
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(word);
            }
        }
    }
    for purpose in purposes.values() {
        outcome.outdated += drop_outdated(tx, *purpose, &mut words).await?;
    }
    outcome.accepted = words.len() as u64;
    if !words.is_empty() {
        outcome.version = Some(write(tx, words, now).await?);
    }
    Ok(outcome)
}

/// Removes the words to which the database has a later one. Returns how many.
async fn drop_outdated(tx: &Tx, purpose: PurposeId, words: &mut HashMap<(PurposeId, [u8; 32]), Word>) -> Result<u64> {
    let conn = tx.conn();
    let backend = conn.get_database_backend();
    let mut subjects: Vec<[u8; 32]> = words.keys().filter(|(p, _)| *p == purpose).map(|(_, subject)| *subject).collect();
    subjects.sort_unstable();
    let mut outdated = 0;
    for subjects in subjects.chunks(AT_ONCE) {
        let first = match backend {
            sea_orm::DbBackend::Postgres => "$1",
            _ => "?",
        };
        let sql = format!(
            "SELECT subject_hash, valid_from FROM consent WHERE purpose_id = {first} AND subject_hash IN {}",
            bulk::list(backend, 2, subjects.len())
        );
        let mut values: Vec<Value> = Vec::with_capacity(subjects.len() + 1);
        values.push(purpose.0.into());
        values.extend(subjects.iter().map(|subject| Value::from(subject.to_vec())));
        for row in conn.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
            let key = (purpose, hash32("a subject hash", &row.try_get_by_index::<Vec<u8>>(0)?)?);
            let known: i64 = row.try_get_by_index(1)?;
            if words.get(&key).is_some_and(|word| word.valid_from < known) {
                words.remove(&key);
                outdated += 1;
            }
        }
    }
    Ok(outdated)
}

/// Writes state and feed; returns the last version.
async fn write(tx: &Tx, words: HashMap<(PurposeId, [u8; 32]), Word>, now: DateTime<Utc>) -> Result<u64> {
    const STATE: &str = "INSERT INTO consent \
         (purpose_id, subject_hash, state, valid_from, expires_at, version)";
    const UPSERT: &str = "ON CONFLICT (purpose_id, subject_hash) DO UPDATE SET \
         state = excluded.state, valid_from = excluded.valid_from, \
         expires_at = excluded.expires_at, version = excluded.version";
    const FEED: &str = "INSERT INTO consent_changes \
         (version, purpose_id, subject_hash, state, valid_from, expires_at, recorded_at)";
    let first = take_versions(tx, words.len()).await?;
    let mut words: Vec<_> = words.into_iter().collect();
    // In the order of the table's key: neighbours share pages.
    words.sort_unstable_by_key(|(key, _)| *key);
    let mut version = first;
    for words in words.chunks(WRITTEN_AT_ONCE) {
        let mut state = Vec::with_capacity(words.len() * 6);
        let mut feed = Vec::with_capacity(words.len() * 7);
        for ((purpose, subject), word) in words {
            let common: [Value; 5] = [
                purpose.0.into(),
                subject.to_vec().into(),
                state_code(word.state).into(),
                word.valid_from.into(),
                word.expires_at.into(),
            ];
            state.extend_from_slice(&common);
            state.push(version.into());
            feed.push(version.into());
            feed.extend(common);
            feed.push(micros(now).into());
            version += 1;
        }
        bulk::insert(tx.conn(), STATE, 6, UPSERT, state).await?;
        bulk::insert(tx.conn(), FEED, 7, "", feed).await?;
    }
    unsigned("a consent version", version - 1)
}
