//! `generalize`: coarser values. Dates and times become the start of their year, month, day or hour (UTC), numbers the
//! lower bound of their interval, text its first characters (all of them, where it has no more).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::*,
};
use chrono::{Datelike, NaiveDate};
use weir_spec::mask::{Generalization, Mask};

use super::{MaskError, MaskOp, RowKeys, check_type, partial::byte_of_char, text_output::TextOutput};
use crate::text::{for_each_text, is_text};

const DAY_SECONDS: i64 = 86_400;

#[derive(Debug)]
pub(super) struct Generalize {
    input: DataType,
    output: DataType,
    to: Generalization,
}

/// The output type, or why not. What would leave values as they are is refused: it would lower a classification for nothing.
pub(super) fn supports(to: &Generalization, data_type: &DataType) -> Result<DataType, String> {
    use DataType::{Date32, Decimal128, Float32, Float64, Timestamp};
    match (to, data_type) {
        (Generalization::Year | Generalization::Month, Date32 | Timestamp(..))
        | (Generalization::Day | Generalization::Hour, Timestamp(..)) => Ok(data_type.clone()),
        (Generalization::Day | Generalization::Hour, Date32) => {
            Err("a date knows its day already; generalize it to `month` or `year`".to_owned())
        }
        (Generalization::Year | Generalization::Month | Generalization::Day | Generalization::Hour, _) => Err(format!(
            "only dates and timestamps have years, months, days and hours, but this column has type {data_type}; \
             declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text"
        )),
        (Generalization::Width(width), _) if !(width.is_finite() && *width > 0.0) => {
            Err(format!("a width of {width} makes no intervals; give a number above 0"))
        }
        (Generalization::Width(width), _) if data_type.is_integer() => match whole(*width) {
            Some(width) if width > 1 => Ok(data_type.clone()),
            _ => Err(format!("whole numbers need a whole width above 1, not {width}")),
        },
        (Generalization::Width(width), Decimal128(precision, scale)) => match decimal_width(*width, *scale) {
            Some(width) if width > 1 => Ok(data_type.clone()),
            _ => Err(format!(
                "a width of {width} does not fit decimal({precision},{scale}), or changes nothing; give a multiple of its unit"
            )),
        },
        (Generalization::Width(width), Float32 | Float64) if *width < Mask::LEAST_FLOAT_WIDTH => {
            Err(format!("a width of {width:e} leaves floats as they are; give {:e} at least", Mask::LEAST_FLOAT_WIDTH))
        }
        (Generalization::Width(_), Float32 | Float64) => Ok(data_type.clone()),
        (Generalization::Width(_), _) => Err(format!("`width` is for numbers, but this column has type {data_type}")),
        (Generalization::Prefix(0), _) => Err("a prefix of 0 characters leaves nothing; use `redact`".to_owned()),
        (Generalization::Prefix(_), _) if is_text(data_type) => Ok(DataType::Utf8),
        (Generalization::Prefix(_), _) => Err(format!("`prefix` is for text, but this column has type {data_type}")),
    }
}

impl Generalize {
    pub(super) fn new(input: DataType, output: DataType, to: Generalization) -> Self {
        Self { input, output, to }
    }
}

impl MaskOp for Generalize {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        match self.to {
            Generalization::Prefix(characters) => prefix(array, characters),
            Generalization::Width(width) => Ok(numbers(array, width)),
            Generalization::Year | Generalization::Month | Generalization::Day | Generalization::Hour => {
                Ok(times(array, &self.to))
            }
        }
    }

    fn output_type(&self) -> DataType {
        self.output.clone()
    }
}

fn prefix(array: &ArrayRef, characters: usize) -> Result<ArrayRef, MaskError> {
    let mut output = TextOutput::like(array, characters.min(16));
    for_each_text(array, |text| {
        output.push(|out| {
            if let Some(text) = text {
                let text = std::str::from_utf8(text).expect("invariant: text columns are UTF-8");
                out.extend_from_slice(&text.as_bytes()[..byte_of_char(text, characters)]);
            }
        });
    });
    output.finish()
}

