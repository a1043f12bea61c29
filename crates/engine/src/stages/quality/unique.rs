//! `unique` rules: no two rows with the same values within a span of time.
//!
//! The state maps a keyed 128-bit hash of the values to the time of the last accepted row. It is shared by all lanes and
//! entered in ticket order, so that of two equal rows the later one fails, whatever the lanes' speeds. At a checkpoint only
//! the entries made since the one before are written; when many such files have gathered, one file replaces them.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    buffer::BooleanBuffer,
    datatypes::{DataType, SchemaRef, TimestampMicrosecondType},
    row::{RowConverter, SortField},
};
use hashbrown::HashMap;
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};
use weir_connectors::ConnectorError;

use super::super::{Reason, Turn};
use crate::{
    checkpoint::StateFile,
    counts::RuleCounts,
    error::EngineError,
    ordered::{Cancel, Ordered},
};

/// Files of a state are merged into one when there are more than this.
const MAX_FILES: usize = 24;

/// Configuration of one rule.
#[derive(Clone, Debug)]
pub struct UniqueConfig {
    pub name: String,
    /// A prefix for state files, unique within the pipeline.
    pub file_stem: String,
    pub columns: Vec<usize>,
    /// Two equal rows whose times are at most this far apart are repeats. Microseconds.
    pub within: i64,
    /// How far a row may lag behind the newest one and still be judged. Microseconds.
    pub max_delay: i64,
    /// The event-time column; without it, the time of processing.
    pub time: Option<usize>,
    pub dir: PathBuf,
    pub key: [u8; 16],
}

/// The state of one rule, shared by all lanes.
#[derive(Debug)]
pub struct UniqueState(Ordered<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: HashMap<u128, i64, BuildHasherDefault<LowBits>>,
    /// Keys by the time bucket of their entry, oldest bucket first, so that expiry touches only what expires.
    buckets: BTreeMap<i64, Vec<u128>>,
    newest: i64,
    /// Entries since the last checkpoint.
    fresh: Vec<(u128, i64)>,
    files: VecDeque<StateFile>,
}

impl Seen {
    fn bucket(config: &UniqueConfig, time: i64) -> i64 {
        time.div_euclid((config.within / 8).max(1_000_000))
    }

    fn insert(&mut self, config: &UniqueConfig, key: u128, time: i64) {
        self.last.insert(key, time);
        self.buckets.entry(Self::bucket(config, time)).or_default().push(key);
        self.newest = self.newest.max(time);
    }

    /// The oldest time that still matters.
    fn horizon(&self, config: &UniqueConfig) -> i64 {
        self.newest.saturating_sub(config.within).saturating_sub(config.max_delay)
    }

    fn expire(&mut self, config: &UniqueConfig) {
        let oldest = Self::bucket(config, self.horizon(config));
        while let Some(entry) = self.buckets.first_entry().filter(|entry| *entry.key() < oldest) {
            let bucket = *entry.key();
            for key in entry.remove() {
                if self.last.get(&key).is_some_and(|&time| Self::bucket(config, time) <= bucket) {
                    self.last.remove(&key);
                }
            }
        }
        let horizon = self.horizon(config);
        self.files.retain(|file| file.max_time >= horizon);
    }
}

impl UniqueState {
    /// An empty state, or the one that a checkpoint's files hold.
    pub fn restore(config: &UniqueConfig, files: &[StateFile], cancel: Cancel) -> Result<Arc<Self>, EngineError> {
        let mut seen = Seen { newest: i64::MIN, ..Seen::default() };
        for file in files {
            for (key, time) in read_file(&config.name, &config.dir, file)? {
                seen.insert(config, key, time);
            }
            seen.files.push_back(file.clone());
        }
        Ok(Arc::new(Self(Ordered::new(seen, cancel))))
    }
}

