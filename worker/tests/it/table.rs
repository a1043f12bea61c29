//! Tables of databases, made and looked at.

use std::path::Path;

use rusqlite::{Connection, types::ValueRef};

/// Makes a database.
pub fn make(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// The rows of a table in their order, each a JSON object with the columns in theirs.
pub fn rows(path: &Path, table: &str) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY rowid")).unwrap();
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let value = |column: usize| match row.get_ref(column).unwrap() {
            ValueRef::Null => "null".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => serde_json::to_string(&value).unwrap(),
            ValueRef::Text(text) => serde_json::to_string(std::str::from_utf8(text).unwrap()).unwrap(),
            ValueRef::Blob(bytes) => serde_json::to_string(bytes).unwrap(),
        };
        let members =
            names.iter().enumerate().map(|(column, name)| format!("{}:{}", serde_json::to_string(name).unwrap(), value(column)));
        lines.push(format!("{{{}}}", members.collect::<Vec<_>>().join(",")));
    }
    lines
}
