//! Sources and sinks, one folder each, and the formats they carry.
//!
//! A source hands out [`Chunk`]s: undecoded bytes cut at row boundaries, or rows that were born as Arrow. Lanes decode them
//! ([`RowDecoder`]), so that decoding is parallel while reading stays in order. At the other end lanes encode
//! ([`RowEncoder`]) and one writer per sink appends in order and commits in two phases ([`SinkWriter`]).
//!
//! ```text
//! SourceReader --Chunk--> RowDecoder --RecordBatch--> ... --RecordBatch--> RowEncoder --Encoded--> SinkWriter
//!  (one thread)            (lanes)                                          (lanes)                 (one thread)
//! ```
//!
//! Nothing here knows of pipelines, policies or databases. What cannot be decoded is data ([`Malformed`]), not an error.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod base_dir;
pub mod context;
pub mod error;
pub mod file;
pub mod format;
pub mod generator;
pub mod http;
pub mod registry;
pub mod schema;
pub mod sink;
pub mod source;
pub mod sqlite;
pub mod stdout;

pub use base_dir::BaseDir;
pub use context::{SinkContext, SourceContext};
pub use error::{ConnectorError, Domain};
pub use registry::{open_source, row_decoder, row_encoder, sink_writer};
pub use schema::arrow_schema;
pub use sink::{Encoded, EncodedPart, EncodedPayload, PreCommit, PreparedFile, RowEncoder, SealedEpoch, SinkWriter};
pub use source::{
    Chunk, Decoded, Malformed, MalformedReason, Offset, PartitionPosition, Payload, Read, ReadLimit, RowDecoder, SourceReader,
};
