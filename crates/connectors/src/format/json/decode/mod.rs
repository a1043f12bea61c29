//! NDJSON to Arrow, by schema, row by row and strictly.
//!
//! Every line is a row, and each row either becomes one row of the batch or one [`Malformed`]; a blank line is malformed. A
//! row is refused for broken syntax, invalid UTF-8, a value of another type, a value out of range, a missing required value
//! and a key given twice. Keys the schema does not know must be valid JSON; they are not kept, and
//! rows that have some are counted ([`Decoded::unnamed`]).
//!
//! What each type accepts:
//!
//! | type | JSON |
//! | --- | --- |
//! | boolean | `true`, `false` |
//! | int32, int64 | a number without fraction and exponent |
//! | float32, float64 | a number; the nearest float; overflow is out of range. Or a string: `NaN`, `Infinity`, `-Infinity` |
//! | decimal | a number, or a string that holds one; nothing is rounded |
//! | string | a string |
//! | bytes | a string: base64, standard alphabet, padded |
//! | date, timestamp | a string: see [`crate::format::time`] |
//! | list, struct | an array, an object, recursively |
//!
//! `null` is allowed wherever the column is not required.
//!
//! Speed comes from writing straight into column buffers, from guessing each key by its place in the row before, from eight
//! bytes at a time in strings, and from checking UTF-8 once a chunk.

mod scan;
mod shape;
mod value;

use std::ops::Range;

use arrow::datatypes::SchemaRef;
use weir_spec::Column;

use self::{
    scan::{Fault, Scanner},
    shape::{Fields, Shape},
};
use crate::{
    error::ConnectorError,
    format::{columns::ColumnBuffer, rows::RowsDecoder, tally::Tally},
    source::{Chunk, Decoded, Malformed, MalformedReason, Offset, Payload, RowDecoder},
};

/// Decodes NDJSON chunks. One per lane.
pub struct JsonDecoder {
    schema: SchemaRef,
    fields: Fields,
    columns: Vec<ColumnBuffer>,
    rows: RowsDecoder,
    scratch: Vec<u8>,
}

impl JsonDecoder {
    /// A decoder for `columns`, whose Arrow form is `schema`.
    pub fn new(schema: SchemaRef, columns: &[Column]) -> Result<Self, ConnectorError> {
        let buffers = schema
            .fields()
            .iter()
            .map(|field| ColumnBuffer::new(field.data_type()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConnectorError::Config(format!("the schema cannot be read from JSON: {error}")))?;
        if buffers.len() != columns.len() {
            return Err(ConnectorError::Internal("the Arrow schema does not belong to the columns".into()));
        }
        Ok(Self {
            fields: Fields::new(columns),
            rows: RowsDecoder::new(schema.clone(), columns),
            schema,
            columns: buffers,
            scratch: Vec::new(),
        })
    }

    fn decode_text(&mut self, text: &[u8], start: Offset, malformed: Vec<Malformed>) -> Result<Decoded, ConnectorError> {
        if text.len() > i32::MAX as usize {
            return Err(ConnectorError::Internal("a chunk of more than 2 GiB".into()));
        }
        let valid_utf8 = std::str::from_utf8(text).is_ok();
        let mut tally = Tally::new(start, malformed);
        for line in lines(text) {
            let bytes = &text[line.clone()];
            let outcome = if valid_utf8 { Ok(()) } else { check_utf8(bytes) };
            match outcome.and_then(|()| self.decode_row(bytes, tally.accepted)) {
                Ok(unnamed) => tally.accept(unnamed),
                Err(fault) => tally.refuse(&mut self.columns, line.start, bytes, *fault),
            }
        }
        tally.finish(&self.schema, &mut self.columns)
    }

    /// Says whether the row had fields that the schema does not name.
    #[inline]
    fn decode_row(&mut self, line: &[u8], row: usize) -> Result<bool, Fault> {
        let mut scanner = Scanner::new(line);
        scanner.skip_space();
        if !scanner.take(b'{') {
            return Err(scanner.expected("a JSON object"));
        }
        value::read_object(&mut scanner, &mut self.fields, &mut self.columns, row, &mut self.scratch, 0)?;
        scanner.skip_space();
        if scanner.at < line.len() {
            return Err(scanner.expected("the end of the line"));
        }
        Ok(scanner.unnamed)
    }
}

impl RowDecoder for JsonDecoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, ConnectorError> {
        match &chunk.payload {
            Payload::Bytes(bytes) => self.decode_text(bytes, chunk.start, chunk.malformed.clone()),
            Payload::Rows(_) | Payload::Unmade => self.rows.decode(chunk),
        }
    }
}

/// The lines of `text`, without their `\n`. A last line without one counts if it is not empty.
fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        let line = at..end;
        at = end + 1;
        Some(line)
    })
}

/// Reads JSON values that stand alone, such as the nested values of CSV fields.
pub(crate) struct ValueReader {
    shape: Shape,
    scratch: Vec<u8>,
}

impl ValueReader {
    pub(crate) fn new(column: &Column) -> Self {
        Self { shape: Shape::new(column), scratch: Vec::new() }
    }

    /// Appends the value that `text` is to `column`. Says whether it had fields that the schema does not name.
    pub(crate) fn read(&mut self, text: &[u8], column: &mut ColumnBuffer) -> Result<bool, MalformedReason> {
        let mut scanner = Scanner::new(text);
        value::read_value(&mut scanner, &mut self.shape, column, &mut self.scratch, 0).map_err(|fault| *fault)?;
        if scanner.at < text.len() {
            return Err(*scanner.expected("the end of the value"));
        }
        Ok(scanner.unnamed)
    }
}

#[cold]
fn check_utf8(line: &[u8]) -> Result<(), Fault> {
    match std::str::from_utf8(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(Box::new(MalformedReason::NotUtf8 { at: error.valid_up_to() as u64 })),
    }
}

#[cfg(test)]
mod tests;
