//! How long to wait after failed sign-ins, also for names that nobody has.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

/// Failures in a row that cost nothing.
pub(crate) const FREE_FAILURES: u64 = 4;
/// Names that nobody has and whose failures are remembered.
const REMEMBERED: usize = 10_000;

/// Until when sign-in is refused after so many failures in a row: 30 s after the fifth, then twice as long each time, an hour at
/// most. An answer that comes after the lock has passed counts on.
pub(crate) fn locked_until(failures: u64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let doublings = failures.checked_sub(FREE_FAILURES + 1)?;
    let seconds = 30u64 << doublings.min(7);
    Some(now + TimeDelta::seconds(seconds.min(3600) as i64))
}

/// What is left of a lock.
pub(crate) fn remaining(locked_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Duration> {
    locked_until?.signed_duration_since(now).to_std().ok().filter(|left| !left.is_zero())
}

#[derive(Clone, Copy)]
struct Failures {
    count: u64,
    last_at: DateTime<Utc>,
    locked_until: Option<DateTime<Utc>>,
}

/// Failures under names that nobody has, so that they lock as real ones do and an answer does not tell who exists. In memory
/// and bounded: the oldest are forgotten.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<HashMap<[u8; 32], Failures>>);

impl Strangers {
    pub(crate) fn remaining(&self, name: &str, now: DateTime<Utc>) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        remaining(known.get(&key(name))?.locked_until, now)
    }

    pub(crate) fn record_failure(&self, name: &str, now: DateTime<Utc>) -> Option<Duration> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            let mut ages: Vec<_> = known.values().map(|failures| failures.last_at).collect();
            let middle = ages.len() / 2;
            let (_, median, _) = ages.select_nth_unstable(middle);
            let median = *median;
            known.retain(|_, failures| failures.last_at > median);
        }
        let entry = known.entry(key(name)).or_insert(Failures { count: 0, last_at: now, locked_until: None });
        entry.count += 1;
        entry.last_at = now;
        entry.locked_until = locked_until(entry.count, now);
        remaining(entry.locked_until, now)
    }
}

fn key(name: &str) -> [u8; 32] {
    Sha256::digest(name.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_an_hour() {
        let now = DateTime::UNIX_EPOCH;
        let delays: Vec<_> = (1..=14).map(|n| locked_until(n, now).map(|until| (until - now).num_seconds())).collect();
        let expected = [
            None,
            None,
            None,
            None,
            Some(30),
            Some(60),
            Some(120),
            Some(240),
            Some(480),
            Some(960),
            Some(1920),
            Some(3600),
            Some(3600),
            Some(3600),
        ];
        assert_eq!(delays, expected);
    }

    #[test]
    fn strangers_are_locked_and_forgotten_in_bounds() {
        let strangers = Strangers::default();
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..=FREE_FAILURES {
            strangers.record_failure("nobody", now);
        }
        assert_eq!(strangers.remaining("nobody", now), Some(Duration::from_secs(30)));
        assert_eq!(strangers.remaining("nobody", now + TimeDelta::seconds(30)), None);
        assert_eq!(strangers.remaining("somebody", now), None);
        for n in 0..3 * REMEMBERED {
            strangers.record_failure(&n.to_string(), now + TimeDelta::milliseconds(n as i64));
        }
        assert!(strangers.0.lock().unwrap().len() <= REMEMBERED);
    }
}
