//! Logical columns as an Arrow schema.

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

/// A logical type as documents write it, for messages.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "int32".into(),
        DataType::Int64 => "int64".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        DataType::String => "string".into(),
        DataType::Bytes => "bytes (base64)".into(),
        DataType::Date => "date (YYYY-MM-DD)".into(),
        DataType::Timestamp => "timestamp (RFC 3339; without a zone it is UTC)".into(),
        DataType::List(item) => format!("list<{}>", type_name(item)),
        DataType::Struct(_) => "struct".into(),
    }
}

/// An Arrow type as documents would write it, for messages; of a type that documents do not have, its own name in lower case.
pub(crate) fn stored_type_name(data_type: &Arrow) -> String {
    match data_type {
        Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View => "string".into(),
        Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => "bytes".into(),
        Arrow::Date32 | Arrow::Date64 => "date".into(),
        Arrow::Timestamp(..) => "timestamp".into(),
        Arrow::Decimal32(precision, scale)
        | Arrow::Decimal64(precision, scale)
        | Arrow::Decimal128(precision, scale)
        | Arrow::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        Arrow::List(item) | Arrow::LargeList(item) | Arrow::ListView(item) | Arrow::FixedSizeList(item, _) => {
            format!("list<{}>", stored_type_name(item.data_type()))
        }
        Arrow::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", field.name(), stored_type_name(field.data_type()))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        Arrow::Dictionary(_, values) => stored_type_name(values),
        other => other.to_string().to_lowercase(),
    }
}
