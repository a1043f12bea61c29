//! Types of the standard to Weir's: the logical type says what a value is, the physical type and the options how wide.

use super::Reader;
use crate::{
    parse::{Node, quoted},
    types::{Column, DataType},
};

impl Reader<'_> {
    pub(super) fn data_type(&mut self, node: &Node, path: &str) -> DataType {
        let text = |key: &str| node.get(key).and_then(Node::as_str);
        let physical = text("physicalType").unwrap_or_default().trim().to_lowercase();
        let option = node.get("logicalTypeOptions").and_then(|o| o.get("format")).and_then(Node::as_str).unwrap_or_default();
        let logical_path = format!("{path}.logicalType");
        let Some(logical) = text("logicalType") else {
            // A type of ours as the physical type says everything.
            if let Ok(found) = physical.parse() {
                return found;
            }
            if !physical.is_empty() {
                let message =
                    format!("{} does not say what type {} has", quoted(&physical), quoted(text("name").unwrap_or("the element")));
                self.error(
                    "bad-type",
                    &format!("{path}.physicalType"),
                    message,
                    "add `logicalType: string`, or number, integer, boolean, date, timestamp, object, array",
                );
            }
            return DataType::String;
        };
        match logical {
            "string" => match base(&physical) {
                "bytes" | "binary" | "varbinary" | "bytea" | "blob" => DataType::Bytes,
                _ if matches!(option, "binary" | "byte") => DataType::Bytes,
                _ => DataType::String,
            },
            "boolean" => DataType::Boolean,
            "timestamp" => DataType::Timestamp,
            // v3.0 has no `timestamp`: a date with a clock is one.
            "date" if ["timestamp", "datetime"].iter().any(|t| physical.starts_with(t)) || option.contains('H') => {
                DataType::Timestamp
            }
            "date" => DataType::Date,
            "integer" => self.integer(&physical, option, path),
            "number" => self.number(&physical, option, path),
            "object" => self.object(node, path),
            "array" => self.array(node, path),
            "time" => {
                let message = "Weir has no type for a time of day".to_owned();
                self.error("bad-type", &logical_path, message, "write `logicalType: string` with a pattern, or `timestamp`");
                DataType::String
            }
            // The grammar has said what the logical types are.
            _ => DataType::String,
        }
    }

    fn integer(&mut self, physical: &str, option: &str, path: &str) -> DataType {
        if matches!(option, "u64" | "i128" | "u128") {
            let message = format!("integers of format `{option}` do not fit 64 bits with a sign");
            self.error(
                "bad-type",
                &format!("{path}.logicalTypeOptions.format"),
                message,
                "write `i64`, or `logicalType: number` with `physicalType: decimal(20,0)`",
            );
        }
        let narrow = matches!(base(physical), "int32" | "int4" | "int16" | "int2" | "smallint" | "tinyint" | "short");
        if narrow || matches!(option, "i8" | "i16" | "i32" | "u8" | "u16") { DataType::Int32 } else { DataType::Int64 }
    }

    fn number(&mut self, physical: &str, option: &str, path: &str) -> DataType {
        match base(physical) {
            "decimal" | "numeric" | "number" if physical.contains('(') => {
                let arguments = physical.split_once('(').map_or("", |(_, rest)| rest).trim_end().trim_end_matches(')');
                let text =
                    if arguments.contains(',') { format!("decimal({arguments})") } else { format!("decimal({arguments},0)") };
                text.parse().unwrap_or_else(|_| {
                    let message = format!("{} is not a decimal type", quoted(physical));
                    let help = "write `decimal(12,2)`: a precision of 1 to 38 and a scale of 0 to the precision";
                    self.error("bad-type", &format!("{path}.physicalType"), message, help);
                    DataType::Float64
                })
            }
            "float32" | "float4" | "real" => DataType::Float32,
            _ if option == "f32" => DataType::Float32,
            _ => DataType::Float64,
        }
    }

    fn object(&mut self, node: &Node, path: &str) -> DataType {
        let fields: Vec<Column> = self.properties(node, &format!("{path}.properties"), false);
        DataType::Struct(fields)
    }

    fn array(&mut self, node: &Node, path: &str) -> DataType {
        let Some(items) = node.get("items") else {
            return DataType::List(Box::new(DataType::String));
        };
        DataType::List(Box::new(self.data_type(items, &format!("{path}.items"))))
    }
}

/// `varchar(18)` is a `varchar`.
fn base(physical: &str) -> &str {
    physical.split(['(', ' ', '<']).next().unwrap_or_default()
}
