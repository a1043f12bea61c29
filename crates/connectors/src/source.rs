//! The contract of sources: chunks in order, positions that can be resumed, malformed rows as data.

use std::{sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::ConnectorError;

/// A place in a partition: the next byte and the next row to read, both counted from 0. For compressed input, `byte` counts
/// uncompressed bytes; for sources without bytes it stays 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset {
    pub byte: u64,
    pub row: u64,
}

/// How far a partition has been read; stored in checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPosition {
    /// Stable across restarts: a file's path relative to the source's folder, a topic partition, `0`.
    pub partition: String,
    pub offset: Offset,
    /// Nothing more will come from this partition.
    pub done: bool,
    /// What tells this partition's content from a replaced one (for a file: a hash of its first bytes).
    pub fingerprint: Option<String>,
    /// What else the connector needs to go on, such as a generator's random state.
    pub state: Option<serde_json::Value>,
}

/// Some rows of one partition, in order.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Index into the reader's partitions, stable within a run; see [`SourceReader::partition_name`].
    pub partition: u32,
    /// Where the first row (well-formed or not) of this chunk begins.
    pub start: Offset,
    /// Where to resume when this chunk is done.
    pub end: Offset,
    pub payload: Payload,
    /// What the reader itself had to reject: overlong lines, a truncated compressed stream. Part of `end.row - start.row`.
    pub malformed: Vec<Malformed>,
    /// CSV: the names of the fields, from the header line of this partition. Absent for other formats, and for CSV without
    /// a header, whose fields are in schema order.
    pub header: Option<Arc<[String]>>,
}

#[derive(Clone, Debug)]
pub enum Payload {
    /// Whole rows of the source's format (JSON lines, CSV records without the header line), each ended by `\n`
    /// except perhaps the last.
    Bytes(Bytes),
    /// Rows that need no decoding (Parquet, the generator). Columns by name; the decoder aligns them with the schema.
    Rows(RecordBatch),
    /// Rows that the decoder makes from their numbers, `start.row` to `end.row` (NEXMark).
    Unmade,
}

/// A row that could not be read or does not have the shape its schema promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// Where it begins in its partition.
    pub at: Offset,
    pub reason: MalformedReason,
    /// The raw row, cut to the reader's line limit. May hold personal data: seal it before it is stored.
    pub raw: Vec<u8>,
    /// The raw row's whole length in bytes.
    pub raw_length: u64,
}

/// Why a row is malformed. Names columns and types, never values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MalformedReason {
    /// Not the format's syntax at this byte of the row.
    Syntax {
        at: u64,
        expected: String,
    },
    NotUtf8 {
        at: u64,
    },
    TooLong {
        limit: u64,
    },
    WrongType {
        column: String,
        expected: String,
        found: String,
    },
    OutOfRange {
        column: String,
        expected: String,
    },
    MissingRequired {
        column: String,
    },
    DuplicateKey {
        column: String,
    },
    TooManyFields {
        expected: u64,
        found: u64,
    },
    TooFewFields {
        expected: u64,
        found: u64,
    },
    /// A compressed stream ended or broke in the middle; what came before was read.
    Truncated {
        detail: String,
    },
    /// The file is of another format than its name or the source says.
    WrongFormat {
        expected: String,
    },
    /// The file cannot be read on from here, or at all.
    Damaged {
        format: String,
    },
    /// The columns of the file are not those that the schema asks for: none of its rows was read.
    WrongColumns {
        /// Those that are wrong.
        column: String,
        detail: String,
    },
    /// A file without a single byte (after decompression).
    EmptyFile,
}

