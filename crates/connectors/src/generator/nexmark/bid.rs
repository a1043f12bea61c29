//! Bids: who offers how much for what, and through which channel they came.

use arrow::{array::ArrayRef, error::ArrowError};

use super::{
    decoder::{Rows, integers, texts, timestamps},
    text::{filling, number, words},
    world::{self, FIRST_ID, World, any_auction, any_person, hot, last_auction, last_person},
};

const AUCTION: u64 = 1;
const BIDDER: u64 = 2;
const PRICE: u64 = 3;
const CHANNEL: u64 = 4;
const EXTRA: u64 = 5;
const CHANNEL_URLS: u64 = 6;

const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const OTHER_CHANNELS: u64 = 10_000;

/// The names and addresses of all channels, the hot ones first.
pub(super) struct Channels(Vec<Channel>);

struct Channel {
    name: String,
    url: Vec<u8>,
}

impl Channels {
    pub fn new(world: &World) -> Self {
        let hot = HOT_CHANNELS
            .iter()
            .enumerate()
            .map(|(i, name)| Channel { name: (*name).to_owned(), url: url(world, i as u64, None) });
        let others = (0..OTHER_CHANNELS).map(|n| {
            let place = HOT_CHANNELS.len() as u64 + n;
            Channel { name: format!("channel-{n}"), url: url(world, place, Some(n as u32)) }
        });
        Self(hot.chain(others).collect())
    }
}

/// An address of three random words, with the channel's id for 9 of 10 channels that have one.
fn url(world: &World, place: u64, number_of_channel: Option<u32>) -> Vec<u8> {
    let mut random = world.random(CHANNEL_URLS, place);
    let mut url = b"https://www.nexmark.com/".to_vec();
    for _ in 0..3 {
        words(&mut random, &mut url, 5, b'_');
        url.push(b'/');
    }
    url.extend_from_slice(b"item.htm?query=1");
    if let Some(channel) = number_of_channel.filter(|_| random.below(10) > 0) {
        url.extend_from_slice(b"&channel_id=");
        number(&mut url, u64::from((channel.reverse_bits() as i32).unsigned_abs()));
    }
    url
}

fn channel_of(world: &World, event: u64) -> usize {
    let mut random = world.random(CHANNEL, event);
    let place = match random.below(2) {
        0 => HOT_CHANNELS.len() as u64 + random.below(OTHER_CHANNELS),
        _ => random.below(HOT_CHANNELS.len() as u64),
    };
    place as usize
}

pub(super) fn column(
    world: &World,
    channels: Option<&Channels>,
    name: &str,
    rows: &Rows,
) -> Option<Result<ArrayRef, ArrowError>> {
    Some(match (name, channels) {
        ("auction", _) => integers(rows, |event| {
            let mut random = world.random(AUCTION, event);
            let auction = if random.below(2) > 0 { hot(last_auction(event)) } else { any_auction(&mut random, event) };
            (FIRST_ID + auction) as i64
        }),
        ("bidder", _) => integers(rows, |event| {
            let mut random = world.random(BIDDER, event);
            let bidder = if random.below(4) > 0 { hot(last_person(event)) + 1 } else { any_person(&mut random, event) };
            (FIRST_ID + bidder) as i64
        }),
        ("price", _) => integers(rows, |event| world::price(&mut world.random(PRICE, event))),
        ("channel", Some(channels)) => {
            texts(rows, 10, |event, out| out.extend_from_slice(channels.0[channel_of(world, event)].name.as_bytes()))
        }
        ("url", Some(channels)) => texts(rows, 76, |event, out| out.extend_from_slice(&channels.0[channel_of(world, event)].url)),
        ("date_time", _) => timestamps(rows, |event| world.time(event)),
        ("extra", _) => texts(rows, 72, |event, out| filling(&mut world.random(EXTRA, event), out, 32, 100)),
        _ => return None,
    })
}
