//! Growing Arrow columns that can forget their last rows again, so that a row which fails halfway leaves no trace.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
        ListArray, StringArray, StructArray, TimestampMicrosecondArray,
    },
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, FieldRef, Fields},
    error::ArrowError,
};

/// One column under construction.
#[derive(Debug)]
pub(crate) struct ColumnBuffer {
    pub len: usize,
    /// The rows without a value, ascending.
    nulls: Vec<u32>,
    pub values: Values,
}

/// The values of a column, nulls included as zero values.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Text(VarBytes),
    Binary(VarBytes),
    Date(Vec<i32>),
    Timestamp { values: Vec<i64>, zone: Option<Arc<str>> },
    List { ends: Vec<i32>, items: Box<ColumnBuffer>, field: FieldRef },
    Struct { children: Vec<ColumnBuffer>, fields: Fields },
}

/// Values of varying length, one after the other. `ends[0]` is 0.
#[derive(Debug)]
pub(crate) struct VarBytes {
    pub ends: Vec<i32>,
    pub bytes: Vec<u8>,
}

impl VarBytes {
    fn new() -> Self {
        Self { ends: vec![0], bytes: Vec::new() }
    }

    /// Ends the value whose bytes were appended to `bytes`.
    #[inline]
    pub fn end_value(&mut self) {
        self.ends.push(self.bytes.len() as i32);
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len + 1);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0) as usize);
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let mut ends = Vec::with_capacity(self.ends.len());
        ends.push(0);
        let ends = std::mem::replace(&mut self.ends, ends);
        let bytes = take(&mut self.bytes);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), Buffer::from_vec(bytes))
    }
}

/// Takes the values and leaves room for as many again.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len() + values.len() / 16;
    std::mem::replace(values, Vec::with_capacity(room))
}

impl ColumnBuffer {
    /// An empty column of this type; only the types that [`crate::schema::arrow_type`] produces.
    pub fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Utf8 => Values::Text(VarBytes::new()),
            DataType::Binary => Values::Binary(VarBytes::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone) => {
                Values::Timestamp { values: Vec::new(), zone: zone.clone() }
            }
            DataType::List(field) => {
                Values::List { ends: vec![0], items: Box::new(Self::new(field.data_type())?), field: field.clone() }
            }
            DataType::Struct(fields) => Values::Struct {
                children: fields.iter().map(|f| Self::new(f.data_type())).collect::<Result<_, _>>()?,
                fields: fields.clone(),
            },
            other => {
                return Err(ArrowError::NotYetImplemented(format!("a column of type {other}")));
            }
        };
        Ok(Self { len: 0, nulls: Vec::new(), values })
    }

    /// Appends a row without a value.
    pub fn push_null(&mut self) {
        self.nulls.push(self.len as u32);
        match &mut self.values {
            Values::Boolean(v) => v.push(false),
            Values::Int32(v) | Values::Date(v) => v.push(0),
            Values::Int64(v) | Values::Timestamp { values: v, .. } => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Text(v) | Values::Binary(v) => v.end_value(),
            Values::List { ends, items, .. } => ends.push(items.len as i32),
            Values::Struct { children, .. } => children.iter_mut().for_each(Self::push_null),
        }
        self.len += 1;
    }

    /// Forgets every row from `len` on, half-written ones included.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.values {
            Values::Boolean(v) => v.truncate(len),
            Values::Int32(v) | Values::Date(v) => v.truncate(len),
            Values::Int64(v) | Values::Timestamp { values: v, .. } => v.truncate(len),
            Values::Float32(v) => v.truncate(len),
            Values::Float64(v) => v.truncate(len),
            Values::Decimal { values, .. } => values.truncate(len),
            Values::Text(v) | Values::Binary(v) => v.truncate(len),
            Values::List { ends, items, .. } => {
                ends.truncate(len + 1);
                items.truncate(ends.last().copied().unwrap_or(0) as usize);
            }
            Values::Struct { children, .. } => children.iter_mut().for_each(|child| child.truncate(len)),
        }
        while self.nulls.last().is_some_and(|&row| row as usize >= len) {
            self.nulls.pop();
        }
        self.len = len;
    }

    /// The column as an Arrow array; the buffer is empty afterwards.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.take_nulls();
        let len = std::mem::take(&mut self.len);
        Ok(match &mut self.values {
            Values::Boolean(v) => Arc::new(BooleanArray::new(BooleanBuffer::from(take(v)), nulls)),
            Values::Int32(v) => Arc::new(Int32Array::try_new(take(v).into(), nulls)?),
            Values::Int64(v) => Arc::new(Int64Array::try_new(take(v).into(), nulls)?),
            Values::Float32(v) => Arc::new(Float32Array::try_new(take(v).into(), nulls)?),
            Values::Float64(v) => Arc::new(Float64Array::try_new(take(v).into(), nulls)?),
            Values::Decimal { values, precision, scale } => {
                Arc::new(Decimal128Array::try_new(take(values).into(), nulls)?.with_precision_and_scale(*precision, *scale)?)
            }
            Values::Text(v) => {
                let (offsets, bytes) = v.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Binary(v) => {
                let (offsets, bytes) = v.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Date(v) => Arc::new(Date32Array::try_new(take(v).into(), nulls)?),
            Values::Timestamp { values, zone } => {
                Arc::new(TimestampMicrosecondArray::try_new(take(values).into(), nulls)?.with_timezone_opt(zone.clone()))
            }
            Values::List { ends, items, field } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                Arc::new(ListArray::try_new(field.clone(), offsets, items.finish()?, nulls)?)
            }
            Values::Struct { children, fields } => {
                let arrays = children.iter_mut().map(Self::finish).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, len)?)
            }
        })
    }

    fn take_nulls(&mut self) -> Option<NullBuffer> {
        if self.nulls.is_empty() {
            return None;
        }
        let mut valid = arrow::array::BooleanBufferBuilder::new(self.len);
        valid.append_n(self.len, true);
        for row in self.nulls.drain(..) {
            valid.set_bit(row as usize, false);
        }
        Some(NullBuffer::new(valid.finish()))
    }
}
