//! Appending a value to a column buffer of a known type.

use crate::format::columns::{ColumnBuffer, Values};

pub(super) fn text(column: &mut ColumnBuffer, write: impl FnOnce(&mut Vec<u8>)) {
    if let Values::Text(values) = &mut column.values {
        write(&mut values.bytes);
        values.end_value();
        column.len += 1;
    }
}

pub(super) fn decimal(column: &mut ColumnBuffer, value: i128) {
    if let Values::Decimal { values, .. } = &mut column.values {
        values.push(value);
        column.len += 1;
    }
}

pub(super) fn float(column: &mut ColumnBuffer, value: f64) {
    if let Values::Float64(values) = &mut column.values {
        values.push(value);
        column.len += 1;
    }
}

pub(super) fn int(column: &mut ColumnBuffer, value: i32) {
    if let Values::Int32(values) = &mut column.values {
        values.push(value);
        column.len += 1;
    }
}

pub(super) fn date(column: &mut ColumnBuffer, days: i32) {
    if let Values::Date(values) = &mut column.values {
        values.push(days);
        column.len += 1;
    }
}

pub(super) fn timestamp(column: &mut ColumnBuffer, micros: i64) {
    if let Values::Timestamp { values, .. } = &mut column.values {
        values.push(micros);
        column.len += 1;
    }
}

/// A letter and a number of at least `width` digits.
pub(super) fn padded(out: &mut Vec<u8>, letter: u8, number: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    out.push(letter);
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}
