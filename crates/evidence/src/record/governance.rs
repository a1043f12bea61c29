//! Keys, consent and contracts: the facts that decisions rest on.

use serde::{Deserialize, Serialize};

use super::SubjectHash;
use crate::{hash::Hash, timestamp::Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyEvent {
    pub action: KeyAction,
    /// What the key is for: `master`, `project`, `signing`, `subject`.
    pub scope: String,
    pub key_id: String,
    /// Whose key it is, for a subject's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectHash>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    Created,
    Rotated,
    /// What it sealed can no longer be read by anyone.
    Destroyed,
}

/// One person's consent to one purpose changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsentChange {
    pub subject: SubjectHash,
    pub purpose: String,
    pub state: ConsentState,
    /// When the person said so.
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The consent version from which decisions heed it.
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    Granted,
    Denied,
    Withdrawn,
}

/// Many consents were read from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsentImported {
    /// The SHA-256 of the file.
    pub file: Hash,
    pub rows: u64,
    /// The consent version from which decisions heed them.
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContractRegistered {
    pub name: String,
    pub version: u64,
    /// The SHA-256 of the contract document.
    pub document: Hash,
}
