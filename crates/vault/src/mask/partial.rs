//! `partial`: some characters at the ends stay, each of the rest becomes the mask character.

use arrow::{array::ArrayRef, datatypes::DataType};

use super::{MaskError, MaskOp, RowKeys, check_type, text_output::TextOutput};
use crate::text::for_each_text;

/// A value too short to hide anything between the kept ends is masked whole.
#[derive(Debug)]
pub(super) struct Partial {
    input: DataType,
    keep_first: usize,
    keep_last: usize,
    with: char,
}

impl Partial {
    pub(super) fn new(input: DataType, keep_first: usize, keep_last: usize, with: char) -> Self {
        Self { input, keep_first, keep_last, with }
    }

    fn write(&self, text: &str, out: &mut Vec<u8>) {
        let length = text.chars().count();
        let shown = self.keep_first.saturating_add(self.keep_last);
        let (first, last) = if length > shown { (self.keep_first, self.keep_last) } else { (0, 0) };
        let start = byte_of_char(text, first);
        let end = byte_of_char(text, length - last);
        let mut utf8 = [0; 4];
        let mask = self.with.encode_utf8(&mut utf8).as_bytes();
        out.extend_from_slice(&text.as_bytes()[..start]);
        for _ in first..length - last {
            out.extend_from_slice(mask);
        }
        out.extend_from_slice(&text.as_bytes()[end..]);
    }
}

impl MaskOp for Partial {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        let mut output = TextOutput::like(array, 16);
        for_each_text(array, |text| {
            output.push(|out| {
                if let Some(text) = text {
                    let text = std::str::from_utf8(text).expect("invariant: text columns and digits are UTF-8");
                    self.write(text, out);
                }
            });
        });
        output.finish()
    }

    fn output_type(&self) -> DataType {
        DataType::Utf8
    }
}

/// Where the `n`th character begins; the end of the text if it has no more.
pub(super) fn byte_of_char(text: &str, n: usize) -> usize {
    if text.is_ascii() {
        return n.min(text.len());
    }
    text.char_indices().nth(n).map_or(text.len(), |(byte, _)| byte)
}
