//! Requests with an `Idempotency-Key`: the answer that was given is given again.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use weir_api::ProjectId;

use crate::{
    db::{Db, Tx},
    entity::idempotency,
    error::{Result, StoreError},
    stored::hash32,
    time::micros,
};

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 of the request: another request under the same key is an error of the caller's.
    pub request_hash: [u8; 32],
    /// The HTTP status.
    pub status: u16,
    pub body: String,
}

/// The answer given under this key, unless it has been forgotten. `scope` names the operation.
pub async fn find(db: &impl Db, project: ProjectId, scope: &str, key: &str, now: DateTime<Utc>) -> Result<Option<Answer>> {
    let found = idempotency::Entity::find_by_id((project.0, scope.to_owned(), key.to_owned()))
        .filter(idempotency::Column::ExpiresAt.gt(micros(now)))
        .one(db.conn())
        .await?;
    found.map(answer).transpose()
}

/// Keeps an answer until `expires_at`. Errors with [`StoreError::Exists`] when there is one under this key.
pub async fn put(
    tx: &Tx,
    project: ProjectId,
    scope: &str,
    key: &str,
    answer: &Answer,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    let expired = idempotency::Entity::delete_many()
        .filter(idempotency::Column::ProjectId.eq(project.0))
        .filter(idempotency::Column::Scope.eq(scope))
        .filter(idempotency::Column::IdempotencyKey.eq(key))
        .filter(idempotency::Column::ExpiresAt.lte(micros(now)));
    expired.exec(tx.conn()).await?;
    let row = idempotency::Model {
        project_id: project.0,
        scope: scope.to_owned(),
        idempotency_key: key.to_owned(),
        request_hash: answer.request_hash.to_vec(),
        status: i64::from(answer.status),
        answer: answer.body.clone(),
        created_at: micros(now),
        expires_at: micros(expires_at),
    };
    idempotency::Entity::insert(idempotency::ActiveModel::from(row))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "an answer under the idempotency key of", scope))?;
    Ok(())
}

/// Forgets what has expired. Returns how many answers went.
pub async fn prune(tx: &Tx, now: DateTime<Utc>) -> Result<u64> {
    let expired = idempotency::Entity::delete_many().filter(idempotency::Column::ExpiresAt.lte(micros(now)));
    Ok(expired.exec(tx.conn()).await?.rows_affected)
}

fn answer(row: idempotency::Model) -> Result<Answer> {
    Ok(Answer {
        request_hash: hash32("a request's hash", &row.request_hash)?,
        status: u16::try_from(row.status).map_err(|_| StoreError::Corrupt(format!("an answer's status is {}", row.status)))?,
        body: row.answer,
    })
}
