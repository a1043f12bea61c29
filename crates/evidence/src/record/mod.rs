//! A leaf of the log: an envelope that never changes, and a body of a kind that may be added to.
//!
//! How it grows: a new field is optional and left out when empty, so that old leaves decode; a change of meaning is a new
//! kind. A kind this version does not know decodes as [`Body::Other`] and still verifies, because verification hashes the
//! stored bytes. No body may hold plain personal data of a data subject: subjects are [`SubjectHash`]es.

mod admin;
mod alert;
mod checkpoint;
mod governance;
mod run;
mod subject;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use admin::{AdminAction, AdminDecision, QuarantineRead};
pub use alert::{AlertChange, AlertSeverity, AlertTransition};
pub use checkpoint::{
    CheckpointDecision, ColumnLineage, ConsentCounts, FileCommit, LineageInput, LineageType, MaskingOperation, NodeCounts,
    RuleResult, SinkCommit, SourcePosition,
};
pub use governance::{ConsentChange, ConsentImported, ConsentState, ContractRegistered, KeyAction, KeyEvent};
pub use run::{CheckpointDiscarded, LogStarted, RunEnded, RunStarted, RunStatus};
pub use subject::{SubjectHash, SubjectHashError};

use crate::{
    canonical::{self, CanonicalError},
    hash::Hash,
    merkle::leaf_hash,
    timestamp::Timestamp,
};

/// The version of the envelope that this code writes.
pub const VERSION: u32 = 1;

/// One record of the evidence log.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Its index in the log, from 0.
    pub seq: u64,
    pub at: Timestamp,
    /// The project it belongs to; none for what concerns the whole installation.
    pub project: Option<String>,
    /// Who did it: a user's or token's id, `run:<id>`, or `system`.
    pub actor: String,
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum Body {
    /// The log begins; always leaf 0.
    LogStarted(LogStarted),
    RunStarted(RunStarted),
    Checkpoint(Box<CheckpointDecision>),
    CheckpointDiscarded(CheckpointDiscarded),
    RunEnded(RunEnded),
    /// An alert was raised, resolved or forgotten.
    Alert(AlertTransition),
    /// An administrative act in the console, the API or on the command line, allowed or denied.
    Admin(AdminAction),
    /// Someone read quarantined rows.
    QuarantineRead(QuarantineRead),
    KeyEvent(KeyEvent),
    ConsentChange(ConsentChange),
    ConsentImported(ConsentImported),
    ContractRegistered(ContractRegistered),
    /// A kind, or a form of a kind, that this version does not know.
    #[serde(untagged)]
    Other {
        kind: String,
        body: Value,
    },
}

/// Bytes that are no leaf.
#[derive(Debug, Error)]
pub enum LeafError {
    #[error("not a leaf of the evidence log: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a leaf of envelope version {0}, which this version of Weir cannot read; verify it, or read it with a newer one")]
    Version(u32),
}

/// The envelope as stored.
#[derive(Serialize, Deserialize)]
struct Envelope<B> {
    v: u32,
    seq: u64,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    actor: String,
    #[serde(flatten)]
    body: B,
}

impl Leaf {
    /// The canonical bytes to store and to hash.
    pub fn to_canonical(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_vec(&Envelope {
            v: VERSION,
            seq: self.seq,
            at: self.at.clone(),
            project: self.project.clone(),
            actor: self.actor.clone(),
            body: &self.body,
        })
    }

    /// The canonical bytes and their leaf hash.
    pub fn seal(&self) -> Result<(Vec<u8>, Hash), CanonicalError> {
        let bytes = self.to_canonical()?;
        let hash = leaf_hash(&bytes);
        Ok((bytes, hash))
    }

    /// Reads stored bytes. Proves nothing: see [`crate::verify`].
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, LeafError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(bytes)?;
        if v != VERSION {
            return Err(LeafError::Version(v));
        }
        let Envelope { v: _, seq, at, project, actor, body } = serde_json::from_slice(bytes)?;
        Ok(Self { seq, at, project, actor, body })
    }
}

impl Body {
    /// The kind's name in a leaf; what the audit log is searched by.
    pub fn kind(&self) -> &str {
        match self {
            Self::LogStarted(_) => "log_started",
            Self::RunStarted(_) => "run_started",
            Self::Checkpoint(_) => "checkpoint",
            Self::CheckpointDiscarded(_) => "checkpoint_discarded",
            Self::RunEnded(_) => "run_ended",
            Self::Alert(_) => "alert",
            Self::Admin(_) => "admin",
            Self::QuarantineRead(_) => "quarantine_read",
            Self::KeyEvent(_) => "key_event",
            Self::ConsentChange(_) => "consent_change",
            Self::ConsentImported(_) => "consent_imported",
            Self::ContractRegistered(_) => "contract_registered",
            Self::Other { kind, .. } => kind,
        }
    }
}
