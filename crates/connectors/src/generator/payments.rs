//! Card payments: who paid what to whom, with bursts of fraud on one card.

use weir_spec::{
    Classification::{Confidential, Internal, Restricted},
    Column, DataType,
};

use super::{
    Settings, column,
    people::{CULTURES, Person},
    push,
    random::{Random, burst},
};
use crate::format::columns::ColumnBuffer;

pub(super) fn columns() -> Vec<Column> {
    let amount = DataType::Decimal { precision: 12, scale: 2 };
    vec![
        column("tx_id", DataType::String, true, Internal, &["system.operations"], "Identifies the payment."),
        column("customer_id", DataType::String, true, Confidential, &["user.unique_id"], "Who paid."),
        column("name", DataType::String, false, Confidential, &["user.name"], "The payer's full name."),
        column("email", DataType::String, false, Confidential, &["user.contact.email"], "The payer's e-mail address."),
        column(
            "birth_date",
            DataType::Date,
            false,
            Confidential,
            &["user.demographic.date_of_birth"],
            "When the payer was born.",
        ),
        column("card", DataType::String, true, Restricted, &["user.financial.credit_card"], "The card's number."),
        column("amount", amount, true, Internal, &["user.financial"], "What was paid, in `currency`."),
        column("currency", DataType::String, true, Internal, &["system.operations"], "ISO 4217."),
        column("country", DataType::String, false, Internal, &["user.location"], "Where it was paid, ISO 3166-1."),
        column("merchant", DataType::String, false, Internal, &["user.behavior.purchase_history"], "To whom it was paid."),
        column("kind", DataType::String, true, Internal, &["system.operations"], "sale, refund or cash."),
        column("paid_at", DataType::Timestamp, true, Internal, &["user.behavior.purchase_history"], "When it was paid."),
    ]
}

const MERCHANTS: [&str; 16] = [
    "Bakery", "Bookshop", "Grocer", "Fuel", "Pharmacy", "Cinema", "Café", "Florist", "Railway", "Garage", "Hotel", "Toys",
    "Shoes", "Market", "Museum", "Optician",
];
/// What stolen cards are spent on.
const RESOLD: [&str; 4] = ["Giftcards", "Phones", "Jewels", "Crypto"];

/// Typical prices in a currency, relative to the euro.
fn price_level(currency: &str) -> f64 {
    match currency {
        "JPY" => 150.0,
        "INR" => 60.0,
        "TRY" => 30.0,
        "PLN" => 4.0,
        _ => 1.0,
    }
}

enum Fault {
    NoCustomer,
    NegativeAmount,
    BrokenEmail,
    WrongCheckDigit,
    HugeAmount,
    UnknownCurrency,
}

pub(super) fn push(settings: &Settings, row: u64, buffers: &mut [ColumnBuffer]) {
    let [tx_id, customer_id, name, email, birth_date, card, amount, currency, country, merchant, kind, paid_at] = buffers else {
        return;
    };
    let mut random = Random::of(settings.seed, 1, row);
    let fraud = burst(settings.seed, row, settings.anomalies);
    let at = settings.event_time(row, &mut random);
    let fault = random.chance(settings.faults).then(|| match random.below(6) {
        0 => Fault::NoCustomer,
        1 => Fault::NegativeAmount,
        2 => Fault::BrokenEmail,
        3 => Fault::WrongCheckDigit,
        4 => Fault::HugeAmount,
        _ => Fault::UnknownCurrency,
    });
    let number = match fraud {
        Some(burst) => Random::of(settings.seed, 2, burst.id).below(settings.subjects),
        None => random.below(settings.subjects),
    };
    let person = Person::new(settings.seed, number);
    // A thief tries small sums first and shops abroad.
    let (culture, euros, shop) = match fraud {
        Some(burst) => {
            let abroad = &CULTURES[(burst.id % CULTURES.len() as u64) as usize];
            (abroad, if burst.step < 3 { 1.0 } else { 80.0 + 40.0 * burst.step as f64 }, random.pick(&RESOLD))
        }
        None => (person.culture, (3.2 + 0.9 * random.normal()).exp(), random.pick(&MERCHANTS)),
    };
    let cents = ((euros * price_level(culture.currency) * 100.0) as i128).clamp(1, 9_999_999);

    push::text(tx_id, |out| push::padded(out, b't', row, 7));
    match fault {
        Some(Fault::NoCustomer) => customer_id.push_null(),
        _ => push::text(customer_id, |out| push::padded(out, b'c', number, 7)),
    }
    push::text(name, |out| person.write_name(out));
    push::text(email, |out| match fault {
        Some(Fault::BrokenEmail) => {
            let start = out.len();
            person.write_email(out);
            let at = out[start..].iter().position(|&b| b == b'@').unwrap_or(0);
            out.remove(start + at);
        }
        _ => person.write_email(out),
    });
    push::date(birth_date, person.birth_date());
    push::text(card, |out| person.write_card(out, !matches!(fault, Some(Fault::WrongCheckDigit))));
    push::decimal(
        amount,
        match fault {
            Some(Fault::NegativeAmount) => -cents,
            Some(Fault::HugeAmount) => cents + 50_000_000,
            _ => cents,
        },
    );
    push::text(currency, |out| {
        out.extend_from_slice(if matches!(fault, Some(Fault::UnknownCurrency)) { b"XXQ" } else { culture.currency.as_bytes() });
    });
    push::text(country, |out| out.extend_from_slice(culture.country.as_bytes()));
    push::text(merchant, |out| out.extend_from_slice(shop.as_bytes()));
    let usual: &[u8] = match random.below(32) {
        0 if fraud.is_none() => b"refund",
        1 if fraud.is_none() => b"cash",
        _ => b"sale",
    };
    push::text(kind, |out| out.extend_from_slice(usual));
    push::timestamp(paid_at, at);
}
