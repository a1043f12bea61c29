//! Rows that were born as Arrow (Parquet, the generator): aligned with the schema by name, required values checked.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    buffer::{BooleanBuffer, NullBuffer},
    compute::{CastOptions, can_cast_types, cast_with_options, filter_record_batch},
    datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType},
};
use weir_spec::Column;

use crate::{
    error::ConnectorError,
    format::json::encode::row_as_json,
    schema::stored_type_name,
    source::{Chunk, Decoded, Malformed, MalformedReason, Offset, Payload, RowDecoder},
};

/// Decodes chunks of rows. A column that the rows lack is null; a column of another type is cast where that loses nothing.
pub struct RowsDecoder {
    schema: SchemaRef,
    /// Index and name of the columns that must have a value.
    required: Vec<(usize, String)>,
}

impl RowsDecoder {
    pub fn new(schema: SchemaRef, columns: &[Column]) -> Self {
        let required = columns.iter().enumerate().filter(|(_, c)| c.required).map(|(i, c)| (i, c.name.clone())).collect();
        Self { schema, required }
    }

    fn align(&self, rows: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        if rows.schema_ref().fields() == self.schema.fields() {
            return Ok(rows.clone());
        }
        let arrays = self
            .schema
            .fields()
            .iter()
            .map(|field| match rows.column_by_name(field.name()) {
                None => Ok(new_null_array(field.data_type(), rows.num_rows())),
                Some(array) => fit(array, field.data_type()).map_err(|why| {
                    ConnectorError::Config(format!(
                        "column `{}`: the source delivers {}, which does not become {} without loss{why}; change its type in the schema",
                        field.name(),
                        stored_type_name(array.data_type()),
                        stored_type_name(field.data_type()),
                    ))
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|error| ConnectorError::Internal(format!("rows do not fit their schema: {error}")))
    }
}

impl RowDecoder for RowsDecoder {
    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, ConnectorError> {
        let rows = match &chunk.payload {
            Payload::Rows(rows) => rows,
            Payload::Bytes(bytes) if bytes.is_empty() => &RecordBatch::new_empty(self.schema.clone()),
            Payload::Bytes(_) | Payload::Unmade => {
                return Err(ConnectorError::Internal("bytes arrived where rows were expected".into()));
            }
        };
        let rows = self.align(rows)?;
        let mut malformed = chunk.malformed.clone();
        let mut complete: Option<BooleanBuffer> = None;
        for (index, _) in &self.required {
            if let Some(valid) = rows.column(*index).logical_nulls().filter(|nulls| nulls.null_count() > 0) {
                complete = Some(match complete {
                    None => valid.into_inner(),
                    Some(so_far) => &so_far & valid.inner(),
                });
            }
        }
        let Some(complete) = complete else {
            return Ok(Decoded { rows, row_offsets: None, malformed, unnamed: 0 });
        };
        for row in (0..rows.num_rows()).filter(|&row| !complete.value(row)) {
            let column = self.required.iter().find(|(index, _)| rows.column(*index).is_null(row));
            let raw = row_as_json(&rows, row)?;
            malformed.push(Malformed {
                at: Offset { byte: chunk.start.byte, row: chunk.start.row + row as u64 },
                reason: MalformedReason::MissingRequired { column: column.map(|(_, name)| name.clone()).unwrap_or_default() },
                raw_length: raw.len() as u64,
                raw,
            });
        }
        let row_offsets = complete.set_indices().map(|row| row as u32).collect();
        let rows = filter_record_batch(&rows, &BooleanArray::new(complete, None::<NullBuffer>))
            .map_err(|error| ConnectorError::Internal(format!("rows could not be filtered: {error}")))?;
        Ok(Decoded { rows, row_offsets: Some(row_offsets), malformed, unnamed: 0 })
    }
}

/// Whether values of a stored type become values of the schema's type without loss, if need be but for some that are out of range.
pub(crate) fn becomes(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to {
        return true;
    }
    match (from, to) {
        (T::Dictionary(_, values), _) => {
            values.as_ref() == to || matches!(values.as_ref(), T::Utf8 | T::LargeUtf8) && to == &T::Utf8
        }
        (T::Utf8View | T::LargeUtf8, T::Utf8) => true,
        (T::BinaryView | T::LargeBinary | T::FixedSizeBinary(_), T::Binary) => true,
        (T::Int8 | T::Int16 | T::UInt8 | T::UInt16, T::Int32) => true,
        (T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::UInt32, T::Int64) => true,
        (T::Float16, T::Float32) | (T::Float16 | T::Float32, T::Float64) => true,
        (T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::UInt32, T::Float64) => true,
        (T::Timestamp(..), T::Timestamp(_, _)) => true,
        (T::Date64, T::Date32) => true,
        (T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s), T::Decimal128(to_p, to_s)) => {
            s <= to_s && i16::from(*p) - i16::from(*s) <= i16::from(*to_p) - i16::from(*to_s)
        }
        (T::List(_) | T::LargeList(_) | T::ListView(_), T::List(_)) | (T::Struct(_), T::Struct(_)) => can_cast_types(from, to),
        _ => false,
    }
}

/// Casts to the schema's type where no value changes its meaning. Nanoseconds are cut to microseconds, as in text.
fn fit(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    use DataType as T;
    let from = array.data_type();
    if from == to {
        return Ok(Arc::clone(array));
    }
    if !becomes(from, to) {
        return Err(String::new());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    if let (T::Timestamp(TimeUnit::Nanosecond, _), T::Timestamp(TimeUnit::Microsecond, zone)) = (from, to) {
        // A cast rounds towards 1970; a time is cut towards the past on either side of it.
        let cut = array.as_primitive::<TimestampNanosecondType>().unary::<_, TimestampMicrosecondType>(|n| n.div_euclid(1_000));
        return Ok(Arc::new(cut.with_timezone_opt(zone.clone())));
    }
    cast_with_options(array, to, &options).map_err(|_| " (a value is out of range)".to_owned())
}
