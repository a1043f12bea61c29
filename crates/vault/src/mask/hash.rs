//! `hash`: the HMAC-SHA256 of the value's text form under the project's key for the purpose, all 64 hex digits.

use arrow::{array::ArrayRef, datatypes::DataType};

use super::{MaskError, MaskOp, RowKeys, check_type, text_output::TextOutput};
use crate::{
    key::{Key, KeyId},
    mac::Mac,
    text::{for_each_text, mac_each},
};

const HEX_DIGITS: usize = 64;

/// The two lower-case digits of every byte: one look-up where the `hex` crate does two and a branch.
const DIGITS: [[u8; 2]; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    digits
};

#[inline]
fn hex_digits(bytes: &[u8; 32]) -> [[u8; 2]; 32] {
    bytes.map(|byte| DIGITS[usize::from(byte)])
}

#[derive(Debug)]
pub(super) struct Hash {
    input: DataType,
    mac: Mac,
    key_id: KeyId,
}

impl Hash {
    pub(super) fn new(input: DataType, key: &Key) -> Self {
        Self { input, mac: Mac::new(key.expose()), key_id: key.id() }
    }
}

impl MaskOp for Hash {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        let mut output = TextOutput::like(array, HEX_DIGITS);
        let mut macs = mac_each(&self.mac, array).into_iter().flatten();
        for_each_text(array, |text| {
            let mac = macs.next().filter(|_| text.is_some());
            output.push(|out| mac.iter().for_each(|mac| out.extend_from_slice(hex_digits(mac).as_flattened())));
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
