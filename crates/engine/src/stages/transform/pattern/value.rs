//! One value of one column, small and with a fixed encoding: what patterns remember of rows.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanBuilder, PrimitiveArray, StringBuilder},
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
    error::ArrowError,
    row::{RowConverter, SortField},
};

use crate::state::{
    StateError,
    codec::{Reader, put_bytes, put_varint},
};

/// A value. What it means depends on the column's type.
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    /// Whole numbers, dates (days) and timestamps (microseconds).
    Int(i64),
    Float(f64),
    /// The digits of a decimal, without its point.
    Decimal(i128),
    Text(Arc<str>),
    /// Any other type, in Arrow's row format.
    Row(Arc<[u8]>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Bytes on the heap.
    pub fn heap_size(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 16,
            Self::Row(bytes) => bytes.len() + 16,
            _ => 0,
        }
    }

    /// The order that Arrow's kernels give values of one type; `None` with a null. Floats go by IEEE 754's total order.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Row(a), Self::Row(b)) => a.cmp(b),
            _ => return None,
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Bool(value) => out.push(1 + u8::from(*value)),
            Self::Int(value) => {
                out.push(3);
                put_varint(out, zigzag(*value));
            }
            Self::Float(value) => {
                out.push(4);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Self::Decimal(value) => {
                out.push(5);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Self::Text(text) => {
                out.push(6);
                put_bytes(out, text.as_bytes());
            }
            Self::Row(bytes) => {
                out.push(7);
                put_bytes(out, bytes);
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(match reader.u8()? {
            0 => Self::Null,
            1 => Self::Bool(false),
            2 => Self::Bool(true),
            3 => Self::Int(unzigzag(reader.varint()?)),
            4 => Self::Float(f64::from_bits(reader.u64()?)),
            5 => Self::Decimal(i128::from_le_bytes(reader.array()?)),
            6 => {
                Self::Text(std::str::from_utf8(reader.bytes()?).map_err(|_| StateError::Malformed("a text is not UTF-8"))?.into())
            }
            7 => Self::Row(reader.bytes()?.into()),
            _ => return Err(StateError::Malformed("no such kind of value")),
        })
    }
}

/// The same value, bit for bit: NaN is equal to itself.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.is_null() && other.is_null() || self.compare(other) == Some(Ordering::Equal)
    }
}

/// Small numbers of either sign as small numbers.
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Turns arrays of one type into values and back.
pub struct ColumnCodec {
    data_type: DataType,
    /// For types that have no kind of value of their own.
    rows: Option<RowConverter>,
}

impl ColumnCodec {
    pub fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        let native = matches!(
            data_type,
            DataType::Null
                | DataType::Boolean
                | DataType::Int32
                | DataType::Int64
                | DataType::Date32
                | DataType::Timestamp(TimeUnit::Microsecond, _)
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(_, _)
                | DataType::Utf8
        );
        let rows = if native { None } else { Some(RowConverter::new(vec![SortField::new(data_type.clone())])?) };
        Ok(Self { data_type: data_type.clone(), rows })
    }

    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The values of a column.
    pub fn values(&self, column: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
        fn each<T: ArrowPrimitiveType>(column: &ArrayRef, make: impl Fn(T::Native) -> Value) -> Vec<Value> {
            column.as_primitive::<T>().iter().map(|value| value.map_or(Value::Null, &make)).collect()
        }
        Ok(match &self.data_type {
            DataType::Null => vec![Value::Null; column.len()],
            DataType::Boolean => column.as_boolean().iter().map(|value| value.map_or(Value::Null, Value::Bool)).collect(),
            DataType::Int32 => each::<Int32Type>(column, |value| Value::Int(value.into())),
            DataType::Int64 => each::<Int64Type>(column, Value::Int),
            DataType::Date32 => each::<Date32Type>(column, |value| Value::Int(value.into())),
            DataType::Timestamp(..) if self.rows.is_none() => each::<TimestampMicrosecondType>(column, Value::Int),
            DataType::Float32 => each::<Float32Type>(column, |value| Value::Float(value.into())),
            DataType::Float64 => each::<Float64Type>(column, Value::Float),
            DataType::Decimal128(..) => each::<Decimal128Type>(column, Value::Decimal),
            DataType::Utf8 => {
                column.as_string::<i32>().iter().map(|text| text.map_or(Value::Null, |text| Value::Text(text.into()))).collect()
            }
            _ => {
                let converter = self.rows.as_ref().expect("invariant: other types have a converter");
                let rows = converter.convert_columns(std::slice::from_ref(column))?;
                let value = |(n, row): (usize, arrow::row::Row<'_>)| {
                    if column.is_null(n) { Value::Null } else { Value::Row(row.as_ref().into()) }
                };
                rows.iter().enumerate().map(value).collect()
            }
        })
    }

    /// A column of these values. Values of another kind than the type's, which a damaged state could hold, become null.
    pub fn array<'v>(&self, values: impl Iterator<Item = &'v Value>) -> Result<ArrayRef, ArrowError> {
        fn ints<'v, T>(values: impl Iterator<Item = &'v Value>) -> PrimitiveArray<T>
        where
            T: ArrowPrimitiveType,
            T::Native: TryFrom<i64>,
        {
            values.map(|value| if let Value::Int(value) = value { T::Native::try_from(*value).ok() } else { None }).collect()
        }
        fn floats<'v>(values: impl Iterator<Item = &'v Value>) -> PrimitiveArray<Float64Type> {
            values.map(|value| if let Value::Float(value) = value { Some(*value) } else { None }).collect()
        }
        Ok(match &self.data_type {
            DataType::Null => Arc::new(arrow::array::NullArray::new(values.count())),
            DataType::Boolean => {
                let mut builder = BooleanBuilder::new();
                values.for_each(|value| builder.append_option(if let Value::Bool(value) = value { Some(*value) } else { None }));
                Arc::new(builder.finish())
            }
            DataType::Int32 => Arc::new(ints::<Int32Type>(values)),
            DataType::Int64 => Arc::new(ints::<Int64Type>(values)),
            DataType::Date32 => Arc::new(ints::<Date32Type>(values)),
            DataType::Timestamp(_, zone) if self.rows.is_none() => {
                Arc::new(ints::<TimestampMicrosecondType>(values).with_timezone_opt(zone.clone()))
            }
            DataType::Float32 => cast(&(Arc::new(floats(values)) as ArrayRef), &DataType::Float32)?,
            DataType::Float64 => Arc::new(floats(values)),
            DataType::Decimal128(precision, scale) => {
                let decimals: PrimitiveArray<Decimal128Type> =
                    values.map(|value| if let Value::Decimal(value) = value { Some(*value) } else { None }).collect();
                Arc::new(decimals.with_precision_and_scale(*precision, *scale)?)
            }
            DataType::Utf8 => {
                let mut builder = StringBuilder::new();
                values.for_each(|value| builder.append_option(if let Value::Text(text) = value { Some(&**text) } else { None }));
                Arc::new(builder.finish())
            }
            _ => {
                let converter = self.rows.as_ref().expect("invariant: other types have a converter");
                let null = arrow::array::new_null_array(&self.data_type, 1);
                let null = converter.convert_columns(&[null])?;
                let parser = converter.parser();
                let rows = values.map(|value| match value {
                    Value::Row(bytes) => parser.parse(bytes),
                    _ => null.row(0),
                });
                converter.convert_rows(rows)?.swap_remove(0)
            }
        })
    }
}
