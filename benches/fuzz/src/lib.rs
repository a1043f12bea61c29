//! What the fuzz targets share: columns of every type, and a source read to its end.

use std::{path::Path, time::Duration};

use arrow::array::RecordBatch;
use weir_connectors::{
    ConnectorError, Malformed, Offset, Read, ReadLimit, SourceContext, arrow_schema, open_source, row_decoder,
};
use weir_spec::{
    Column, DataType,
    connector::{FileSource, Format, SourceConnector},
};

/// One column of each type, one of them required.
pub fn columns() -> Vec<Column> {
    let mut required = Column::new("id", DataType::Int64);
    required.required = true;
    let mut columns = vec![required];
    let address = vec![Column::new("zip", DataType::String), Column::new("floor", DataType::Int32)];
    let types = [
        ("flag", DataType::Boolean),
        ("small", DataType::Int32),
        ("single", DataType::Float32),
        ("double", DataType::Float64),
        ("amount", DataType::Decimal { precision: 12, scale: 2 }),
        ("name", DataType::String),
        ("blob", DataType::Bytes),
        ("day", DataType::Date),
        ("at", DataType::Timestamp),
        ("tags", DataType::List(Box::new(DataType::String))),
        ("home", DataType::Struct(address)),
    ];
    columns.extend(types.into_iter().map(|(name, data_type)| Column::new(name, data_type)));
    columns
}

/// A file source with the defaults of a document.
pub fn file_source(path: &str) -> FileSource {
    FileSource { path: path.to_owned(), compression: None, max_line: 1 << 16, delimiter: ',', header: true, null: String::new() }
}

/// Everything a source brought.
#[derive(Default)]
pub struct Everything {
    pub rows: Vec<RecordBatch>,
    pub malformed: Vec<Malformed>,
}

impl Everything {
    pub fn rows(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Reads a file to its end, in chunks of so many rows, and holds what comes against the readers' promises: offsets go on where they
/// ended, and every row of a chunk is either decoded or malformed.
pub fn read(folder: &Path, config: FileSource, format: Format, chunk_rows: usize) -> Result<Everything, ConnectorError> {
    let columns = columns();
    let schema = arrow_schema(&columns);
    let connector = SourceConnector::File(config);
    let context = SourceContext { base_dir: folder.into(), ..SourceContext::default() };
    let mut source = open_source(&connector, Some(format), schema.clone(), &columns, &context, &[])?;
    let mut decoder = row_decoder(&connector, Some(format), schema, &columns)?;
    let mut everything = Everything::default();
    let mut next = Offset::default();
    while let Read::Chunk(chunk) = source.read(ReadLimit { rows: chunk_rows, wait: Duration::ZERO })? {
        assert_eq!(chunk.start.row, next.row, "a chunk begins where the last one ended");
        assert!(chunk.end.row >= chunk.start.row && chunk.end.byte >= chunk.start.byte, "offsets never go back");
        next = chunk.end;
        let decoded = decoder.decode(&chunk)?;
        let counted = decoded.rows.num_rows() + decoded.malformed.len();
        assert_eq!(counted as u64, chunk.end.row - chunk.start.row, "every row is decoded or malformed");
        everything.rows.push(decoded.rows);
        everything.malformed.extend(decoded.malformed);
    }
    Ok(everything)
}
