//! The tables as sea-orm sees them. Nothing here leaves this crate.

pub(crate) mod alerts;
pub(crate) mod api_tokens;
pub(crate) mod checkpoints;
pub(crate) mod counters;
pub(crate) mod deployments;
pub(crate) mod document_versions;
pub(crate) mod documents;
pub(crate) mod evidence_leaves;
pub(crate) mod evidence_state;
pub(crate) mod instance;
pub(crate) mod memberships;
pub(crate) mod newest_head;
pub(crate) mod node_metrics;
pub(crate) mod projects;
pub(crate) mod purposes;
pub(crate) mod quality_measures;
pub(crate) mod quality_windows;
pub(crate) mod quarantine_segments;
pub(crate) mod runs;
pub(crate) mod sealed_keys;
pub(crate) mod sessions;
pub(crate) mod subject_keys;
pub(crate) mod tree_heads;
pub(crate) mod users;
