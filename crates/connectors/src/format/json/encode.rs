//! Arrow to NDJSON: one object a line, keys in column order, `null` written out.
//!
//! Decimals are JSON numbers with all digits of their scale. Timestamps are RFC 3339 with `Z`, dates `YYYY-MM-DD`, bytes
//! base64. Floats are the shortest text that reads back the same; NaN and the infinities, for which JSON has no numbers, are the strings
//! `"NaN"`, `"Infinity"` and `"-Infinity"`, as Spark, Flink and Protocol Buffers write them.

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, StringViewArray},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, Schema, TimeUnit,
        TimestampMicrosecondType, UInt64Type,
    },
};
use base64::Engine as _;
use std::sync::Arc;

use crate::{
    error::ConnectorError,
    format::{
        number::{name_of_float, write_decimal},
        time::{write_date, write_timestamp},
    },
};

/// Fails if a column has a type that has no JSON form, before the first row is written.
pub fn check_schema(schema: &Schema) -> Result<(), ConnectorError> {
    schema.fields().iter().try_for_each(|field| written_type(field.data_type()).map(drop).ok_or_else(|| no_form(field)))
}

fn no_form(field: &Field) -> ConnectorError {
    ConnectorError::Config(format!(
        "column `{}` of type {} cannot be written as text; cast it to another type in SQL",
        field.name(),
        field.data_type()
    ))
}

/// Appends the rows to `out`, each ended by `\n`.
pub fn write_rows(out: &mut Vec<u8>, rows: &RecordBatch) -> Result<(), ConnectorError> {
    let columns = writable_columns(rows)?;
    let schema = rows.schema_ref();
    let members = members(schema.fields().iter().zip(&columns));
    for row in 0..rows.num_rows() {
        write_members(out, &members, row);
        out.push(b'\n');
    }
    Ok(())
}

/// One row as a JSON object, without a line end.
pub(crate) fn row_as_json(rows: &RecordBatch, row: usize) -> Result<Vec<u8>, ConnectorError> {
    let mut out = Vec::new();
    write_rows(&mut out, &rows.slice(row, 1))?;
    out.pop();
    Ok(out)
}

/// The columns of `rows` in types that the text formats can write.
pub(crate) fn writable_columns(rows: &RecordBatch) -> Result<Vec<ArrayRef>, ConnectorError> {
    rows.schema_ref()
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, column)| {
            let to = written_type(field.data_type()).ok_or_else(|| no_form(field))?;
            if &to == field.data_type() {
                return Ok(column.clone());
            }
            cast(column, &to).map_err(|_| no_form(field))
        })
        .collect()
}

/// The type a column is written as: itself, or a wider one that is written the same way.
fn written_type(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Null | T::Boolean | T::Int32 | T::Int64 | T::UInt64 | T::Float32 | T::Float64 | T::Decimal128(..) => data_type.clone(),
        T::Utf8 | T::Utf8View | T::Binary | T::Date32 | T::Timestamp(TimeUnit::Microsecond, _) => data_type.clone(),
        T::Int8 | T::Int16 | T::UInt8 | T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::Float16 => T::Float32,
        T::Decimal32(p, s) | T::Decimal64(p, s) => T::Decimal128(*p, *s),
        T::LargeUtf8 | T::Time32(_) | T::Time64(_) => T::Utf8,
        T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Date64 => T::Date32,
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Microsecond, zone.clone()),
        T::Dictionary(_, values) => written_type(values)?,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(Field::new(item.name(), written_type(item.data_type())?, true)))
        }
        T::Struct(fields) => T::Struct(
            fields.iter().map(|f| Some(Field::new(f.name(), written_type(f.data_type())?, true))).collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// A column, opened for reading by row.
struct View<'a> {
    nulls: Option<&'a NullBuffer>,
    values: ViewValues<'a>,
}

