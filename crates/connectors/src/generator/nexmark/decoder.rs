//! From a chunk that only says which rows it stands for to the rows: columns made one after the other, only those that are declared.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray},
    datatypes::SchemaRef,
    error::ArrowError,
};
use weir_spec::connector::{NexmarkSource, NexmarkStream};

use super::{
    auction,
    bid::{self, Channels},
    person,
    text::Texts,
    world::{World, event_of},
};
use crate::{
    error::ConnectorError,
    source::{Chunk, Decoded, RowDecoder},
};

/// Makes the rows of a NEXMark stream.
pub struct NexmarkDecoder {
    stream: NexmarkStream,
    world: World,
    schema: SchemaRef,
    channels: Option<Channels>,
}

/// Rows to make: the events that they are.
pub(super) struct Rows(Vec<u64>);

impl NexmarkDecoder {
    /// `schema` names columns of the stream, all or some, in any order.
    pub fn new(config: &NexmarkSource, schema: SchemaRef) -> Result<Self, ConnectorError> {
        let world = World::new(config)?;
        let known = config.stream.columns();
        if let Some(field) = schema.fields().iter().find(|field| known.iter().all(|column| column.name != **field.name())) {
            let message = format!("a nexmark source of {} has no column `{}`", config.stream.as_str(), field.name());
            return Err(ConnectorError::Config(message));
        }
        let wants_channels = ["channel", "url"].iter().any(|name| schema.index_of(name).is_ok());
        let channels = (config.stream == NexmarkStream::Bid && wants_channels).then(|| Channels::new(&world));
        Ok(Self { stream: config.stream, world, schema, channels })
    }

    fn make(&self, rows: Range<u64>) -> Result<RecordBatch, ConnectorError> {
        let count = (rows.end - rows.start) as usize;
        let rows = Rows(rows.map(|row| event_of(self.stream, row)).collect());
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let made = match self.stream {
                NexmarkStream::Person => person::column(&self.world, field.name(), &rows),
                NexmarkStream::Auction => auction::column(&self.world, field.name(), &rows),
                NexmarkStream::Bid => bid::column(&self.world, self.channels.as_ref(), field.name(), &rows),
            };
            let Some(made) = made else {
                return Err(ConnectorError::Internal(format!("the nexmark column `{}` is declared and not made", field.name())));
            };
            columns.push(made.map_err(failed)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(failed)
    }
}

fn failed(error: ArrowError) -> ConnectorError {
    ConnectorError::Internal(format!("nexmark rows do not form a batch: {error}"))
}

impl RowDecoder for NexmarkDecoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, ConnectorError> {
        let rows = self.make(chunk.start.row..chunk.end.row)?;
        Ok(Decoded { rows, row_offsets: None, malformed: Vec::new(), unnamed: 0 })
    }
}

pub(super) fn integers(rows: &Rows, of: impl FnMut(u64) -> i64) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(Int64Array::from_iter_values(rows.0.iter().copied().map(of))))
}

pub(super) fn timestamps(rows: &Rows, of: impl FnMut(u64) -> i64) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(TimestampMicrosecondArray::from_iter_values(rows.0.iter().copied().map(of)).with_timezone("UTC")))
}

pub(super) fn texts(rows: &Rows, bytes_each: usize, mut write: impl FnMut(u64, &mut Vec<u8>)) -> Result<ArrayRef, ArrowError> {
    let mut texts = Texts::with_capacity(rows.0.len(), bytes_each);
    for &event in &rows.0 {
        write(event, &mut texts.bytes);
        texts.end();
    }
    texts.finish()
}
