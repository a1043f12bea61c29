//! A data subject in evidence: a keyed hash, never a name.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::decode_hex;

/// A subject as 64 lower-case hex digits of an HMAC under the project's subject-hash key. Without that key nobody can tell
/// whom it means, so the log survives the erasure of a person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectHash(String);

/// Text that is not a subject's keyed hash. The text itself is not repeated: it may be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("evidence names a subject by its keyed hash, 64 lower-case hex digits; what was given is something else")]
pub struct SubjectHashError;

impl SubjectHash {
    pub fn from_bytes(hash: &[u8; 32]) -> Self {
        Self(hex::encode(hash))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SubjectHash {
    type Error = SubjectHashError;
    fn try_from(text: String) -> Result<Self, SubjectHashError> {
        match decode_hex::<32>(text.as_bytes()) {
            Some(_) => Ok(Self(text)),
            None => Err(SubjectHashError),
        }
    }
}

impl From<SubjectHash> for String {
    fn from(subject: SubjectHash) -> Self {
        subject.0
    }
}

impl fmt::Display for SubjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
