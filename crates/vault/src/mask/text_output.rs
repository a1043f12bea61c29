//! Builds the text column that most operators give, without an allocation per value.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, StringArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
};

use super::MaskError;

/// Values one after the other, and where each ends.
pub(super) struct TextOutput {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: Option<NullBuffer>,
    too_large: bool,
}

impl TextOutput {
    /// For as many values as the input has, with its nulls; `width` is a guess of a value's length.
    pub(super) fn like(input: &dyn Array, width: usize) -> Self {
        let mut ends = Vec::with_capacity(input.len() + 1);
        ends.push(0);
        Self { bytes: Vec::with_capacity(input.len() * width), ends, nulls: input.logical_nulls(), too_large: false }
    }

    /// Appends the next value: what `write` appends to the buffer. Nothing is written for a null.
    #[inline]
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        match i32::try_from(self.bytes.len()) {
            Ok(end) => self.ends.push(end),
            Err(_) => {
                self.too_large = true;
                self.ends.push(i32::MAX);
            }
        }
    }

    pub(super) fn finish(self) -> Result<ArrayRef, MaskError> {
        if self.too_large {
            return Err(MaskError::TooLarge);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(self.bytes), self.nulls)?))
    }
}
