//! An epoch's changes to the table and the epoch itself, in one transaction.
//!
//! `_weir` holds for every sink that writes to the database the last epoch that is in its table. It tells a restart whether a
//! checkpoint's changes are there already, and that a database is not an older copy of itself.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Statement, Transaction, TransactionBehavior, params};

use super::{
    database::failed,
    fold::Outcome,
    merge::merge,
    staging::Staged,
    table::Layout,
    value::{Bound, Decoded},
};
use crate::error::ConnectorError;

/// A sink's place in a database.
pub(super) struct Place<'p> {
    pub path: &'p Path,
    pub layout: &'p Layout,
    /// Tells the sink from all others.
    pub tag: &'p str,
}

impl Place<'_> {
    fn failed(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> ConnectorError {
        move |error| failed(self.path, doing, error)
    }

    /// Nobody else writes until it ends.
    fn begin<'c>(&self, connection: &'c mut Connection) -> Result<Transaction<'c>, ConnectorError> {
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(self.failed("waiting for the database"))
    }

    /// Makes what is not there yet. `first`: no epoch of this sink is in the table, whatever an earlier one of its name has left.
    pub fn prepare(&self, connection: &mut Connection, first: bool) -> Result<(), ConnectorError> {
        let doing = "preparing the table";
        let transaction = self.begin(connection)?;
        self.layout.prepare(&transaction, self.path)?;
        let made = transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS \"_weir\" \
             (\"sink\" TEXT NOT NULL PRIMARY KEY, \"table\" TEXT NOT NULL, \"epoch\" INTEGER NOT NULL)",
        );
        made.map_err(self.failed(doing))?;
        if first {
            let begun = transaction.execute(
                "INSERT INTO \"_weir\" (\"sink\", \"table\", \"epoch\") VALUES (?1, ?2, 0) \
                 ON CONFLICT (\"sink\") DO UPDATE SET \"table\" = excluded.\"table\", \"epoch\" = 0",
                params![self.tag, self.layout.table],
            );
            begun.map_err(self.failed(doing))?;
        }
        transaction.commit().map_err(self.failed(doing))
    }

    /// The last epoch of this sink that is in the table; none where it has never written to this database.
    pub fn epoch(&self, connection: &Connection) -> Result<Option<u64>, ConnectorError> {
        let doing = "reading the epoch";
        let is_there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_weir'";
        let is_there = connection.query_row(is_there, [], |_| Ok(())).optional().map_err(self.failed(doing))?;
        if is_there.is_none() {
            return Ok(None);
        }
        let found = connection
            .query_row("SELECT \"epoch\" FROM \"_weir\" WHERE \"sink\" = ?1", [self.tag], |row| row.get::<_, i64>(0))
            .optional();
        Ok(found.map_err(self.failed(doing))?.map(i64::unsigned_abs))
    }

    /// Applies an epoch, unless it is there already.
    pub fn apply(&self, connection: &mut Connection, staged: Staged) -> Result<(), ConnectorError> {
        let transaction = self.begin(connection)?;
        let epoch = staged.epoch;
        match self.epoch(&transaction)? {
            Some(there) if there >= epoch => return Ok(()),
            Some(there) if there == staged.after => {}
            there => return Err(self.other_database(there, staged.after)),
        }
        {
            let mut statements = Statements::prepare(&transaction, self.layout).map_err(self.failed("reading the table"))?;
            merge(staged, |key, outcome| statements.apply(key, outcome)?.map_err(self.failed("writing rows")))?;
        }
        let doing = "committing an epoch";
        let told =
            transaction.execute("UPDATE \"_weir\" SET \"epoch\" = ?1 WHERE \"sink\" = ?2", params![epoch as i64, self.tag]);
        told.map_err(self.failed(doing))?;
        transaction.commit().map_err(self.failed(doing))
    }

    /// The table is not the one that this sink has written.
    pub fn other_database(&self, there: Option<u64>, wanted: u64) -> ConnectorError {
        let there = there.map_or("none".to_owned(), |epoch| epoch.to_string());
        ConnectorError::Resume(format!(
            "{}: the table `{}` should hold what this sink has written up to epoch {wanted}, but the last one there is {there}: the \
             database was removed, or replaced by another copy. Put the right one back, or start anew: `weir run --fresh`",
            self.path.display(),
            self.layout.table
        ))
    }
}

/// Statements that change the table.
struct Statements<'c> {
    insert: Statement<'c>,
    /// Where rows are replaced.
    by_key: Option<ByKey<'c>>,
}

struct ByKey<'c> {
    upsert: Statement<'c>,
    delete: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection, layout: &Layout) -> rusqlite::Result<Self> {
        let by_key = match layout.has_changes {
            true => Some(ByKey { upsert: connection.prepare(&layout.upsert())?, delete: connection.prepare(&layout.delete())? }),
            false => None,
        };
        Ok(Self { insert: connection.prepare(&layout.insert())?, by_key })
    }

    /// The outer error is in what was staged, the inner one the database's.
    fn apply(&mut self, key: &[u8], outcome: Outcome<'_>) -> Result<rusqlite::Result<()>, ConnectorError> {
        let key = Decoded::new(key).collect::<Result<Vec<_>, _>>()?;
        let Some(ByKey { upsert, delete }) = &mut self.by_key else {
            let Outcome::Put(row) = outcome else { return Ok(Ok(())) };
            return run(&mut self.insert, &key, row);
        };
        // SQLite holds two nulls to be different, so a row with one in its key conflicts with none.
        let has_null = key.iter().any(Bound::is_null);
        match outcome {
            Outcome::Same => Ok(Ok(())),
            Outcome::Delete => run(delete, &key, &[]),
            Outcome::Put(row) if has_null => match run(delete, &key, &[])? {
                Ok(()) => run(&mut self.insert, &key, row),
                failed => Ok(failed),
            },
            Outcome::Put(row) => run(upsert, &key, row),
        }
    }
}

/// Runs a statement with a key's values and then a row's.
fn run(statement: &mut Statement<'_>, key: &[Bound<'_>], row: &[u8]) -> Result<rusqlite::Result<()>, ConnectorError> {
    let mut number = 0;
    for value in key {
        number += 1;
        if let Err(error) = statement.raw_bind_parameter(number, value) {
            return Ok(Err(error));
        }
    }
    for value in Decoded::new(row) {
        number += 1;
        if let Err(error) = statement.raw_bind_parameter(number, value?) {
            return Ok(Err(error));
        }
    }
    Ok(statement.raw_execute().map(drop))
}
