//! Data subjects as keyed hashes: how a person is known everywhere but in the data itself.

use std::{fmt, str::FromStr};

use arrow::{
    array::{Array, ArrayRef},
    buffer::NullBuffer,
    datatypes::DataType,
};
use thiserror::Error;

use crate::{
    key::Key,
    mac::Mac,
    text::{has_text_form, mac_each},
};

/// A person: the HMAC-SHA256 of their identifier's text under the project's subject-hash key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId([u8; 32]);

impl SubjectId {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SubjectId {
    type Err = SubjectError;
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SubjectError::NotAnId)?;
        Ok(Self(bytes))
    }
}

/// What goes wrong with subjects. Never holds an identifier.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    #[error("a column of type {0} cannot name a subject; use text or a number")]
    Type(DataType),
    #[error("not a subject's keyed hash; it is 64 hex digits")]
    NotAnId,
}

/// The subjects of a batch, row by row.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    ids: Vec<SubjectId>,
    nulls: Option<NullBuffer>,
}

impl Subjects {
    /// Of each row, the subject; none where the column is null.
    pub fn from_rows(rows: impl IntoIterator<Item = Option<SubjectId>>) -> Self {
        let rows: Vec<_> = rows.into_iter().collect();
        let nulls = NullBuffer::from_iter(rows.iter().map(Option::is_some));
        let ids = rows.into_iter().map(|row| row.unwrap_or(SubjectId([0; 32]))).collect();
        Self { ids, nulls: Some(nulls).filter(|nulls| nulls.null_count() > 0) }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether some row is about nobody.
    pub fn has_nobody(&self) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0)
    }

    /// The subject of a row; none where the column is null.
    pub fn get(&self, row: usize) -> Option<&SubjectId> {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => Some(&self.ids[row]),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Option<&SubjectId>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

/// Makes [`SubjectId`]s. The text form of a value counts, so 42 as a number and `42` as text are one person.
#[derive(Clone, Debug)]
pub struct SubjectHasher(Mac);

impl SubjectHasher {
    pub(crate) fn new(key: &Key) -> Self {
        Self(Mac::new(key.expose()))
    }

    /// The subject with this identifier.
    pub fn hash(&self, identifier: &str) -> SubjectId {
        SubjectId(self.0.mac(identifier.as_bytes()))
    }

    /// Whether a column of this type can name subjects.
    pub fn supports(data_type: &DataType) -> bool {
        has_text_form(data_type)
    }

    /// The subjects that a column names.
    pub fn hash_array(&self, array: &ArrayRef) -> Result<Subjects, SubjectError> {
        let macs = mac_each(&self.0, array).ok_or_else(|| SubjectError::Type(array.data_type().clone()))?;
        Ok(Subjects { ids: macs.into_iter().map(SubjectId).collect(), nulls: array.logical_nulls() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array, NullArray, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn one_person_is_one_subject_in_every_column_type() {
        let hasher = SubjectHasher::new(&Key::from_bytes(&[1; 32]));
        let columns: [ArrayRef; 4] = [
            Arc::new(StringArray::from(vec![Some("42"), None])),
            Arc::new(StringViewArray::from(vec![Some("42"), None])),
            Arc::new(Int32Array::from(vec![Some(42), None])),
            Arc::new(Int64Array::from(vec![Some(42), None])),
        ];
        for column in columns {
            let subjects = hasher.hash_array(&column).unwrap();
            assert_eq!(subjects.iter().collect::<Vec<_>>(), [Some(&hasher.hash("42")), None]);
        }
        let other = SubjectHasher::new(&Key::from_bytes(&[2; 32]));
        assert_ne!(other.hash("42"), hasher.hash("42"));
        assert_ne!(hasher.hash("43"), hasher.hash("42"));
    }

    #[test]
    fn a_column_that_names_nobody_is_an_error() {
        let hasher = SubjectHasher::new(&Key::from_bytes(&[1; 32]));
        let column: ArrayRef = Arc::new(NullArray::new(1));
        assert!(hasher.hash_array(&column).is_err());
    }

    #[test]
    fn rows_and_text_go_there_and_back() {
        let id = SubjectId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("Ada".parse::<SubjectId>(), Err(SubjectError::NotAnId));
        let subjects = Subjects::from_rows([Some(id), None]);
        assert_eq!(subjects.iter().collect::<Vec<_>>(), [Some(&id), None]);
    }
}
