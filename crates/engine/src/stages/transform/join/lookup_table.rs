//! Reference data for lookup joins: the rows of a file or of a database's table, held in memory by all lanes together, and read again
//! when it has changed.
//!
//! Whether it has changed is told by the files' names, sizes and times of modification, or by the database's own count of changes.
//! The new rows replace the old ones at once and as a whole; who is in the middle of a batch keeps the old. What cannot be read, has
//! a malformed row or one that breaks a rule of its contract changes nothing: the old rows stay, and the failure is logged with the
//! path, once for each state of the file or database. At start it is an error.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use ahash::AHashSet;
use arc_swap::ArcSwap;
use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::SchemaRef,
    error::ArrowError,
};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use hashbrown::HashTable;
use parking_lot::Mutex;
use weir_connectors::{BaseDir, ConnectorError, arrow_schema};
use weir_plan::TableNode;

use super::{
    encode::{EncodedRows, RowEncoder},
    lookup_source::{LookupSource, Stamp},
};
use crate::{error::EngineError, stages::quality::rule::RowCheck, state::key_hash};

/// A table of reference data.
pub struct LookupTable {
    name: String,
    plan: TableNode,
    base_dir: BaseDir,
    source: LookupSource,
    schema: SchemaRef,
    checks: Vec<(String, RowCheck)>,
    current: ArcSwap<Version>,
    /// What was there when it was last read, whatever came of it. Held while the table is being changed.
    seen: Mutex<Option<Stamp>>,
    /// Dropped with the table, which ends its thread.
    watch: Mutex<Option<Sender<()>>>,
}

/// The rows of a table at one time.
#[derive(Debug)]
pub struct Version {
    /// Counts versions from 0.
    pub number: u64,
    pub rows: RecordBatch,
    indexes: Vec<Arc<KeyIndex>>,
}

/// Finds the rows that have a key.
#[derive(Debug)]
pub struct KeyIndex {
    columns: Vec<usize>,
    keys: EncodedRows,
    /// The first row of each key.
    first: HashTable<u32>,
    /// For each row, the next with its key.
    next: Vec<u32>,
}

const LAST: u32 = u32::MAX;

impl KeyIndex {
    /// Rows with a null in a key column are in no key.
    fn build(rows: &RecordBatch, columns: Vec<usize>) -> Result<Self, ArrowError> {
        let encoder = RowEncoder::new(rows.schema_ref(), &columns)?;
        let (keys, valid) = (encoder.encode(rows)?, encoder.nulls(rows));
        let mut first: HashTable<u32> = HashTable::with_capacity(rows.num_rows());
        let mut next = vec![LAST; rows.num_rows()];
        // From the last row to the first, so that rows of one key are found in their order.
        for row in (0..rows.num_rows()).rev().filter(|&row| valid.as_ref().is_none_or(|valid| valid.is_valid(row))) {
            let key = keys.get(row);
            match first.find_mut(key_hash(key), |&other| keys.get(other as usize) == key) {
                Some(other) => next[row] = std::mem::replace(other, row as u32),
                None => {
                    first.insert_unique(key_hash(key), row as u32, |&row| key_hash(keys.get(row as usize)));
                }
            }
        }
        Ok(Self { columns, keys, first, next })
    }

    /// The rows with this key, in the order of the table.
    pub fn rows(&self, key: &[u8]) -> impl Iterator<Item = u32> {
        let first = self.first.find(key_hash(key), |&row| self.keys.get(row as usize) == key).copied();
        std::iter::successors(first, |&row| Some(self.next[row as usize]).filter(|&next| next != LAST))
    }
}

impl Version {
    /// The index over these columns, if there is one: see [`LookupTable::index`].
    pub fn index(&self, columns: &[usize]) -> Option<&KeyIndex> {
        self.indexes.iter().find(|index| index.columns == columns).map(Arc::as_ref)
    }
}

impl LookupTable {
    /// Reads a table, and looks for changes from then on, until it is dropped. Paths are relative to `base_dir`.
    pub fn open(name: &str, plan: &TableNode, base_dir: &BaseDir) -> Result<Arc<Self>, EngineError> {
        let table = Arc::new(Self::read(name, plan, base_dir)?);
        table.watch()?;
        Ok(table)
    }

