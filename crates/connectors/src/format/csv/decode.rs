//! CSV to Arrow, strictly: a field that is not of its column's type makes the row malformed.
//!
//! Text forms are those of the JSON decoder, without its quotes: numbers in JSON's grammar (floats also `NaN`, `Infinity`, `-Infinity`),
//! `true` or `false` in any case, RFC 3339 timestamps, ISO dates, base64 bytes; lists and structs are JSON. A bare field that is empty or equals the source's null text is
//! null; a quoted one never is. Fields that the schema does not know are not kept, and rows that have some are counted
//! ([`Decoded::unnamed`]).

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use base64::Engine as _;
use weir_spec::{Column, connector::FileSource};

use super::{
    delimiter_byte,
    split::{Field, Fields, record_end, trim_line_end},
};
use crate::{
    error::ConnectorError,
    format::{
        columns::{ColumnBuffer, Values},
        json::decode::ValueReader,
        number::{Number, Unfit, float_by_name},
        rows::RowsDecoder,
        tally::Tally,
        time::{parse_date, parse_timestamp},
    },
    schema::type_name,
    source::{Chunk, Decoded, Malformed, MalformedReason, Offset, Payload, RowDecoder},
};

/// Decodes chunks of CSV records. One per lane.
pub struct CsvDecoder {
    schema: SchemaRef,
    targets: Vec<Target>,
    columns: Vec<ColumnBuffer>,
    rows: RowsDecoder,
    delimiter: u8,
    null: Vec<u8>,
    /// The header that `places` was made from.
    header: Option<Arc<[String]>>,
    /// For each field of a record, the column it belongs to.
    places: Vec<Option<usize>>,
    /// The header names columns that the schema does not.
    unnamed: bool,
}

struct Target {
    name: String,
    type_name: String,
    required: bool,
    nested: Option<ValueReader>,
}

impl CsvDecoder {
    pub fn new(config: &FileSource, schema: SchemaRef, columns: &[Column]) -> Result<Self, ConnectorError> {
        let buffers = schema
            .fields()
            .iter()
            .map(|field| ColumnBuffer::new(field.data_type()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConnectorError::Config(format!("the schema cannot be read from CSV: {error}")))?;
        let targets = columns
            .iter()
            .map(|column| Target {
                name: column.name.clone(),
                type_name: type_name(&column.data_type),
                required: column.required,
                nested: matches!(column.data_type, weir_spec::DataType::List(_) | weir_spec::DataType::Struct(_))
                    .then(|| ValueReader::new(column)),
            })
            .collect();
        Ok(Self {
            rows: RowsDecoder::new(schema.clone(), columns),
            schema,
            targets,
            places: (0..buffers.len()).map(Some).collect(),
            columns: buffers,
            delimiter: delimiter_byte(config.delimiter)?,
            null: config.null.clone().into_bytes(),
            header: None,
            unnamed: false,
        })
    }

    fn use_header(&mut self, header: Option<&Arc<[String]>>) {
        let known = match (header, &self.header) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old) || new == old,
            (None, None) => true,
            _ => false,
        };
        if known {
            return;
        }
        self.header = header.cloned();
        self.places = match header {
            None => (0..self.targets.len()).map(Some).collect(),
            Some(names) => names.iter().map(|name| self.targets.iter().position(|t| t.name == *name)).collect(),
        };
        self.unnamed = self.places.contains(&None);
    }

    fn decode_text(&mut self, text: &[u8], start: Offset, malformed: Vec<Malformed>) -> Result<Decoded, ConnectorError> {
        if text.len() > i32::MAX as usize {
            return Err(ConnectorError::Internal("a chunk of more than 2 GiB".into()));
        }
        let valid_utf8 = std::str::from_utf8(text).is_ok();
        let mut tally = Tally::new(start, malformed);
        let mut at = 0;
        while at < text.len() {
            let end = record_end(&text[at..], self.delimiter).map_or(text.len(), |length| at + length);
            let record = trim_line_end(&text[at..end]);
            match self.decode_record(record, tally.accepted, valid_utf8) {
                Ok(unnamed) => tally.accept(unnamed),
                Err(reason) => tally.refuse(&mut self.columns, at, record, reason),
            }
            at = end;
        }
        tally.finish(&self.schema, &mut self.columns)
    }

    /// Says whether the record had fields that the schema does not name.
    fn decode_record(&mut self, record: &[u8], row: usize, valid_utf8: bool) -> Result<bool, MalformedReason> {
        if !valid_utf8 && let Err(error) = std::str::from_utf8(record) {
            return Err(MalformedReason::NotUtf8 { at: error.valid_up_to() as u64 });
        }
        let expected = self.places.len();
        let mut found = 0;
        // Where fields are missing or too many, their types say nothing: the count is the finding.
        let mut wrong = None;
        let mut unnamed = self.unnamed;
        for field in Fields::new(record, self.delimiter) {
            let field =
                field.map_err(|error| MalformedReason::Syntax { at: error.at as u64, expected: error.expected.to_owned() })?;
            if wrong.is_none()
                && let Some(&Some(place)) = self.places.get(found)
            {
                let is_null = !field.quoted && (field.value.is_empty() || *field.value == *self.null);
                let (target, column) = (&mut self.targets[place], &mut self.columns[place]);
                let pushed = if is_null { push_null(target, column).map(|()| false) } else { push_field(target, column, &field) };
                match pushed {
                    Ok(more) => unnamed |= more,
                    Err(reason) => wrong = Some(reason),
                }
            }
            found += 1;
        }
        let (expected_count, found_count) = (expected as u64, found as u64);
        if found > expected {
            return Err(MalformedReason::TooManyFields { expected: expected_count, found: found_count });
        }
        if found < expected {
            return Err(MalformedReason::TooFewFields { expected: expected_count, found: found_count });
        }
        if let Some(reason) = wrong {
            return Err(reason);
        }
        for (target, column) in self.targets.iter().zip(&mut self.columns) {
            if column.len == row {
                push_null(target, column)?;
            }
        }
        Ok(unnamed)
    }
}

