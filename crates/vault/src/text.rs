//! The text form of a value: what hashing, tokens and subjects work on, so that `42` from CSV and 42 from Parquet agree.
//!
//! | type | text |
//! | --- | --- |
//! | text | itself |
//! | boolean | `true`, `false` |
//! | integers | decimal digits |
//! | floats | the shortest decimal that reads back the same; `-0` is `0` |
//! | decimals | all digits of the scale: `12.50` |
//! | date | `2026-03-01` |
//! | timestamp | `2026-03-01T12:00:00.000000Z`, UTC; nine digits for nanoseconds |
//! | bytes | the bytes themselves |

use std::io::Write;

use arrow::{
    array::{Array, AsArray, PrimitiveArray},
    datatypes::*,
    temporal_conversions::{
        date32_to_datetime, timestamp_ms_to_datetime, timestamp_ns_to_datetime, timestamp_s_to_datetime, timestamp_us_to_datetime,
    },
};
use chrono::NaiveDateTime;

use crate::mac::{Mac, Macs};

/// Whether values of a type have a text form.
pub(crate) fn has_text_form(data_type: &DataType) -> bool {
    data_type.is_integer()
        || is_text(data_type)
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(..)
                | DataType::Binary
                | DataType::LargeBinary
        )
}

pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Calls `visit` with the text of each value in order, none for a null. False if the type has no text form.
pub(crate) fn for_each_text(array: &dyn Array, mut visit: impl FnMut(Option<&[u8]>)) -> bool {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().for_each(|v| visit(v.map(str::as_bytes))),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(|v| visit(v.map(str::as_bytes))),
        DataType::Utf8View => array.as_string_view().iter().for_each(|v| visit(v.map(str::as_bytes))),
        DataType::Binary => array.as_binary::<i32>().iter().for_each(visit),
        DataType::LargeBinary => array.as_binary::<i64>().iter().for_each(visit),
        DataType::Boolean => array.as_boolean().iter().for_each(|v| {
            visit(v.map(|v| if v { b"true".as_slice() } else { b"false" }));
        }),
        DataType::Int8 => integers(array.as_primitive::<Int8Type>(), visit),
        DataType::Int16 => integers(array.as_primitive::<Int16Type>(), visit),
        DataType::Int32 => integers(array.as_primitive::<Int32Type>(), visit),
        DataType::Int64 => integers(array.as_primitive::<Int64Type>(), visit),
        DataType::UInt8 => integers(array.as_primitive::<UInt8Type>(), visit),
        DataType::UInt16 => integers(array.as_primitive::<UInt16Type>(), visit),
        DataType::UInt32 => integers(array.as_primitive::<UInt32Type>(), visit),
        DataType::UInt64 => integers(array.as_primitive::<UInt64Type>(), visit),
        DataType::Float32 => {
            written(array.as_primitive::<Float32Type>(), visit, |v, out| write!(out, "{}", if v == 0.0 { 0.0 } else { v }))
        }
        DataType::Float64 => {
            written(array.as_primitive::<Float64Type>(), visit, |v, out| write!(out, "{}", if v == 0.0 { 0.0 } else { v }))
        }
        DataType::Decimal128(_, scale) => {
            written(array.as_primitive::<Decimal128Type>(), visit, |v, out| write_decimal(v, *scale, out));
        }
        DataType::Date32 => written(array.as_primitive::<Date32Type>(), visit, |v, out| match date32_to_datetime(v) {
            Some(time) => write!(out, "{}", time.date()),
            None => write!(out, "{v}"),
        }),
        DataType::Timestamp(TimeUnit::Second, _) => {
            timestamps(array.as_primitive::<TimestampSecondType>(), visit, timestamp_s_to_datetime);
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            timestamps(array.as_primitive::<TimestampMillisecondType>(), visit, timestamp_ms_to_datetime);
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            timestamps(array.as_primitive::<TimestampMicrosecondType>(), visit, timestamp_us_to_datetime);
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            timestamps(array.as_primitive::<TimestampNanosecondType>(), visit, timestamp_ns_to_datetime);
        }
        _ => return false,
    }
    true
}

/// The MAC of each value's text, zeros for a null. None if the type has no text form.
pub(crate) fn mac_each(mac: &Mac, array: &dyn Array) -> Option<Vec<[u8; 32]>> {
    let mut macs = Macs::with_capacity(mac, array.len());
    for_each_text(array, |text| macs.push(text)).then(|| macs.finish())
}

fn integers<T>(array: &PrimitiveArray<T>, mut visit: impl FnMut(Option<&[u8]>))
where
    T: ArrowPrimitiveType,
    T::Native: itoa::Integer,
{
    let mut digits = itoa::Buffer::new();
    for value in array {
        visit(value.map(|v| digits.format(v).as_bytes()));
    }
}

