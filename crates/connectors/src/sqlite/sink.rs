//! The writer of a table: changes are folded in memory, staged beside the database, and applied when their checkpoint is committed.
//!
//! | dies | staging file | epoch in the database | recovery |
//! | --- | --- | --- | --- |
//! | before the checkpoint | perhaps | before | removed: no checkpoint promises it |
//! | after the checkpoint, before the transaction | yes | before | applied |
//! | in the transaction | yes | before | SQLite rolls back; applied |
//! | after the transaction | perhaps | that of the checkpoint | nothing to do |
//!
//! A process that was thought dead and wakes up finds the epoch in the database and applies nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::Schema;
use parking_lot::Mutex;
use rusqlite::Connection;
use weir_spec::{connector::SqliteSink, pipeline::SinkMode};

use super::{
    apply::Place,
    database::{open_to_read, open_to_write, place},
    fold::{Fold, Folding},
    staging::{Staged, Staging, remove},
    table::Layout,
    value::{broken, records},
};
use crate::{
    base_dir::BaseDir,
    context::SinkContext,
    error::ConnectorError,
    file::is_as_written,
    sink::{Encoded, EncodedPayload, PreCommit, PreparedFile, SealedEpoch, SinkWriter},
};

/// Changes held in memory before they are written to the staging file. About 100 bytes a row.
const MOST_IN_MEMORY: usize = 64 << 20;

/// Writes to one table.
pub struct TableWriter {
    database: Arc<Database>,
    folding: Folding,
    fold: Fold,
    staging: Option<Named>,
    /// Tells this writer's files from those of a dead one.
    writer: u64,
    sequence: u64,
    rows: u64,
    /// The last epoch with rows.
    after: u64,
    most_in_memory: usize,
}

/// A staging file and its name in the database's folder.
struct Named {
    name: String,
    staging: Staging,
}

/// What the writer and its epochs share.
struct Database {
    base_dir: BaseDir,
    path: PathBuf,
    layout: Layout,
    tag: String,
    /// Opened with the first use.
    connection: Mutex<Option<Connection>>,
}

impl Database {
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn file_name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn place(&self) -> Place<'_> {
        Place { path: &self.path, layout: &self.layout, tag: &self.tag }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, ConnectorError>) -> Result<T, ConnectorError> {
        let mut connection = self.connection.lock();
        if connection.is_none() {
            self.base_dir.admit(&self.path)?;
            *connection = Some(open_to_write(&self.path)?);
        }
        connection.as_mut().map_or_else(|| Err(ConnectorError::Internal("the database was not opened".into())), work)
    }

    /// The whole of the name counts, so that the tag `a` does not own the files of the tag `a-b`.
    fn is_own_staging(&self, name: &str) -> bool {
        let Some((writer, number)) = name.strip_prefix(&self.staging_prefix()).and_then(|rest| rest.split_once('-')) else {
            return false;
        };
        let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex(writer, 16) && hex(number, 8)
    }

    fn stage(&self, name: String, folding: Folding) -> Result<Named, ConnectorError> {
        self.base_dir.admit(self.folder())?;
        Ok(Named { staging: Staging::create(&self.folder().join(&name), folding)?, name })
    }

    fn staging_prefix(&self) -> String {
        format!(".{}-{}-", self.file_name(), self.tag)
    }

    /// The file that holds what a pre-commit promises; none where it promises nothing.
    fn staged(&self, commit: &PreCommit) -> Option<PathBuf> {
        commit.files.first().map(|file| self.folder().join(&file.temporary))
    }

    /// Applies an epoch, unless it or a later one is in the table. Where that is so, the file may be gone.
    fn apply(&self, epoch: u64, staged: &Path) -> Result<(), ConnectorError> {
        self.with(|connection| {
            let there = self.place().epoch(connection)?;
            if there.is_some_and(|there| there >= epoch) {
                return Ok(());
            }
            self.place().apply(connection, Staged::open(staged)?)
        })
    }

    /// Finishes the last checkpoint's epoch; gives the one that the table holds then.
    fn finish(&self, last: &PreCommit) -> Result<u64, ConnectorError> {
        let there = self.with(|connection| self.place().epoch(connection))?;
        match (there, self.staged(last)) {
            (Some(there), _) if there == last.epoch => Ok(there),
            // An epoch without rows is not told to the database.
            (Some(there), None) if there < last.epoch => Ok(there),
            (Some(there), Some(staged)) if there < last.epoch && staged.exists() => {
                let file = last.files.first().ok_or_else(broken)?;
                if !is_as_written(&staged, file)? {
                    return Err(ConnectorError::Resume(format!(
                        "{}: the file is not what this sink wrote any more, and its rows are not in the table yet; start anew: \
                         `weir run --fresh`",
                        staged.display()
                    )));
                }
                self.apply(last.epoch, &staged)?;
                Ok(last.epoch)
            }
            (there, _) => Err(self.place().other_database(there, last.epoch)),
        }
    }
}

impl TableWriter {
    /// A writer for a sink whose input has this schema. Nothing is opened before it is needed.
    pub fn new(config: &SqliteSink, mode: SinkMode, schema: &Schema, context: &SinkContext) -> Result<Self, ConnectorError> {
        if context.run_tag.is_empty() || context.run_tag.contains(['/', '\\', '\0']) {
            return Err(ConnectorError::Internal("a sink's run tag must be a part of a file name".into()));
        }
        let folding = match (mode, context.changes_in_order) {
            (SinkMode::Append | SinkMode::Changes, _) => Folding::Append,
            (SinkMode::Upsert, true) => Folding::InOrder,
            (SinkMode::Upsert, false) => Folding::Counted,
        };
        let database = Database {
            base_dir: context.base_dir.clone(),
            path: place(&context.base_dir, &config.path),
            layout: Layout::new(config, mode, schema)?,
            tag: context.run_tag.clone(),
            connection: Mutex::new(None),
        };
        Ok(Self {
            database: Arc::new(database),
            folding,
            fold: Fold::default(),
            staging: None,
            writer: rand::random(),
            sequence: 0,
            rows: 0,
            after: 0,
            most_in_memory: MOST_IN_MEMORY,
        })
    }

