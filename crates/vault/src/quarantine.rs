//! The form in which rejected rows are kept: what may be listed, and what is sealed.
//!
//! A segment holds some rows of one node. Its entries say where each row came from and why it was held; they name rules and
//! columns, never values. Its contents are the rows themselves: JSON lines, compressed, then sealed under the project's
//! quarantine key. The engine writes segments, the control plane reads them.

use std::{collections::BTreeMap, io::Read};

use serde::{Deserialize, Serialize};

/// One held row, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The source node it came from.
    pub source: String,
    pub partition: String,
    /// Row in the partition, from 0.
    pub offset: u64,
    /// Byte in the partition where the row begins, when the row could not be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// All of them.
    pub reasons: Vec<Reason>,
}

/// Why a row was held.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// The rule's name, or the kind of the finding, such as `late` or `not_utf8`.
    pub rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// In words.
    pub message: String,
}

/// What a held row was.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A decoded row: an object of its columns.
    Row(Box<serde_json::value::RawValue>),
    /// Input that could not be decoded: base64 of its bytes (the first ones, if it was too long), and how many there were.
    Raw { base64: String, length: u64 },
}

/// Bytes of lines that a segment may hold, far more than the engine puts into one: a few bytes can be the compressed form of anything.
pub const MAX_SEGMENT: usize = 256 << 20;

/// The contents of a segment, ready to be sealed. Errors with `TooLarge` beyond [`MAX_SEGMENT`].
pub fn encode(contents: &[Content]) -> Result<Vec<u8>, SegmentError> {
    let mut lines = Vec::new();
    for content in contents {
        serde_json::to_writer(&mut lines, content)?;
        lines.push(b'\n');
    }
    if lines.len() > MAX_SEGMENT {
        return Err(SegmentError::TooLarge);
    }
    Ok(zstd::bulk::compress(&lines, 1)?)
}

/// The contents of a segment that has been opened. Errors with `TooLarge` beyond [`MAX_SEGMENT`], before more memory is taken.
pub fn decode(bytes: &[u8]) -> Result<Vec<Content>, SegmentError> {
    let mut lines = Vec::new();
    zstd::stream::read::Decoder::new(bytes)?.take(MAX_SEGMENT as u64 + 1).read_to_end(&mut lines)?;
    if lines.len() > MAX_SEGMENT {
        return Err(SegmentError::TooLarge);
    }
    lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

/// How many rows each rule held.
pub fn count_by_rule(entries: &[Entry]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for reason in entries.iter().flat_map(|entry| &entry.reasons) {
        *counts.entry(reason.rule.clone()).or_default() += 1;
    }
    counts
}

/// What binds a sealed segment to its place: AAD for sealing and opening.
pub fn aad(project: &str, pipeline: &str, node: &str, epoch: u64) -> Vec<u8> {
    format!("weir/quarantine/v1\n{project}\n{pipeline}\n{node}\n{epoch}").into_bytes()
}

/// A segment that is not what it should be. Never names content.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    #[error("the quarantine segment is damaged: not valid JSON")]
    Json(#[source] serde_json::Error),
    #[error("the quarantine segment is damaged: {0}")]
    Io(#[from] std::io::Error),
    #[error("a quarantine segment holds {} MiB at most", MAX_SEGMENT >> 20)]
    TooLarge,
}

impl From<serde_json::Error> for SegmentError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_survive_the_way_there_and_back() {
        let row = serde_json::value::RawValue::from_string(r#"{"a":1.10,"b":null}"#.to_owned()).unwrap();
        let contents = [Content::Row(row), Content::Raw { base64: "/w==".into(), length: 1 }];
        let decoded = decode(&encode(&contents).unwrap()).unwrap();
        assert_eq!(decoded.len(), 2);
        assert!(matches!(&decoded[0], Content::Row(row) if row.get() == r#"{"a":1.10,"b":null}"#));
        assert!(matches!(&decoded[1], Content::Raw { base64, length: 1 } if base64 == "/w=="));
    }

    #[test]
    fn what_would_fill_the_memory_is_an_error() {
        let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        std::io::copy(&mut std::io::repeat(b'\n').take(MAX_SEGMENT as u64 + 1), &mut bomb).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
        assert!(matches!(decode(&bomb), Err(SegmentError::TooLarge)));
    }

    #[test]
    fn damaged_contents_are_an_error() {
        assert!(decode(b"not zstd").is_err());
    }
}
