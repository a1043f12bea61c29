//! Registered data contracts (ODCS v3).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{graph::GraphColumn, id::Slug, user::UserRef};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContractSummary {
    pub name: Slug,
    /// The whole version, such as `1.4.0`. A version is never changed.
    pub version: String,
    /// Its first number: `payments@1` means the newest `1.x.y`.
    pub major: u32,
    /// The ODCS status, such as `active`.
    pub status: String,
    pub description: Option<String>,
    pub columns: u32,
    /// SHA-256 of the document's text, hex.
    pub hash: String,
    pub registered_at: DateTime<Utc>,
    pub registered_by: Option<UserRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContractDetail {
    pub summary: ContractSummary,
    /// The document as it was registered.
    pub document: String,
    pub columns: Vec<GraphColumn>,
    /// The names of its quality rules.
    pub rules: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegisterContract {
    /// An ODCS v3 document, YAML or JSON.
    pub document: String,
}
