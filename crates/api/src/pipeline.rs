//! Pipelines: documents with versions, and whether they are deployed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use weir_spec::Diagnostic;

use crate::{
    graph::Graph,
    id::{RunId, Slug},
    run::RunSummary,
    user::UserRef,
};

/// Where a pipeline stands, all told: what was asked for and what the newest run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Never deployed.
    Draft,
    /// Deployed; no worker has taken it up yet.
    Starting,
    Running,
    /// A stop was asked for; the run takes its last checkpoint.
    Stopping,
    Stopped,
    /// Its bounded sources ended.
    Finished,
    /// The newest run failed; `failure` of the run says why.
    Failed,
}

impl PipelineState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineSummary {
    pub name: Slug,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub purpose: String,
    pub state: PipelineState,
    /// The newest version.
    pub version: u32,
    /// The version that runs, or ran last.
    pub deployed_version: Option<u32>,
    pub updated_at: DateTime<Utc>,
    pub updated_by: Option<UserRef>,
    /// The newest run.
    pub last_run: Option<RunSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineDetail {
    pub summary: PipelineSummary,
    /// The newest version's text, YAML or JSON, as it was written.
    pub document: String,
    /// SHA-256 of the text, hex. Approvals and deployments are bound to it.
    pub hash: String,
    /// Absent when the document no longer plans, for example because its contract is gone.
    pub graph: Option<Graph>,
    /// Warnings, and errors if the document no longer plans.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::Diagnostic>))]
    pub diagnostics: Vec<Diagnostic>,
    pub deployment: Option<Deployment>,
}

/// What is, or was last, deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deployment {
    pub state: PipelineState,
    pub version: u32,
    /// SHA-256 of the deployed text, hex.
    pub hash: String,
    pub run: Option<RunId>,
    pub changed_at: DateTime<Utc>,
    pub changed_by: Option<UserRef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineVersion {
    pub version: u32,
    pub hash: String,
    pub created_at: DateTime<Utc>,
    pub created_by: Option<UserRef>,
    /// What changed, in its author's words.
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineVersionDetail {
    pub version: PipelineVersion,
    pub document: String,
}

/// The name is the document's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreatePipeline {
    pub document: String,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdatePipeline {
    pub document: String,
    /// The version this change was made from. If another one came first, the answer is 409.
    pub expected_version: u32,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ValidatePipeline {
    pub document: String,
}

/// All findings of a document at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Validation {
    /// No finding is an error: the document can be deployed.
    pub deployable: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::Diagnostic>))]
    pub diagnostics: Vec<Diagnostic>,
    /// Present when the document could be read.
    pub graph: Option<Graph>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeployPipeline {
    /// By default the newest.
    #[serde(default)]
    pub version: Option<u32>,
    /// Begin anew: positions, state and counts are forgotten, on record. What sinks have committed stays. For a pipeline that does not
    /// run.
    #[serde(default)]
    pub fresh: bool,
}

/// Deleting names what it destroys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct DeletePipeline {
    /// The newest version the caller has seen.
    pub expected_version: u32,
}
