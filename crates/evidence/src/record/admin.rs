//! What people and tokens did: administrative acts, and readings of quarantined rows.

use serde::{Deserialize, Serialize};

/// An act in the console, the API or on the command line. Who did it is the leaf's actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdminAction {
    /// Where it came from: an IP address, or `local` for the command line.
    pub address: String,
    /// Such as `pipeline.deploy` or `session.sign_in`.
    pub action: String,
    /// Such as `pipeline:card-fraud`.
    pub resource: String,
    pub decision: AdminDecision,
    /// The permission rule that matched; none where no rule allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The content hash, or a small value, before and after. Never a secret, never a data subject's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminDecision {
    Allowed,
    Denied,
}

/// Quarantined rows were unsealed for someone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantineRead {
    pub address: String,
    pub pipeline: String,
    /// The ids of the rows that were shown.
    pub rows: Vec<String>,
    /// Whether the rows' contents were shown, or their reasons only.
    pub contents: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
