//! Whose fault a failure is, and whether trying again may help.

use std::path::PathBuf;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// The document or the data: somebody must change something.
    User,
    /// The outside: a disk, a network, another system.
    External,
    /// Weir: a bug.
    Internal,
}

/// A source or a sink failed. Never carries row data.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    #[error("{path}: {error}", path = path.display())]
    Io { path: PathBuf, error: std::io::Error },
    /// The path leaves the folders that a pipeline is confined to.
    #[error(
        "{path}: leads to {leads_to}, which is neither below the folder of this project's files nor in another allowed one; put the \
         file itself there, or let the operator start `weir serve` with `--allow DIR`",
        path = path.display(),
        leads_to = leads_to.display()
    )]
    Outside { path: PathBuf, leads_to: PathBuf },
    /// The configuration cannot work; the message says what to change.
    #[error("{0}")]
    Config(String),
    /// The position to resume from no longer fits the source, for example because a file was replaced.
    #[error("{0}")]
    Resume(String),
    #[error("{0}")]
    Internal(String),
}

impl ConnectorError {
    pub fn io(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        Self::Io { path: path.into(), error }
    }

    pub fn domain(&self) -> Domain {
        match self {
            Self::Io { .. } => Domain::External,
            Self::Outside { .. } | Self::Config(_) | Self::Resume(_) => Domain::User,
            Self::Internal(_) => Domain::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io { error, .. } => !matches!(
                error.kind(),
                std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::InvalidInput
                    | std::io::ErrorKind::BrokenPipe
            ),
            _ => false,
        }
    }
}