fn timestamps<T: ArrowPrimitiveType<Native = i64>>(
    array: &PrimitiveArray<T>,
    visit: impl FnMut(Option<&[u8]>),
    to_datetime: fn(i64) -> Option<NaiveDateTime>,
) {
    let nanoseconds = matches!(T::DATA_TYPE, DataType::Timestamp(TimeUnit::Nanosecond, _));
    let format = if nanoseconds { "%Y-%m-%dT%H:%M:%S%.9fZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
    written(array, visit, |v, out| match to_datetime(v) {
        Some(time) => write!(out, "{}", time.format(format)),
        // Outside the calendar: the number itself, so that the value still has one form.
        None => write!(out, "{v}"),
    });
}

/// Each value written to one buffer that is used again.
fn written<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    mut visit: impl FnMut(Option<&[u8]>),
    write: impl Fn(T::Native, &mut Vec<u8>) -> std::io::Result<()>,
) {
    let mut text = Vec::with_capacity(32);
    for value in array {
        visit(value.map(|value| {
            text.clear();
            write(value, &mut text).expect("invariant: memory can be written");
            text.as_slice()
        }));
    }
}

pub(crate) fn write_decimal(value: i128, scale: i8, out: &mut Vec<u8>) -> std::io::Result<()> {
    let digits = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    match u32::from(scale.unsigned_abs()) {
        0 => write!(out, "{sign}{digits}"),
        zeros if scale < 0 => write!(out, "{sign}{digits}{:0<width$}", "", width = zeros as usize),
        places => {
            // 10^39 does not fit; no i128 has that many digits, so everything is behind the point.
            let (whole, fraction) = 10u128.checked_pow(places).map_or((0, digits), |power| (digits / power, digits % power));
            write!(out, "{sign}{whole}.{fraction:0>width$}", width = places as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;

    use super::*;

    fn texts(array: ArrayRef) -> Vec<String> {
        let mut found = Vec::new();
        assert!(has_text_form(array.data_type()));
        assert!(for_each_text(&array, |text| {
            found.push(text.map_or("null".into(), |text| String::from_utf8_lossy(text).into_owned()));
        }));
        found
    }

    #[test]
    fn every_type_has_its_text() {
        let cases: Vec<(ArrayRef, &[&str])> = vec![
            (Arc::new(StringArray::from(vec![Some("é"), None, Some("")])), &["é", "null", ""]),
            (Arc::new(StringViewArray::from(vec!["a longer text than twelve"])), &["a longer text than twelve"]),
            (Arc::new(LargeStringArray::from(vec!["a"])), &["a"]),
            (Arc::new(BinaryArray::from(vec![b"ab".as_slice()])), &["ab"]),
            (Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])), &["true", "false", "null"]),
            (Arc::new(Int64Array::from(vec![Some(42), Some(i64::MIN), None])), &["42", "-9223372036854775808", "null"]),
            (Arc::new(Int32Array::from(vec![42])), &["42"]),
            (Arc::new(UInt64Array::from(vec![u64::MAX])), &["18446744073709551615"]),
            (Arc::new(Float64Array::from(vec![0.1, -0.0, 1.0, f64::NAN])), &["0.1", "0", "1", "NaN"]),
            (Arc::new(Float32Array::from(vec![0.1])), &["0.1"]),
            (Arc::new(Date32Array::from(vec![0, -1, i32::MAX])), &["1970-01-01", "1969-12-31", "2147483647"]),
            (
                Arc::new(TimestampMicrosecondArray::from(vec![1_772_366_400_000_001, i64::MAX])),
                &["2026-03-01T12:00:00.000001Z", "9223372036854775807"],
            ),
            (Arc::new(TimestampSecondArray::from(vec![0])), &["1970-01-01T00:00:00.000000Z"]),
            (Arc::new(TimestampNanosecondArray::from(vec![1])), &["1970-01-01T00:00:00.000000001Z"]),
            (
                Arc::new(Decimal128Array::from(vec![1250, -5, 0]).with_precision_and_scale(12, 2).unwrap()),
                &["12.50", "-0.05", "0.00"],
            ),
            (Arc::new(Decimal128Array::from(vec![7]).with_precision_and_scale(12, 0).unwrap()), &["7"]),
            (Arc::new(Decimal128Array::from(vec![7]).with_precision_and_scale(12, -2).unwrap()), &["700"]),
        ];
        for (array, expected) in cases {
            let data_type = array.data_type().clone();
            assert_eq!(texts(array), expected, "{data_type}");
        }
    }

    #[test]
    fn nested_types_have_none() {
        let array = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        assert!(!has_text_form(array.data_type()));
        assert!(!for_each_text(&array, |_| ()));
    }
}