    /// Writes what is in memory to the epoch's staging file.
    fn spill(&mut self) -> Result<(), ConnectorError> {
        let mut named = match self.staging.take() {
            Some(named) => named,
            None => {
                let name = self.next_name();
                self.database.stage(name, self.folding)?
            }
        };
        named.staging.run(&mut self.fold)?;
        self.staging = Some(named);
        Ok(())
    }

    fn next_name(&mut self) -> String {
        self.sequence += 1;
        format!("{}{:016x}-{:08x}", self.database.staging_prefix(), self.writer, self.sequence)
    }

    #[cfg(test)]
    pub(super) fn with_most_in_memory(self, most_in_memory: usize) -> Self {
        Self { most_in_memory, ..self }
    }
}

impl SinkWriter for TableWriter {
    fn write(&mut self, rows: Encoded) -> Result<(), ConnectorError> {
        for part in rows.parts {
            let EncodedPayload::Bytes(bytes) = part.payload else {
                return Err(ConnectorError::Internal("a part that was encoded for another format".into()));
            };
            self.rows += part.rows;
            for record in records(&bytes) {
                self.fold.add(self.folding, &record?);
            }
            if self.fold.size() >= self.most_in_memory {
                self.spill()?;
            }
        }
        Ok(())
    }

    fn seal(&mut self, epoch: u64) -> Result<Box<dyn SealedEpoch>, ConnectorError> {
        let (rows, after) = (std::mem::take(&mut self.rows), self.after);
        if rows > 0 {
            self.after = epoch;
        }
        Ok(Box::new(SealedChanges {
            database: Arc::clone(&self.database),
            folding: self.folding,
            fold: self.fold.take(),
            staging: self.staging.take(),
            name: self.next_name(),
            epoch,
            after,
            rows,
        }))
    }

    fn recover(&mut self, last: Option<&PreCommit>) -> Result<(), ConnectorError> {
        let database = &self.database;
        if let Some(last) = last {
            // Looked at before anything is made: a database that is gone is not made anew.
            let is_there = database.path.exists();
            let there = if is_there { database.with(|connection| database.place().epoch(connection))? } else { None };
            if there.is_none() {
                return Err(database.place().other_database(None, last.epoch));
            }
        }
        database.with(|connection| database.place().prepare(connection, last.is_none()))?;
        self.after = last.map_or(Ok(0), |last| database.finish(last))?;
        let folder = database.folder();
        let failed = |error| ConnectorError::io(folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if database.is_own_staging(&entry.file_name().to_string_lossy()) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn can_take_back(&self, commit: &PreCommit) -> Result<(), ConnectorError> {
        if commit.rows == 0 || !self.database.path.exists() {
            return Ok(());
        }
        self.database.base_dir.admit(&self.database.path)?;
        let place = self.database.place();
        let there = place.epoch(&open_to_read(&self.database.path)?)?;
        // What was not applied yet need not be taken back.
        if there.is_none_or(|there| there < commit.epoch) {
            return Ok(());
        }
        Err(ConnectorError::Resume(format!(
            "{}: the table `{}` has taken {} changes after the checkpoint to go back to, and a table does not remember what it held \
             before; put back a copy of the database from before, or start anew: `weir run --fresh`",
            self.database.path.display(),
            self.database.layout.table,
            commit.rows
        )))
    }

    /// What has not been applied is a staging file, which recovery removes.
    fn take_back(&mut self, commit: &PreCommit) -> Result<(), ConnectorError> {
        self.can_take_back(commit)
    }
}

/// The changes of one epoch.
struct SealedChanges {
    database: Arc<Database>,
    folding: Folding,
    fold: Fold,
    /// Where some of them are on disk already.
    staging: Option<Named>,
    name: String,
    epoch: u64,
    after: u64,
    rows: u64,
}

impl SealedEpoch for SealedChanges {
    fn pre_commit(&mut self) -> Result<PreCommit, ConnectorError> {
        let nothing = PreCommit { epoch: self.epoch, ..PreCommit::default() };
        if self.rows == 0 {
            return Ok(nothing);
        }
        let mut named = match self.staging.take() {
            Some(named) => named,
            None => {
                let name = std::mem::take(&mut self.name);
                self.database.stage(name, self.folding)?
            }
        };
        if !self.fold.is_empty() {
            named.staging.run(&mut self.fold)?;
        }
        let (bytes, sha256) = named.staging.finish(self.epoch, self.after)?;
        let path = format!("{}/{}", self.database.file_name(), self.database.layout.table);
        let file = PreparedFile { temporary: named.name, path, rows: self.rows, bytes, sha256 };
        Ok(PreCommit { rows: self.rows, bytes, files: vec![file], ..nothing })
    }

    fn commit(&mut self, pre_commit: &PreCommit) -> Result<(), ConnectorError> {
        let Some(staged) = self.database.staged(pre_commit) else { return Ok(()) };
        self.database.apply(pre_commit.epoch, &staged)?;
        remove(&staged)
    }
}
