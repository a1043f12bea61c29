//! `hash`: the HMAC-SHA256 of the value's text form under the project's key for the purpose, all 64 hex digits.

use arrow::{array::ArrayRef, datatypes::DataType};

use super::{MaskError, MaskOp, RowKeys, check_type, text_output::TextOutput};
use crate::{
    key::{Key, KeyId},
    mac::Mac,
    text::for_each_text,
};

const HEX_DIGITS: usize = 64;

#[derive(Debug)]
pub(super) struct Hash {
    input: DataType,
    mac: Mac,
    key_id: KeyId,
}

impl Hash {
    pub(super) fn new(input: DataType, key: &Key) -> Self {
        Self {
            input,
            mac: Mac::new(key.expose()),
            key_id: key.id(),
        }
    }
}

impl MaskOp for Hash {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        let mut output = TextOutput::like(array, HEX_DIGITS);
        for_each_text(array, |text| {
            output.push(|out| {
                if let Some(text) = text {
                    let mut digits = [0; HEX_DIGITS];
                    hex::encode_to_slice(self.mac.mac(text), &mut digits)
                        .expect("invariant: two digits a byte");
                    out.extend_from_slice(&digits);
                }
            });
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