    /// As [`Self::open`], but changes are looked for only by [`Self::reload`].
    pub fn read(name: &str, plan: &TableNode, base_dir: &BaseDir) -> Result<Self, EngineError> {
        let schema = arrow_schema(&plan.declared);
        let checks = plan.rules.iter().map(|rule| Ok((rule.name.clone(), RowCheck::compile(name, rule, &schema, base_dir)?)));
        let checks = checks.collect::<Result<_, EngineError>>()?;
        let table = Self {
            name: name.to_owned(),
            plan: plan.clone(),
            base_dir: base_dir.clone(),
            source: LookupSource::new(plan, &schema, base_dir),
            current: ArcSwap::from_pointee(Version {
                number: 0,
                rows: RecordBatch::new_empty(Arc::clone(&schema)),
                indexes: Vec::new(),
            }),
            schema,
            checks,
            seen: Mutex::default(),
            watch: Mutex::default(),
        };
        let failed = |error| EngineError::connector(name, error);
        *table.seen.lock() = Some(table.source.stamp().map_err(failed)?);
        let rows = table.load().map_err(failed)?;
        table.current.store(Arc::new(Version { number: 0, rows, indexes: Vec::new() }));
        Ok(table)
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows as they are now.
    pub fn current(&self) -> Arc<Version> {
        self.current.load_full()
    }

    /// Has every version from now on find rows by these columns.
    pub fn index(&self, columns: &[usize]) -> Result<(), EngineError> {
        let _changing = self.seen.lock();
        let current = self.current();
        if current.index(columns).is_none() {
            let index = KeyIndex::build(&current.rows, columns.to_vec()).map_err(|e| EngineError::internal(&self.name, e))?;
            let indexes = current.indexes.iter().cloned().chain([Arc::new(index)]).collect();
            self.current.store(Arc::new(Version { number: current.number, rows: current.rows.clone(), indexes }));
        }
        Ok(())
    }

    /// Reads it again if it has changed, and says whether there are new rows. After an error the old ones stay.
    pub fn reload(&self) -> Result<bool, ConnectorError> {
        let mut seen = self.seen.lock();
        let stamp = self.source.stamp()?;
        if seen.as_ref() == Some(&stamp) {
            return Ok(false);
        }
        // What changes while it is read has another stamp the next time.
        *seen = Some(stamp);
        let rows = self.load()?;
        let current = self.current();
        let indexes = current.indexes.iter().map(|index| KeyIndex::build(&rows, index.columns.clone()).map(Arc::new));
        let indexes = indexes.collect::<Result<_, ArrowError>>().map_err(|e| ConnectorError::Internal(e.to_string()))?;
        self.current.store(Arc::new(Version { number: current.number + 1, rows, indexes }));
        Ok(true)
    }

    fn load(&self) -> Result<RecordBatch, ConnectorError> {
        let wrong = |what: String| ConnectorError::Config(format!("reference data {}: {what}", self.path().display()));
        let (mut batches, mut read) = (Vec::new(), 0u64);
        self.source.read(|rows| {
            self.check(&rows, read).map_err(wrong)?;
            read += rows.num_rows() as u64;
            batches.push(rows);
            Ok(())
        })?;
        if read >= u64::from(u32::MAX) {
            return Err(wrong("more than 4 billion rows; a table is held in memory".into()));
        }
        let rows = concat_batches(&self.schema, &batches).and_then(|rows| last_of_each(rows, &self.plan.key));
        rows.map_err(|error| ConnectorError::Internal(error.to_string()))
    }

    /// Refuses rows that break a rule.
    fn check(&self, rows: &RecordBatch, before: u64) -> Result<(), String> {
        for (name, check) in &self.checks {
            let failures = check.failures(rows).map_err(|error| format!("rule {name}: {error}"))?;
            if let Some(row) = failures.and_then(|failures| failures.set_indices().next()) {
                return Err(format!("row {} breaks the rule {name}", before + row as u64 + 1));
            }
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.base_dir.join(self.plan.connector.path())
    }

    /// Starts the thread that looks for changes.
    fn watch(self: &Arc<Self>) -> Result<(), EngineError> {
        let (stop, stopped) = bounded::<()>(0);
        *self.watch.lock() = Some(stop);
        let (table, every): (Weak<Self>, Duration) = (Arc::downgrade(self), self.plan.reload.as_duration());
        let looks = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let Some(table) = table.upgrade() else { return };
                match table.reload() {
                    Ok(false) => {}
                    Ok(true) => tracing::info!(
                        table = table.name,
                        rows = table.current().rows.num_rows(),
                        "reference data was read again"
                    ),
                    Err(error) => table.report(&error),
                }
            }
        };
        let started = thread::Builder::new().name(format!("table {}", self.name)).spawn(looks);
        started.map(|_| ()).map_err(|error| EngineError::internal(&self.name, format!("cannot start a thread: {error}")))
    }

    /// Says that the old rows stay. Errors name paths, columns and rules, never values.
    fn report(&self, error: &ConnectorError) {
        let path = self.path();
        tracing::error!(table = self.name, path = %path.display(), %error, "reference data cannot be read again; the rows as they were stay in use");
    }
}

impl std::fmt::Debug for LookupTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LookupTable({}, {} rows)", self.name, self.current().rows.num_rows())
    }
}

/// Of rows with equal keys, the last.
fn last_of_each(rows: RecordBatch, key: &[usize]) -> Result<RecordBatch, ArrowError> {
    if key.is_empty() {
        return Ok(rows);
    }
    let keys = RowEncoder::new(rows.schema_ref(), key)?.encode(&rows)?;
    let mut known = AHashSet::with_capacity(rows.num_rows());
    let mut kept: Vec<u32> = (0..rows.num_rows() as u32).rev().filter(|&row| known.insert(keys.get(row as usize))).collect();
    if kept.len() == rows.num_rows() {
        return Ok(rows);
    }
    kept.reverse();
    take_record_batch(&rows, &UInt32Array::from(kept))
}
