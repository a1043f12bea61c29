//! API tokens, known by their `jti`; the tokens themselves are kept nowhere.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use weir_api::{ProjectId, TokenId, UserId};
use weir_authz::{Action, Grant, Scope};

use crate::{
    db::{Db, Tx},
    entity::api_tokens,
    error::{Result, StoreError},
    permit::needs,
    stored::{from_json, to_json},
    time::{at, at_opt, micros},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The `jti` claim.
    pub id: TokenId,
    pub name: String,
    pub owner: UserId,
    /// The only project it is good for; none for all of its owner's.
    pub project: Option<ProjectId>,
    pub scopes: BTreeSet<Scope>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

impl Token {
    /// Neither expired nor revoked.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

pub struct NewToken {
    pub id: TokenId,
    pub name: String,
    pub owner: UserId,
    pub project: Option<ProjectId>,
    pub scopes: BTreeSet<Scope>,
    pub expires_at: DateTime<Utc>,
}

pub async fn create(tx: &Tx, grant: &Grant, new: NewToken, now: DateTime<Utc>) -> Result<Token> {
    needs(grant, &[Action::TokenCreate])?;
    let row = api_tokens::Model {
        id: new.id.0,
        name: new.name,
        owner_id: new.owner.0,
        project_id: new.project.map(|p| p.0),
        scopes: to_json("scopes", &new.scopes)?,
        created_at: micros(now),
        expires_at: micros(new.expires_at),
        revoked_at: None,
        last_used_at: None,
    };
    api_tokens::Entity::insert(api_tokens::ActiveModel::from(row.clone()))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "token", new.id))?;
    token(row)
}

pub async fn by_id(db: &impl Db, id: TokenId) -> Result<Option<Token>> {
    api_tokens::Entity::find_by_id(id.0).one(db.conn()).await?.map(token).transpose()
}

/// The tokens of a project, newest first; all owners' or one's.
pub async fn list(db: &impl Db, project: ProjectId, owner: Option<UserId>) -> Result<Vec<Token>> {
    let mut query = api_tokens::Entity::find().filter(api_tokens::Column::ProjectId.eq(project.0));
    if let Some(owner) = owner {
        query = query.filter(api_tokens::Column::OwnerId.eq(owner.0));
    }
    query.order_by_desc(api_tokens::Column::Id).all(db.conn()).await?.into_iter().map(token).collect()
}

/// Revokes it for good; a second time changes nothing.
pub async fn revoke(tx: &Tx, grant: &Grant, id: TokenId, now: DateTime<Utc>) -> Result<Token> {
    needs(grant, &[Action::TokenRevoke])?;
    let mut row = api_tokens::Entity::find_by_id(id.0).one(tx.conn()).await?.ok_or_else(|| StoreError::not_found("token", id))?;
    if row.revoked_at.is_none() {
        row.revoked_at = Some(micros(now));
        set(tx, id, api_tokens::Column::RevokedAt, now).await?;
    }
    token(row)
}

/// Revokes all live tokens of a user for good, with the permission to give them a new password. Returns how many.
pub async fn revoke_all(tx: &Tx, grant: &Grant, owner: UserId, now: DateTime<Utc>) -> Result<u64> {
    needs(grant, &[Action::UserUpdate])?;
    let revoked = api_tokens::Entity::update_many()
        .col_expr(api_tokens::Column::RevokedAt, micros(now).into())
        .filter(api_tokens::Column::OwnerId.eq(owner.0))
        .filter(api_tokens::Column::RevokedAt.is_null())
        .filter(api_tokens::Column::ExpiresAt.gt(micros(now)))
        .exec(tx.conn())
        .await?;
    Ok(revoked.rows_affected)
}

/// Notes that the token was used. Callers do it once a minute, not on every request.
pub async fn touch(tx: &Tx, id: TokenId, now: DateTime<Utc>) -> Result<()> {
    set(tx, id, api_tokens::Column::LastUsedAt, now).await
}

async fn set(tx: &Tx, id: TokenId, column: api_tokens::Column, now: DateTime<Utc>) -> Result<()> {
    api_tokens::Entity::update_many()
        .col_expr(column, micros(now).into())
        .filter(api_tokens::Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

fn token(row: api_tokens::Model) -> Result<Token> {
    Ok(Token {
        id: TokenId(row.id),
        name: row.name,
        owner: UserId(row.owner_id),
        project: row.project_id.map(ProjectId),
        scopes: from_json("a token's scopes", &row.scopes)?,
        created_at: at(row.created_at),
        expires_at: at(row.expires_at),
        revoked_at: at_opt(row.revoked_at),
        last_used_at: at_opt(row.last_used_at),
    })
}
