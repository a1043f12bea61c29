//! Columns as plain numbers, so that the loops over them know few types: 64-bit words in the order of their values, floats, wide integers.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, UInt64Array},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type},
    error::ArrowError,
};

const SIGN: u64 = 1 << 63;

/// Whether values of this type fit into words.
pub(super) fn fits_word(of: &DataType) -> bool {
    use DataType::*;
    let number = matches!(of, Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float32 | Float64);
    number || matches!(of, Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(_, _) | Duration(_))
}

/// Whether values of this type are whole numbers or decimals of at most 128 bits.
pub(super) fn fits_wide(of: &DataType) -> bool {
    use DataType::*;
    of.is_integer() || matches!(of, Decimal32(_, _) | Decimal64(_, _) | Decimal128(_, _) | Duration(_))
}

/// A float as a word: all in their order, negative zero before zero, NaN (of any bits) last.
pub(super) fn float_word(value: f64) -> u64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & !SIGN } else { value.to_bits() };
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

pub(super) fn word_float(word: u64) -> f64 {
    f64::from_bits(if word & SIGN == 0 { !word } else { word & !SIGN })
}

/// The type with 32 bits that a column must be seen as before it can be widened.
fn storage(of: &DataType) -> DataType {
    match of {
        DataType::Date32 | DataType::Time32(_) => DataType::Int32,
        _ => DataType::Int64,
    }
}

fn ints(column: &ArrayRef) -> Result<Int64Array, ArrowError> {
    let stored = cast(column, &storage(column.data_type()))?;
    Ok(cast(&stored, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Values as words whose order is that of the values; for nulls, anything.
pub(super) fn words(column: &ArrayRef) -> Result<Vec<u64>, ArrowError> {
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().values().iter().map(u64::from).collect(),
        DataType::Float32 | DataType::Float64 => floats(column)?.into_iter().map(float_word).collect(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().values().to_vec(),
        _ => ints(column)?.values().iter().map(|&value| value as u64 ^ SIGN).collect(),
    })
}

/// The column of this type that words stand for.
pub(super) fn from_words(words: Vec<Option<u64>>, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let words = words.into_iter();
    Ok(match to {
        DataType::Boolean => Arc::new(words.map(|word| word.map(|word| word != 0)).collect::<BooleanArray>()),
        DataType::Float32 | DataType::Float64 => cast(&words.map(|word| word.map(word_float)).collect::<Float64Array>(), to)?,
        DataType::UInt64 => Arc::new(words.collect::<UInt64Array>()),
        _ => {
            let ints: Int64Array = words.map(|word| word.map(|word| (word ^ SIGN) as i64)).collect();
            cast(&cast(&ints, &storage(to))?, to)?
        }
    })
}

/// Values as floats; for nulls, anything. Decimals are scaled.
pub(super) fn floats(column: &ArrayRef) -> Result<Vec<f64>, ArrowError> {
    match column.data_type() {
        DataType::Float64 => Ok(column.as_primitive::<Float64Type>().values().to_vec()),
        _ => Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().values().to_vec()),
    }
}

/// Values as wide integers, decimals without their point; for nulls, anything.
pub(super) fn wides(column: &ArrayRef) -> Result<Vec<i128>, ArrowError> {
    Ok(match column.data_type() {
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().values().to_vec(),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
            let wide = cast(column, &DataType::Decimal128(38, *scale))?;
            wide.as_primitive::<Decimal128Type>().values().to_vec()
        }
        DataType::UInt64 => column.as_primitive::<UInt64Type>().values().iter().map(|&value| i128::from(value)).collect(),
        _ => ints(column)?.values().iter().map(|&value| i128::from(value)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Time32SecondArray, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn words_come_back_and_keep_the_order() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![i64::MIN, -1, 0, 1, i64::MAX])),
            Arc::new(UInt64Array::from(vec![0, 1, u64::MAX])),
            Arc::new(Float64Array::from(vec![f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, f64::INFINITY, f64::NAN])),
            Arc::new(Date32Array::from(vec![-5, 0, 20_000])),
            Arc::new(Time32SecondArray::from(vec![0, 86_399])),
            Arc::new(TimestampMillisecondArray::from(vec![-1, 0, 1]).with_timezone("Europe/Berlin")),
            Arc::new(BooleanArray::from(vec![false, true])),
        ];
        for column in columns {
            let words = words(&column).unwrap();
            assert!(words.is_sorted_by(|a, b| a < b), "{:?}", column.data_type());
            let back = from_words(words.into_iter().map(Some).collect(), column.data_type()).unwrap();
            assert_eq!(format!("{back:?}"), format!("{column:?}"));
        }
    }

    #[test]
    fn every_nan_is_the_same_word() {
        assert_eq!(float_word(f64::NAN), float_word(-f64::NAN));
        assert!(float_word(f64::NAN) > float_word(f64::INFINITY));
    }
}
