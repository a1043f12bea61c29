//! Logical types as Arrow types, and back.

use std::sync::Arc;

use arrow::datatypes::{DataType as Arrow, Field, Fields, Schema, SchemaRef, TimeUnit};
use weir_spec::{Column, DataType};

/// The Arrow schema in which rows of these columns travel. Every field is nullable: whether a value is required is a promise of
/// the contract, which decoders and stages check row by row.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(arrow_fields(columns)))
}

fn arrow_fields(columns: &[Column]) -> Fields {
    columns.iter().map(|column| Field::new(&column.name, arrow_type(&column.data_type), true)).collect()
}

/// The Arrow type of a logical type.
pub fn arrow_type(data_type: &DataType) -> Arrow {
    match data_type {
        DataType::Boolean => Arrow::Boolean,
        DataType::Int32 => Arrow::Int32,
        DataType::Int64 => Arrow::Int64,
        DataType::Float32 => Arrow::Float32,
        DataType::Float64 => Arrow::Float64,
        DataType::Decimal { precision, scale } => Arrow::Decimal128(*precision, *scale),
        DataType::String => Arrow::Utf8,
        DataType::Bytes => Arrow::Binary,
        DataType::Date => Arrow::Date32,
        DataType::Timestamp => Arrow::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::List(item) => Arrow::List(Arc::new(Field::new("item", arrow_type(item), true))),
        DataType::Struct(columns) => Arrow::Struct(arrow_fields(columns)),
    }
}

/// The logical type that travels as this Arrow type: the inverse of [`arrow_type`].
pub fn logical_type(arrow: &Arrow) -> Option<DataType> {
    Some(match arrow {
        Arrow::Boolean => DataType::Boolean,
        Arrow::Int32 => DataType::Int32,
        Arrow::Int64 => DataType::Int64,
        Arrow::Float32 => DataType::Float32,
        Arrow::Float64 => DataType::Float64,
        Arrow::Decimal128(precision, scale) => DataType::Decimal { precision: *precision, scale: *scale },
        Arrow::Utf8 => DataType::String,
        Arrow::Binary => DataType::Bytes,
        Arrow::Date32 => DataType::Date,
        Arrow::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => DataType::Timestamp,
        Arrow::List(item) => DataType::List(Box::new(logical_type(item.data_type())?)),
        Arrow::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Some(Column::new(field.name(), logical_type(field.data_type())?)))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// The type that a query's result of this type is cast to, so that rows between nodes always have types that documents can
/// name. `None` where no logical type holds every value.
pub(crate) fn representable(arrow: &Arrow) -> Option<Arrow> {
    Some(match arrow {
        Arrow::Int8 | Arrow::Int16 | Arrow::UInt8 | Arrow::UInt16 => Arrow::Int32,
        Arrow::UInt32 => Arrow::Int64,
        Arrow::UInt64 => Arrow::Decimal128(20, 0),
        Arrow::Float16 => Arrow::Float32,
        Arrow::Decimal32(precision, scale) | Arrow::Decimal64(precision, scale) => Arrow::Decimal128(*precision, *scale),
        Arrow::LargeUtf8 | Arrow::Utf8View => Arrow::Utf8,
        Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => Arrow::Binary,
        Arrow::Timestamp(..) | Arrow::Date64 => arrow_type(&DataType::Timestamp),
        Arrow::Dictionary(_, values) => representable(values)?,
        Arrow::List(item) | Arrow::LargeList(item) | Arrow::FixedSizeList(item, _) => {
            Arrow::List(Arc::new(Field::new("item", representable(item.data_type())?, true)))
        }
        Arrow::Struct(fields) => Arrow::Struct(
            fields
                .iter()
                .map(|field| Some(Field::new(field.name(), representable(field.data_type())?, true)))
                .collect::<Option<_>>()?,
        ),
        other => {
            logical_type(other)?;
            other.clone()
        }
    })
}

/// A logical type as documents write it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "int32".into(),
        DataType::Int64 => "int64".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        DataType::String => "string".into(),
        DataType::Bytes => "bytes".into(),
        DataType::Date => "date".into(),
        DataType::Timestamp => "timestamp".into(),
        DataType::List(item) => format!("list<{}>", type_name(item)),
        DataType::Struct(columns) => {
            let fields: Vec<_> = columns.iter().map(|c| format!("{}: {}", c.name, type_name(&c.data_type))).collect();
            format!("struct<{}>", fields.join(", "))
        }
    }
}

/// An Arrow type by its logical name where it has one.
pub(crate) fn arrow_type_name(arrow: &Arrow) -> String {
    logical_type(arrow).map_or_else(|| arrow.to_string(), |logical| type_name(&logical))
}
