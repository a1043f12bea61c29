//! A SQLite database as Weir opens it, and what its errors mean.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use crate::{
    error::ConnectorError,
    file::{make_folders, sync_folder},
};

/// How long somebody else may hold the database.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pages held in memory by a connection that writes, KiB.
const CACHE_KIB: u32 = 32 * 1024;

/// The file of a database. A name such as `:memory:` is a file like any other.
pub(super) fn place(base: &Path, path: &str) -> PathBuf {
    let joined = base.join(path);
    if joined.is_absolute() { joined } else { Path::new(".").join(joined) }
}

/// Opens a database to write to; makes it, and the folders above it, if need be. One that is new writes ahead (WAL), so that readers
/// do not wait; one that is there keeps its way.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, ConnectorError> {
    let of = |error| failed(path, "opening it", error);
    if path.is_dir() {
        return Err(ConnectorError::Config(format!("{} is a folder; a database is a file", path.display())));
    }
    if let Some(folder) = path.parent() {
        make_folders(folder)?;
    }
    let is_new = std::fs::metadata(path).map_or(true, |found| found.len() == 0);
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).map_err(of)?;
    if is_new {
        connection.pragma_update(None, "journal_mode", "WAL").map_err(of)?;
        path.parent().map_or(Ok(()), sync_folder)?;
    }
    // What is committed is on the disk: the sink forgets its own copy then.
    connection.pragma_update(None, "synchronous", "FULL").map_err(of)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB)).map_err(of)?;
    // A file that is no database is told by the first read.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(of)?;
    Ok(connection)
}

/// Opens a database that is there, to read only.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, ConnectorError> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(ConnectorError::io(path, error));
    }
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| failed(path, "opening it", error))?;
    // Views of a database that somebody else has made call no functions with effects.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)
        .map_err(|error| failed(path, "opening it", error))?;
    Ok(connection)
}

/// Paths are no URIs here, and a text in double quotes is a name and nothing else.
fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    Ok(connection)
}

/// A name in SQL, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What an error means for whom. The message is ours: SQLite's may hold what a trigger says of a row.
pub(super) fn failed(path: &Path, doing: &str, error: rusqlite::Error) -> ConnectorError {
    let io = |kind, what: String| ConnectorError::io(path, io::Error::new(kind, what));
    let config = |what: &str| ConnectorError::Config(format!("{}: {doing}: {what}", path.display()));
    let Some(found) = error.sqlite_error() else {
        return ConnectorError::Internal(format!("{}: {doing}: {}", path.display(), unexpected(&error)));
    };
    match found.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            let what = format!("{doing}: another program holds the database, for more than {} s by now", PATIENCE.as_secs());
            io(io::ErrorKind::WouldBlock, what)
        }
        ErrorCode::CannotOpen => io(io::ErrorKind::PermissionDenied, format!("{doing}: the database cannot be opened")),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            io(io::ErrorKind::PermissionDenied, format!("{doing}: the database may not be written to"))
        }
        ErrorCode::DiskFull => io(io::ErrorKind::StorageFull, format!("{doing}: the disk is full")),
        ErrorCode::SystemIoFailure => io(io::ErrorKind::Other, format!("{doing}: the disk failed ({})", found.extended_code)),
        ErrorCode::NotADatabase => config("the file is no SQLite database"),
        ErrorCode::DatabaseCorrupt => config("the database is damaged; put it back from a copy"),
        ErrorCode::ConstraintViolation => {
            config(&format!("a constraint or a trigger that was added to the table refuses a row ({})", found.extended_code))
        }
        ErrorCode::SchemaChanged => config("somebody changed the database's tables meanwhile"),
        ErrorCode::TooBig => config("a value is larger than SQLite takes (1 GB)"),
        // A statement that no longer fits: a table or column was dropped since the start.
        ErrorCode::Unknown => config("the table is not what it was at the start"),
        code => ConnectorError::Internal(format!("{}: {doing}: {code:?} ({})", path.display(), found.extended_code)),
    }
}

/// The kind of an error that is none of SQLite's, without what it holds.
fn unexpected(error: &rusqlite::Error) -> &'static str {
    match error {
        rusqlite::Error::InvalidColumnType(..) => "a value of another type than expected",
        rusqlite::Error::QueryReturnedNoRows => "no row where one was expected",
        rusqlite::Error::InvalidPath(_) => "the path cannot be written as UTF-8",
        _ => "an unexpected answer",
    }
}
