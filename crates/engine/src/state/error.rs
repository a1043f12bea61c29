//! What goes wrong with state: named by file, and typed so that a run can fall back to the checkpoint before.

use thiserror::Error;

/// State cannot be kept, written or read. Messages name files and positions, never keys or values.
#[derive(Debug, Error)]
pub enum StateError {
    #[error("state file {file}: cannot {action}: {error}")]
    Io { file: String, action: &'static str, error: std::io::Error },
    /// The file was changed, cut off or belongs elsewhere. The checkpoint before may still be whole.
    #[error("state file {file} is damaged: {what}; restore from the checkpoint before")]
    Damaged { file: String, what: String },
    #[error("state file {file} is missing; restore from the checkpoint before")]
    Missing { file: String },
    #[error("the checkpoint lacks the state of lane {lane} of {lanes}; restore from the checkpoint before")]
    Incomplete { lane: usize, lanes: usize },
    #[error("state file {file} was written in layout {version}, this Weir reads {}; start with fresh state", super::VERSION)]
    OtherVersion { file: String, version: u32 },
    #[error("state file {file} belongs to another operator or to another definition of it; start anew: `weir run --fresh`")]
    OtherOperator { file: String },
    #[error("state file {file} was sealed under key {needed}, but key {given} was given; provide the key of the project")]
    WrongKey { file: String, needed: weir_vault::KeyId, given: weir_vault::KeyId },
    /// From [`StateValue::decode`](super::StateValue::decode): the bytes are not a value of this type.
    #[error("stored bytes are not what they should be: {0}")]
    Malformed(&'static str),
    #[error("more than 2^32 slots of keyed state in one lane; raise the parallelism")]
    Full,
    #[error("the operating system gave no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

impl StateError {
    /// Whether the checkpoint before this one may still be restored.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing { .. } | Self::Incomplete { .. })
    }

    pub(crate) fn damaged(file: &str, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), what: what.into() }
    }

    pub(crate) fn io(file: &str, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.to_owned();
        move |error| match error.kind() {
            std::io::ErrorKind::NotFound if action == "open" => Self::Missing { file },
            std::io::ErrorKind::UnexpectedEof => Self::Damaged { file, what: "it ends too early".into() },
            _ => Self::Io { file, action, error },
        }
    }
}
