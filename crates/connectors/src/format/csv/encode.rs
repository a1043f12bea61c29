//! Arrow to CSV. Null is an empty bare field, an empty text is `""`. Lists and structs are JSON. Floats that are no
//! numbers are `NaN`, `Infinity` and `-Infinity`.

use arrow::{array::RecordBatch, datatypes::Schema};

use crate::{
    error::ConnectorError,
    format::json::encode::{PlainColumn, writable_columns},
};

/// Appends the header line.
pub fn write_header(out: &mut Vec<u8>, schema: &Schema) {
    for (i, field) in schema.fields().iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(out, field.name().as_bytes());
    }
    out.push(b'\n');
}

/// Appends the rows, each ended by `\n`.
pub fn write_rows(out: &mut Vec<u8>, rows: &RecordBatch) -> Result<(), ConnectorError> {
    let arrays = writable_columns(rows)?;
    let columns: Vec<PlainColumn<'_>> = arrays.iter().map(|array| PlainColumn::new(array.as_ref())).collect();
    let mut text = Vec::new();
    for row in 0..rows.num_rows() {
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if column.is_free_text() {
                text.clear();
                if column.write(&mut text, row) {
                    write_text(out, &text);
                }
            } else {
                column.write(out, row);
            }
        }
        out.push(b'\n');
    }
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    let bare = !text.is_empty() && !text.iter().any(|b| matches!(b, b'"' | b',' | b'\n' | b'\r'));
    if bare {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for part in text.split_inclusive(|&b| b == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}
