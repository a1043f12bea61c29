//! Whether a file has the columns that its schema asks for, and in words all that is wrong with them. Names columns of the schema and
//! types, never what a header says: without a header, the first line is data.

use std::sync::Arc;

use arrow::datatypes::{Fields, SchemaRef};

use crate::{format::rows::becomes, schema::stored_type_name, source::MalformedReason};

/// What is wrong with the header of a CSV file.
pub(super) fn header_columns(header: &Arc<[String]>, schema: &SchemaRef, required: &[String]) -> Option<MalformedReason> {
    let mut wrong = Wrong::default();
    for name in required.iter().filter(|name| !header.contains(name)) {
        wrong.missing(name, header.iter().any(|other| other.eq_ignore_ascii_case(name)));
    }
    for field in schema.fields().iter().filter(|field| header.iter().filter(|name| *name == field.name()).count() > 1) {
        wrong.add(field.name(), format!("`{}` is there more than once", field.name()));
    }
    wrong.reason("the header", "; correct it, or set `header: false` if the file has none")
}

/// What is wrong with the columns of a Parquet file.
pub(super) fn stored_columns(stored: &Fields, schema: &SchemaRef, required: &[String]) -> Option<MalformedReason> {
    let mut wrong = Wrong::default();
    for name in required.iter().filter(|name| stored.find(name).is_none()) {
        wrong.missing(name, stored.iter().any(|other| other.name().eq_ignore_ascii_case(name)));
    }
    for field in schema.fields() {
        if let Some((_, found)) = stored.find(field.name())
            && !becomes(found.data_type(), field.data_type())
        {
            let (found, expected) = (stored_type_name(found.data_type()), stored_type_name(field.data_type()));
            wrong.add(field.name(), format!("`{}` is {found}, which does not become {expected} without loss", field.name()));
        }
    }
    wrong.reason("the file's columns", "")
}

#[derive(Default)]
struct Wrong {
    columns: Vec<String>,
    findings: Vec<String>,
}

impl Wrong {
    fn add(&mut self, column: &str, finding: String) {
        self.columns.push(column.to_owned());
        self.findings.push(finding);
    }

    fn missing(&mut self, column: &str, in_other_case: bool) {
        let but = if in_other_case { " (there is one in other letter case, which is another name)" } else { "" };
        self.add(column, format!("`{column}`, which is required, is missing{but}"));
    }

    fn reason(self, what: &str, advice: &str) -> Option<MalformedReason> {
        let detail = format!("{what} cannot be used: {}{advice}", self.findings.join("; "));
        (!self.columns.is_empty()).then(|| MalformedReason::WrongColumns { column: self.columns.join(", "), detail })
    }
}
