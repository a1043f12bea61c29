//! People: those who sell and bid. All of them invented.

use arrow::{array::ArrayRef, error::ArrowError};

use super::{
    decoder::{Rows, integers, texts, timestamps},
    text::{filling, phrase},
    world::{FIRST_ID, World, last_person},
};

const NAME: u64 = 21;
const EMAIL: u64 = 22;
const CARD: u64 = 23;
const CITY: u64 = 24;
const STATE: u64 = 25;
const EXTRA: u64 = 26;

const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const FIRST_NAMES: [&str; 11] = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];

fn name(world: &World, event: u64, out: &mut Vec<u8>) {
    let mut random = world.random(NAME, event);
    out.extend_from_slice(random.pick(&FIRST_NAMES).as_bytes());
    out.push(b' ');
    out.extend_from_slice(random.pick(&LAST_NAMES).as_bytes());
}

fn email(world: &World, event: u64, out: &mut Vec<u8>) {
    let mut random = world.random(EMAIL, event);
    phrase(&mut random, out, 7);
    out.push(b'@');
    phrase(&mut random, out, 5);
    out.extend_from_slice(b".com");
}

fn card(world: &World, event: u64, out: &mut Vec<u8>) {
    let mut random = world.random(CARD, event);
    for group in 0..4 {
        if group > 0 {
            out.push(b' ');
        }
        let digits = random.below(10_000);
        out.extend([1000, 100, 10, 1].map(|place| b'0' + (digits / place % 10) as u8));
    }
}

fn city(world: &World, event: u64) -> &'static str {
    world.random(CITY, event).pick(&CITIES)
}

fn state(world: &World, event: u64) -> &'static str {
    world.random(STATE, event).pick(&STATES)
}

pub(super) fn column(world: &World, column: &str, rows: &Rows) -> Option<Result<ArrayRef, ArrowError>> {
    Some(match column {
        "id" => integers(rows, |event| (FIRST_ID + last_person(event)) as i64),
        "name" => texts(rows, 14, |event, out| name(world, event, out)),
        "email_address" => texts(rows, 16, |event, out| email(world, event, out)),
        "credit_card" => texts(rows, 19, |event, out| card(world, event, out)),
        "city" => texts(rows, 8, |event, out| out.extend_from_slice(city(world, event).as_bytes())),
        "state" => texts(rows, 2, |event, out| out.extend_from_slice(state(world, event).as_bytes())),
        "date_time" => timestamps(rows, |event| world.time(event)),
        "extra" => {
            let mut others = Vec::new();
            texts(rows, 140, |event, out| {
                others.clear();
                name(world, event, &mut others);
                email(world, event, &mut others);
                card(world, event, &mut others);
                let size = 8 + others.len() + city(world, event).len() + state(world, event).len();
                filling(&mut world.random(EXTRA, event), out, size, 200);
            })
        }
        _ => return None,
    })
}
