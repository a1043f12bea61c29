//! Consent: what each person allows for each purpose, and the feed of changes by which running pipelines learn of a withdrawal.
//!
//! People appear as keyed hashes only. Every change gets a version from one counter, so that «everything after version N» misses
//! nothing; versions become visible in order, because whoever takes one holds the counter until the transaction ends.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, ExprTrait},
};
use weir_api::{ConsentState, ProjectId};

use crate::{
    db::{Db, Tx},
    entity::{counters, purposes},
    error::{Result, StoreError},
    stored::{hash32, signed, unsigned},
    time::{at, at_opt, micros},
};

/// The counter of consent versions.
pub(crate) const VERSION: &str = "consent_version";

/// A purpose's number in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurposeId(pub i64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    pub id: PurposeId,
    pub name: String,
}

/// What a person said about a purpose. Times are microseconds since 1970-01-01T00:00:00Z: there may be millions of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentEntry {
    pub subject: [u8; 32],
    pub purpose: PurposeId,
    pub state: ConsentState,
    /// When the person said so.
    pub valid_from: i64,
    pub expires_at: Option<i64>,
    /// The version from which decisions heed it.
    pub version: u64,
}

/// One person's consent to one purpose, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentOf {
    pub purpose: String,
    pub state: ConsentState,
    pub valid_from: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub version: u64,
}

/// The purposes of a project, by name.
pub async fn purposes(db: &impl Db, project: ProjectId) -> Result<Vec<Purpose>> {
    let rows = purposes::Entity::find()
        .filter(purposes::Column::ProjectId.eq(project.0))
        .order_by_asc(purposes::Column::Name)
        .all(db.conn())
        .await?;
    Ok(rows.into_iter().map(|row| Purpose { id: PurposeId(row.id), name: row.name }).collect())
}

pub async fn purpose(db: &impl Db, project: ProjectId, name: &str) -> Result<Option<PurposeId>> {
    let row = purposes::Entity::find()
        .filter(purposes::Column::ProjectId.eq(project.0))
        .filter(purposes::Column::Name.eq(name))
        .one(db.conn())
        .await?;
    Ok(row.map(|row| PurposeId(row.id)))
}

/// The purpose's number; a new purpose gets one.
pub async fn ensure_purpose(tx: &Tx, project: ProjectId, name: &str) -> Result<PurposeId> {
    if let Some(known) = purpose(tx, project, name).await? {
        return Ok(known);
    }
    let last = purposes::Entity::find().order_by_desc(purposes::Column::Id).limit(1).one(tx.conn()).await?;
    let id = last.map_or(1, |row| row.id + 1);
    let row = purposes::Model { id, project_id: project.0, name: name.to_owned() };
    purposes::Entity::insert(purposes::ActiveModel::from(row))
        .exec_without_returning(tx.conn())
        .await
        .map_err(|e| StoreError::or_exists(e, "purpose", name))?;
    Ok(PurposeId(id))
}

/// The version of the newest change, of all projects.
pub async fn version(db: &impl Db) -> Result<u64> {
    let row = counters::Entity::find_by_id(VERSION.to_owned()).one(db.conn()).await?;
    unsigned("the consent version", row.map_or(0, |row| row.value))
}

/// Takes the next `count` versions and returns the first. Nobody else can take one before the transaction ends.
pub(crate) async fn take_versions(tx: &Tx, count: usize) -> Result<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    counters::Entity::update_many()
        .col_expr(counters::Column::Value, Expr::col(counters::Column::Value).add(count))
        .filter(counters::Column::Name.eq(VERSION))
        .exec(tx.conn())
        .await?;
    let row = counters::Entity::find_by_id(VERSION.to_owned()).one(tx.conn()).await?;
    let last = row.ok_or_else(|| StoreError::Corrupt("the counter of consent versions is missing".to_owned()))?.value;
    Ok(last - count + 1)
}

/// Changes to these purposes after a version, in the order of their versions, `limit` at most: the live feed. When as many came as were
/// asked for, ask again from the last one's version.
pub async fn since(db: &impl Db, purposes: &[PurposeId], version: u64, limit: u32) -> Result<Vec<ConsentEntry>> {
    if purposes.is_empty() {
        return Ok(Vec::new());
    }
    let backend = db.conn().get_database_backend();
    let mut values: Vec<Value> = vec![signed(version).into()];
    values.extend(purposes.iter().map(|purpose| Value::from(purpose.0)));
    let first = match backend {
        sea_orm::DbBackend::Postgres => "$1",
        _ => "?",
    };
    let sql = format!(
        "SELECT subject_hash, purpose_id, state, valid_from, expires_at, version FROM consent_changes \
         WHERE version > {first} AND purpose_id IN {} ORDER BY version LIMIT {limit}",
        crate::bulk::list(backend, 2, purposes.len())
    );
    let rows = db.conn().query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    rows.into_iter()
        .map(|row| {
            Ok(ConsentEntry {
                subject: hash32("a subject hash", &row.try_get_by_index::<Vec<u8>>(0)?)?,
                purpose: PurposeId(row.try_get_by_index(1)?),
                state: state(row.try_get_by_index(2)?)?,
                valid_from: row.try_get_by_index(3)?,
                expires_at: row.try_get_by_index(4)?,
                version: unsigned("a consent version", row.try_get_by_index(5)?)?,
            })
        })
        .collect()
}

/// What a person has said, one entry a purpose, by the purpose's name.
pub async fn of_subject(db: &impl Db, project: ProjectId, subject: &[u8; 32]) -> Result<Vec<ConsentOf>> {
    let mut all = Vec::new();
    let backend = db.conn().get_database_backend();
    let (first, second) = match backend {
        sea_orm::DbBackend::Postgres => ("$1", "$2"),
        _ => ("?", "?"),
    };
    let sql = format!(
        "SELECT state, valid_from, expires_at, version FROM consent WHERE purpose_id = {first} AND subject_hash = {second}"
    );
    for purpose in purposes(db, project).await? {
        let values: Vec<Value> = vec![purpose.id.0.into(), subject.to_vec().into()];
        let row = db.conn().query_one_raw(Statement::from_sql_and_values(backend, sql.clone(), values)).await?;
        if let Some(row) = row {
            all.push(ConsentOf {
                purpose: purpose.name,
                state: state(row.try_get_by_index(0)?)?,
                valid_from: at(row.try_get_by_index(1)?),
                expires_at: at_opt(row.try_get_by_index(2)?),
                version: unsigned("a consent version", row.try_get_by_index(3)?)?,
            });
        }
    }
    Ok(all)
}

impl ConsentEntry {
    /// Whether it allows the purpose at a time.
    pub fn allows(&self, now: DateTime<Utc>) -> bool {
        self.state == ConsentState::Granted && self.expires_at.is_none_or(|expiry| expiry > micros(now))
    }
}

pub(crate) fn state_code(state: ConsentState) -> i16 {
    match state {
        ConsentState::Granted => 0,
        ConsentState::Denied => 1,
        ConsentState::Withdrawn => 2,
    }
}

pub(crate) fn state(code: i16) -> Result<ConsentState> {
    ConsentState::ALL
        .into_iter()
        .find(|state| state_code(*state) == code)
        .ok_or_else(|| StoreError::Corrupt(format!("{code} is not a consent state")))
}
