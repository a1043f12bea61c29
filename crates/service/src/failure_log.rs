//! Which failed sign-ins get a leaf of their own in the evidence log. Each has one until its address has had [`LEAVES_AN_ADDRESS`] within
//! a window, or all addresses together [`LEAVES`]; the others are counted, and one leaf an address tells how many they were.
//!
//! Without it, whoever can reach the sign-in makes the log grow for ever. It locks nobody out: a failure that is only counted is
//! answered with 429, but a right password is taken as ever, because people behind one router, or behind a proxy that does not say
//! for whom it asks, share an address. What slows guessing down is the lock of each name ([`crate::lockout`]).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// How long failures are counted together, from the first.
pub(crate) const WINDOW: TimeDelta = TimeDelta::minutes(10);
/// Leaves of one address in a window.
pub(crate) const LEAVES_AN_ADDRESS: u32 = 30;
/// Leaves of all addresses in a window: 43,200 a day at most. It bounds how many addresses are remembered, too.
pub(crate) const LEAVES: u32 = 300;

/// What has failed in the window that is open.
#[derive(Default)]
pub(crate) struct FailureLog(Mutex<State>);

#[derive(Default)]
struct State {
    window: Window,
    /// Of windows that are over.
    over: Vec<Further>,
}

#[derive(Default)]
struct Window {
    began_at: Option<DateTime<Utc>>,
    leaves: u32,
    addresses: HashMap<Origin, Tally>,
    /// Of addresses that had no leaf in this window.
    others: Tally,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    leaves: u32,
    further: u64,
    of_users: u64,
}

/// What counts as one address: of IPv6, the network of one customer (/64), for everyone has more addresses than can be counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Local,
    Host(IpAddr),
    Network(Ipv6Addr),
}

/// What becomes of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It gets a leaf.
    Leaf,
    /// It is counted. The window ends after this time.
    Counted(Duration),
}

/// Failures without a leaf of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Further {
    /// `several` where no single one had many.
    pub address: String,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub count: u64,
    /// So many of them under names that users have.
    pub of_users: u64,
}

impl FailureLog {
    /// Counts a failed sign-in. `of_user`: somebody has that name.
    pub(crate) fn note(&self, address: Option<IpAddr>, of_user: bool, now: DateTime<Utc>) -> Noted {
        let mut state = self.state();
        state.close(now, false);
        let window = &mut state.window;
        let began_at = *window.began_at.get_or_insert(now);
        let free = window.leaves < LEAVES;
        let origin = Origin::of(address);
        let tally = match window.addresses.get_mut(&origin) {
            Some(tally) => tally,
            None if free => window.addresses.entry(origin).or_default(),
            None => &mut window.others,
        };
        if free && tally.leaves < LEAVES_AN_ADDRESS {
            tally.leaves += 1;
            window.leaves += 1;
            return Noted::Leaf;
        }
        tally.further += 1;
        tally.of_users += u64::from(of_user);
        Noted::Counted((began_at + WINDOW - now).to_std().unwrap_or_default())
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

impl State {
    /// Ends the window if its time is over, or anyhow.
    fn close(&mut self, now: DateTime<Utc>, anyhow: bool) {
        let Some(from) = self.window.began_at.filter(|began_at| anyhow || now - *began_at >= WINDOW) else { return };
        let ended = std::mem::take(&mut self.window);
        let of = |address: String, tally: Tally| Further {
            address,
            from,
            until: now.min(from + WINDOW),
            count: tally.further,
            of_users: tally.of_users,
        };
        let single = ended.addresses.into_iter().map(|(origin, tally)| of(origin.to_string(), tally));
        let mut further: Vec<_> = single.chain([of("several".to_owned(), ended.others)]).filter(|one| one.count > 0).collect();
        further.sort_by(|a, b| a.address.cmp(&b.address));
        self.over.append(&mut further);
    }
}

impl Origin {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Local,
            Some(IpAddr::V6(address)) => Self::Network(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
            Some(address) => Self::Host(address),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Host(address) => write!(f, "{address}"),
            Self::Network(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn leaves(log: &FailureLog, from: Option<IpAddr>, failures: usize, now: DateTime<Utc>) -> usize {
        (0..failures).filter(|_| log.note(from, false, now) == Noted::Leaf).count()
    }

    #[test]
    fn an_address_gets_so_many_leaves_a_window_and_others_are_not_touched() {
        let log = FailureLog::default();
        assert_eq!(leaves(&log, address("203.0.113.9"), 100, NOW), LEAVES_AN_ADDRESS as usize);
        assert_eq!(log.note(address("203.0.113.9"), true, NOW + TimeDelta::minutes(4)), Noted::Counted(Duration::from_secs(360)));
        assert_eq!(log.note(address("203.0.113.10"), false, NOW), Noted::Leaf);
        assert!(log.take(NOW + TimeDelta::minutes(9), false).is_empty(), "its time is not over");
        assert_eq!(leaves(&log, address("203.0.113.9"), 100, NOW + WINDOW), LEAVES_AN_ADDRESS as usize, "a new window");
        let told = Further { address: "203.0.113.9".into(), from: NOW, until: NOW + WINDOW, count: 71, of_users: 1 };
        assert_eq!(log.take(NOW + WINDOW, false), std::slice::from_ref(&told));
        assert!(log.take(NOW + WINDOW, false).is_empty(), "told once");
        log.give_back(vec![told.clone()]);
        assert_eq!(log.take(NOW + WINDOW, true)[..1], [told]);
        assert!(log.take(NOW + WINDOW, true).is_empty());
    }

    #[test]
    fn many_addresses_get_no_more_than_all_may_and_are_not_all_remembered() {
        let log = FailureLog::default();
        let from = |n: u32| Some(IpAddr::V4(n.into()));
        let given: usize = (0..5_000).map(|n| leaves(&log, from(n), 1, NOW)).sum();
        assert_eq!(given, LEAVES as usize);
        assert!(log.state().window.addresses.len() <= LEAVES as usize);
        let told = log.take(NOW + WINDOW, false);
        assert_eq!(told.iter().map(|one| (one.address.as_str(), one.count)).collect::<Vec<_>>(), [("several", 4_700)]);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let log = FailureLog::default();
        assert_eq!(leaves(&log, address("2001:db8::1"), 20, NOW), 20);
        assert_eq!(leaves(&log, address("2001:db8::ffff:0:1"), 20, NOW), 10);
        assert_eq!(leaves(&log, address("2001:db8:0:1::1"), 20, NOW), 20);
        assert_eq!(leaves(&log, address("::ffff:203.0.113.9"), 20, NOW), 20);
        assert_eq!(leaves(&log, address("203.0.113.9"), 20, NOW), 10, "the same host, however it is written");
        let told: Vec<_> = log.take(NOW + WINDOW, false).into_iter().map(|one| one.address).collect();
        assert_eq!(told, ["2001:db8::/64", "203.0.113.9"]);
    }
}
