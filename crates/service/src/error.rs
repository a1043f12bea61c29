//! What a use case can fail with, and the problem document each failure becomes.
//!
//! The rules of 401, 403 and 404:
//!
//! - 401: nobody is signed in, or the session or token is no longer good. The answer never says which of name and password
//!   was wrong, nor whether the user exists.
//! - 404: the thing does not exist, or the caller may not know that it does: a project they are no member of, and anything in
//!   it; a single thing of a kind that they may not see. Both answers are the same.
//! - 403: the caller may know that the thing exists, but may not do this to it.

use std::time::Duration;

use weir_api::{Diagnostic, FieldError, Problem, ProblemError};
use weir_authz::{Action, Resource};
use weir_store::StoreError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in, or the session or token is no longer good.
    #[error("sign in first")]
    Unauthenticated,
    /// Name or password is wrong, or the user is disabled; nobody is told which.
    #[error("name or password is wrong")]
    SignInFailed,
    /// Too many failed sign-ins.
    #[error("too many failed sign-ins; try again in {} seconds", retry_after.as_secs().max(1))]
    Locked { retry_after: Duration },
    #[error("`{action}` is not permitted here (rule {rule})")]
    Denied { action: Action, rule: String },
    /// `what` is what was asked for, such as `pipeline card-fraud`.
    #[error("there is no {what}")]
    NotFound { what: String },
    /// Something of that name exists already, or the state does not allow it now.
    #[error("{0}")]
    Conflict(String),
    /// Somebody else was faster.
    #[error(
        "{what} is at version {found} by now, the change was made from version {expected}; load it again and repeat the change"
    )]
    Stale { what: String, expected: u32, found: u32 },
    #[error("the request has {} field(s) that cannot be accepted", .0.len())]
    Invalid(Vec<FieldError>),
    /// The document has errors.
    #[error("the document has {} error(s)", .0.iter().filter(|d| d.is_error()).count())]
    Document(Vec<Diagnostic>),
    #[error("{0}")]
    TooLarge(String),
    /// The receiver is behind; nothing was taken over.
    #[error("{what} is behind; try again in {} seconds", retry_after.as_secs().max(1))]
    Busy { what: String, retry_after: Duration },
    /// A part of this instance is not there, such as the worker.
    #[error("{0}")]
    Unavailable(String),
    /// Weir or its machine failed. The cause goes to the log, never to the caller.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// The answer for a resource that is not there, and for one that the caller may not know of.
    pub(crate) fn missing(resource: &Resource) -> Self {
        Self::NotFound { what: resource.to_string().replacen(':', " ", 1) }
    }

    pub(crate) fn internal(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Internal(format!("{what}: {error}"))
    }

    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// Of a list that goes on after a place which it does not have.
    pub(crate) fn bad_cursor() -> Self {
        Self::invalid("after", "is not a cursor of this list; begin without it")
    }

    /// The problem document of this error. `instance` and `request_id` are the transport's to add.
    pub fn problem(&self) -> Problem {
        let (name, title, status) = match self {
            Self::Unauthenticated => ("unauthenticated", "Sign in first", 401),
            Self::SignInFailed => ("sign-in-failed", "Name or password is wrong", 401),
            Self::Locked { .. } => ("locked", "Too many failed sign-ins", 429),
            Self::Denied { .. } => ("denied", "Not permitted", 403),
            Self::NotFound { .. } => ("not-found", "Not found", 404),
            Self::Conflict(_) => ("conflict", "Conflict", 409),
            Self::Stale { .. } => ("stale", "Changed by somebody else", 409),
            Self::Invalid(_) => ("invalid-request", "The request cannot be accepted", 422),
            Self::Document(_) => ("invalid-document", "The document has errors", 422),
            Self::TooLarge(_) => ("too-large", "Too large", 413),
            Self::Busy { .. } => ("busy", "Try again later", 429),
            Self::Unavailable(_) => ("unavailable", "Not available now", 503),
            Self::Internal(_) => ("internal", "Internal error", 500),
        };
        let mut problem = Problem::new(name, title, status);
        problem.detail = match self {
            Self::Internal(_) => Some("This is a fault of the server. Its log holds the cause under the request id.".to_owned()),
            other => Some(sentence(&other.to_string())),
        };
        match self {
            Self::Invalid(fields) => problem.errors = fields.iter().cloned().map(ProblemError::Field).collect(),
            Self::Document(diagnostics) => problem.errors = diagnostics.iter().cloned().map(ProblemError::Document).collect(),
            Self::Locked { retry_after } | Self::Busy { retry_after, .. } => {
                problem.retry_after_seconds = Some(retry_after.as_secs().max(1));
            }
            _ => {}
        }
        problem
    }
}

/// What the database refused because of what was asked for is the caller's to mend; the rest is ours.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, id } => Self::NotFound { what: format!("{what} {id}") },
            StoreError::Cursor => Self::bad_cursor(),
            StoreError::Exists { .. } | StoreError::Conflict(_) => Self::Conflict(error.to_string()),
            StoreError::VersionConflict { what, expected, found } => Self::Stale {
                what: what.to_owned(),
                expected: u32::try_from(expected).unwrap_or(u32::MAX),
                found: u32::try_from(found).unwrap_or(u32::MAX),
            },
            StoreError::StaleLease { .. }
            | StoreError::WrongGrant { .. }
            | StoreError::Corrupt(_)
            | StoreError::Evidence(_)
            | StoreError::Open { .. } => Self::Internal(error.to_string()),
            StoreError::Database(_) if error.is_retryable() => Self::Unavailable("the database is busy; try again".to_owned()),
            StoreError::Database(_) => Self::Internal(error.to_string()),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut sentence: String = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}
