//! The NEXMark source's promises: rows that depend on nothing but seed and number, and the published distributions.

use std::{collections::HashMap, time::Duration};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use weir_spec::connector::{NexmarkSource, NexmarkStream};

use super::{NexmarkDecoder, NexmarkReader, world};
use crate::{
    arrow_schema,
    source::{PartitionPosition, Read, ReadLimit, RowDecoder, SourceReader},
};

fn config(stream: NexmarkStream, events: u64) -> NexmarkSource {
    NexmarkSource { stream, seed: 7, events: Some(events), rate: None, event_rate: 10_000, start: None }
}

fn read_from(config: &NexmarkSource, resume: &[PartitionPosition], rows: usize) -> RecordBatch {
    let schema = arrow_schema(&config.stream.columns());
    let mut reader = NexmarkReader::open(config, resume).unwrap();
    let mut decoder = NexmarkDecoder::new(config, schema.clone()).unwrap();
    let mut batches = Vec::new();
    while let Read::Chunk(chunk) = reader.read(ReadLimit { rows, wait: Duration::ZERO }).unwrap() {
        batches.push(decoder.decode(&chunk).unwrap().rows);
    }
    concat_batches(&schema, &batches).unwrap()
}

fn read(stream: NexmarkStream, events: u64) -> RecordBatch {
    read_from(&config(stream, events), &[], 8192)
}

fn integers<'a>(rows: &'a RecordBatch, name: &str) -> &'a [i64] {
    rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values()
}

fn times<'a>(rows: &'a RecordBatch, name: &str) -> &'a [i64] {
    rows.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>().values()
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Vec<&'a str> {
    rows.column_by_name(name).unwrap().as_string::<i32>().iter().map(Option::unwrap).collect()
}

/// A share is within `by` of what was published.
fn near(found: usize, of: usize, share: f64, by: f64) {
    let found = found as f64 / of as f64;
    assert!((found - share).abs() < by, "{found} where {share} was published");
}

#[test]
fn rows_do_not_depend_on_how_they_are_read() {
    for stream in NexmarkStream::ALL {
        let config = config(stream, 20_000);
        let whole = read_from(&config, &[], 20_000);
        assert_eq!(whole, read_from(&config, &[], 77));
        let mut reader = NexmarkReader::open(&config, &[]).unwrap();
        reader.read(ReadLimit { rows: 123, wait: Duration::ZERO }).unwrap();
        assert_eq!(whole.slice(123, whole.num_rows() - 123), read_from(&config, &reader.positions(), 500));
        assert_ne!(whole, read_from(&NexmarkSource { seed: 8, ..config }, &[], 20_000));
    }
}

#[test]
fn a_declared_column_is_the_same_whatever_else_is_declared() {
    for stream in NexmarkStream::ALL {
        let config = config(stream, 5_000);
        let whole = read_from(&config, &[], 1000);
        for (index, column) in stream.columns().into_iter().enumerate() {
            let schema = arrow_schema(&[column]);
            let mut reader = NexmarkReader::open(&config, &[]).unwrap();
            let Read::Chunk(chunk) = reader.read(ReadLimit { rows: 100, wait: Duration::ZERO }).unwrap() else { panic!() };
            let alone = NexmarkDecoder::new(&config, schema).unwrap().decode(&chunk).unwrap().rows;
            assert_eq!(alone.column(0).to_data(), whole.column(index).slice(0, 100).to_data());
        }
    }
}

#[test]
fn streams_share_the_events_of_every_fifty() {
    for events in [0, 1, 2, 4, 5, 49, 50, 51, 54, 55, 1_000, 12_345] {
        let counts = NexmarkStream::ALL.map(|stream| world::rows(stream, events));
        assert_eq!(counts.iter().sum::<u64>(), events);
        let mut seen: Vec<u64> = NexmarkStream::ALL
            .into_iter()
            .flat_map(|stream| (0..world::rows(stream, events)).map(move |row| world::event_of(stream, row)))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..events).collect::<Vec<_>>(), "each event is one row of one stream");
    }
    let [people, auctions, bids] = NexmarkStream::ALL.map(|stream| read(stream, 100_000).num_rows());
    assert_eq!((people, auctions, bids), (2_000, 6_000, 92_000));
}

#[test]
fn times_follow_the_event_rate_and_ids_count_up() {
    let bids = read(NexmarkStream::Bid, 100_000);
    assert!(times(&bids, "date_time").is_sorted_by(|a, b| a < b), "no two events share a time");
    // 10,000 events a second: event 4 is the first bid, the last of 100,000 events comes after ten seconds less one event.
    let start = 1_767_225_600_000_000;
    assert_eq!(times(&bids, "date_time")[0], start + 400);
    assert_eq!(*times(&bids, "date_time").last().unwrap(), start + 10_000_000 - 100);
    for stream in [NexmarkStream::Person, NexmarkStream::Auction] {
        let rows = read(stream, 10_000);
        assert_eq!(integers(&rows, "id"), (1000..1000 + rows.num_rows() as i64).collect::<Vec<_>>());
    }
    let later = NexmarkSource { start: Some("2015-07-15T00:00:00Z".into()), event_rate: 1, ..config(NexmarkStream::Person, 101) };
    assert_eq!(times(&read_from(&later, &[], 10), "date_time")[2] / 1_000_000, 1_436_918_400 + 100);
}

