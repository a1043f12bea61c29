//! Keys sealed under another key: project keys, signing keys, token keys.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use weir_api::ProjectId;
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    entity::sealed_keys,
    error::{Result, StoreError},
    permit::needs,
    time::{at, at_opt, micros},
};

#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    pub key_id: String,
    /// What it is for, such as `project`, `evidence-signing`, `token-signing`.
    pub kind: String,
    pub project: Option<ProjectId>,
    pub sealed: Vec<u8>,
    /// The public half, where there is one.
    pub public_key: Option<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    /// Used for opening and verifying only, from then on.
    pub retired_at: Option<DateTime<Utc>>,
}

pub struct NewSealedKey {
    pub key_id: String,
    pub kind: String,
    pub project: Option<ProjectId>,
    pub sealed: Vec<u8>,
    pub public_key: Option<Vec<u8>>,
}

/// Keeps a new key. Weir itself makes keys when they are first needed, so there is no grant.
pub async fn put(tx: &Tx, new: NewSealedKey, now: DateTime<Utc>) -> Result<()> {
    let row = sealed_keys::Model {
        key_id: new.key_id.clone(),
        kind: new.kind,
        project_id: new.project.map(|p| p.0),
        sealed: new.sealed,
        public_key: new.public_key,
        created_at: micros(now),
        retired_at: None,
    };
    sealed_keys::Entity::insert(sealed_keys::ActiveModel::from(row))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "key", new.key_id))?;
    Ok(())
}

pub async fn by_id(db: &impl Db, key_id: &str) -> Result<Option<SealedKey>> {
    Ok(sealed_keys::Entity::find_by_id(key_id.to_owned()).one(db.conn()).await?.map(key))
}

/// The keys of a kind, newest first, retired ones included.
pub async fn list(db: &impl Db, kind: &str, project: Option<ProjectId>) -> Result<Vec<SealedKey>> {
    let of_project = match project {
        Some(project) => sealed_keys::Column::ProjectId.eq(project.0),
        None => sealed_keys::Column::ProjectId.is_null(),
    };
    let rows = sealed_keys::Entity::find()
        .filter(sealed_keys::Column::Kind.eq(kind))
        .filter(of_project)
        .order_by_desc(sealed_keys::Column::CreatedAt)
        .order_by_desc(sealed_keys::Column::KeyId)
        .all(db.conn())
        .await?;
    Ok(rows.into_iter().map(key).collect())
}

/// The key of a kind that is in use: the newest one not retired.
pub async fn current(db: &impl Db, kind: &str, project: Option<ProjectId>) -> Result<Option<SealedKey>> {
    Ok(list(db, kind, project).await?.into_iter().find(|key| key.retired_at.is_none()))
}

/// From now on the key only opens and verifies.
pub async fn retire(tx: &Tx, grant: &Grant, key_id: &str, now: DateTime<Utc>) -> Result<()> {
    needs(grant, &[Action::KeyRotate])?;
    let changed = sealed_keys::Entity::update_many()
        .col_expr(sealed_keys::Column::RetiredAt, micros(now).into())
        .filter(sealed_keys::Column::KeyId.eq(key_id))
        .filter(sealed_keys::Column::RetiredAt.is_null())
        .exec(tx.conn())
        .await?;
    if changed.rows_affected == 0 { Err(StoreError::not_found("key in use", key_id)) } else { Ok(()) }
}

fn key(row: sealed_keys::Model) -> SealedKey {
    SealedKey {
        key_id: row.key_id,
        kind: row.kind,
        project: row.project_id.map(ProjectId),
        sealed: row.sealed,
        public_key: row.public_key,
        created_at: at(row.created_at),
        retired_at: at_opt(row.retired_at),
    }
}
