//! One sealed key a person and project. Erasing a person empties the key and leaves a tombstone.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, SqlErr, Value};
use weir_api::ProjectId;
use weir_authz::{Action, Grant};

use crate::{
    bulk,
    db::{Db, Tx},
    entity::subject_keys,
    error::{Result, StoreError},
    permit::needs_in,
    stored::hash32,
    time::{at_opt, micros},
};

/// How many hashes one question names.
const AT_ONCE: usize = 8_000;

#[derive(Clone, PartialEq, Eq)]
pub struct SubjectKey {
    pub subject_hash: [u8; 32],
    pub key_id: String,
    /// The key, sealed; none once the person was erased.
    pub sealed: Option<Vec<u8>>,
    pub erased_at: Option<DateTime<Utc>>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct NewSubjectKey {
    pub subject_hash: [u8; 32],
    pub key_id: String,
    pub sealed: Vec<u8>,
}

const INSERT: &str = "INSERT INTO subject_keys (project_id, subject_hash, key_id, sealed, created_at)";

/// The keys of these people, tombstones included; who has none is left out.
pub async fn of(db: &impl Db, project: ProjectId, subjects: &[[u8; 32]]) -> Result<Vec<SubjectKey>> {
    let mut found = Vec::with_capacity(subjects.len());
    for subjects in subjects.chunks(AT_ONCE) {
        let rows = subject_keys::Entity::find()
            .filter(subject_keys::Column::ProjectId.eq(project.0))
            .filter(subject_keys::Column::SubjectHash.is_in(subjects.iter().map(|s| s.to_vec())))
            .all(db.conn())
            .await?;
        for row in rows {
            found.push(key(row)?);
        }
    }
    Ok(found)
}

/// Keeps new keys. Errors with [`StoreError::Conflict`] when one of the people has a key (or a tombstone) already: what was sealed
/// with the new key must then be done again with the old one.
pub async fn insert(tx: &Tx, project: ProjectId, keys: Vec<NewSubjectKey>, now: DateTime<Utc>) -> Result<u64> {
    let many = keys.len();
    bulk::insert(tx.conn(), INSERT, 5, "", values(project, keys, now)).await.map_err(|e| match e.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => StoreError::Conflict(format!(
            "one of {many} new subject keys exists already: another pipeline met the same person first. Nothing is lost: run it again, and it goes on from its last checkpoint (a server does so by itself)"
        )),
        _ => e.into(),
    })
}

/// Keeps those keys whose people have none yet. Ask [`of`] afterwards whose key won.
pub async fn insert_missing(tx: &Tx, project: ProjectId, keys: Vec<NewSubjectKey>, now: DateTime<Utc>) -> Result<u64> {
    let values = values(project, keys, now);
    Ok(bulk::insert(tx.conn(), INSERT, 5, "ON CONFLICT (project_id, subject_hash) DO NOTHING", values).await?)
}

/// Destroys a person's key and leaves a tombstone, also when there was no key, so that none is ever made. Returns whether there was
/// a key to destroy.
pub async fn erase(tx: &Tx, grant: &Grant, project: ProjectId, subject: &[u8; 32], now: DateTime<Utc>) -> Result<bool> {
    needs_in(grant, &[Action::ConsentWrite], project)?;
    let existing = subject_keys::Entity::find_by_id((project.0, subject.to_vec())).one(tx.conn()).await?;
    let Some(existing) = existing else {
        let tombstone = subject_keys::Model {
            project_id: project.0,
            subject_hash: subject.to_vec(),
            key_id: String::new(),
            sealed: None,
            created_at: micros(now),
            erased_at: Some(micros(now)),
        };
        subject_keys::Entity::insert(subject_keys::ActiveModel::from(tombstone)).exec_without_returning(tx.conn()).await?;
        return Ok(false);
    };
    subject_keys::Entity::update_many()
        .col_expr(subject_keys::Column::Sealed, Option::<Vec<u8>>::None.into())
        .col_expr(subject_keys::Column::ErasedAt, existing.erased_at.unwrap_or(micros(now)).into())
        .filter(subject_keys::Column::ProjectId.eq(project.0))
        .filter(subject_keys::Column::SubjectHash.eq(subject.to_vec()))
        .exec(tx.conn())
        .await?;
    Ok(existing.sealed.is_some())
}

pub async fn count(db: &impl Db, project: ProjectId) -> Result<u64> {
    Ok(subject_keys::Entity::find().filter(subject_keys::Column::ProjectId.eq(project.0)).count(db.conn()).await?)
}

fn values(project: ProjectId, keys: Vec<NewSubjectKey>, now: DateTime<Utc>) -> Vec<Value> {
    let mut values = Vec::with_capacity(keys.len() * 5);
    for key in keys {
        values.push(project.0.into());
        values.push(key.subject_hash.to_vec().into());
        values.push(key.key_id.into());
        values.push(key.sealed.into());
        values.push(micros(now).into());
    }
    values
}

fn key(row: subject_keys::Model) -> Result<SubjectKey> {
    Ok(SubjectKey {
        subject_hash: hash32("a subject hash", &row.subject_hash)?,
        key_id: row.key_id,
        sealed: row.sealed,
        erased_at: at_opt(row.erased_at),
    })
}
