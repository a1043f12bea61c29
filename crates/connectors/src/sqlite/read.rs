//! Reading a table or view as reference data: all its rows, as they were at one moment.
//!
//! A row is written as a JSON object and decoded as one, so that a value of a table is taken or refused for the reasons that a value
//! of a file is. What SQLite stores under another type than the column's is refused: it converts nothing by itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use rusqlite::{Connection, Row, types::ValueRef};
use weir_spec::{Column, DataType, connector::SqliteTable, nearest::did_you_mean};

use super::{
    database::{failed, open_to_read, place, quoted},
    table,
};
use crate::{
    base_dir::BaseDir,
    error::ConnectorError,
    format::json::{
        decode::JsonDecoder,
        encode::{write_base64, write_string},
    },
    schema::type_name,
    source::{Chunk, MalformedReason, Offset, Payload, RowDecoder},
};

/// Rows decoded at a time.
const BATCH: u64 = 8192;

/// Reads a table, and tells when it may have changed.
pub struct TableReader {
    base_dir: BaseDir,
    path: PathBuf,
    table: String,
    columns: Vec<Column>,
    schema: SchemaRef,
    open: Option<Open>,
}

/// A connection, and which file it reads: another may have taken its name.
struct Open {
    connection: Connection,
    file: FileIdentity,
}

type FileIdentity = (u64, u64);

/// What tells a changed database from an unchanged one: the file, and SQLite's count of what others have committed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseVersion {
    file: FileIdentity,
    count: i64,
}