impl RowDecoder for CsvDecoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, ConnectorError> {
        match &chunk.payload {
            Payload::Bytes(bytes) => {
                self.use_header(chunk.header.as_ref());
                self.decode_text(bytes, chunk.start, chunk.malformed.clone())
            }
            Payload::Rows(_) | Payload::Unmade => self.rows.decode(chunk),
        }
    }
}

fn push_null(target: &Target, column: &mut ColumnBuffer) -> Result<(), MalformedReason> {
    if target.required {
        return Err(MalformedReason::MissingRequired { column: target.name.clone() });
    }
    column.push_null();
    Ok(())
}

/// Says whether there were fields in the field that the schema does not name.
fn push_field(target: &mut Target, column: &mut ColumnBuffer, field: &Field<'_>) -> Result<bool, MalformedReason> {
    let text: &[u8] = &field.value;
    if let Some(nested) = &mut target.nested {
        return nested.read(text, column);
    }
    let wrong = || MalformedReason::WrongType {
        column: target.name.clone(),
        expected: target.type_name.clone(),
        found: "other text".to_owned(),
    };
    let number = || match Number::parse(text) {
        Ok(number) if number.text.len() == text.len() => Ok(number),
        _ => Err(wrong()),
    };
    let unfit = |unfit| match unfit {
        Unfit::NotIntegral => MalformedReason::WrongType {
            column: target.name.clone(),
            expected: target.type_name.clone(),
            found: "a number with a fraction or an exponent".to_owned(),
        },
        Unfit::OutOfRange => MalformedReason::OutOfRange { column: target.name.clone(), expected: target.type_name.clone() },
    };
    match &mut column.values {
        Values::Text(values) => {
            values.bytes.extend_from_slice(text);
            values.end_value();
        }
        Values::Int32(values) => values.push(number()?.to_i32().map_err(unfit)?),
        Values::Int64(values) => values.push(number()?.to_i64().map_err(unfit)?),
        Values::Float32(values) => values.push(match float_by_name(text) {
            Some(value) => value as f32,
            None => number()?.to_f32().map_err(unfit)?,
        }),
        Values::Float64(values) => values.push(match float_by_name(text) {
            Some(value) => value,
            None => number()?.to_f64().map_err(unfit)?,
        }),
        Values::Decimal { values, precision, scale } => {
            values.push(number()?.to_decimal(*precision, *scale).map_err(unfit)?);
        }
        Values::Boolean(values) => values.push(match text {
            b if b.eq_ignore_ascii_case(b"true") => true,
            b if b.eq_ignore_ascii_case(b"false") => false,
            _ => return Err(wrong()),
        }),
        Values::Date(values) => values.push(parse_date(text).ok_or_else(wrong)?),
        Values::Timestamp { values, .. } => values.push(parse_timestamp(text).ok_or_else(wrong)?),
        Values::Binary(values) => {
            base64::engine::general_purpose::STANDARD.decode_vec(text, &mut values.bytes).map_err(|_| wrong())?;
            values.end_value();
        }
        Values::List { .. } | Values::Struct { .. } => return Err(wrong()),
    }
    column.len += 1;
    Ok(false)
}