impl std::fmt::Display for MalformedReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax { at, expected } => {
                write!(f, "syntax: expected {expected} at byte {at} of the row")
            }
            Self::NotUtf8 { at } => write!(f, "not UTF-8 at byte {at} of the row"),
            Self::TooLong { limit } => write!(f, "longer than the limit of {limit} bytes"),
            Self::WrongType { column, expected, found } => write!(f, "`{column}`: expected {expected}, found {found}"),
            Self::OutOfRange { column, expected } => {
                write!(f, "`{column}`: does not fit {expected}")
            }
            Self::MissingRequired { column } => {
                write!(f, "`{column}`: required, but absent or null")
            }
            Self::DuplicateKey { column } => write!(f, "`{column}`: given twice"),
            Self::TooManyFields { expected, found } => {
                write!(f, "{found} fields where {expected} were expected")
            }
            Self::TooFewFields { expected, found } => {
                write!(f, "{found} fields where {expected} were expected")
            }
            Self::Truncated { detail } => write!(f, "the compressed stream is broken: {detail}"),
            Self::WrongFormat { expected } => write!(f, "the file is no {expected} file"),
            Self::Damaged { format } => write!(f, "the {format} file is damaged or cut short"),
            Self::WrongColumns { detail, .. } => f.write_str(detail),
            Self::EmptyFile => f.write_str("the file is empty"),
        }
    }
}

impl MalformedReason {
    /// Whether it is said of a file rather than of a row.
    pub fn is_of_file(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::WrongFormat { .. }
            | Self::Damaged { .. }
            | Self::WrongColumns { .. }
            | Self::EmptyFile => true,
            Self::Syntax { .. }
            | Self::NotUtf8 { .. }
            | Self::TooLong { .. }
            | Self::WrongType { .. }
            | Self::OutOfRange { .. }
            | Self::MissingRequired { .. }
            | Self::DuplicateKey { .. }
            | Self::TooManyFields { .. }
            | Self::TooFewFields { .. } => false,
        }
    }
}

/// How much one call of [`SourceReader::read`] may return.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    pub rows: usize,
    pub wait: Duration,
}

/// The answer of [`SourceReader::read`].
#[derive(Debug)]
pub enum Read {
    Chunk(Chunk),
    /// Nothing came within the wait.
    Idle,
    /// A bounded source is exhausted.
    End,
}

/// A source, read by one thread. Reading must not lose or repeat rows: two readers given the same positions and the same
/// input return the same rows in the same order per partition.
pub trait SourceReader: Send {
    /// The next rows. Blocks for `limit.wait` at most, except for disk reads.
    fn read(&mut self, limit: ReadLimit) -> Result<Read, ConnectorError>;

    /// The position after everything that `read` has returned so far, one entry a partition seen.
    fn positions(&self) -> Vec<PartitionPosition>;

    /// The position of one partition; connectors with many partitions answer without listing them all.
    fn position(&self, partition: u32) -> Option<PartitionPosition> {
        let name = self.partition_name(partition);
        self.positions().into_iter().find(|position| position.partition == name)
    }

    /// The name of a partition that a chunk mentioned.
    fn partition_name(&self, partition: u32) -> &str;

    /// Everything up to these positions is committed: the source may forget it.
    fn committed(&mut self, positions: &[PartitionPosition]) -> Result<(), ConnectorError>;

    /// Rows or bytes known to be waiting, when the source can tell.
    fn lag(&self) -> Option<u64> {
        None
    }
}

/// What became of a chunk.
#[derive(Debug)]
pub struct Decoded {
    pub rows: RecordBatch,
    /// For each row of `rows`, its row offset in the partition minus `chunk.start.row`; absent when they are consecutive
    /// from 0.
    pub row_offsets: Option<Vec<u32>>,
    pub malformed: Vec<Malformed>,
    /// So many of `rows` had fields that the schema does not name, also inside structs; these are not kept. Of Parquet, other columns are
    /// never read, and not counted.
    pub unnamed: u64,
}

/// Turns chunks into rows of a fixed Arrow schema. One per lane; may keep scratch memory between calls.
pub trait RowDecoder: Send {
    /// Decodes all rows of the chunk. `rows + malformed` equals the rows of the chunk, reader-rejected ones included.
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, ConnectorError>;
}
