//! From the database's plain types to ours, and back; what does not fit is reported as corruption, never guessed.

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Result, StoreError};

/// A count or a version, which the schema keeps as a signed integer.
pub(crate) fn unsigned(what: &'static str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is {value}")))
}

pub(crate) fn unsigned32(what: &'static str, value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|_| StoreError::Corrupt(format!("{what} is {value}")))
}

/// Counts above 2^63 do not occur.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn hash32(what: &'static str, bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| StoreError::Corrupt(format!("{what} has {} bytes, not 32", bytes.len())))
}

pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|e| StoreError::Corrupt(format!("{what} is not what was expected: line {}, column {}", e.line(), e.column())))
}

pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Conflict(format!("{what} cannot be written as JSON: {e}")))
}

/// Parses a stable name such as a state or a role.
pub(crate) fn named<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("`{text}` is not a {what}")))
}
