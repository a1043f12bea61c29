//! Keys and rows as bytes: Arrow's row format of some columns of a batch, and back.
//!
//! A key in state is the row format of the columns by which rows are sent to lanes, ascending, so that state moves with its rows
//! when it is restored at another parallelism. Equal bytes mean equal values: NaN equals NaN, and 0.0 differs from -0.0.

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    buffer::NullBuffer,
    compute::SortOptions,
    datatypes::Schema,
    error::ArrowError,
    row::{RowConverter, RowParser, Rows, SortField},
};

/// Some columns of a schema, to be encoded row by row.
#[derive(Debug)]
pub struct RowEncoder {
    columns: Vec<usize>,
    /// None where there are no columns: every row is empty.
    converter: Option<(RowConverter, RowParser)>,
}

/// The encoded rows of a batch.
#[derive(Debug)]
pub struct EncodedRows(Option<Rows>);

impl EncodedRows {
    pub fn get(&self, row: usize) -> &[u8] {
        match &self.0 {
            Some(rows) => rows.row(row).data(),
            None => &[],
        }
    }
}

impl RowEncoder {
    /// These columns, ascending.
    pub fn new(schema: &Schema, columns: &[usize]) -> Result<Self, ArrowError> {
        Self::sorted(schema, columns.iter().map(|&column| (column, SortOptions::default())))
    }

    /// All columns of a schema.
    pub fn all(schema: &Schema) -> Result<Self, ArrowError> {
        Self::new(schema, &(0..schema.fields().len()).collect::<Vec<_>>())
    }

    /// These columns, in this order: the bytes of rows compare as the rows do.
    pub fn sorted(schema: &Schema, columns: impl IntoIterator<Item = (usize, SortOptions)>) -> Result<Self, ArrowError> {
        let (columns, options): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let fields: Vec<SortField> = columns
            .iter()
            .zip(options)
            .map(|(&column, options)| SortField::new_with_options(schema.field(column).data_type().clone(), options))
            .collect();
        let converter = match fields.is_empty() {
            true => None,
            false => {
                let converter = RowConverter::new(fields)?;
                let parser = converter.parser();
                Some((converter, parser))
            }
        };
        Ok(Self { columns, converter })
    }

    pub fn encode(&self, rows: &RecordBatch) -> Result<EncodedRows, ArrowError> {
        let Some((converter, _)) = &self.converter else { return Ok(EncodedRows(None)) };
        let columns: Vec<ArrayRef> = self.columns.iter().map(|&column| rows.column(column).clone()).collect();
        converter.convert_columns(&columns).map(|rows| EncodedRows(Some(rows)))
    }

    /// The columns of rows that [`Self::encode`] made.
    pub fn decode<'a>(&'a self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        match &self.converter {
            Some((converter, parser)) => converter.convert_rows(rows.into_iter().map(|bytes| parser.parse(bytes))),
            None => Ok(Vec::new()),
        }
    }

    /// Rows without nulls in any of the columns; None if these are all.
    pub fn nulls(&self, rows: &RecordBatch) -> Option<NullBuffer> {
        let nulls = self.columns.iter().fold(None, |nulls: Option<NullBuffer>, &column| {
            NullBuffer::union(nulls.as_ref(), rows.column(column).logical_nulls().as_ref())
        });
        nulls.filter(|nulls| nulls.null_count() > 0)
    }
}
