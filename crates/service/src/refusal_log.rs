//! Which refusals get a leaf of their own in the evidence log: of each actor the first of an action on a resource within a minute. The
//! others are counted, and one leaf tells how many they were. Without it, whoever is signed in makes the log grow for ever by asking for
//! what they may not have. A process that is killed loses what it has counted in its last minute, and nothing else.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use weir_api::ProjectId;

/// How long refusals are counted together, from the first.
pub(crate) const WINDOW: TimeDelta = TimeDelta::minutes(1);
/// Different refusals of one actor that get a leaf in a window: names can be made up without end.
pub(crate) const LEAVES_AN_ACTOR: usize = 60;

/// What was refused, to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Refused {
    pub actor: String,
    pub project: Option<ProjectId>,
    pub action: String,
    pub resource: String,
    pub rule: String,
}

/// Refusals without a leaf of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Further {
    pub refused: Refused,
    /// `several` where they did not all come from one.
    pub address: String,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub count: u64,
}

/// What was refused in the window that is open.
#[derive(Default)]
pub(crate) struct RefusalLog(Mutex<State>);

#[derive(Default)]
struct State {
    began_at: Option<DateTime<Utc>>,
    /// By actor: what had its leaf.
    leaves: HashMap<String, usize>,
    tallies: HashMap<Refused, Tally>,
    /// Of windows that are over.
    over: Vec<Further>,
}

struct Tally {
    address: String,
    further: u64,
}

impl RefusalLog {
    /// Counts a refusal. True if it gets a leaf.
    pub(crate) fn note(&self, refused: Refused, address: &str, now: DateTime<Utc>) -> bool {
        let mut state = self.state();
        state.close(now, false);
        state.began_at.get_or_insert(now);
        if let Some(tally) = state.tallies.get_mut(&refused) {
            tally.add(address);
            return false;
        }
        let leaves = state.leaves.entry(refused.actor.clone()).or_default();
        if *leaves < LEAVES_AN_ACTOR {
            *leaves += 1;
            state.tallies.insert(refused, Tally { address: address.to_owned(), further: 0 });
            return true;
        }
        let several =
            Refused { action: "several".to_owned(), resource: "several".to_owned(), rule: "several".to_owned(), ..refused };
        state.tallies.entry(several).or_insert_with(|| Tally { address: address.to_owned(), further: 0 }).add(address);
        false
    }

    /// What is to be put on record of the windows that are over; of the open one as well if `all`.
    pub(crate) fn take(&self, now: DateTime<Utc>, all: bool) -> Vec<Further> {
        let mut state = self.state();
        state.close(now, all);
        std::mem::take(&mut state.over)
    }

    /// What could not be put on record.
    pub(crate) fn give_back(&self, taken: Vec<Further>) {
        self.state().over.extend(taken);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn add(&mut self, address: &str) {
        self.further += 1;
        if self.address != address {
            self.address = "several".to_owned();
        }
    }
}

impl State {
    /// Ends the window if its time is over, or anyhow.
    fn close(&mut self, now: DateTime<Utc>, anyhow: bool) {
        let Some(from) = self.began_at.filter(|began_at| anyhow || now - *began_at >= WINDOW) else { return };
        self.began_at = None;
        self.leaves.clear();
        let until = now.min(from + WINDOW);
        let ended = std::mem::take(&mut self.tallies).into_iter().filter(|(_, tally)| tally.further > 0);
        let mut further: Vec<Further> = ended
            .map(|(refused, tally)| Further { refused, address: tally.address, from, until, count: tally.further })
            .collect();
        further.sort_by(|a, b| a.refused.cmp(&b.refused));
        self.over.append(&mut further);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn refused(actor: &str, resource: &str) -> Refused {
        Refused {
            actor: actor.to_owned(),
            project: None,
            action: "pipeline.deploy".to_owned(),
            resource: resource.to_owned(),
            rule: "none".to_owned(),
        }
    }

    #[test]
    fn the_first_of_a_minute_has_a_leaf_and_the_others_are_told_in_one() {
        let log = RefusalLog::default();
        let ask = |actor: &str, seconds: i64| log.note(refused(actor, "a"), "192.0.2.1", NOW + TimeDelta::seconds(seconds));
        assert!(ask("user:1", 0));
        assert!(!ask("user:1", 1) && !ask("user:1", 59));
        assert!(ask("user:2", 2), "others have their own");
        assert!(log.take(NOW + TimeDelta::seconds(59), false).is_empty(), "its time is not over");
        assert!(ask("user:1", 60), "a new minute");
        let told = log.take(NOW + TimeDelta::seconds(61), false);
        assert_eq!(
            told,
            [Further {
                refused: refused("user:1", "a"),
                address: "192.0.2.1".to_owned(),
                from: NOW,
                until: NOW + WINDOW,
                count: 2
            }]
        );
        assert!(log.take(NOW + TimeDelta::seconds(61), true).is_empty(), "told once");
    }

    #[test]
    fn names_that_are_made_up_bring_no_leaves_without_end() {
        let log = RefusalLog::default();
        let leaves = (0..1_000).filter(|n| log.note(refused("user:1", &format!("pipeline:{n}")), "192.0.2.1", NOW)).count();
        assert_eq!(leaves, LEAVES_AN_ACTOR);
        assert!(!log.note(refused("user:1", "pipeline:x"), "192.0.2.2", NOW));
        let told = log.take(NOW, true);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].refused.resource.as_str(), told[0].address.as_str(), told[0].count), ("several", "several", 941));
    }
}
