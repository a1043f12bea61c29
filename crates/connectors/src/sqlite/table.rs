//! The table of a sink: made when it is not there, compared when it is, and the statements that change it.
//!
//! What is written comes after its checkpoint is committed, when no row can be refused any more. So a table that might refuse one is
//! refused as a whole, at the start.

use std::path::Path;

use arrow::datatypes::{DataType, Schema};
use rusqlite::{Connection, params};
use weir_spec::{connector::SqliteSink, nearest::did_you_mean, pipeline::SinkMode};

use super::database::{failed, quoted};
use crate::error::ConnectorError;

/// Where the columns of a sink's input go.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The first column of the input is no column of the table: it says what happened to the row.
    pub has_changes: bool,
    /// Places in the input, in the order of the document.
    pub key: Vec<usize>,
    /// The others, in the order of the input.
    pub rest: Vec<usize>,
    /// In the order of the input.
    pub columns: Vec<TableColumn>,
    pub table: String,
}

#[derive(Clone, Debug)]
pub(super) struct TableColumn {
    pub name: String,
    /// INTEGER, REAL, TEXT or BLOB.
    pub affinity: &'static str,
}

impl Layout {
    pub fn new(config: &SqliteSink, mode: SinkMode, schema: &Schema) -> Result<Self, ConnectorError> {
        let has_changes = mode == SinkMode::Upsert;
        if has_changes == config.key.is_empty() {
            return Err(ConnectorError::Config("a table needs a `key` to replace rows by, and has none without".into()));
        }
        let first = usize::from(has_changes);
        let columns: Vec<TableColumn> = schema
            .fields()
            .iter()
            .skip(first)
            .map(|field| TableColumn { name: field.name().clone(), affinity: affinity(field.data_type()) })
            .collect();
        let place = |name: &String| {
            let place = columns.iter().position(|column| column.name == *name);
            place
                .map(|place| place + first)
                .ok_or_else(|| ConnectorError::Config(format!("the key column `{name}` is not written")))
        };
        let key = config.key.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
        let rest = (first..schema.fields().len()).filter(|place| !key.contains(place)).collect();
        Ok(Self { has_changes, key, rest, columns, table: config.table.clone() })
    }

    /// The column of the table that comes from this place of the input.
    fn column(&self, place: usize) -> &str {
        &self.columns[place - usize::from(self.has_changes)].name
    }

    fn names(&self, places: &[usize]) -> Vec<String> {
        places.iter().map(|&place| quoted(self.column(place))).collect()
    }

    fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|&place| self.column(place)).collect()
    }

    /// Adds a row: parameters are the key's values, then the others.
    pub fn insert(&self) -> String {
        let names: Vec<String> = self.names(&self.key).into_iter().chain(self.names(&self.rest)).collect();
        let values = vec!["?"; names.len()].join(", ");
        format!("INSERT INTO {} ({}) VALUES ({values})", quoted(&self.table), names.join(", "))
    }

    /// Adds a row or replaces the one with its key, which has no null.
    pub fn upsert(&self) -> String {
        let set: Vec<String> = self.names(&self.rest).iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!("{} ON CONFLICT ({}) DO {action}", self.insert(), self.names(&self.key).join(", "))
    }

    /// Removes the row with a key, nulls included.
    pub fn delete(&self) -> String {
        let equal: Vec<String> = self.names(&self.key).iter().map(|name| format!("{name} IS ?")).collect();
        format!("DELETE FROM {} WHERE {}", quoted(&self.table), equal.join(" AND "))
    }

    /// `UNIQUE` rather than a primary key, which would be the row number where it is one integer, and could then hold no null.
    fn create(&self) -> String {
        let columns = self.columns.iter().map(|column| format!("{} {}", quoted(&column.name), column.affinity));
        let key = (!self.key.is_empty()).then(|| format!("UNIQUE ({})", self.names(&self.key).join(", ")));
        format!("CREATE TABLE {} ({})", quoted(&self.table), columns.chain(key).collect::<Vec<_>>().join(", "))
    }

    /// Makes the table, or compares the one there is.
    pub fn prepare(&self, connection: &Connection, path: &Path) -> Result<(), ConnectorError> {
        let kind = kind(connection, &self.table).map_err(|error| failed(path, "looking for the table", error))?;
        match kind.as_deref() {
            None => connection.execute(&self.create(), []).map(drop).map_err(|error| failed(path, "making the table", error)),
            Some("table") => {
                let problems = self.compare(connection).map_err(|error| failed(path, "comparing the table", error))?;
                if problems.is_empty() {
                    return Ok(());
                }
                let message = format!(
                    "{}: the table `{}` is there already and does not fit: {}. Give the sink another table, or change this one",
                    path.display(),
                    self.table,
                    problems.join("; ")
                );
                Err(ConnectorError::Config(message))
            }
            Some(kind) => {
                let message = format!("{}: `{}` is a {kind}, and rows go to tables only", path.display(), self.table);
                Err(ConnectorError::Config(message))
            }
        }
    }

    /// What speaks against writing to the table that is there.
    fn compare(&self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        let there = columns(connection, &self.table)?;
        let mut problems = Vec::new();
        for wanted in &self.columns {
            let Some(found) = there.iter().find(|found| found.name.eq_ignore_ascii_case(&wanted.name)) else {
                let help = did_you_mean(&wanted.name, there.iter().map(|found| found.name.as_str()));
                problems.push(format!(
                    "it has no column `{}`{}",
                    wanted.name,
                    help.map(|help| format!(" ({help})")).unwrap_or_default()
                ));
                continue;
            };
            let of = affinity_of(&found.declared);
            if of != wanted.affinity {
                problems.push(format!("its column `{}` is {of} rather than {}", found.name, wanted.affinity));
            }
            if found.refuses_null {
                problems.push(format!("its column `{}` takes no null", found.name));
            }
        }
        for extra in there.iter().filter(|found| !self.columns.iter().any(|wanted| wanted.name.eq_ignore_ascii_case(&found.name)))
        {
            problems.push(format!("it has a further column `{}`", extra.name));
        }
        let key: Vec<String> = sorted(self.key_names().into_iter());
        let mut has_key = key.is_empty();
        for index in unique_indexes(connection, &self.table)? {
            match index {
                Some(columns) if columns == key => has_key = true,
                Some(columns) => problems.push(format!("no two of its rows may be equal in ({})", columns.join(", "))),
                None => problems.push("it has a unique index over expressions, some of its rows, or a collation".to_owned()),
            }
        }
        if !has_key {
            problems.push(format!("it is not unique by its key ({})", self.key_names().join(", ")));
        }
        Ok(problems)
    }
}

