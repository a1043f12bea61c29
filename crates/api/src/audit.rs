//! The audit log: entries, signed heads, proofs and verification.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether it was permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Allowed,
    Denied,
}

/// A leaf of the log as people read it. `leaf` holds exactly what was hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Position in the log, from 0.
    pub index: u64,
    pub at: DateTime<Utc>,
    /// What it speaks of: `admin` for what somebody did, `checkpoint` for the decisions of a pipeline, `run_started`,
    /// `run_ended`, `quarantine_read`, `consent_change`, `consent_imported`, `contract_registered`, `key_event`, `log_started`.
    pub kind: String,
    /// As the leaf holds it: `user:ID`, `token:ID`, `run:ID`, `system:worker`, `anonymous`.
    pub actor: String,
    /// The actor's sign-in name, or the pipeline of a run, looked up for this answer.
    pub actor_name: Option<String>,
    /// Such as `pipeline.deploy` or `checkpoint`.
    pub action: String,
    /// Such as `pipeline:card-fraud`.
    pub resource: String,
    pub outcome: Outcome,
    /// The rule that decided.
    pub rule: Option<String>,
    pub request_id: Option<String>,
    pub remote_address: Option<String>,
    /// The canonical JSON that was hashed.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub leaf: serde_json::Value,
    /// RFC 6962 leaf hash, hex.
    pub leaf_hash: String,
}

/// Which entries to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct AuditQuery {
    /// Found in actor, action, resource or request id.
    pub text: Option<String>,
    /// One kind, or several with commas between them.
    pub kind: Option<String>,
    pub actor: Option<String>,
    /// The action, or what it begins with: `pipeline` finds `pipeline.deploy`.
    pub action: Option<String>,
    pub resource: Option<String>,
    pub outcome: Option<Outcome>,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    pub after: Option<String>,
    pub limit: Option<u32>,
}

/// A signed tree head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Head {
    /// The log it is a head of.
    pub log_id: String,
    /// Leaves under it.
    pub size: u64,
    /// RFC 6962 tree hash, hex.
    pub root: String,
    pub signed_at: DateTime<Utc>,
    /// The head signed before this one; absent in heads of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousHead>,
    /// Names the public key.
    pub key_id: String,
    /// Ed25519, hex.
    pub signature: String,
}

/// What a head says of the one before it; before the first there is the empty log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviousHead {
    pub size: u64,
    /// Hex.
    pub root: String,
}

/// That a leaf is under a head (RFC 6962, section 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InclusionProof {
    pub index: u64,
    pub leaf_hash: String,
    /// Hex, from the leaf upwards.
    pub path: Vec<String>,
    pub head: Head,
}

/// That a later head continues an earlier one (RFC 6962, section 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsistencyProof {
    pub first_size: u64,
    pub first_root: String,
    pub second_size: u64,
    pub second_root: String,
    pub path: Vec<String>,
}

/// What came of reading the whole log again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyResult {
    pub valid: bool,
    pub leaves: u64,
    /// The recomputed root, hex.
    pub root: String,
    /// Signed heads that were checked against the leaves.
    pub heads: u64,
    pub head: Option<Head>,
    pub verified_at: DateTime<Utc>,
    pub failure: Option<VerifyFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyFailure {
    /// The first broken leaf, when one can be named.
    pub index: Option<u64>,
    pub message: String,
}
