//! Row counts per node, and the law they obey: nothing is lost and nothing appears from nowhere.
//!
//! An operator with state takes rows in (`absorbed`) and makes others (`emitted`); for everything else both are zero.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Where the rows that entered a node went. Every row is counted in exactly one of the fields besides `rows_in`,
/// `unnamed` and `flagged`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    pub rows_in: u64,
    /// Went on to the next stage (for a sink: were written).
    pub out: u64,
    /// Could not be decoded or broke the contract.
    pub malformed: u64,
    /// Failed a rule, or could not be judged, and were sealed away.
    pub quarantined: u64,
    /// Refused because their subject does not allow the purpose.
    pub denied: u64,
    /// Came after the watermark had passed them.
    pub late: u64,
    /// Left out on purpose: by a filter, or by `on_fail: drop`.
    pub dropped: u64,
    /// Went into the state of an operator, or into what it put out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub absorbed: u64,
    /// Made by an operator from rows it had absorbed; part of `out`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub emitted: u64,
    /// Of the malformed, quarantined and late rows, those that were sealed into quarantine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// Sources: rows that had fields which the contract does not name. Such fields are not kept; the rows go on, and are counted above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unnamed: u64,
    /// Rows that failed a rule and go on all the same, by `on_fail: flag`; part of `out`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flagged: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub(crate) fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl NodeCounts {
    /// Rows in, and rows made here, equal rows out plus all ways of leaving.
    pub fn is_conserved(&self) -> bool {
        self.rows_in + self.emitted == self.out + self.absorbed + self.rejected()
    }

    /// All that did not go on.
    pub fn rejected(&self) -> u64 {
        self.malformed + self.quarantined + self.denied + self.late + self.dropped
    }
}

impl AddAssign for NodeCounts {
    fn add_assign(&mut self, other: Self) {
        self.rows_in += other.rows_in;
        self.out += other.out;
        self.malformed += other.malformed;
        self.quarantined += other.quarantined;
        self.denied += other.denied;
        self.late += other.late;
        self.dropped += other.dropped;
        self.absorbed += other.absorbed;
        self.emitted += other.emitted;
        self.held += other.held;
        self.unnamed += other.unnamed;
        self.flagged += other.flagged;
    }
}

/// How often a rule was asked and how often it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    pub evaluated: u64,
    pub failed: u64,
}

impl AddAssign<&RuleCounts> for RuleCounts {
    fn add_assign(&mut self, other: &Self) {
        self.evaluated += other.evaluated;
        self.failed += other.failed;
    }
}