fn numbers(array: &ArrayRef, width: f64) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => {
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|v| float_floor(v.into(), width) as f32))
        }
        DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| float_floor(v, width))),
        DataType::Decimal128(precision, scale) => {
            let width = decimal_width(width, *scale).expect("invariant: checked by supports");
            // As for integers: null where the interval begins below what the precision can hold.
            let limit = 10i128.pow((*precision).into());
            let floored: PrimitiveArray<Decimal128Type> =
                array.as_primitive::<Decimal128Type>().unary_opt(|v| Some(integer_floor(v, width)).filter(|v| v.abs() < limit));
            Arc::new(floored.with_precision_and_scale(*precision, *scale).expect("invariant: the input's own"))
        }
        DataType::Int8 => integers::<Int8Type>(array, width),
        DataType::Int16 => integers::<Int16Type>(array, width),
        DataType::Int32 => integers::<Int32Type>(array, width),
        DataType::Int64 => integers::<Int64Type>(array, width),
        DataType::UInt8 => integers::<UInt8Type>(array, width),
        DataType::UInt16 => integers::<UInt16Type>(array, width),
        DataType::UInt32 => integers::<UInt32Type>(array, width),
        DataType::UInt64 => integers::<UInt64Type>(array, width),
        other => unreachable!("refused by supports: {other}"),
    }
}

fn integers<T>(array: &ArrayRef, width: f64) -> ArrayRef
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + TryFrom<i128>,
{
    let width = whole(width).expect("invariant: checked by supports");
    // The interval that reaches below the type's least value gives null rather than a value that is too exact.
    Arc::new(array.as_primitive::<T>().unary_opt::<_, T>(|value| T::Native::try_from(integer_floor(value.into(), width)).ok()))
}

fn times(array: &ArrayRef, to: &Generalization) -> ArrayRef {
    match array.data_type() {
        DataType::Date32 => Arc::new(
            array
                .as_primitive::<Date32Type>()
                .unary_opt::<_, Date32Type>(|day| i32::try_from(start_of_day(day.into(), to)?).ok()),
        ),
        DataType::Timestamp(TimeUnit::Second, _) => timestamps::<TimestampSecondType>(array, 1, to),
        DataType::Timestamp(TimeUnit::Millisecond, _) => timestamps::<TimestampMillisecondType>(array, 1_000, to),
        DataType::Timestamp(TimeUnit::Microsecond, _) => timestamps::<TimestampMicrosecondType>(array, 1_000_000, to),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => timestamps::<TimestampNanosecondType>(array, 1_000_000_000, to),
        other => unreachable!("refused by supports: {other}"),
    }
}

/// What lies outside the calendar becomes null.
fn timestamps<T: ArrowTimestampType>(array: &ArrayRef, per_second: i64, to: &Generalization) -> ArrayRef {
    let input = array.as_primitive::<T>();
    let day = DAY_SECONDS * per_second;
    let hour = 3_600 * per_second;
    let output: PrimitiveArray<T> = input.unary_opt(|value| {
        let start = start_of_day(value.div_euclid(day), to)?;
        if matches!(to, Generalization::Hour) { value.div_euclid(hour).checked_mul(hour) } else { start.checked_mul(day) }
    });
    Arc::new(output.with_timezone_opt(input.timezone()))
}

/// The first day (counted from 1970-01-01) of the day's month or year; the day itself for finer units. None outside the
/// calendar.
fn start_of_day(day: i64, to: &Generalization) -> Option<i64> {
    let epoch = NaiveDate::default();
    let date = epoch.checked_add_signed(chrono::TimeDelta::try_days(day)?)?;
    let start = match to {
        Generalization::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
        Generalization::Month => date.with_day(1)?,
        _ => date,
    };
    Some((start - epoch).num_days())
}

fn float_floor(value: f64, width: f64) -> f64 {
    (value / width).floor() * width
}

/// The lower bound of the interval; `i128` does not overflow for the types that come here, except decimals at its very end.
fn integer_floor(value: i128, width: i128) -> i128 {
    value.div_euclid(width).saturating_mul(width)
}

/// A width that is a whole number, and that `f64` holds exactly.
fn whole(width: f64) -> Option<i128> {
    (width.fract() == 0.0 && width.abs() <= 9_007_199_254_740_992.0).then_some(width as i128)
}

/// A width in units of the last decimal place.
fn decimal_width(width: f64, scale: i8) -> Option<i128> {
    let units = width * 10f64.powi(scale.into());
    // 0.1 is not exactly a tenth: take the nearest unit if it is very near.
    let nearest = units.round();
    if (units - nearest).abs() <= 1e-6 { whole(nearest) } else { None }
}
