//! From a document's configuration to the connector that acts on it: the one place that names them all.

use arrow::datatypes::SchemaRef;
use weir_spec::{
    Column, Sink,
    connector::{Format, SinkConnector, SourceConnector},
};

use crate::{
    context::{SinkContext, SourceContext},
    error::ConnectorError,
    file::{FileEncoder, FileReader, FileReaderOptions, FileWriter},
    format::{csv::CsvDecoder, json::decode::JsonDecoder, rows::RowsDecoder},
    generator::{
        GeneratorReader,
        nexmark::{NexmarkDecoder, NexmarkReader},
    },
    http::HttpReader,
    sink::{RowEncoder, SinkWriter},
    source::{PartitionPosition, RowDecoder, SourceReader},
    sqlite::{TableEncoder, TableWriter},
    stdout::{StdoutEncoder, StdoutWriter},
};

/// Opens a source at the positions of the checkpoint it resumes from (none for a first run). `schema` is
/// [`crate::arrow_schema`] of `columns`; a format that is not given is JSON.
pub fn open_source(
    connector: &SourceConnector,
    format: Option<Format>,
    schema: SchemaRef,
    columns: &[Column],
    context: &SourceContext,
    resume: &[PartitionPosition],
) -> Result<Box<dyn SourceReader>, ConnectorError> {
    Ok(match connector {
        SourceConnector::File(config) => {
            let format = format.unwrap_or(Format::Json);
            let options = FileReaderOptions { config, format, schema, columns, base_dir: context.base_dir.clone() };
            Box::new(FileReader::open(options, resume)?)
        }
        SourceConnector::Generator(config) => Box::new(GeneratorReader::open(config, resume)?),
        SourceConnector::Http(config) => Box::new(HttpReader::open(config, context, resume)?),
        SourceConnector::Nexmark(config) => Box::new(NexmarkReader::open(config, resume)?),
    })
}

/// A decoder for the chunks of a source. One per lane.
pub fn row_decoder(
    connector: &SourceConnector,
    format: Option<Format>,
    schema: SchemaRef,
    columns: &[Column],
) -> Result<Box<dyn RowDecoder>, ConnectorError> {
    Ok(match (connector, format.unwrap_or(Format::Json)) {
        (SourceConnector::Generator(_), _) | (SourceConnector::File(_), Format::Parquet) => {
            Box::new(RowsDecoder::new(schema, columns))
        }
        (SourceConnector::Nexmark(config), _) => Box::new(NexmarkDecoder::new(config, schema)?),
        (SourceConnector::File(config), Format::Csv) => Box::new(CsvDecoder::new(config, schema, columns)?),
        (SourceConnector::File(_), Format::Json) | (SourceConnector::Http(_), Format::Json) => {
            Box::new(JsonDecoder::new(schema, columns)?)
        }
        (SourceConnector::Http(_), other) => {
            return Err(ConnectorError::Config(format!(
                "an http source takes json; `format: {}` cannot be posted to it",
                other.as_str()
            )));
        }
    })
}

/// An encoder for a sink whose input has this schema; of one that replaces rows or writes changes, what happened to each row comes
/// first, as text (`+I`, `-U`, `+U`, `-D`). One per lane.
pub fn row_encoder(sink: &Sink, schema: SchemaRef) -> Result<Box<dyn RowEncoder>, ConnectorError> {
    Ok(match &sink.connector {
        SinkConnector::File(config) => Box::new(FileEncoder::new(config, sink.format, schema)?),
        SinkConnector::Sqlite(config) => Box::new(TableEncoder::new(config, sink.mode, &schema)?),
        SinkConnector::Stdout(_) => Box::new(StdoutEncoder::new(sink.format, &schema)?),
    })
}

/// The writer of a sink whose input has this schema. One per sink.
pub fn sink_writer(sink: &Sink, schema: SchemaRef, context: &SinkContext) -> Result<Box<dyn SinkWriter>, ConnectorError> {
    Ok(match &sink.connector {
        SinkConnector::File(config) => Box::new(FileWriter::new(config, sink.format, schema, context)?),
        SinkConnector::Sqlite(config) => Box::new(TableWriter::new(config, sink.mode, &schema, context)?),
        SinkConnector::Stdout(_) => Box::new(StdoutWriter::new(sink.format, &schema)?),
    })
}
