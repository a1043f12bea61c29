//! Why work in the background could not be done.

use weir_engine::EngineError;
use weir_spec::Diagnostic;
use weir_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The document is refused; nothing ran.
    #[error("the document has {} errors", .0.iter().filter(|d| d.is_error()).count())]
    Document(Vec<Diagnostic>),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Service(#[from] weir_service::Error),
    #[error("{0}")]
    Busy(String),
    #[error("{path}: {error}", path = path.display())]
    Io { path: std::path::PathBuf, error: std::io::Error },
    #[error("{0}")]
    Internal(String),
}

impl WorkerError {
    pub fn io(path: impl Into<std::path::PathBuf>, error: std::io::Error) -> Self {
        Self::Io { path: path.into(), error }
    }
}