/// A rule in one lane.
pub struct Unique {
    config: UniqueConfig,
    state: Arc<UniqueState>,
    converter: RowConverter,
    reason: Reason,
    /// Batches a ticket of each source brings.
    visits: Arc<[usize]>,
    /// There is one lane only, which has its tickets in order anyway.
    alone: bool,
    counts: RuleCounts,
}

impl Unique {
    pub fn new(
        config: UniqueConfig,
        reason: Reason,
        schema: &SchemaRef,
        state: Arc<UniqueState>,
        visits: Arc<[usize]>,
        alone: bool,
    ) -> Result<Self, EngineError> {
        let fields = config.columns.iter().map(|&column| SortField::new(schema.field(column).data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(|e| EngineError::internal(&config.name, e))?;
        Ok(Self { config, state, converter, reason, visits, alone, counts: RuleCounts::default() })
    }

    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    pub fn take_counts(&mut self, into: &mut BTreeMap<String, RuleCounts>) {
        *into.entry(self.config.name.clone()).or_default() += &std::mem::take(&mut self.counts);
    }

    pub fn skip(&self, ticket: u64) {
        if !self.alone {
            self.state.0.skip(ticket);
        }
    }

    /// Rows that repeat an earlier one. Rows in `ignore` are neither judged nor remembered; rows with a null among the columns
    /// are not either.
    pub fn repeats(
        &mut self,
        node: &str,
        rows: &RecordBatch,
        ignore: Option<&BooleanBuffer>,
        turn: Turn,
    ) -> Result<Option<BooleanBuffer>, EngineError> {
        let columns: Vec<ArrayRef> = self.config.columns.iter().map(|&column| Arc::clone(rows.column(column))).collect();
        let keys = self.hash(node, rows.num_rows(), &columns)?;
        let judged = BooleanBuffer::collect_bool(rows.num_rows(), |row| {
            ignore.is_none_or(|ignore| !ignore.value(row)) && columns.iter().all(|column| column.is_valid(row))
        });
        let now = chrono::Utc::now().timestamp_micros();
        let times = self.config.time.map(|column| rows.column(column).as_primitive::<TimestampMicrosecondType>());
        let config = &self.config;
        let judge = |seen: &mut Seen| {
            let mut repeated = Vec::new();
            for row in judged.set_indices() {
                let time = times.filter(|times| times.is_valid(row)).map_or(now, |times| times.value(row));
                match seen.last.get(&keys[row]) {
                    Some(&last) if (time - last).abs() <= config.within => repeated.push(row),
                    _ => {
                        seen.insert(config, keys[row], time);
                        seen.fresh.push((keys[row], time));
                    }
                }
            }
            seen.expire(config);
            repeated
        };
        let repeated = if self.alone {
            self.state.0.peek(judge)
        } else {
            self.state.0.turn(turn.ticket, self.visits[turn.source], judge)?
        };
        self.counts.evaluated += judged.count_set_bits() as u64;
        self.counts.failed += repeated.len() as u64;
        if repeated.is_empty() {
            return Ok(None);
        }
        let mut next = repeated.into_iter().peekable();
        Ok(Some(BooleanBuffer::collect_bool(rows.num_rows(), |row| next.next_if_eq(&row).is_some())))
    }

    fn hash(&self, node: &str, rows: usize, columns: &[ArrayRef]) -> Result<Vec<u128>, EngineError> {
        let hasher = SipHasher13::new_with_key(&self.config.key);
        let of = |bytes: &[u8]| {
            let mut hasher = hasher;
            hasher.write(bytes);
            hasher.finish128().as_u128()
        };
        if let [column] = columns
            && column.data_type() == &DataType::Utf8
        {
            let texts = column.as_string::<i32>();
            return Ok((0..rows).map(|row| of(texts.value(row).as_bytes())).collect());
        }
        let converted = self.converter.convert_columns(columns).map_err(|e| EngineError::internal(node, e))?;
        Ok(converted.iter().map(|row| of(row.as_ref())).collect())
    }

    /// Writes what is new since the last checkpoint and names all files that make up the state.
    pub fn snapshot(&mut self, node: &str, ticket: u64, epoch: u64) -> Result<Vec<StateFile>, EngineError> {
        let config = &self.config;
        let collect = |seen: &mut Seen| {
            let merged = seen.files.len() >= MAX_FILES;
            let fresh = std::mem::take(&mut seen.fresh);
            if merged {
                seen.files.clear();
                (seen.last.iter().map(|(&key, &time)| (key, time)).collect(), Vec::new(), true)
            } else {
                (fresh, seen.files.iter().cloned().collect::<Vec<_>>(), false)
            }
        };
        let (fresh, mut files, merged) =
            if self.alone { self.state.0.peek(collect) } else { self.state.0.turn(ticket, 1, collect)? };
        if fresh.is_empty() && !merged {
            return Ok(files);
        }
        let file = write_file(node, config, epoch, &fresh)?;
        files.push(file.clone());
        self.remember(file);
        Ok(files)
    }

    /// The next barrier comes after this file is written, because one thread takes all snapshots of a lane; the file list is
    /// therefore only touched at barriers and by expiry.
    fn remember(&self, file: StateFile) {
        self.state.0.peek(|seen| seen.files.push_back(file));
    }
}

fn write_file(node: &str, config: &UniqueConfig, epoch: u64, entries: &[(u128, i64)]) -> Result<StateFile, EngineError> {
    let name = format!("{}-{epoch:08}.seen", config.file_stem);
    let mut bytes = Vec::with_capacity(entries.len() * 24);
    for (key, time) in entries {
        bytes.extend_from_slice(&key.to_le_bytes());
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    let path = config.dir.join(&name);
    write_durably(&path, &bytes).map_err(|e| EngineError::connector(node, ConnectorError::io(&path, e)))?;
    Ok(StateFile {
        name,
        bytes: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(&bytes)),
        max_time: entries.iter().map(|(_, time)| *time).max().unwrap_or(i64::MIN),
    })
}

/// Writes a file under a temporary name, makes it durable, and gives it its name.
fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(dir)?.sync_all()
}

/// Errors unless the file is as the checkpoint has it.
pub fn verify(rule: &str, dir: &Path, file: &StateFile) -> Result<(), EngineError> {
    read_file(rule, dir, file).map(|_| ())
}

fn read_file(rule: &str, dir: &Path, file: &StateFile) -> Result<Vec<(u128, i64)>, EngineError> {
    let damaged =
        |what: &str| EngineError::Damaged { node: rule.to_owned(), message: format!("state file {} {what}", file.name) };
    let path = dir.join(&file.name);
    let mut bytes = Vec::new();
    std::fs::File::open(&path).and_then(|mut opened| opened.read_to_end(&mut bytes)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => damaged("is missing"),
        _ => EngineError::connector(rule, ConnectorError::io(&path, e)),
    })?;
    if hex::encode(Sha256::digest(&bytes)) != file.sha256 || bytes.len() % 24 != 0 {
        return Err(damaged("is damaged: its checksum is not that of the checkpoint"));
    }
    let (entries, _) = bytes.as_chunks::<24>();
    Ok(entries
        .iter()
        .map(|entry| {
            let key = u128::from_le_bytes(std::array::from_fn(|i| entry[i]));
            let time = i64::from_le_bytes(std::array::from_fn(|i| entry[16 + i]));
            (key, time)
        })
        .collect())
}

