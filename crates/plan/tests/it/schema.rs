//! Logical types as Arrow types.

use weir_plan::schema::{arrow_schema, arrow_type, logical_type};
use weir_spec::{Column, DataType};

/// The one table of types; `weir-connectors` keeps the same.
#[test]
fn every_logical_type_has_its_arrow_type() {
    let table = [
        (DataType::Boolean, "Boolean"),
        (DataType::Int32, "Int32"),
        (DataType::Int64, "Int64"),
        (DataType::Float32, "Float32"),
        (DataType::Float64, "Float64"),
        (DataType::Decimal { precision: 12, scale: 2 }, "Decimal128(12, 2)"),
        (DataType::String, "Utf8"),
        (DataType::Bytes, "Binary"),
        (DataType::Date, "Date32"),
        (DataType::Timestamp, "Timestamp(µs, \"UTC\")"),
        (DataType::List(Box::new(DataType::Int64)), "List(Int64)"),
        (DataType::Struct(vec![Column::new("zip", DataType::String)]), "Struct(\"zip\": Utf8)"),
    ];
    for (logical, arrow) in table {
        assert_eq!(arrow_type(&logical).to_string(), arrow);
        assert_eq!(logical_type(&arrow_type(&logical)), Some(logical));
    }
}

#[test]
fn every_field_is_nullable() {
    let required = Column { required: true, ..Column::new("id", DataType::Int64) };
    let nested = Column { required: true, ..Column::new("address", DataType::Struct(vec![required.clone()])) };
    let schema = arrow_schema(&[required, nested]);
    assert!(schema.flattened_fields().iter().all(|field| field.is_nullable()));
}