/// A column that is there.
pub(super) struct FoundColumn {
    pub name: String,
    declared: String,
    refuses_null: bool,
}

/// `table`, `view` or `virtual table`; none where nothing has this name.
pub(super) fn kind(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let mut found =
        connection.prepare("SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE")?;
    let kind = found.query_map([table], |row| row.get::<_, String>(0))?.next().transpose()?;
    Ok(kind.map(|kind| if kind == "virtual" { "virtual table".to_owned() } else { kind }))
}

/// The columns of a table or view, the hidden ones of virtual tables left out.
pub(super) fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<FoundColumn>> {
    let without_rowid: bool = connection.query_row(
        "SELECT coalesce(max(wr), 0) FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
        [table],
        |row| row.get(0),
    )?;
    let mut found =
        connection.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid")?;
    let rows = found.query_map(params![table], |row| {
        let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
        let (not_null, pk): (bool, i64) = (row.get(2)?, row.get(3)?);
        Ok((name, declared, not_null, pk))
    })?;
    let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let of_pk = rows.iter().filter(|(_, _, _, pk)| *pk > 0).count();
    Ok(rows
        .into_iter()
        .map(|(name, declared, not_null, pk)| {
            // A primary key of one INTEGER is the row's number.
            let is_row_number = pk > 0 && of_pk == 1 && declared.eq_ignore_ascii_case("INTEGER");
            FoundColumn { refuses_null: not_null || is_row_number || (without_rowid && pk > 0), name, declared }
        })
        .collect())
}

/// The columns of each unique index, sorted; none for one that is about more than equal columns. A primary key of one integer has no
/// index, but its column takes no null.
fn unique_indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Option<Vec<String>>>> {
    let mut indexes = connection.prepare("SELECT name, partial FROM pragma_index_list(?1) WHERE \"unique\" = 1")?;
    let indexes = indexes.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let mut found = Vec::new();
    for index in indexes {
        let (name, partial) = index?;
        let mut columns = connection.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1")?;
        let columns = columns.query_map([&name], |row| {
            let (column, collation): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
            Ok(column.filter(|_| collation.is_some_and(|collation| collation.eq_ignore_ascii_case("BINARY"))))
        })?;
        let columns: Option<Vec<String>> = columns.collect::<rusqlite::Result<_>>()?;
        found.push(columns.filter(|_| !partial).map(|columns| sorted(columns.iter().map(String::as_str))));
    }
    Ok(found)
}

/// Names as SQLite compares them.
fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
    names.sort();
    names
}

fn affinity(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "INTEGER",
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => "INTEGER",
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "REAL",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "BLOB",
        _ => "TEXT",
    }
}

/// The affinity of a declared type: <https://sqlite.org/datatype3.html>, section 3.1.
fn affinity_of(declared: &str) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    match () {
        () if has(&["INT"]) => "INTEGER",
        () if has(&["CHAR", "CLOB", "TEXT"]) => "TEXT",
        () if has(&["BLOB"]) || declared.is_empty() => "BLOB",
        () if has(&["REAL", "FLOA", "DOUB"]) => "REAL",
        () => "NUMERIC",
    }
}
