//! Auctions: what is for sale, by whom and until when.

use arrow::{array::ArrayRef, error::ArrowError};

use super::{
    decoder::{Rows, integers, texts, timestamps},
    text::{filling, phrase},
    world::{self, FIRST_ID, World, any_person, hot, last_auction, last_person},
};

const ITEM_NAME: u64 = 11;
const DESCRIPTION: u64 = 12;
const INITIAL_BID: u64 = 13;
const RESERVE: u64 = 14;
const EXPIRES: u64 = 15;
const SELLER: u64 = 16;
const CATEGORY: u64 = 17;
const EXTRA: u64 = 18;

const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

fn item_name(world: &World, event: u64, out: &mut Vec<u8>) {
    phrase(&mut world.random(ITEM_NAME, event), out, 20);
}

fn description(world: &World, event: u64, out: &mut Vec<u8>) {
    phrase(&mut world.random(DESCRIPTION, event), out, 100);
}

fn initial_bid(world: &World, event: u64) -> i64 {
    world::price(&mut world.random(INITIAL_BID, event))
}

pub(super) fn column(world: &World, name: &str, rows: &Rows) -> Option<Result<ArrayRef, ArrowError>> {
    Some(match name {
        "id" => integers(rows, |event| (FIRST_ID + last_auction(event)) as i64),
        "item_name" => texts(rows, 12, |event, out| item_name(world, event, out)),
        "description" => texts(rows, 52, |event, out| description(world, event, out)),
        "initial_bid" => integers(rows, |event| initial_bid(world, event)),
        "reserve" => integers(rows, |event| initial_bid(world, event) + world::price(&mut world.random(RESERVE, event))),
        "date_time" => timestamps(rows, |event| world.time(event)),
        "expires" => timestamps(rows, |event| {
            let longest = (world.horizon() * 2).max(1);
            world.time(event) + 1_000 + world.random(EXPIRES, event).below(longest) as i64
        }),
        "seller" => integers(rows, |event| {
            let mut random = world.random(SELLER, event);
            let seller = if random.below(4) > 0 { hot(last_person(event)) } else { any_person(&mut random, event) };
            (FIRST_ID + seller) as i64
        }),
        "category" => integers(rows, |event| (FIRST_CATEGORY + world.random(CATEGORY, event).below(CATEGORIES)) as i64),
        "extra" => {
            let mut others = Vec::new();
            texts(rows, 420, |event, out| {
                others.clear();
                item_name(world, event, &mut others);
                description(world, event, &mut others);
                filling(&mut world.random(EXTRA, event), out, 48 + others.len(), 500);
            })
        }
        _ => return None,
    })
}
