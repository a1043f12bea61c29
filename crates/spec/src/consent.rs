//! `consent:` steps: does this person allow this purpose, now?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq)]
pub struct ConsentStep {
    /// A source or a step.
    pub from: String,
    /// The purpose asked for; by default the pipeline's.
    pub purpose: Option<String>,
    pub on_deny: OnDeny,
    pub on_unknown: OnUnknown,
}

/// What happens to a row whose subject denied, withdrew or let the consent expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDeny {
    #[default]
    Drop,
    Quarantine,
}

/// What happens to a row whose subject has said nothing, or that names no subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    #[default]
    Deny,
    Quarantine,
    Allow,
}
