//! `null`: nothing is left but the number of rows.

use arrow::{
    array::{Array, ArrayRef, new_null_array},
    datatypes::DataType,
};

use super::{MaskError, MaskOp, RowKeys, check_type};

#[derive(Debug)]
pub(super) struct Null {
    input: DataType,
}

impl Null {
    pub(super) fn new(input: DataType) -> Self {
        Self { input }
    }
}

impl MaskOp for Null {
    fn apply(&self, array: &ArrayRef, _: Option<&RowKeys>) -> Result<ArrayRef, MaskError> {
        check_type(&self.input, array)?;
        Ok(new_null_array(&self.input, array.len()))
    }

    fn output_type(&self) -> DataType {
        self.input.clone()
    }
}
