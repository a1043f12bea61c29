//! CSV as RFC 4180 has it: fields in quotes may hold delimiters, doubled quotes and line ends; lines end in `\n` or `\r\n`.
//!
//! Records are split by code of our own, because an empty field means null where it is bare and an empty text where it is
//! quoted, which CSV crates do not tell apart.

mod decode;
mod encode;
mod split;

pub use decode::CsvDecoder;
pub use encode::{write_header, write_rows};
pub(crate) use split::{record_end, split_record, trim_line_end};

use crate::error::ConnectorError;

/// The delimiter as a byte.
pub fn delimiter_byte(delimiter: char) -> Result<u8, ConnectorError> {
    match u8::try_from(delimiter) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) => Ok(byte),
        _ => Err(ConnectorError::Config(format!(
            "the delimiter {delimiter:?} cannot separate fields; use a single ASCII character such as `,`, `;` or a tab"
        ))),
    }
}

#[cfg(test)]
mod tests;