impl TableReader {
    /// A reader of these columns, whose Arrow form is `schema`. Nothing is opened yet; paths begin at `base`.
    pub fn new(config: &SqliteTable, columns: &[Column], schema: SchemaRef, base: &BaseDir) -> Self {
        let path = place(base, &config.path);
        Self { base_dir: base.clone(), path, table: config.table.clone(), columns: columns.to_vec(), schema, open: None }
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the database, of all its tables together. One that is committed while [`Self::read`] runs has another.
    pub fn version(&mut self) -> Result<DatabaseVersion, ConnectorError> {
        self.base_dir.admit(&self.path)?;
        let file = identity(&self.path)?;
        if self.open.as_ref().is_none_or(|open| open.file != file) {
            self.open = Some(Open { connection: open_to_read(&self.path)?, file });
        }
        let connection = self.connection()?;
        let count = connection.query_row("SELECT data_version FROM pragma_data_version", [], |row| row.get(0));
        Ok(DatabaseVersion { file, count: count.map_err(|error| failed(&self.path, "looking for changes", error))? })
    }

    fn connection(&self) -> Result<&Connection, ConnectorError> {
        self.open
            .as_ref()
            .map(|open| &open.connection)
            .ok_or_else(|| ConnectorError::Internal("a table was read before its version".into()))
    }

    /// Hands all rows to `each`, in the order of the table, which are those of one moment. Call [`Self::version`] before.
    pub fn read(&self, mut each: impl FnMut(RecordBatch) -> Result<(), ConnectorError>) -> Result<(), ConnectorError> {
        let connection = self.connection()?;
        self.check(connection)?;
        let names: Vec<String> = self.columns.iter().map(|column| format!("t.{}", quoted(&column.name))).collect();
        let query = format!("SELECT {} FROM {} AS t", names.join(", "), quoted(&self.table));
        let reading = |error| failed(&self.path, &format!("reading the table `{}`", self.table), error);
        let mut statement = connection.prepare(&query).map_err(reading)?;
        let mut rows = statement.query([]).map_err(reading)?;
        let mut decoder = JsonDecoder::new(Arc::clone(&self.schema), &self.columns)?;
        let (mut text, mut first, mut row) = (Vec::new(), 0u64, 0u64);
        let mut decode = |text: &mut Vec<u8>, end: u64| {
            let payload = Payload::Bytes(std::mem::take(text).into());
            let (start, end) = (Offset { byte: 0, row: first }, Offset { byte: 0, row: end });
            let decoded = decoder.decode(&Chunk { partition: 0, start, end, payload, malformed: Vec::new(), header: None })?;
            if let Some(malformed) = decoded.malformed.first() {
                return Err(self.refused(malformed.at.row, &malformed.reason));
            }
            first = end.row;
            each(decoded.rows)
        };
        while let Some(values) = rows.next().map_err(reading)? {
            self.write(values, &mut text).map_err(|reason| self.refused(row, &reason))?;
            row += 1;
            if row.is_multiple_of(BATCH) {
                decode(&mut text, row)?;
            }
        }
        if !row.is_multiple_of(BATCH) {
            decode(&mut text, row)?;
        }
        Ok(())
    }

    /// Errors unless the table and its columns are there.
    fn check(&self, connection: &Connection) -> Result<(), ConnectorError> {
        let looking = |error| failed(&self.path, "looking for the table", error);
        let (path, name) = (self.path.display(), &self.table);
        if table::kind(connection, name).map_err(looking)?.is_none() {
            let tables = names(connection).map_err(looking)?;
            let help = did_you_mean(name, tables.iter().map(String::as_str)).unwrap_or_else(|| match tables.is_empty() {
                true => "it has none".to_owned(),
                false => format!("there are: {}", tables.join(", ")),
            });
            return Err(ConnectorError::Config(format!("{path}: there is no table `{name}`; {help}")));
        }
        let there = table::columns(connection, name).map_err(looking)?;
        for column in &self.columns {
            if !there.iter().any(|found| found.name.eq_ignore_ascii_case(&column.name)) {
                let found = || there.iter().map(|found| found.name.as_str());
                let help = did_you_mean(&column.name, found())
                    .unwrap_or_else(|| format!("there are: {}", found().collect::<Vec<_>>().join(", ")));
                let message = format!("{path}: the table `{name}` has no column `{}`; {help}", column.name);
                return Err(ConnectorError::Config(message));
            }
        }
        Ok(())
    }

    fn refused(&self, row: u64, reason: &MalformedReason) -> ConnectorError {
        let (path, table) = (self.path.display(), &self.table);
        ConnectorError::Config(format!("{path}: row {} of the table `{table}` is malformed: {reason}", row + 1))
    }

    /// Appends a row as a line of JSON.
    fn write(&self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), MalformedReason> {
        for (place, column) in self.columns.iter().enumerate() {
            out.push(if place == 0 { b'{' } else { b',' });
            write_string(out, column.name.as_bytes());
            out.push(b':');
            let unreadable = |_| wrong(column, "something that cannot be read");
            write_value(column, row.get_ref(place).map_err(unreadable)?, out)?;
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn wrong(column: &Column, found: &str) -> MalformedReason {
    MalformedReason::WrongType { column: column.name.clone(), expected: type_name(&column.data_type), found: found.to_owned() }
}

/// What the decoder would take for another value is refused here; of everything else it says itself what is wrong.
fn write_value(column: &Column, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), MalformedReason> {
    match (value, &column.data_type) {
        (ValueRef::Null, _) => out.extend_from_slice(b"null"),
        (ValueRef::Integer(0), DataType::Boolean) => out.extend_from_slice(b"false"),
        (ValueRef::Integer(1), DataType::Boolean) => out.extend_from_slice(b"true"),
        (ValueRef::Integer(value), _) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        (ValueRef::Real(value), _) if value.is_finite() => {
            out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes())
        }
        (ValueRef::Real(_), _) => return Err(wrong(column, "infinity")),
        (ValueRef::Blob(value), DataType::Bytes) => {
            out.push(b'"');
            write_base64(out, value);
            out.push(b'"');
        }
        (ValueRef::Blob(_), _) => return Err(wrong(column, "a BLOB")),
        (ValueRef::Text(_), DataType::Bytes) => return Err(wrong(column, "a TEXT")),
        (ValueRef::Text(text), DataType::List(_) | DataType::Struct(_)) => {
            // One value, and all of it: a text such as `1, "other": 2` would be more than its column.
            let whole: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(text);
            whole.map_err(|_| wrong(column, "a text that is not JSON"))?;
            out.extend(text.iter().map(|&byte| if byte == b'\n' { b' ' } else { byte }));
        }
        (ValueRef::Text(text), _) => write_string(out, text),
    }
    Ok(())
}

/// Tables and views by name.
fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 AND name <> '_weir' ORDER BY name";
    let mut statement = connection.prepare(query)?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

#[cfg(unix)]
fn identity(path: &Path) -> Result<FileIdentity, ConnectorError> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).map_err(|error| ConnectorError::io(path, error))?;
    Ok((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Result<FileIdentity, ConnectorError> {
    std::fs::metadata(path).map(|_| (0, 0)).map_err(|error| ConnectorError::io(path, error))
}
