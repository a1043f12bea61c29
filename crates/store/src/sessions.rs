//! Browser sessions. The cookie's secret is kept as a hash only; a session ends by being deleted.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter};
use weir_api::{SessionId, UserId};

use crate::{
    db::{Db, Tx},
    entity::sessions,
    error::Result,
    time::{at, micros},
};

#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// What the CSRF token is derived from.
    pub csrf_secret: Vec<u8>,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

pub struct NewSession {
    pub user: UserId,
    /// SHA-256 of the cookie's secret.
    pub token_hash: [u8; 32],
    pub csrf_secret: Vec<u8>,
    pub expires_at: DateTime<Utc>,
}

pub async fn create(tx: &Tx, new: NewSession, now: DateTime<Utc>) -> Result<Session> {
    let row = sessions::Model {
        id: SessionId::generate().0,
        user_id: new.user.0,
        token_hash: new.token_hash.to_vec(),
        csrf_secret: new.csrf_secret,
        created_at: micros(now),
        last_seen_at: micros(now),
        expires_at: micros(new.expires_at),
    };
    sessions::Entity::insert(sessions::ActiveModel::from(row.clone())).exec_without_returning(tx.conn()).await?;
    Ok(session(row))
}

/// The session of this cookie, unless it has expired.
pub async fn by_token_hash(db: &impl Db, token_hash: &[u8; 32], now: DateTime<Utc>) -> Result<Option<Session>> {
    let found = sessions::Entity::find()
        .filter(sessions::Column::TokenHash.eq(token_hash.to_vec()))
        .filter(sessions::Column::ExpiresAt.gt(micros(now)))
        .one(db.conn())
        .await?;
    Ok(found.map(session))
}

/// Notes that the session is in use. Callers do it once a minute, not on every request.
pub async fn touch(tx: &Tx, id: SessionId, now: DateTime<Utc>) -> Result<()> {
    sessions::Entity::update_many()
        .col_expr(sessions::Column::LastSeenAt, micros(now).into())
        .filter(sessions::Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Ends one session; that it is not there any more is fine.
pub async fn end(tx: &Tx, id: SessionId) -> Result<()> {
    sessions::Entity::delete_many().filter(sessions::Column::Id.eq(id.0)).exec(tx.conn()).await?;
    Ok(())
}

/// Ends a user's sessions, all of them or all but one. Returns how many.
pub async fn end_all(tx: &Tx, user: UserId, except: Option<SessionId>) -> Result<u64> {
    let mut ending = sessions::Entity::delete_many().filter(sessions::Column::UserId.eq(user.0));
    if let Some(kept) = except {
        ending = ending.filter(sessions::Column::Id.ne(kept.0));
    }
    Ok(ending.exec(tx.conn()).await?.rows_affected)
}

/// Removes expired sessions and those not seen since `idle_since`. Returns how many.
pub async fn prune(tx: &Tx, now: DateTime<Utc>, idle_since: DateTime<Utc>) -> Result<u64> {
    let stale = sessions::Column::ExpiresAt.lte(micros(now)).or(sessions::Column::LastSeenAt.lt(micros(idle_since)));
    Ok(sessions::Entity::delete_many().filter(stale).exec(tx.conn()).await?.rows_affected)
}

fn session(row: sessions::Model) -> Session {
    Session {
        id: SessionId(row.id),
        user: UserId(row.user_id),
        csrf_secret: row.csrf_secret,
        created_at: at(row.created_at),
        last_seen_at: at(row.last_seen_at),
        expires_at: at(row.expires_at),
    }
}
