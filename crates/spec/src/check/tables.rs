//! Keys of reference data that do not go together.

use super::Scope;
use crate::{connector::Format, connector::TableConnector, diagnostic::Diagnostic};

pub fn check(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    for (name, table) in &scope.pipeline.tables {
        let format = format!("tables.{name}.format");
        if matches!(table.connector, TableConnector::Sqlite(_)) && scope.is_given(&format, table.format != Format::Json) {
            let message = format!("the table `{name}` has no format: a database knows its rows");
            found.push(Diagnostic::error("format-not-allowed", format, message).with_help("remove `format`"));
        }
    }
}
