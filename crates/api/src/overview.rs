//! The first page of the console: how the project is doing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{alert::OpenAlerts, audit::Head, run::RunSummary};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    pub pipelines: PipelineCounts,
    /// The newest runs, newest first.
    pub recent_runs: Vec<RunSummary>,
    /// Of all runs that report right now.
    pub rows_in_per_second: f64,
    pub rows_out_per_second: f64,
    /// Malformed, quarantined, denied, late and dropped rows.
    pub rejects_per_second: f64,
    /// Rows that SQL steps leave out, as their `WHERE` says.
    pub filtered_per_second: f64,
    /// Rows held in quarantine, of all runs, whatever for.
    pub quarantined_rows: u64,
    /// Absent where the caller may not read alerts.
    pub open_alerts: Option<OpenAlerts>,
    pub evidence: EvidenceState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineCounts {
    pub total: u64,
    pub running: u64,
    pub failed: u64,
    /// Stopped, finished, starting, stopping or never deployed.
    pub other: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvidenceState {
    /// Leaves in the log.
    pub leaves: u64,
    /// The newest signed tree head.
    pub head: Option<Head>,
    /// When the newest leaf was written.
    pub last_leaf_at: Option<DateTime<Utc>>,
}
