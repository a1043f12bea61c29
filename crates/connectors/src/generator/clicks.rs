//! Shop clicks: visitors view, fill carts and order; bots walk through the catalogue.

use weir_spec::{
    Classification::{Confidential, Internal},
    Column, DataType,
};

use super::{
    Settings, column,
    people::Person,
    push,
    random::{Random, burst},
};
use crate::format::columns::ColumnBuffer;

pub(super) fn columns() -> Vec<Column> {
    let browsing: &[&str] = &["user.behavior.browsing_history"];
    let price = DataType::Decimal { precision: 10, scale: 2 };
    vec![
        column("event_id", DataType::String, true, Internal, &["system.operations"], "Identifies the click."),
        column("visitor_id", DataType::String, true, Confidential, &["user.unique_id"], "Who clicked."),
        column("session_id", DataType::String, true, Internal, &["user.device.cookie_id"], "Clicks of one visit."),
        column("action", DataType::String, true, Internal, browsing, "view, cart or order."),
        column("product", DataType::String, true, Internal, browsing, "What was clicked."),
        column("price", price, false, Internal, &["system.operations"], "Its price in euros."),
        column("ip", DataType::String, false, Confidential, &["user.device.ip_address"], "The visitor's address on the network."),
        column("user_agent", DataType::String, false, Internal, &["user.device"], "The browser's name."),
        column("email", DataType::String, false, Confidential, &["user.contact.email"], "Given with an order."),
        column("address", DataType::String, false, Confidential, &["user.contact.address"], "Where an order goes to."),
        column("note", DataType::String, false, Confidential, &["user.content"], "Free text that came with an order."),
        column("clicked_at", DataType::Timestamp, true, Internal, browsing, "When it was clicked."),
    ]
}

const PRODUCTS: [&str; 12] = [
    "kettle",
    "lamp",
    "backpack",
    "notebook",
    "teapot",
    "scarf",
    "headphones",
    "plant pot",
    "rain jacket",
    "board game",
    "blanket",
    "water bottle",
];
const BROWSERS: [&str; 4] = ["Firefox/139", "Chrome/137", "Safari/18", "Edge/137"];
/// Networks kept for documentation (RFC 5737).
const NETWORKS: [&str; 3] = ["192.0.2.", "198.51.100.", "203.0.113."];

pub(super) fn push(settings: &Settings, row: u64, buffers: &mut [ColumnBuffer]) {
    let [event_id, visitor_id, session_id, action, product, price, ip, user_agent, email, address, note, clicked_at] = buffers
    else {
        return;
    };
    let mut random = Random::of(settings.seed, 7, row);
    let bot = burst(settings.seed, row, settings.anomalies);
    let at = settings.event_time(row, &mut random);
    let fault = random.chance(settings.faults).then(|| random.below(4));
    let visitor = match bot {
        Some(burst) => Random::of(settings.seed, 8, burst.id).below(settings.subjects),
        None => random.below(settings.subjects),
    };
    let person = Person::new(settings.seed, visitor);
    let act = match random.below(20) {
        _ if bot.is_some() => "view",
        0 => "order",
        1..=3 => "cart",
        _ => "view",
    };
    let item = bot.map_or_else(|| random.below(PRODUCTS.len() as u64), |burst| burst.step % PRODUCTS.len() as u64) as usize;
    let cents = 499 + 850 * item as i128;
    let hour = at.div_euclid(3_600_000_000);

    push::text(event_id, |out| push::padded(out, b'e', row, 10));
    match fault {
        Some(0) => visitor_id.push_null(),
        _ => push::text(visitor_id, |out| push::padded(out, b'v', visitor, 7)),
    }
    let session = bot.map_or(hour as u64, |burst| burst.id);
    push::text(session_id, |out| push::padded(out, b's', Random::of(visitor, 9, session).next() >> 20, 14));
    push::text(action, |out| out.extend_from_slice(act.as_bytes()));
    push::text(product, |out| out.extend_from_slice(PRODUCTS[item].as_bytes()));
    push::decimal(price, if fault == Some(1) { -cents } else { cents });
    push::text(ip, |out| {
        let mut device = Random::of(settings.seed, 10, visitor);
        out.extend_from_slice(device.pick(&NETWORKS).as_bytes());
        let host = if fault == Some(2) { 999 } else { 1 + device.below(254) };
        out.extend_from_slice(itoa::Buffer::new().format(host).as_bytes());
    });
    let browser = if bot.is_some() { "HeadlessChrome/137" } else { BROWSERS[(visitor % BROWSERS.len() as u64) as usize] };
    push::text(user_agent, |out| out.extend_from_slice(browser.as_bytes()));
    if act == "order" {
        if fault == Some(3) {
            push::text(email, |out| out.extend_from_slice(b"nobody at nowhere"));
        } else {
            push::text(email, |out| person.write_email(out));
        }
        push::text(address, |out| person.write_address(out));
        push_note(note, &person, &mut random);
    } else {
        email.push_null();
        address.push_null();
        note.push_null();
    }
    push::timestamp(clicked_at, at);
}

/// What people write into free text, personal data included. Telephone numbers are from the range Ofcom keeps for drama.
fn push_note(note: &mut ColumnBuffer, person: &Person, random: &mut Random) {
    let number = 900_000 + random.below(1000);
    match random.below(5) {
        0 => push::text(note, |out| {
            out.extend_from_slice(b"Please ring me on 07700 ");
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }),
        1 => push::text(note, |out| {
            out.extend_from_slice(b"Leave it with my neighbour. Regards, ");
            person.write_name(out);
        }),
        2 => push::text(note, |out| {
            out.extend_from_slice(b"Send the invoice to ");
            person.write_email(out);
        }),
        3 => push::text(note, |out| out.extend_from_slice(b"It is a present, no invoice please.")),
        _ => note.push_null(),
    }
}
