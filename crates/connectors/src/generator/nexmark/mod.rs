//! The NEXMark source: people, auctions and bids of an online auction house, a pure function of the seed and the event's number.
//!
//! Written after the published generators: "NEXMark, a benchmark for queries over data streams" (Tucker, Tufte, Papadimos, Maier, 2002)
//! and its descendants in Apache Beam (`org.apache.beam.sdk.nexmark.sources.generator`) and in the nexmark suite for Apache Flink
//! (`com.github.nexmark.flink.generator`). Their proportions, ratios and sizes are kept:
//!
//! - Of every 50 events the first is a person, the next 3 are auctions and 46 are bids. Identifiers count up from 1000.
//! - Half of the bids go to the hot auction, the first of the hundred that the newest auction belongs to; the others to one of the 100
//!   newest auctions or of 10 that are still to come. 3 of 4 bids come from the hot bidder, the second of the newest hundred people, and
//!   3 of 4 auctions from the hot seller, the first of them; the others from one of the 1000 newest or of 10 still to come.
//! - Prices are 100 · 10^u cents, u uniform in [0, 6). Half of the bids come through one of four channels, the others through one of
//!   10,000; a channel has one URL, and 9 of 10 of the latter name the channel's id in it.
//! - An auction lasts twice as long as 100 auctions take to come, at most. `extra` fills rows up to 200 (person), 500 (auction) and 100
//!   (bid) bytes on average, give or take a fifth.
//!
//! What differs: times are exact to the microsecond, so that below a million events a second no two events share one; a bidder is
//! always somebody who exists or soon will (the Flink suite adds the first identifier twice).
//!
//! Each column of an event has randomness of its own, so that only the columns a pipeline declares are computed, and a chunk says no more
//! than which rows it stands for: lanes make them, side by side.

mod auction;
mod bid;
mod decoder;
mod person;
mod reader;
mod text;
mod world;

pub use decoder::NexmarkDecoder;
pub use reader::NexmarkReader;
pub use world::rows;

#[cfg(test)]
mod tests;
