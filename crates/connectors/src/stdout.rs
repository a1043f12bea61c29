//! The stdout sink: rows as text on standard output. At least once: what was printed cannot be taken back.

use std::io::{self, BufWriter, Stdout, Write};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use weir_spec::connector::Format;

use crate::{
    error::ConnectorError,
    format::{csv, json},
    sink::{Encoded, EncodedPart, EncodedPayload, PreCommit, RowEncoder, SealedEpoch, SinkWriter},
};

/// Encodes batches as lines. One per lane.
pub struct StdoutEncoder {
    format: Format,
}

impl StdoutEncoder {
    pub fn new(format: Format, schema: &SchemaRef) -> Result<Self, ConnectorError> {
        check_format(format)?;
        json::encode::check_schema(schema)?;
        Ok(Self { format })
    }
}

fn check_format(format: Format) -> Result<(), ConnectorError> {
    match format {
        Format::Json | Format::Csv => Ok(()),
        Format::Parquet => Err(ConnectorError::Config("stdout takes json or csv; write Parquet to a file sink".into())),
    }
}

impl RowEncoder for StdoutEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Encoded, ConnectorError> {
        let mut bytes = Vec::new();
        match self.format {
            Format::Csv => csv::write_rows(&mut bytes, rows)?,
            _ => json::encode::write_rows(&mut bytes, rows)?,
        }
        let count = rows.num_rows() as u64;
        let part = EncodedPart { path: String::new(), rows: count, payload: EncodedPayload::Bytes(bytes) };
        Ok(Encoded { parts: vec![part], rows: count })
    }
}

/// Writes lines to `out`. A reader that went away is an [`ConnectorError::Io`] of kind `BrokenPipe`, which is not retryable.
pub struct StdoutWriter<W: Write + Send = Stdout> {
    out: BufWriter<W>,
    /// Printed before the first row: CSV's header.
    header: Vec<u8>,
    rows: u64,
    bytes: u64,
}

impl StdoutWriter {
    pub fn new(format: Format, schema: &SchemaRef) -> Result<Self, ConnectorError> {
        Self::to(io::stdout(), format, schema)
    }
}

impl<W: Write + Send> StdoutWriter<W> {
    /// Writes to something else than standard output.
    pub fn to(out: W, format: Format, schema: &SchemaRef) -> Result<Self, ConnectorError> {
        check_format(format)?;
        let mut header = Vec::new();
        if format == Format::Csv {
            csv::write_header(&mut header, schema);
        }
        Ok(Self { out: BufWriter::with_capacity(1 << 16, out), header, rows: 0, bytes: 0 })
    }

    fn failed(error: io::Error) -> ConnectorError {
        ConnectorError::io("standard output", error)
    }
}

impl<W: Write + Send> SinkWriter for StdoutWriter<W> {
    fn write(&mut self, rows: Encoded) -> Result<(), ConnectorError> {
        let header = std::mem::take(&mut self.header);
        self.out.write_all(&header).map_err(Self::failed)?;
        for part in rows.parts {
            let EncodedPayload::Bytes(bytes) = part.payload else {
                return Err(ConnectorError::Internal("a part that was encoded for another format".into()));
            };
            self.out.write_all(&bytes).map_err(Self::failed)?;
            self.rows += part.rows;
            self.bytes += bytes.len() as u64;
        }
        self.out.flush().map_err(Self::failed)
    }

    fn seal(&mut self, epoch: u64) -> Result<Box<dyn SealedEpoch>, ConnectorError> {
        self.out.flush().map_err(Self::failed)?;
        let (rows, bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes));
        Ok(Box::new(Printed(PreCommit { epoch, rows, bytes, files: Vec::new() })))
    }

    fn recover(&mut self, _last: Option<&PreCommit>) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn can_take_back(&self, commit: &PreCommit) -> Result<(), ConnectorError> {
        match commit.rows {
            0 => Ok(()),
            rows => Err(ConnectorError::Resume(format!(
                "{rows} rows were printed after the checkpoint to go back to, and what was printed cannot be taken back; start anew: `weir run --fresh`"
            ))),
        }
    }

    fn take_back(&mut self, commit: &PreCommit) -> Result<(), ConnectorError> {
        self.can_take_back(commit)
    }
}

/// What was printed in an epoch.
struct Printed(PreCommit);

impl SealedEpoch for Printed {
    fn pre_commit(&mut self) -> Result<PreCommit, ConnectorError> {
        Ok(self.0.clone())
    }

    fn commit(&mut self, _pre_commit: &PreCommit) -> Result<(), ConnectorError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use weir_spec::{Column, DataType};

    use super::*;
    use crate::schema::arrow_schema;

    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn rows() -> (SchemaRef, RecordBatch) {
        let schema = arrow_schema(&[Column::new("a", DataType::String)]);
        let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(StringArray::from(vec!["x", "y"]))]).unwrap();
        (schema, rows)
    }

    #[test]
    fn csv_has_one_header_and_json_none() {
        let (schema, rows) = rows();
        for (format, expected) in
            [(Format::Csv, "a\nx\ny\nx\ny\n"), (Format::Json, "{\"a\":\"x\"}\n{\"a\":\"y\"}\n{\"a\":\"x\"}\n{\"a\":\"y\"}\n")]
        {
            let mut out = Vec::new();
            let mut encoder = StdoutEncoder::new(format, &schema).unwrap();
            let mut writer = StdoutWriter::to(&mut out, format, &schema).unwrap();
            writer.write(encoder.encode(&rows).unwrap()).unwrap();
            writer.write(encoder.encode(&rows).unwrap()).unwrap();
            assert_eq!(writer.seal(1).unwrap().pre_commit().unwrap().rows, 4);
            drop(writer);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_that_says_so() {
        let (schema, rows) = rows();
        let mut encoder = StdoutEncoder::new(Format::Json, &schema).unwrap();
        let mut writer = StdoutWriter::to(ClosedPipe, Format::Json, &schema).unwrap();
        let error = writer.write(encoder.encode(&rows).unwrap()).unwrap_err();
        assert!(matches!(&error, ConnectorError::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe));
        assert!(!error.is_retryable());
    }

    #[test]
    fn parquet_is_refused() {
        assert!(StdoutEncoder::new(Format::Parquet, &rows().0).is_err());
    }
}
