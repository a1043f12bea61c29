//! `redact`: text gives way to a constant. (Other types become null: see `null`.)

use arrow::{
    array::{Array, ArrayRef},
    datatypes::DataType,
};

use super::{MaskError, MaskOp, RowKeys, check_type, text_output::TextOutput};

const DEFAULT: &str = "[redacted]";

#[derive(Debug)]
pub(super) struct Redact {
    input: DataType,
    with: String,
}

impl Redact {
    pub(super) fn new(input: DataType, with: Option<&str>) -> Self {
        Self { input, with: with.unwrap_or(DEFAULT).to_owned() }
    }
}

impl MaskOp for Redact {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        let mut output = TextOutput::like(array, self.with.len());
        for row in 0..array.len() {
            output.push(|out| {
                if array.is_valid(row) {
                    out.extend_from_slice(self.with.as_bytes());
                }
            });
        }
        output.finish()
    }

    fn output_type(&self) -> DataType {
        DataType::Utf8
    }
}
