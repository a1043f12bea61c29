//! Consent: what each subject allows for each purpose.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    Granted,
    Denied,
    Withdrawn,
}

impl ConsentState {
    pub const ALL: [Self; 3] = [Self::Granted, Self::Denied, Self::Withdrawn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Grants, denies or withdraws. The subject is hashed under the project's key before anything is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetConsent {
    /// The subject as it stands in the data, such as a customer number.
    pub subject: String,
    pub purpose: String,
    pub state: ConsentState,
    /// When the subject said so; now by default.
    pub at: Option<DateTime<Utc>>,
    /// When it lapses; never by default.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Asks what a subject has said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct ShowConsent {
    pub subject: String,
}

/// What holds now for one subject and purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsentRecord {
    pub purpose: String,
    pub state: ConsentState,
    pub at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether a row of this subject passes for this purpose at the time of the answer.
    pub allows: bool,
}

/// One subject, known by its keyed hash only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsentHistory {
    /// Hex. The same hash stands in the audit log.
    pub subject_hash: String,
    /// One per purpose.
    pub records: Vec<ConsentRecord>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportResult {
    /// Lines whose record was taken over.
    pub accepted: u64,
    /// Lines that could not be read; none of them changed anything.
    pub rejected: u64,
    /// Lines that said something older than what is known.
    pub outdated: u64,
    /// The first of the rejected lines, at most 1,000.
    pub errors: Vec<ImportLineError>,
}

/// Names fields, never their values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportLineError {
    /// Counts from 1; the heading is line 1.
    pub line: u64,
    pub message: String,
}

impl std::fmt::Debug for SetConsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetConsent").field("purpose", &self.purpose).field("state", &self.state).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ShowConsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShowConsent").finish_non_exhaustive()
    }
}
