//! Users: people and service accounts, their password hashes and lockouts.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, ExprTrait as _},
};
use weir_api::UserId;
use weir_authz::{Action, Grant};

use crate::{
    db::{Db, Tx},
    entity::{counters, users},
    error::{Result, StoreError},
    permit::needs,
    stored::{signed, unsigned},
    time::{at, at_opt, micros},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// The sign-in name, unique on this instance.
    pub name: String,
    pub display_name: String,
    pub instance_admin: bool,
    /// Failed sign-ins since the last that worked.
    pub failed_sign_ins: u64,
    pub locked_until: Option<DateTime<Utc>>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub password_changed_at: DateTime<Utc>,
    pub last_sign_in_at: Option<DateTime<Utc>>,
}

/// A user with what sign-in needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: User,
    /// Argon2id, in PHC form.
    pub password_hash: String,
}

#[derive(Clone)]
pub struct NewUser {
    pub name: String,
    pub display_name: String,
    /// Argon2id, in PHC form.
    pub password_hash: String,
    pub instance_admin: bool,
}

/// What is present is changed.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    pub display_name: Option<String>,
    /// True from now on; false undoes it.
    pub disabled: Option<bool>,
    pub instance_admin: Option<bool>,
}

/// Errors with [`StoreError::Exists`] when the name is taken.
pub async fn create(tx: &Tx, grant: &Grant, new: NewUser, now: DateTime<Utc>) -> Result<User> {
    needs(grant, &[Action::UserCreate])?;
    let row = users::Model {
        id: UserId::generate().0,
        name: new.name,
        display_name: new.display_name,
        password_hash: new.password_hash,
        totp_sealed: None,
        instance_admin: new.instance_admin,
        failed_sign_ins: 0,
        locked_until: None,
        disabled_at: None,
        created_at: micros(now),
        password_changed_at: micros(now),
        last_sign_in_at: None,
    };
    users::Entity::insert(users::ActiveModel::from(row.clone()))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "user", &row.name))?;
    user(row)
}

pub async fn by_id(db: &impl Db, id: UserId) -> Result<Option<User>> {
    users::Entity::find_by_id(id.0).one(db.conn()).await?.map(user).transpose()
}

/// The user with this sign-in name, and what sign-in needs.
pub async fn by_name(db: &impl Db, name: &str) -> Result<Option<Credentials>> {
    let row = users::Entity::find().filter(users::Column::Name.eq(name)).one(db.conn()).await?;
    row.map(credentials).transpose()
}

pub async fn credentials_of(db: &impl Db, id: UserId) -> Result<Option<Credentials>> {
    users::Entity::find_by_id(id.0).one(db.conn()).await?.map(credentials).transpose()
}

/// All users, by name.
pub async fn list(db: &impl Db) -> Result<Vec<User>> {
    users::Entity::find().order_by_asc(users::Column::Name).all(db.conn()).await?.into_iter().map(user).collect()
}

pub async fn count(db: &impl Db) -> Result<u64> {
    Ok(users::Entity::find().count(db.conn()).await?)
}

pub async fn update(tx: &Tx, grant: &Grant, id: UserId, change: UserChange, now: DateTime<Utc>) -> Result<User> {
    needs(grant, &[Action::UserUpdate, Action::UserDisable])?;
    if change.disabled.is_some() {
        needs(grant, &[Action::UserDisable])?;
    }
    let mut row = existing(tx, id).await?;
    if let Some(name) = change.display_name {
        row.display_name = name;
    }
    if let Some(disabled) = change.disabled {
        row.disabled_at = disabled.then(|| row.disabled_at.unwrap_or(micros(now)));
    }
    if let Some(admin) = change.instance_admin {
        row.instance_admin = admin;
    }
    save(
        tx,
        users::ActiveModel {
            display_name: Set(row.display_name.clone()),
            disabled_at: Set(row.disabled_at),
            instance_admin: Set(row.instance_admin),
            ..blank(id)
        },
    )
    .await?;
    user(row)
}

/// A new password hash. The caller also ends the user's sessions: [`crate::sessions::end_all`].
pub async fn set_password(tx: &Tx, grant: &Grant, id: UserId, password_hash: String, now: DateTime<Utc>) -> Result<()> {
    needs(grant, &[Action::UserUpdate])?;
    existing(tx, id).await?;
    save(
        tx,
        users::ActiveModel {
            password_hash: Set(password_hash),
            password_changed_at: Set(micros(now)),
            failed_sign_ins: Set(0),
            locked_until: Set(None),
            ..blank(id)
        },
    )
    .await
}

/// A sign-in that worked. Nobody is signed in before it, so there is no grant.
pub async fn record_sign_in(tx: &Tx, id: UserId, now: DateTime<Utc>) -> Result<()> {
    save(
        tx,
        users::ActiveModel {
            failed_sign_ins: Set(0),
            locked_until: Set(None),
            last_sign_in_at: Set(Some(micros(now))),
            ..blank(id)
        },
    )
    .await
}

/// A sign-in that failed: the number of failures in a row so far, and until when the next try is refused.
pub async fn record_failure(tx: &Tx, id: UserId, failures: u64, locked_until: Option<DateTime<Utc>>) -> Result<()> {
    save(
        tx,
        users::ActiveModel { failed_sign_ins: Set(signed(failures)), locked_until: Set(locked_until.map(micros)), ..blank(id) },
    )
    .await
}

/// A sign-in that failed under a name that nobody has. It is counted, so that it costs what [`record_failure`] does and its time tells
/// nobody who exists.
pub async fn record_failure_of_nobody(tx: &Tx) -> Result<()> {
    const COUNTER: &str = "failed_sign_ins.nobody";
    let added = counters::Entity::update_many()
        .col_expr(counters::Column::Value, Expr::col(counters::Column::Value).add(1))
        .filter(counters::Column::Name.eq(COUNTER))
        .exec(tx.conn())
        .await?;
    if added.rows_affected == 0 {
        let first = counters::ActiveModel { name: Set(COUNTER.to_owned()), value: Set(1) };
        counters::Entity::insert(first).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

async fn existing(tx: &Tx, id: UserId) -> Result<users::Model> {
    users::Entity::find_by_id(id.0).one(tx.conn()).await?.ok_or_else(|| StoreError::not_found("user", id))
}

fn blank(id: UserId) -> users::ActiveModel {
    use sea_orm::ActiveModelTrait;
    let mut row = <users::ActiveModel as ActiveModelTrait>::default();
    row.id = sea_orm::ActiveValue::Unchanged(id.0);
    row
}

async fn save(tx: &Tx, row: users::ActiveModel) -> Result<()> {
    users::Entity::update(row).exec(tx.conn()).await?;
    Ok(())
}

fn user(row: users::Model) -> Result<User> {
    Ok(User {
        id: UserId(row.id),
        name: row.name,
        display_name: row.display_name,
        instance_admin: row.instance_admin,
        failed_sign_ins: unsigned("a user's failed sign-ins", row.failed_sign_ins)?,
        locked_until: at_opt(row.locked_until),
        disabled_at: at_opt(row.disabled_at),
        created_at: at(row.created_at),
        password_changed_at: at(row.password_changed_at),
        last_sign_in_at: at_opt(row.last_sign_in_at),
    })
}

fn credentials(mut row: users::Model) -> Result<Credentials> {
    let password_hash = std::mem::take(&mut row.password_hash);
    Ok(Credentials { user: user(row)?, password_hash })
}
