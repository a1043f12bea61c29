//! What can go wrong in the database, and what to do about it.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use weir_authz::Action;

pub type Result<T> = std::result::Result<T, StoreError>;

/// A repository's failure. Messages name ids and columns, never values of rows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no {what} {id}")]
    NotFound { what: &'static str, id: String },
    /// What was to be made is there already, or a rule of the schema stands against it.
    #[error("{what} {id} exists already")]
    Exists { what: &'static str, id: String },
    /// Somebody else changed it meanwhile: read it again and decide anew.
    #[error("{what} is at version {found}, not at {expected}: somebody changed it meanwhile; read it again")]
    VersionConflict { what: &'static str, expected: u64, found: u64 },
    /// The run was taken over: this worker must stop at once and write nothing more.
    #[error("the lease of run {run} is at epoch {current}, this worker holds {held}: another worker has taken over; stop")]
    StaleLease { run: weir_api::RunId, held: u64, current: u64 },
    #[error("{0}")]
    Conflict(String),
    /// A list was to go on after what is no place of it.
    #[error("the cursor is not one of this list")]
    Cursor,
    /// A bug in the caller: it asked for one thing and did another.
    #[error("the grant is for {granted}, but {needed} is needed")]
    WrongGrant { needed: Action, granted: String },
    #[error("the database holds what Weir did not write: {0}")]
    Corrupt(String),
    #[error("evidence: {0}")]
    Evidence(String),
    #[error("cannot open {location}: {problem}")]
    Open { location: String, problem: String },
    #[error("database: {}", in_short(.0))]
    Database(DbErr),
}

impl StoreError {
    pub(crate) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// A broken unique constraint becomes [`StoreError::Exists`]; everything else stays what it is.
    pub(crate) fn or_exists(error: DbErr, what: &'static str, id: impl std::fmt::Display) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Exists { what, id: id.to_string() },
            _ => Self::Database(error),
        }
    }

    /// Whether the same call may succeed later: the database was busy, or out of reach.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) => true,
            Self::Database(error) => error.to_string().contains("database is locked"),
            _ => false,
        }
    }
}

/// What the database itself says, without the layers that it came through.
fn in_short(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => said(cause),
        other => other.to_string(),
    }
}

pub(crate) fn said(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(DbErr::Query(RuntimeErr::SqlxError(std::sync::Arc::new(error))))
    }
}
