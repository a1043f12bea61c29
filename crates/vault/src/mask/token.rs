//! `token`: a short keyed stand-in for a value: `{prefix}{22 characters}` and, if asked, `.{last characters}`.
//!
//! The 22 characters are URL-safe base64 of the first 128 bits of the HMAC-SHA256 of the value's text form.

use arrow::{array::ArrayRef, datatypes::DataType};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{MaskError, MaskOp, RowKeys, check_type, partial::byte_of_char, text_output::TextOutput};
use crate::{
    key::{Key, KeyId},
    mac::Mac,
    text::{for_each_text, mac_each},
};

const MAC_BYTES: usize = 16;
const MAC_CHARACTERS: usize = 22;

#[derive(Debug)]
pub(super) struct Token {
    input: DataType,
    mac: Mac,
    key_id: KeyId,
    prefix: String,
    keep_last: usize,
}

impl Token {
    pub(super) fn new(input: DataType, key: &Key, prefix: Option<&str>, keep_last: usize) -> Self {
        let prefix = prefix.unwrap_or_default().to_owned();
        Self { input, mac: Mac::new(key.expose()), key_id: key.id(), prefix, keep_last }
    }

    fn write(&self, value: &[u8], mac: &[u8; 32], out: &mut Vec<u8>) {
        let mut token = [0; MAC_CHARACTERS];
        let written = URL_SAFE_NO_PAD.encode_slice(&mac[..MAC_BYTES], &mut token);
        written.expect("invariant: 16 bytes are 22 characters");
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend_from_slice(&token);
        if self.keep_last > 0 {
            out.push(b'.');
            out.extend_from_slice(last_characters(value, self.keep_last));
        }
    }
}

/// The last characters, if they are at most half of the value; else nothing. Bytes that are no text show nothing.
fn last_characters(value: &[u8], keep: usize) -> &[u8] {
    let Ok(text) = std::str::from_utf8(value) else {
        return &[];
    };
    let length = text.chars().count();
    if length / 2 < keep { &[] } else { &value[byte_of_char(text, length - keep)..] }
}

impl MaskOp for Token {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        let mut output = TextOutput::like(array, self.prefix.len() + MAC_CHARACTERS + 1 + self.keep_last.min(16));
        let mut macs = mac_each(&self.mac, array).into_iter().flatten();
        for_each_text(array, |text| {
            let value = text.zip(macs.next());
            output.push(|out| value.iter().for_each(|(value, mac)| self.write(value, mac, out)));
        });
        output.finish()
    }

    fn output_type(&self) -> DataType {
        DataType::Utf8
    }

    fn key_id(&self) -> Option<KeyId> {
        Some(self.key_id)
    }
}
