//! Machine sensors: readings around a working point; now and then a machine wears out, runs hot and fails.

use weir_spec::{
    Classification::{Confidential, Internal},
    Column, DataType,
};

use super::{
    Settings, column, push,
    random::{Random, burst},
};
use crate::format::columns::ColumnBuffer;

pub(super) fn columns() -> Vec<Column> {
    let system: &[&str] = &["system.operations"];
    vec![
        column("reading_id", DataType::String, true, Internal, system, "Identifies the reading."),
        column("machine_id", DataType::String, true, Internal, system, "Which machine."),
        column("site", DataType::String, true, Internal, system, "Where it stands."),
        column("operator_id", DataType::String, false, Confidential, &["user.unique_id"], "Who operates it on this shift."),
        column("temperature", DataType::Float64, true, Internal, system, "Bearing temperature, degrees Celsius."),
        column("vibration", DataType::Float64, true, Internal, system, "Vibration velocity, mm/s RMS."),
        column("pressure", DataType::Float64, false, Internal, system, "Oil pressure, bar."),
        column("speed", DataType::Int32, false, Internal, system, "Shaft speed, revolutions a minute."),
        column("status", DataType::String, true, Internal, system, "running, warning or failed."),
        column("measured_at", DataType::Timestamp, true, Internal, system, "When it was measured."),
    ]
}

const SITES: [&str; 6] = ["Rotterdam", "Katowice", "Bilbao", "Pune", "Columbus", "Nagoya"];

pub(super) fn push(settings: &Settings, row: u64, buffers: &mut [ColumnBuffer]) {
    let [reading_id, machine_id, site, operator_id, temperature, vibration, pressure, speed, status, measured_at] = buffers
    else {
        return;
    };
    let mut random = Random::of(settings.seed, 3, row);
    let wear = burst(settings.seed, row, settings.anomalies);
    let at = settings.event_time(row, &mut random);
    let fault = random.chance(settings.faults).then(|| random.below(4));
    let machine = match wear {
        Some(burst) => Random::of(settings.seed, 4, burst.id).below(settings.subjects),
        None => random.below(settings.subjects),
    };
    // Each machine has a working point of its own.
    let mut nature = Random::of(settings.seed, 5, machine);
    let (warm, rough, tight, fast) = (nature.unit(), nature.unit(), nature.unit(), nature.unit());
    let place = nature.pick(&SITES);
    // From new (0) to broken (1); the damage grows ever faster.
    let worn = wear.map_or(0.0, |burst| ((burst.step + 1) as f64 / burst.length as f64).powi(2));
    let failed = wear.is_some_and(|burst| burst.step + 2 >= burst.length);

    let degrees = 52.0 + 14.0 * warm + 1.5 * random.normal() + 55.0 * worn;
    let velocity = (1.2 + 1.1 * rough + 0.15 * random.normal() + 9.0 * worn).max(0.05);
    let bar = (3.6 + 0.8 * tight + 0.08 * random.normal() - 2.4 * worn).max(0.0);
    let turns = if failed { 0 } else { (1440.0 + 60.0 * fast + 6.0 * random.normal() - 260.0 * worn) as i32 };
    let round = |value: f64| (value * 100.0).round() / 100.0;

    push::text(reading_id, |out| push::padded(out, b'r', row, 10));
    match fault {
        Some(0) => machine_id.push_null(),
        _ => push::text(machine_id, |out| push::padded(out, b'm', machine, 5)),
    }
    push::text(site, |out| out.extend_from_slice(place.as_bytes()));
    let shift = at.div_euclid(8 * 3_600_000_000) as u64;
    let operator = Random::of(settings.seed ^ machine, 6, shift).below(settings.subjects.max(4) / 4);
    push::text(operator_id, |out| push::padded(out, b'o', operator, 5));
    match fault {
        // A sensor that is not connected reads absolute zero.
        Some(1) => push::float(temperature, -273.15),
        Some(2) => temperature.push_null(),
        _ => push::float(temperature, round(degrees)),
    }
    push::float(vibration, if fault == Some(3) { -1.0 } else { round(velocity) });
    push::float(pressure, round(bar));
    push::int(speed, turns);
    let state: &[u8] = match worn {
        _ if failed => b"failed",
        worn if worn > 0.4 => b"warning",
        _ => b"running",
    };
    push::text(status, |out| out.extend_from_slice(state));
    push::timestamp(measured_at, at);
}
