//! Alerts: what runs noticed, whether it lasts, and who has taken note.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{AlertId, RunId, Slug},
    user::UserRef,
};

/// How bad it is, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    Warn,
    Error,
    Critical,
}

/// A text that names no severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a severity; use warn, error or critical")]
pub struct UnknownSeverity(pub String);

impl AlertSeverity {
    pub const ALL: [Self; 3] = [Self::Warn, Self::Error, Self::Critical];

    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for AlertSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlertSeverity {
    type Err = UnknownSeverity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| UnknownSeverity(text.to_owned()))
    }
}

impl From<weir_spec::metric::RuleSeverity> for AlertSeverity {
    fn from(severity: weir_spec::metric::RuleSeverity) -> Self {
        use weir_spec::metric::RuleSeverity;
        match severity {
            RuleSeverity::Warn => Self::Warn,
            RuleSeverity::Error => Self::Error,
            RuleSeverity::Critical => Self::Critical,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The cause lasts.
    Open,
    /// The cause is gone.
    Resolved,
    /// Nobody watches the cause any more: the pipeline was started anew or deleted, or the step is not in it any longer.
    Forgotten,
}

/// One cause that an alert step noticed. Times of it are event time where the step goes by that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    pub id: AlertId,
    pub state: AlertState,
    pub severity: AlertSeverity,
    pub pipeline: Slug,
    /// The run that raised it.
    pub run: RunId,
    /// The alert step, as the document names it.
    pub step: String,
    /// Tells causes of a step from one another; hex of a keyed hash.
    pub cause: String,
    /// What people are told.
    pub message: String,
    /// What was observed when it was raised. Never holds row data.
    pub detail: Option<String>,
    pub raised_at: DateTime<Utc>,
    /// When the cause was last seen, and how often; both are known once it is resolved. While it lasts they tell of its beginning.
    pub seen_at: DateTime<Utc>,
    pub seen: u64,
    /// Absent while it is open.
    pub ended_at: Option<DateTime<Utc>>,
    /// Leaves of the audit log.
    pub raised_leaf: u64,
    pub ended_leaf: Option<u64>,
    /// Absent until somebody has taken note.
    pub acknowledged: Option<Acknowledgement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Acknowledgement {
    pub at: DateTime<Utc>,
    pub by: Option<UserRef>,
    pub note: Option<String>,
}

/// Takes note of an alert. It stays open for as long as its cause lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeAlert {
    /// What is known or done about it, at most 500 characters. The audit log keeps its hash only.
    pub note: Option<String>,
}

/// Which states to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertStates {
    /// Open ones first, then those that have ended.
    #[default]
    All,
    Open,
    /// Resolved and forgotten ones.
    Ended,
}

/// Which alerts to list; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct AlertQuery {
    #[cfg_attr(feature = "openapi", param(inline))]
    pub state: Option<AlertStates>,
    /// Of this pipeline only.
    pub pipeline: Option<String>,
    /// This severity, or worse.
    pub severity: Option<AlertSeverity>,
    pub after: Option<String>,
    pub limit: Option<u32>,
}

/// How many alerts are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenAlerts {
    pub total: u64,
    /// Those that nobody has taken note of yet.
    pub unacknowledged: u64,
    /// The worst severity among them.
    pub worst: Option<AlertSeverity>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_has_one_name_everywhere_and_they_are_ordered() {
        for severity in AlertSeverity::ALL {
            assert_eq!(severity.as_str().parse(), Ok(severity));
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
        assert!(AlertSeverity::Critical > AlertSeverity::Error && AlertSeverity::Error > AlertSeverity::Warn);
        assert!("bad".parse::<AlertSeverity>().unwrap_err().to_string().contains("warn, error or critical"));
    }
}
