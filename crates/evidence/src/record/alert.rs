//! Alerts: a cause was noticed, and what became of it.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// An alert began or ended. Holds the words of the document and what was measured, never a row's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertTransition {
    /// The run that noticed; none where nobody watches the cause any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub pipeline: String,
    /// The checkpoint it was committed with. If that one is discarded later, this is taken back with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The alert step, as the document names it.
    pub step: String,
    /// Tells causes of a step from one another: hex of a keyed hash.
    pub cause: String,
    pub severity: AlertSeverity,
    /// What people are told.
    pub message: String,
    /// What was observed, in words and numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it happened: event time where the step goes by it. Times outside of the years 0 to 9999 are told as the nearest end.
    pub at: Timestamp,
    #[serde(flatten)]
    pub change: AlertChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    Warn,
    Error,
    Critical,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum AlertChange {
    Raised,
    /// The cause is gone. It was seen so often, the first time included, and last at `seen_at`.
    Resolved {
        raised_at: Timestamp,
        seen_at: Timestamp,
        count: u64,
    },
    /// Nobody watches the cause any more: the pipeline was started anew or deleted, or the step is not in it any longer.
    Forgotten {
        raised_at: Timestamp,
    },
}
