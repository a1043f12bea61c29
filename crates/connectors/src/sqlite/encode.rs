//! Rows to the records that a table's writer takes. Runs in lanes.

use arrow::{array::AsArray, array::RecordBatch, datatypes::Schema};
use weir_spec::{connector::SqliteSink, pipeline::SinkMode};

use super::{
    table::Layout,
    value::{Values, begin_record, end_record},
};
use crate::{
    error::ConnectorError,
    format::json::encode::{check_schema, writable_columns},
    sink::{Encoded, EncodedPart, EncodedPayload, RowEncoder},
};

/// Encodes batches for a table. One per lane.
pub struct TableEncoder {
    layout: Layout,
    scratch: Vec<u8>,
    last_bytes: usize,
}

impl TableEncoder {
    pub fn new(config: &SqliteSink, mode: SinkMode, schema: &Schema) -> Result<Self, ConnectorError> {
        check_schema(schema)?;
        Ok(Self { layout: Layout::new(config, mode, schema)?, scratch: Vec::new(), last_bytes: 0 })
    }
}

impl RowEncoder for TableEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<Encoded, ConnectorError> {
        let arrays = writable_columns(rows)?;
        let changes = match self.layout.has_changes {
            true => arrays.first().map(|column| column.as_string::<i32>()),
            false => None,
        };
        let of = |places: &[usize]| places.iter().map(|&place| Values::new(&arrays[place])).collect::<Vec<_>>();
        let (key, rest) = (of(&self.layout.key), of(&self.layout.rest));
        let mut out = Vec::with_capacity(self.last_bytes + self.last_bytes / 16);
        for row in 0..rows.num_rows() {
            let added = changes.is_none_or(|changes| changes.value(row).starts_with('+'));
            let start = begin_record(&mut out, added);
            key.iter().for_each(|column| column.write(&mut out, row, &mut self.scratch));
            let key_end = out.len();
            rest.iter().for_each(|column| column.write(&mut out, row, &mut self.scratch));
            end_record(&mut out, start, key_end)?;
        }
        self.last_bytes = out.len();
        let count = rows.num_rows() as u64;
        let part = EncodedPart { path: String::new(), rows: count, payload: EncodedPayload::Bytes(out) };
        Ok(Encoded { parts: vec![part], rows: count })
    }
}
