//! Texts: columns of them, random words, and the filling that brings rows to their size.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringArray},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    error::ArrowError,
};

use crate::generator::random::Random;

/// Texts one after the other. `ends[0]` is 0.
pub(super) struct Texts {
    ends: Vec<i32>,
    pub bytes: Vec<u8>,
}

impl Texts {
    pub fn with_capacity(rows: usize, bytes_each: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { ends, bytes: Vec::with_capacity(rows * bytes_each) }
    }

    /// Ends the text whose bytes were appended.
    pub fn end(&mut self) {
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    /// An error when a batch holds more than 2 GiB of text.
    pub fn finish(self) -> Result<ArrayRef, ArrowError> {
        if i32::try_from(self.bytes.len()).is_err() {
            return Err(ArrowError::OffsetOverflowError(self.bytes.len()));
        }
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(Arc::new(StringArray::try_new(ends, Buffer::from_vec(self.bytes), None)?))
    }
}

/// Appends so many letters.
pub(super) fn letters(random: &mut Random, out: &mut Vec<u8>, count: usize) {
    let four = |bits: u64| [0, 16, 32, 48].map(|shift| b'a' + ((((bits >> shift) & 0xffff) * 26) >> 16) as u8);
    for _ in 0..count / 4 {
        out.extend_from_slice(&four(random.next()));
    }
    if !count.is_multiple_of(4) {
        out.extend_from_slice(&four(random.next())[..count % 4]);
    }
}

/// Appends 3 to `max - 1` characters, one of 13 a `gap`, the others letters.
pub(super) fn words(random: &mut Random, out: &mut Vec<u8>, max: u64, gap: u8) {
    let length = 3 + random.below(max - 3);
    for _ in 0..length {
        let bits = random.next();
        let is_gap = ((bits >> 32) * 13) >> 32 == 0;
        out.push(if is_gap { gap } else { b'a' + (((bits & 0xffff_ffff) * 26) >> 32) as u8 });
    }
}

/// Like [`words`], without the spaces at both ends.
pub(super) fn phrase(random: &mut Random, out: &mut Vec<u8>, max: u64) {
    let from = out.len();
    words(random, out, max, b' ');
    let trimmed = out[from..].trim_ascii();
    let (skipped, length) = (out[from..].len() - out[from..].trim_ascii_start().len(), trimmed.len());
    out.copy_within(from + skipped..from + skipped + length, from);
    out.truncate(from + length);
}

/// Appends letters, so that rows of `size` bytes without them have `average` bytes on average, give or take a fifth of the filling.
pub(super) fn filling(random: &mut Random, out: &mut Vec<u8>, size: usize, average: usize) {
    let wanted = average.saturating_sub(size);
    let spread = (wanted as f64 * 0.2).round() as usize;
    let count = wanted - spread + random.below(2 * spread as u64) as usize;
    letters(random, out, count);
}

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
