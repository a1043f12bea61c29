//! Masking operators over Arrow arrays, one file each: what they accept, what they make of it, and how to run them.
//!
//! `weir-plan` asks [`supports`] for the output type, the engine compiles each masked column once ([`compile`]) and applies
//! it to every batch. Every operator keeps the number of rows and keeps nulls null.

mod encrypt;
mod generalize;
mod hash;
mod null;
mod partial;
mod redact;
mod text_output;
mod token;

use std::fmt;

use arrow::{array::ArrayRef, datatypes::DataType, error::ArrowError};
use thiserror::Error;
use weir_spec::mask::Mask;

pub use encrypt::{DecryptError, PREFIX, PlainValue, decrypt, key_of};

use crate::{
    key::{KeyError, KeyId},
    keyring::RowKeys,
    project::ProjectKeys,
    text::{has_text_form, is_text},
};

/// What operators need besides their configuration.
#[derive(Clone, Copy, Debug)]
pub struct MaskContext<'a> {
    pub keys: &'a ProjectKeys,
    /// The pipeline's purpose: the same value has another hash and another token for each.
    pub purpose: &'a str,
}

/// A masking operator for one column, shared by lanes.
pub trait MaskOp: fmt::Debug + Send + Sync {
    /// Masks a column of the type it was compiled for. `keys` are those of the rows' subjects, which `encrypt` needs.
    fn apply(&self, array: &ArrayRef, keys: Option<&RowKeys>) -> Result<ArrayRef, MaskError>;

    /// The type of the result.
    fn output_type(&self) -> DataType;

    /// The key it masks with, for evidence; none for operators without a key, and for `encrypt`, whose keys are the subjects'.
    fn key_id(&self) -> Option<KeyId> {
        None
    }

    /// Whether `apply` needs the rows' keys.
    fn needs_subject_keys(&self) -> bool {
        false
    }
}

/// Why a column cannot be masked. Never holds a value.
#[derive(Debug, Error)]
pub enum MaskError {
    #[error("{0}")]
    Unsupported(String),
    #[error("the mask was made for a column of type {expected}, but this one has type {found}")]
    WrongType { expected: DataType, found: DataType },
    #[error("`encrypt` needs the subject of every row; name the source's `subject` column")]
    NoSubjects,
    #[error("row {row} of the batch has no subject key: no subject, or an erased one; such rows are denied before masking")]
    NoSubjectKey { row: usize },
    #[error("{rows} rows, but keys for {keys}")]
    RowCount { rows: usize, keys: usize },
    #[error("the masked column of this batch exceeds 2 GiB; use smaller batches")]
    TooLarge,
    #[error(transparent)]
    Random(#[from] KeyError),
    #[error("the masked column cannot be built: {0}")]
    Arrow(#[from] ArrowError),
}

/// The type that masking a column gives, or why it cannot be done and what to do instead.
pub fn supports(mask: &Mask, data_type: &DataType) -> Result<DataType, String> {
    let name = mask.key();
    let refuse = |instead: &str| Err(format!("`{name}` cannot mask a column of type {data_type}; {instead}"));
    match mask {
        Mask::Redact { .. } if is_text(data_type) => Ok(DataType::Utf8),
        Mask::Redact { .. } | Mask::Null => Ok(data_type.clone()),
        Mask::Partial { .. } if is_text(data_type) || data_type.is_integer() => Ok(DataType::Utf8),
        Mask::Partial { .. } => refuse("it takes text and whole numbers; use `redact`, `hash` or `generalize`"),
        Mask::Hash | Mask::Token { .. } | Mask::Encrypt if has_text_form(data_type) => Ok(DataType::Utf8),
        Mask::Hash | Mask::Token { .. } | Mask::Encrypt => {
            refuse("it takes single values; select the fields in a `sql` step first, or use `redact` or `null`")
        }
        Mask::Generalize { to } => generalize::supports(to, data_type),
    }
}

/// The operator for a column of this type.
pub fn compile(mask: &Mask, data_type: &DataType, context: MaskContext<'_>) -> Result<Box<dyn MaskOp>, MaskError> {
    let output = supports(mask, data_type).map_err(MaskError::Unsupported)?;
    let input = data_type.clone();
    Ok(match mask {
        Mask::Redact { with } if is_text(data_type) => Box::new(redact::Redact::new(input, with.as_deref())),
        Mask::Redact { .. } | Mask::Null => Box::new(null::Null::new(input)),
        Mask::Partial { keep_first, keep_last, with } => Box::new(partial::Partial::new(input, *keep_first, *keep_last, *with)),
        Mask::Hash => Box::new(hash::Hash::new(input, &context.keys.hash_key(context.purpose))),
        Mask::Token { prefix, keep_last } => {
            let key = context.keys.token_key(context.purpose);
            Box::new(token::Token::new(input, &key, prefix.as_deref(), *keep_last))
        }
        Mask::Encrypt => Box::new(encrypt::Encrypt::new(input)),
        Mask::Generalize { to } => Box::new(generalize::Generalize::new(input, output, to.clone())),
    })
}

fn check_type(expected: &DataType, array: &ArrayRef) -> Result<(), MaskError> {
    if array.data_type() == expected {
        return Ok(());
    }
    Err(MaskError::WrongType { expected: expected.clone(), found: array.data_type().clone() })
}

#[cfg(test)]
mod tests;
