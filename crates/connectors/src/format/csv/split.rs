//! Where records end and what their fields are.

use std::borrow::Cow;

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub value: Cow<'a, [u8]>,
    pub quoted: bool,
}

/// The record is not CSV: at this byte of it, this was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SplitError {
    pub at: usize,
    pub expected: &'static str,
}

/// The length of the record at the start of `bytes`, its line end included; `None` if it does not end here. A quote opens a quoted
/// field only at the field's start; elsewhere it is a character like others.
pub(crate) fn record_end(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let newline = memchr::memchr(b'\n', bytes)?;
    if memchr::memchr(b'"', &bytes[..newline]).is_none() {
        return Some(newline + 1);
    }
    let mut at = 0;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at = closing_quote(bytes, at + 1)? + 1;
        }
        at += memchr::memchr2(delimiter, b'\n', bytes.get(at..)?)?;
        if bytes[at] == b'\n' {
            return Some(at + 1);
        }
        at += 1;
    }
}

/// The quote that closes a field whose content begins at `from`.
fn closing_quote(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Without the `\n` or `\r\n` at its end.
pub(crate) fn trim_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// The fields of a record without its line end. There is always at least one.
pub(crate) struct Fields<'a> {
    record: &'a [u8],
    delimiter: u8,
    at: usize,
    done: bool,
}

impl<'a> Fields<'a> {
    pub fn new(record: &'a [u8], delimiter: u8) -> Self {
        Self { record, delimiter, at: 0, done: false }
    }

    fn quoted(&mut self) -> Result<Field<'a>, SplitError> {
        let start = self.at + 1;
        let Some(end) = closing_quote(self.record, start) else {
            return Err(SplitError { at: self.record.len(), expected: "a closing quote" });
        };
        let raw = &self.record[start..end];
        match self.record.get(end + 1) {
            None => self.done = true,
            Some(&next) if next == self.delimiter => self.at = end + 2,
            Some(_) => {
                return Err(SplitError { at: end + 1, expected: "a delimiter after the closing quote" });
            }
        }
        let value = if memchr::memchr(b'"', raw).is_none() { Cow::Borrowed(raw) } else { Cow::Owned(undouble(raw)) };
        Ok(Field { value, quoted: true })
    }

    fn bare(&mut self) -> Field<'a> {
        let rest = &self.record[self.at..];
        let value = match memchr::memchr(self.delimiter, rest) {
            Some(length) => {
                self.at += length + 1;
                &rest[..length]
            }
            None => {
                self.done = true;
                rest
            }
        };
        Field { value: Cow::Borrowed(value), quoted: false }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, SplitError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.record.get(self.at) == Some(&b'"') {
            let field = self.quoted();
            self.done |= field.is_err();
            return Some(field);
        }
        Some(Ok(self.bare()))
    }
}

fn undouble(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', &raw[at..]) {
        value.extend_from_slice(&raw[at..=at + quote]);
        at += quote + 2;
    }
    value.extend_from_slice(&raw[at..]);
    value
}

pub(crate) fn split_record(record: &[u8], delimiter: u8) -> Result<Vec<Field<'_>>, SplitError> {
    Fields::new(record, delimiter).collect()
}
