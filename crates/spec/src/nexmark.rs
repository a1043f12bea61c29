//! `nexmark:` as a source: one of the three streams of the NEXMark auction benchmark, and the columns it brings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{
    Classification::{self, Confidential, Internal, Public, Restricted},
    Column, DataType,
};

/// `nexmark:`: people, auctions and bids of an online auction house, as the NEXMark benchmark has them. Sources with the same seed and
/// the same `event_rate` are streams of one world: a bid's auction is (nearly always) a row of the auctions.
#[derive(Clone, Debug, PartialEq)]
pub struct NexmarkSource {
    /// Which of the events this source brings.
    pub stream: NexmarkStream,
    /// The same seed gives the same rows. Default 1.
    pub seed: u64,
    /// Events in all, of the three streams together: 1 person, 3 auctions and 46 bids in every 50. Without it, the source never ends.
    pub events: Option<u64>,
    /// Events a second of real time, of the three streams together; without it, as fast as the pipeline takes them.
    pub rate: Option<u64>,
    /// Events a second of event time, of the three streams together. Default: `rate`, else 10,000.
    pub event_rate: u64,
    /// The event time of the first event, RFC 3339. Default 2026-01-01T00:00:00Z.
    pub start: Option<String>,
}

/// The event rate of a source that gives neither `event_rate` nor `rate`.
pub const DEFAULT_EVENT_RATE: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NexmarkStream {
    /// Those who sell and bid.
    Person,
    /// What is for sale, by whom and until when.
    Auction,
    /// Who offers how much for what.
    Bid,
}

impl NexmarkStream {
    pub const ALL: [Self; 3] = [Self::Person, Self::Auction, Self::Bid];

    /// The name used in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Auction => "auction",
            Self::Bid => "bid",
        }
    }

    /// The columns of the stream, all of them always present.
    pub fn columns(self) -> Vec<Column> {
        let operations: &[&str] = &["system.operations"];
        let person: &[&str] = &["user.unique_id.pseudonymous"];
        let at = |about| column("date_time", DataType::Timestamp, Internal, operations, about);
        let extra =
            || column("extra", DataType::String, Internal, operations, "Filling, so that rows have the benchmark's size.");
        match self {
            Self::Person => vec![
                column("id", DataType::Int64, Internal, person, "Identifies the person; from 1000."),
                column("name", DataType::String, Confidential, &["user.name"], "First and last name."),
                column("email_address", DataType::String, Confidential, &["user.contact.email"], "E-mail address."),
                column(
                    "credit_card",
                    DataType::String,
                    Restricted,
                    &["user.financial.credit_card"],
                    "Card number; no check digit.",
                ),
                column("city", DataType::String, Confidential, &["user.contact.address.city"], "One of ten."),
                column("state", DataType::String, Internal, &["user.contact.address.state"], "One of six."),
                at("When the person came."),
                extra(),
            ],
            Self::Auction => vec![
                column("id", DataType::Int64, Internal, operations, "Identifies the auction; from 1000."),
                column("item_name", DataType::String, Internal, operations, "What is for sale."),
                column("description", DataType::String, Internal, operations, "More about it."),
                column("initial_bid", DataType::Int64, Internal, operations, "Where bids begin, in cents."),
                column("reserve", DataType::Int64, Internal, operations, "What it must bring, in cents."),
                at("When the auction opened."),
                column("expires", DataType::Timestamp, Internal, operations, "When it closes."),
                column("seller", DataType::Int64, Internal, person, "The person who sells."),
                column("category", DataType::Int64, Internal, operations, "10 to 14."),
                extra(),
            ],
            Self::Bid => vec![
                column("auction", DataType::Int64, Internal, operations, "The auction that is bid on."),
                column("bidder", DataType::Int64, Internal, person, "The person who bids."),
                column("price", DataType::Int64, Internal, operations, "What is offered, in cents."),
                column("channel", DataType::String, Public, operations, "Where the bidder came from."),
                column("url", DataType::String, Internal, operations, "The page the bidder came from."),
                at("When the bid was made."),
                extra(),
            ],
        }
    }
}

fn column(name: &str, data_type: DataType, classification: Classification, categories: &[&str], about: &str) -> Column {
    Column {
        required: true,
        classification,
        categories: categories.iter().map(|category| (*category).to_owned()).collect(),
        description: Some(about.to_owned()),
        ..Column::new(name, data_type)
    }
}