enum ViewValues<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt64(&'a [u64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal(&'a [i128], i8),
    /// `clean`: no value holds a character that must be escaped.
    Text {
        offsets: &'a [i32],
        bytes: &'a [u8],
        clean: bool,
    },
    TextView(&'a StringViewArray),
    Binary(&'a BinaryArray),
    Date(&'a [i32]),
    Timestamp(&'a [i64]),
    List {
        offsets: &'a [i32],
        items: Box<View<'a>>,
    },
    Struct(Vec<Member<'a>>),
}

/// A column and what stands before its value: `{"name":` or `,"name":`.
struct Member<'a> {
    prefix: Vec<u8>,
    view: View<'a>,
}

fn members<'a>(columns: impl Iterator<Item = (&'a Arc<Field>, &'a ArrayRef)>) -> Vec<Member<'a>> {
    columns
        .enumerate()
        .map(|(i, (field, array))| {
            let mut prefix = vec![if i == 0 { b'{' } else { b',' }];
            write_string(&mut prefix, field.name().as_bytes());
            prefix.push(b':');
            Member { prefix, view: View::new(array.as_ref()) }
        })
        .collect()
}

impl<'a> View<'a> {
    fn new(array: &'a dyn Array) -> Self {
        use DataType as T;
        let values = match array.data_type() {
            T::Boolean => ViewValues::Boolean(array.as_boolean()),
            T::Int32 => ViewValues::Int32(array.as_primitive::<Int32Type>().values()),
            T::Int64 => ViewValues::Int64(array.as_primitive::<Int64Type>().values()),
            T::UInt64 => ViewValues::UInt64(array.as_primitive::<UInt64Type>().values()),
            T::Float32 => ViewValues::Float32(array.as_primitive::<Float32Type>().values()),
            T::Float64 => ViewValues::Float64(array.as_primitive::<Float64Type>().values()),
            T::Decimal128(_, scale) => ViewValues::Decimal(array.as_primitive::<Decimal128Type>().values(), *scale),
            T::Utf8 => {
                let text = array.as_string::<i32>();
                let (offsets, bytes) = (text.value_offsets(), text.value_data());
                let used = &bytes[offsets[0] as usize..offsets[offsets.len() - 1] as usize];
                ViewValues::Text { offsets, bytes, clean: is_clean(used) }
            }
            T::Utf8View => ViewValues::TextView(array.as_string_view()),
            T::Binary => ViewValues::Binary(array.as_binary()),
            T::Date32 => ViewValues::Date(array.as_primitive::<Date32Type>().values()),
            T::Timestamp(TimeUnit::Microsecond, _) => {
                ViewValues::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            T::List(_) => {
                let list = array.as_list::<i32>();
                ViewValues::List { offsets: list.value_offsets(), items: Box::new(View::new(list.values().as_ref())) }
            }
            T::Struct(fields) => ViewValues::Struct(members(fields.iter().zip(array.as_struct().columns()))),
            _ => ViewValues::Null,
        };
        Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), values }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>, row: usize) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.values {
            ViewValues::Null => out.extend_from_slice(b"null"),
            ViewValues::Boolean(v) => out.extend_from_slice(if v.value(row) { b"true" } else { b"false" }),
            ViewValues::Int32(v) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
            ViewValues::Int64(v) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
            ViewValues::UInt64(v) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
            ViewValues::Float32(v) => write_float(out, v[row], b"\""),
            ViewValues::Float64(v) => write_float(out, v[row], b"\""),
            ViewValues::Decimal(v, scale) => write_decimal(out, v[row], *scale),
            ViewValues::Text { offsets, bytes, clean } => {
                let value = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                if *clean {
                    out.push(b'"');
                    out.extend_from_slice(value);
                    out.push(b'"');
                } else {
                    write_string(out, value);
                }
            }
            ViewValues::TextView(v) => write_string(out, v.value(row).as_bytes()),
            ViewValues::Binary(v) => {
                out.push(b'"');
                write_base64(out, v.value(row));
                out.push(b'"');
            }
            ViewValues::Date(v) => {
                out.push(b'"');
                write_date(out, i64::from(v[row]));
                out.push(b'"');
            }
            ViewValues::Timestamp(v) => {
                out.push(b'"');
                write_timestamp(out, v[row]);
                out.push(b'"');
            }
            ViewValues::List { offsets, items } => {
                out.push(b'[');
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                for item in range.clone() {
                    if item > range.start {
                        out.push(b',');
                    }
                    items.write(out, item);
                }
                out.push(b']');
            }
            ViewValues::Struct(members) => write_members(out, members, row),
        }
    }
}

#[inline]
fn write_members(out: &mut Vec<u8>, members: &[Member<'_>], row: usize) {
    if members.is_empty() {
        out.push(b'{');
    }
    for member in members {
        out.extend_from_slice(&member.prefix);
        member.view.write(out, row);
    }
    out.push(b'}');
}

/// A column's values as text without JSON's quotes and escapes; for CSV fields and folder names.
pub(crate) struct PlainColumn<'a>(View<'a>);

impl<'a> PlainColumn<'a> {
    /// `array` must come from [`writable_columns`].
    pub(crate) fn new(array: &'a dyn Array) -> Self {
        Self(View::new(array))
    }

    /// The text may be empty, or hold any character.
    pub(crate) fn is_free_text(&self) -> bool {
        matches!(
            self.0.values,
            ViewValues::Text { .. }
                | ViewValues::TextView(_)
                | ViewValues::Binary(_)
                | ViewValues::List { .. }
                | ViewValues::Struct(_)
        )
    }

    /// Appends the text; says whether there was a value.
    pub(crate) fn write(&self, out: &mut Vec<u8>, row: usize) -> bool {
        if self.0.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return false;
        }
        match &self.0.values {
            ViewValues::Null => return false,
            ViewValues::Float32(v) => write_float(out, v[row], b""),
            ViewValues::Float64(v) => write_float(out, v[row], b""),
            ViewValues::Text { offsets, bytes, .. } => {
                out.extend_from_slice(&bytes[offsets[row] as usize..offsets[row + 1] as usize]);
            }
            ViewValues::TextView(v) => out.extend_from_slice(v.value(row).as_bytes()),
            ViewValues::Binary(v) => write_base64(out, v.value(row)),
            ViewValues::Date(v) => write_date(out, i64::from(v[row])),
            ViewValues::Timestamp(v) => write_timestamp(out, v[row]),
            _ => self.0.write(out, row),
        }
        true
    }
}

/// `quote` stands around what is no number.
fn write_float<F: ryu::Float + Into<f64> + Copy>(out: &mut Vec<u8>, value: F, quote: &[u8]) {
    if value.into().is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(quote);
        out.extend_from_slice(name_of_float(value.into()));
        out.extend_from_slice(quote);
    }
}

pub(crate) fn write_base64(out: &mut Vec<u8>, value: &[u8]) {
    let engine = base64::engine::general_purpose::STANDARD;
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    let written = engine.encode_slice(value, &mut out[start..]).expect("invariant: the room was measured");
    out.truncate(start + written);
}

/// Whether nothing in `bytes` must be escaped. Written as a plain fold, which compiles to vector instructions.
fn is_clean(bytes: &[u8]) -> bool {
    !bytes.chunks(256).any(|chunk| chunk.iter().fold(false, |found, &b| found | (b < 0x20) | (b == b'"') | (b == b'\\')))
}

/// Appends a JSON string, quotes included.
pub(crate) fn write_string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let mut rest = value;
    loop {
        let plain = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else {
            break;
        };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}