#[test]
fn half_of_the_bids_go_to_the_hot_auction_and_three_of_four_come_from_the_hot_bidder() {
    let bids = read(NexmarkStream::Bid, 500_000);
    let count = bids.num_rows();
    let (mut hot_auction, mut hot_bidder) = (0, 0);
    for (row, (auction, bidder)) in integers(&bids, "auction").iter().zip(integers(&bids, "bidder")).enumerate() {
        let group = row as i64 / 46;
        let (newest_auction, newest_person) = (group * 3 + 2, group);
        hot_auction += usize::from(auction - 1000 == newest_auction / 100 * 100);
        hot_bidder += usize::from(bidder - 1000 == newest_person / 100 * 100 + 1);
        assert!(((newest_auction - 100).max(0)..=newest_auction + 10).contains(&(auction - 1000)));
        assert!(((newest_person - 999).max(0)..=(newest_person + 10).max(1)).contains(&(bidder - 1000)));
    }
    // The hot one may also be met by chance.
    near(hot_auction, count, 0.5 + 0.5 / 111.0, 0.01);
    near(hot_bidder, count, 0.75, 0.01);
}

#[test]
fn prices_are_spread_evenly_over_six_powers_of_ten() {
    let bids = read(NexmarkStream::Bid, 200_000);
    let prices = integers(&bids, "price");
    assert!(prices.iter().all(|price| (100..=100_000_000).contains(price)));
    for power in 2..8 {
        let range = 10_i64.pow(power)..10_i64.pow(power + 1);
        near(prices.iter().filter(|price| range.contains(price)).count(), prices.len(), 1.0 / 6.0, 0.01);
    }
}

#[test]
fn channels_have_one_url_each_and_most_name_their_id() {
    let bids = read(NexmarkStream::Bid, 200_000);
    let mut urls: HashMap<&str, &str> = HashMap::new();
    let (channels, addresses) = (texts(&bids, "channel"), texts(&bids, "url"));
    for (channel, url) in channels.iter().zip(&addresses) {
        assert_eq!(urls.entry(channel).or_insert(url), url, "{channel}");
    }
    let hot = ["Google", "Facebook", "Baidu", "Apple"];
    near(channels.iter().filter(|channel| hot.contains(channel)).count(), channels.len(), 0.5, 0.01);
    let others: Vec<_> = urls.iter().filter(|(channel, _)| !hot.contains(channel)).collect();
    assert_eq!(urls.len() - others.len(), 4);
    near(others.iter().filter(|(_, url)| url.contains("&channel_id=")).count(), others.len(), 0.9, 0.02);
    assert!(hot.iter().all(|channel| !urls[channel].contains("channel_id")));
    // channel-1: bit 0 becomes bit 31, whose magnitude is 2^31; channel-2 becomes 2^30.
    if let Some(id) = urls.get("channel-2").and_then(|url| url.split_once("&channel_id=")) {
        assert_eq!(id.1, "1073741824");
    }
}

#[test]
fn rows_have_the_published_sizes_on_average() {
    let average = |rows: &RecordBatch, fixed: usize, names: &[&str]| {
        let text: usize = names.iter().flat_map(|name| texts(rows, name)).map(str::len).sum();
        fixed as f64 + text as f64 / rows.num_rows() as f64
    };
    let bids = read(NexmarkStream::Bid, 50_000);
    let auctions = read(NexmarkStream::Auction, 50_000);
    let people = read(NexmarkStream::Person, 100_000);
    for (found, published) in [
        (average(&bids, 32, &["extra"]), 100.0),
        (average(&auctions, 48, &["item_name", "description", "extra"]), 500.0),
        (average(&people, 8, &["name", "email_address", "credit_card", "city", "state", "extra"]), 200.0),
    ] {
        assert!((found - published).abs() < published * 0.02, "{found} where {published} was published");
    }
}

#[test]
fn auctions_are_sold_by_people_and_close_in_time() {
    let auctions = read(NexmarkStream::Auction, 500_000);
    // 100 auctions come with 1,666 events, of 100 microseconds each.
    let horizon = 1_666 * 100;
    let mut hot = 0;
    for row in 0..auctions.num_rows() {
        let open = times(&auctions, "expires")[row] - times(&auctions, "date_time")[row];
        assert!((1_000..1_000 + 2 * horizon).contains(&open), "{open}");
        assert!(integers(&auctions, "reserve")[row] >= integers(&auctions, "initial_bid")[row] + 100);
        assert!((10..15).contains(&integers(&auctions, "category")[row]));
        let newest = row as i64 / 3;
        hot += usize::from(integers(&auctions, "seller")[row] - 1000 == newest / 100 * 100);
    }
    near(hot, auctions.num_rows(), 0.75, 0.01);
}

#[test]
fn a_rate_paces_all_streams_alike() {
    let config = NexmarkSource { rate: Some(50_000), event_rate: 50_000, ..config(NexmarkStream::Person, 1_000_000) };
    let mut reader = NexmarkReader::open(&config, &[]).unwrap();
    let limit = ReadLimit { rows: 5, wait: Duration::from_secs(10) };
    let began = std::time::Instant::now();
    let Read::Chunk(chunk) = reader.read(limit).unwrap() else { panic!("five people come within ten seconds") };
    assert_eq!(chunk.end.row, 5);
    assert!(began.elapsed() >= Duration::from_millis(4), "the fifth person is event 200, due after 4 ms");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for bad in [
        NexmarkSource { event_rate: 0, ..config(NexmarkStream::Bid, 1) },
        NexmarkSource { rate: Some(0), ..config(NexmarkStream::Bid, 1) },
        NexmarkSource { start: Some("yesterday".into()), ..config(NexmarkStream::Bid, 1) },
    ] {
        assert!(NexmarkReader::open(&bad, &[]).is_err());
    }
    let people = arrow_schema(&NexmarkStream::Person.columns());
    assert!(NexmarkDecoder::new(&config(NexmarkStream::Bid, 1), people).is_err());
}
