//! Rows to the bytes of a sink's files, partition by partition. Runs in lanes; the writer only appends.
//!
//! Compressed parts are whole gzip members or zstd frames, which readers of both formats join.

use std::io::Write;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use flate2::{Compression as Level, write::GzEncoder};
use weir_spec::connector::{Compression, FileSink, Format};

use super::partition::Partitioner;
use crate::{
    error::ConnectorError,
    format::{csv, json},
    sink::{Encoded, EncodedPart, EncodedPayload, RowEncoder},
};

/// Encodes batches for a file sink. One per lane.
pub struct FileEncoder {
    format: Format,
    compression: Compression,
    partitioner: Partitioner,
    last_bytes: usize,
}

impl FileEncoder {
    pub fn new(config: &FileSink, format: Format, schema: SchemaRef) -> Result<Self, ConnectorError> {
        if format != Format::Parquet {
            json::encode::check_schema(&schema)?;
        }
        Ok(Self { format, compression: config.compression, partitioner: Partitioner::new(config, &schema)?, last_bytes: 0 })
    }

    fn encode_part(&mut self, rows: RecordBatch) -> Result<EncodedPayload, ConnectorError> {
        let mut bytes = Vec::with_capacity(self.last_bytes + self.last_bytes / 16);
        match self.format {
            Format::Parquet => return Ok(EncodedPayload::Rows(rows)),
            Format::Json => json::encode::write_rows(&mut bytes, &rows)?,
            Format::Csv => csv::write_rows(&mut bytes, &rows)?,
        }
        self.last_bytes = bytes.len();
        Ok(EncodedPayload::Bytes(compress(self.compression, bytes)?))
    }
}

impl RowEncoder for FileEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Encoded, ConnectorError> {
        let mut encoded = Encoded { parts: Vec::new(), rows: rows.num_rows() as u64 };
        for (path, rows) in self.partitioner.split(rows)? {
            let count = rows.num_rows() as u64;
            encoded.parts.push(EncodedPart { path, rows: count, payload: self.encode_part(rows)? });
        }
        Ok(encoded)
    }
}

/// One gzip member or zstd frame.
pub(super) fn compress(compression: Compression, bytes: Vec<u8>) -> Result<Vec<u8>, ConnectorError> {
    let failed = |error: std::io::Error| ConnectorError::Internal(format!("compression failed: {error}"));
    match compression {
        Compression::None => Ok(bytes),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Level::fast());
            encoder.write_all(&bytes).map_err(failed)?;
            encoder.finish().map_err(failed)
        }
        Compression::Zstd => zstd::bulk::compress(&bytes, 1).map_err(failed),
    }
}
