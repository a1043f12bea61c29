//! Why a run failed: whose fault it is, and whether to try again.

use weir_connectors::{ConnectorError, Domain};

use crate::state::StateError;

/// A run failed. Rejected rows are not errors; they leave through outputs. Messages never carry row data.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{node}: {error}")]
    Connector { node: String, error: ConnectorError },
    /// The document asks for the run to stop: a rule with `on_fail: stop`, input with `on_malformed: fail`.
    #[error("{node}: {message}")]
    Stopped { node: String, message: String },
    /// The stored state does not fit the document any more.
    #[error("cannot resume: {0}")]
    Resume(String),
    /// Stored state is damaged: the checkpoint before may serve.
    #[error("{node}: {message}")]
    Damaged { node: String, message: String },
    /// State could not be read or written.
    #[error("{node}: {error}")]
    State { node: String, error: StateError },
    /// Something outside, such as the database, failed.
    #[error("{message}")]
    Host { message: String, retryable: bool },
    /// Another worker has taken the run over.
    #[error("the lease on this run was lost")]
    LeaseLost,
    /// A stage broke its promise; always a bug.
    #[error("internal error in {node}: {message}")]
    Internal { node: String, message: String },
    /// Another part of the run failed first; that error is the one to report.
    #[error("cancelled")]
    Cancelled,
}

impl EngineError {
    pub fn connector(node: &str, error: ConnectorError) -> Self {
        Self::Connector { node: node.to_owned(), error }
    }

    pub fn internal(node: &str, message: impl std::fmt::Display) -> Self {
        Self::Internal { node: node.to_owned(), message: message.to_string() }
    }

    pub fn state(node: &str, error: StateError) -> Self {
        let node = node.to_owned();
        if error.is_damage() { Self::Damaged { node, message: error.to_string() } } else { Self::State { node, error } }
    }

    /// What happened, without the node's name, for where that is shown beside it.
    pub fn message(&self) -> String {
        match self {
            Self::Connector { error, .. } => error.to_string(),
            Self::State { error, .. } => error.to_string(),
            Self::Stopped { message, .. } | Self::Damaged { message, .. } | Self::Internal { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }

    pub fn domain(&self) -> Domain {
        match self {
            Self::Connector { error, .. } => error.domain(),
            Self::Stopped { .. } | Self::Resume(_) | Self::Damaged { .. } => Domain::User,
            Self::Host { .. } | Self::LeaseLost | Self::State { .. } => Domain::External,
            Self::Internal { .. } | Self::Cancelled => Domain::Internal,
        }
    }

    /// Whether starting the run again may succeed without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connector { error, .. } => error.is_retryable(),
            Self::Host { retryable, .. } => *retryable,
            _ => false,
        }
    }
}