/// The keys are uniform already: their low bits serve as the hash.
#[derive(Default)]
pub struct LowBits(u64);

impl Hasher for LowBits {
    fn write(&mut self, bytes: &[u8]) {
        for (i, byte) in bytes.iter().take(8).enumerate() {
            self.0 |= u64::from(*byte) << (8 * i);
        }
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{StringArray, TimestampMicrosecondArray},
        datatypes::{Field, Schema, TimeUnit},
    };

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn config(dir: &Path) -> UniqueConfig {
        UniqueConfig {
            name: "unique(id)".into(),
            file_stem: "checked-0".into(),
            columns: vec![0],
            within: 60 * SECOND,
            max_delay: 0,
            time: Some(1),
            dir: dir.into(),
            key: [7; 16],
        }
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ]))
    }

    fn rows(rows: &[(Option<&str>, i64)]) -> RecordBatch {
        let ids: StringArray = rows.iter().map(|(id, _)| *id).collect();
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, at)| at * SECOND)).with_timezone("UTC");
        RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(times)]).unwrap()
    }

    fn unique(config: UniqueConfig, state: Arc<UniqueState>) -> Unique {
        Unique::new(config, Reason::new("unique(id)", "repeated"), &schema(), state, Arc::new([1]), false).unwrap()
    }

    fn turn(ticket: u64) -> Turn {
        Turn { ticket, source: 0, from: 0, now: 0 }
    }

    fn repeats(unique: &mut Unique, ticket: u64, batch: &[(Option<&str>, i64)]) -> Vec<usize> {
        unique
            .repeats("checked", &rows(batch), None, turn(ticket))
            .unwrap()
            .map_or(Vec::new(), |rows| rows.set_indices().collect())
    }

    #[test]
    fn a_repeat_within_the_span_fails_and_one_after_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let state = UniqueState::restore(&config(dir.path()), &[], Cancel::default()).unwrap();
        let mut unique = unique(config(dir.path()), state);
        assert_eq!(repeats(&mut unique, 0, &[(Some("a"), 0), (Some("a"), 60), (Some("b"), 60), (None, 60), (None, 60)]), [1]);
        assert_eq!(repeats(&mut unique, 1, &[(Some("a"), 61), (Some("b"), 61), (Some("a"), 62)]), [1, 2]);
    }

    #[test]
    fn state_survives_checkpoints_and_restores_to_the_same_answers() {
        let dir = tempfile::tempdir().unwrap();
        let state = UniqueState::restore(&config(dir.path()), &[], Cancel::default()).unwrap();
        let mut before = unique(config(dir.path()), state);
        let mut files = Vec::new();
        for epoch in 0..60u64 {
            let id = format!("row {epoch}");
            assert!(repeats(&mut before, epoch * 2, &[(Some(&id), epoch as i64)]).is_empty());
            files = before.snapshot("checked", epoch * 2 + 1, epoch).unwrap();
        }
        assert!(files.len() <= MAX_FILES + 1, "files are merged: {}", files.len());

        let state = UniqueState::restore(&config(dir.path()), &files, Cancel::default()).unwrap();
        let mut after = unique(config(dir.path()), state);
        let all: Vec<String> = (0..60).map(|n| format!("row {n}")).collect();
        let again: Vec<(Option<&str>, i64)> = all.iter().map(|id| (Some(id.as_str()), 59)).collect();
        assert_eq!(repeats(&mut after, 0, &again).len(), 60);
    }

    #[test]
    fn a_damaged_state_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let state = UniqueState::restore(&config(dir.path()), &[], Cancel::default()).unwrap();
        let mut rule = unique(config(dir.path()), state);
        repeats(&mut rule, 0, &[(Some("a"), 0)]);
        let files = rule.snapshot("checked", 1, 1).unwrap();
        let path = dir.path().join(&files[0].name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = UniqueState::restore(&config(dir.path()), &files, Cancel::default()).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn entries_leave_memory_when_their_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let state = UniqueState::restore(&config(dir.path()), &[], Cancel::default()).unwrap();
        let mut rule = unique(config(dir.path()), Arc::clone(&state));
        for ticket in 0..1_000 {
            let id = format!("row {ticket}");
            repeats(&mut rule, ticket, &[(Some(&id), ticket as i64)]);
        }
        state.0.peek(|seen| assert!(seen.last.len() < 90, "{} entries for a span of 60", seen.last.len()));
    }
}
