//! The order of events: which event a row is, when it happens, and who and what exists by then.

use weir_spec::connector::{NexmarkSource, NexmarkStream};

use crate::{error::ConnectorError, format::time::parse_timestamp, generator::random::Random};

/// Events come in groups of so many: one person, three auctions, 46 bids.
const GROUP: u64 = 50;
const AUCTIONS: u64 = 3;
pub(super) const FIRST_ID: u64 = 1000;
/// The hot auction, seller and bidder change after so many new ones.
const HOT_GROUP: u64 = 100;
/// Auctions that bids go to, and people who act.
const IN_FLIGHT: u64 = 100;
const ACTIVE_PEOPLE: u64 = 1000;
/// Identifiers may be used before their event comes.
const LEAD: u64 = 10;

/// Events before the one that row `row` of a stream is.
pub(super) fn event_of(stream: NexmarkStream, row: u64) -> u64 {
    let (first, count) = places(stream);
    (row / count) * GROUP + first + row % count
}

/// How many rows of a stream the first `events` events have.
pub fn rows(stream: NexmarkStream, events: u64) -> u64 {
    let (first, count) = places(stream);
    (events / GROUP) * count + (events % GROUP).saturating_sub(first).min(count)
}

fn places(stream: NexmarkStream) -> (u64, u64) {
    match stream {
        NexmarkStream::Person => (0, 1),
        NexmarkStream::Auction => (1, AUCTIONS),
        NexmarkStream::Bid => (1 + AUCTIONS, GROUP - 1 - AUCTIONS),
    }
}

/// What all events of a configuration share.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub seed: u64,
    /// The event time of event 0, in microseconds.
    start: i64,
    event_rate: u64,
}

/// 2026-01-01T00:00:00Z.
const DEFAULT_START: i64 = 1_767_225_600_000_000;

impl World {
    pub fn new(config: &NexmarkSource) -> Result<Self, ConnectorError> {
        if config.event_rate == 0 || config.rate == Some(0) {
            return Err(ConnectorError::Config(
                "a nexmark source needs a `rate` and an `event_rate` of at least 1 event a second".into(),
            ));
        }
        let start = match &config.start {
            None => DEFAULT_START,
            Some(text) => parse_timestamp(text.as_bytes()).ok_or_else(|| {
                ConnectorError::Config(format!(
                    "the nexmark source's `start: {text}` is not a time; write it as 2026-01-31T00:00:00Z"
                ))
            })?,
        };
        Ok(Self { seed: config.seed, start, event_rate: config.event_rate })
    }

    /// The randomness of one column of one event.
    pub fn random(&self, column: u64, event: u64) -> Random {
        Random::of(self.seed, 0x4e45_584d_0000 + column, event)
    }

    /// When an event happens, in microseconds since 1970.
    pub fn time(&self, event: u64) -> i64 {
        let micros = match event.checked_mul(1_000_000) {
            Some(scaled) => scaled / self.event_rate,
            None => u64::try_from(u128::from(event) * 1_000_000 / u128::from(self.event_rate)).unwrap_or(u64::MAX),
        };
        self.start.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// How long `IN_FLIGHT` auctions take to come, in microseconds.
    pub fn horizon(&self) -> u64 {
        (IN_FLIGHT * GROUP / AUCTIONS) * 1_000_000 / self.event_rate
    }
}

/// The newest person when an event happens, counted from 0.
pub(super) fn last_person(event: u64) -> u64 {
    event / GROUP
}

/// The newest auction when a bid or an auction happens, counted from 0; the auction itself for an auction.
pub(super) fn last_auction(event: u64) -> u64 {
    (event / GROUP) * AUCTIONS + (event % GROUP).clamp(1, AUCTIONS) - 1
}

/// The first of the hundred that the newest belongs to.
pub(super) fn hot(last: u64) -> u64 {
    last / HOT_GROUP * HOT_GROUP
}

/// An auction that is probably still open.
pub(super) fn any_auction(random: &mut Random, event: u64) -> u64 {
    let last = last_auction(event);
    let first = last.saturating_sub(IN_FLIGHT);
    first + random.below(last - first + 1 + LEAD)
}

/// A person who is active.
pub(super) fn any_person(random: &mut Random, event: u64) -> u64 {
    let people = last_person(event) + 1;
    let active = people.min(ACTIVE_PEOPLE);
    people - active + random.below(active + LEAD)
}

/// 100 · 10^u, u uniform in [0, 6).
pub(super) fn price(random: &mut Random) -> i64 {
    (10_f64.powf(random.unit() * 6.0) * 100.0).round() as i64
}
