//! Values of a table as bytes: what lanes hand to the writer, what is staged, what statements are bound to.
//!
//! A record is `key length | row length | key | row`, lengths as 32 bits; key and row are values one after the other. Equal keys
//! are equal bytes, and integers are in their order, so that rows reach the table in about the order of its index.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use rusqlite::{ToSql, types::ToSqlOutput, types::ValueRef};

use crate::{
    error::ConnectorError,
    format::{json::encode::PlainColumn, time::write_sortable_timestamp},
};

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// A column whose values are written one by one. The array comes from [`crate::format::json::encode::writable_columns`].
pub(super) enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int32(&'a ArrayRef, &'a [i32]),
    Int64(&'a ArrayRef, &'a [i64]),
    Float32(&'a ArrayRef, &'a [f32]),
    Float64(&'a ArrayRef, &'a [f64]),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Timestamp(&'a ArrayRef, &'a [i64]),
    /// What is text in other formats too.
    Plain(PlainColumn<'a>),
}

impl<'a> Values<'a> {
    pub fn new(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int32 => Self::Int32(array, array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Self::Int64(array, array.as_primitive::<Int64Type>().values()),
            DataType::Float32 => Self::Float32(array, array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Self::Float64(array, array.as_primitive::<Float64Type>().values()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Timestamp(..) => Self::Timestamp(array, array.as_primitive::<TimestampMicrosecondType>().values()),
            _ => Self::Plain(PlainColumn::new(array.as_ref())),
        }
    }

    /// Appends the value of a row. `scratch` is for texts.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, row: usize, scratch: &mut Vec<u8>) {
        match self {
            Self::Boolean(values) if values.is_valid(row) => integer(out, values.value(row).into()),
            Self::Int32(array, values) if array.is_valid(row) => integer(out, values[row].into()),
            Self::Int64(array, values) if array.is_valid(row) => integer(out, values[row]),
            Self::Float32(array, values) if array.is_valid(row) => real(out, values[row].into()),
            Self::Float64(array, values) if array.is_valid(row) => real(out, values[row]),
            Self::Text(values) if values.is_valid(row) => bytes(out, TEXT, values.value(row).as_bytes()),
            Self::Bytes(values) if values.is_valid(row) => bytes(out, BLOB, values.value(row)),
            Self::Timestamp(array, values) if array.is_valid(row) => {
                scratch.clear();
                write_sortable_timestamp(scratch, values[row]);
                bytes(out, TEXT, scratch);
            }
            Self::Plain(column) => {
                scratch.clear();
                if column.write(scratch, row) {
                    bytes(out, TEXT, scratch);
                } else {
                    out.push(NULL);
                }
            }
            _ => out.push(NULL),
        }
    }
}

#[inline]
fn integer(out: &mut Vec<u8>, value: i64) {
    out.push(INTEGER);
    out.extend_from_slice(&(value ^ i64::MIN).to_be_bytes());
}

#[inline]
fn real(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.push(NULL);
    } else {
        out.push(REAL);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

#[inline]
fn bytes(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    // Arrow counts the bytes of an array in 31 bits.
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

/// A value to bind a statement's parameter to.
pub(super) struct Bound<'a>(ValueRef<'a>);

impl Bound<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self.0, ValueRef::Null)
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

/// The values of a key or a row, one after the other.
pub(super) struct Decoded<'a> {
    rest: &'a [u8],
}

impl<'a> Decoded<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ConnectorError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(broken)?;
        self.rest = rest;
        Ok(taken)
    }

    fn eight(&mut self) -> Result<[u8; 8], ConnectorError> {
        self.take(8)?.try_into().map_err(|_| broken())
    }

    fn value(&mut self) -> Result<ValueRef<'a>, ConnectorError> {
        Ok(match self.take(1)?[0] {
            NULL => ValueRef::Null,
            INTEGER => ValueRef::Integer(i64::from_be_bytes(self.eight()?) ^ i64::MIN),
            REAL => ValueRef::Real(f64::from_bits(u64::from_le_bytes(self.eight()?))),
            tag @ (TEXT | BLOB) => {
                let length = u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| broken())?);
                let value = self.take(length as usize)?;
                if tag == TEXT { ValueRef::Text(value) } else { ValueRef::Blob(value) }
            }
            _ => return Err(broken()),
        })
    }
}

impl<'a> Iterator for Decoded<'a> {
    type Item = Result<Bound<'a>, ConnectorError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.value().map(Bound))
    }
}

/// One record of what an encoder wrote.
pub(super) struct Record<'a> {
    /// Added rather than taken back.
    pub added: bool,
    pub key: &'a [u8],
    pub row: &'a [u8],
}

/// Begins a record, whose lengths are not known yet.
pub(super) fn begin_record(out: &mut Vec<u8>, added: bool) -> usize {
    out.push(added.into());
    out.extend_from_slice(&[0; 8]);
    out.len()
}

/// Ends a record that began at `start`, whose key ends at `key_end`.
pub(super) fn end_record(out: &mut [u8], start: usize, key_end: usize) -> Result<(), ConnectorError> {
    let too_long = |_| ConnectorError::Config("a row of more than 4 GiB cannot be written to a table".into());
    let key = u32::try_from(key_end - start).map_err(too_long)?;
    let row = u32::try_from(out.len() - key_end).map_err(too_long)?;
    out[start - 8..start - 4].copy_from_slice(&key.to_le_bytes());
    out[start - 4..start].copy_from_slice(&row.to_le_bytes());
    Ok(())
}

/// The records of an encoded part, in order.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, ConnectorError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = || {
            let (head, after) = rest.split_first_chunk::<9>()?;
            let length = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?) as usize);
            let (key, after) = after.split_at_checked(length(1)?)?;
            let (row, after) = after.split_at_checked(length(5)?)?;
            Some((Record { added: head[0] == 1, key, row }, after))
        };
        Some(match read() {
            Some((record, after)) => {
                rest = after;
                Ok(record)
            }
            None => {
                rest = &[];
                Err(broken())
            }
        })
    })
}

pub(super) fn broken() -> ConnectorError {
    ConnectorError::Internal("staged rows of a table cannot be read".into())
}
