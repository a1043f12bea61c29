//! Appending to the ingest log: durable before it returns, one fsync for many callers, each idempotency key once.
//!
//! When a write or an fsync fails, everybody who waits for it gets an error, and what was not durable before is never trusted again:
//! after a failed fsync the page cache may hold, and a second fsync may call durable, what the disk does not have. The log goes back
//! to its last durable row and on from there in a new segment, with the next append, but not at once.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    append::{AppendError, Appended, LogOptions},
    backlog::Backlog,
    files::{self, Tail, segment_path, sync_folder},
    frame::{FrameHead, HEADER, Hash, Opened, Sealer, frames},
    keys::{KeyEntry, Keys},
};
use crate::error::ConnectorError;

/// The most bytes of rows that one request may append.
const MAX_APPEND: usize = 256 << 20;
/// The longest time before a log that failed is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The ingest log of one source, open for appending. One process at a time; within it, everybody shares one.
pub struct IngestLog {
    options: LogOptions,
    /// Bytes of rows that may wait; those of the options until somebody says otherwise.
    max_backlog: AtomicU64,
    sealer: Sealer,
    state: Mutex<State>,
    /// Held by the caller that fsyncs for all who wait.
    syncing: Mutex<File>,
    durable: Mutex<Durable>,
    changed: Condvar,
    _lock: File,
    #[cfg(test)]
    failing_syncs: std::sync::atomic::AtomicUsize,
}

/// What is on the disk.
struct Durable {
    tail: Tail,
    /// For each time that the log went back, to which row.
    went_back_to: Vec<u64>,
}

/// Where the log must be durable to before a caller may be answered.
#[derive(Clone, Copy)]
struct End {
    row: u64,
    /// How often the log had gone back when the rows were written: the same numbers may mean other rows later.
    generation: usize,
}

struct State {
    segment: u64,
    file: Arc<File>,
    length: u64,
    row: u64,
    byte: u64,
    keys: Keys,
    backlog: Backlog,
    generation: usize,
    /// A write or an fsync failed, so that what the disk holds beyond the last durable row is unknown; until then nothing is tried.
    closed_until: Option<Instant>,
    /// How long the next failure closes the log.
    retry_after: Duration,
    checked_at: Instant,
}

static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<IngestLog>>>> = LazyLock::new(Mutex::default);

/// The log in `folder`, if this process appends to it.
pub(super) fn open_here(folder: &Path) -> Option<Arc<IngestLog>> {
    OPEN.lock().get(folder).and_then(Weak::upgrade)
}

impl IngestLog {
    /// Opens or makes the log. A torn frame at its end is cut off: its request was never answered. Fails if another process has
    /// the log open, or if rows that were durable are damaged.
    pub fn open(options: LogOptions) -> Result<Arc<Self>, ConnectorError> {
        let folder = &options.folder;
        fs::create_dir_all(folder).map_err(|error| ConnectorError::io(folder, error))?;
        let folder = folder.canonicalize().map_err(|error| ConnectorError::io(folder, error))?;
        let options = LogOptions { folder: folder.clone(), ..options };
        let mut open = OPEN.lock();
        if let Some(log) = open.get(&folder).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let log = Arc::new(Self::recover(options)?);
        open.retain(|_, log| log.strong_count() > 0);
        open.insert(folder, Arc::downgrade(&log));
        Ok(log)
    }

    fn recover(options: LogOptions) -> Result<Self, ConnectorError> {
        let folder = &options.folder;
        let lock = lock(folder)?;
        let sealer = Sealer::new(&options.seal_key);
        let committed = files::read_committed(folder);
        let known = files::read_tail(folder).unwrap_or_default();
        let segments = files::list(folder, "log")?;
        let (mut keys, mut backlog) = (Keys::default(), Backlog::default());
        for row in files::list(folder, "keys")? {
            keys.load(folder, row);
        }
        let mut end = Tail { segment: known.row, length: 0, row: known.row, byte: known.byte };
        for (i, &segment) in segments.iter().enumerate() {
            let path = segment_path(folder, segment);
            let content = fs::read(&path).map_err(|error| ConnectorError::io(&path, error))?;
            let last = i + 1 == segments.len();
            let has_keys = !last && Keys::default().load(folder, segment);
            let mut length = 0;
            for (head, frame) in frames(&content) {
                if head.end_row() > committed {
                    backlog.push(head.end_row(), head.row_bytes());
                }
                if !has_keys {
                    let opened = sealer.open(segment, head, frame).map_err(|_| damaged(&path, head.at))?;
                    keys.insert_frame(head, &opened);
                }
                length = head.end();
                end = Tail { segment, length, row: head.end_row(), byte: head.first_byte + head.row_bytes() };
            }
            if length == 0 {
                end = Tail { segment, length: 0, row: segment, byte: end.byte };
            }
            let torn = length < content.len() as u64;
            if torn && (!last || (known.segment == segment && length < known.length)) {
                return Err(damaged(&path, length));
            }
            if torn {
                let file = OpenOptions::new().write(true).open(&path).map_err(|error| ConnectorError::io(&path, error))?;
                file.set_len(length).and_then(|()| file.sync_all()).map_err(|error| ConnectorError::io(&path, error))?;
            }
            if !last && !has_keys {
                keys.save(folder, segment)?;
            }
        }
        keys.expire(folder, now_ms())?;
        let file = open_segment(folder, end.segment, end.length)?;
        file.sync_all().map_err(|error| ConnectorError::io(folder, error))?;
        let mut tail = files::open_tail(folder)?;
        files::write_tail(&mut tail, end).map_err(|error| ConnectorError::io(folder, error))?;
        sync_folder(folder)?;
        let state = State {
            segment: end.segment,
            file: Arc::new(file),
            length: end.length,
            row: end.row,
            byte: end.byte,
            keys,
            backlog,
            generation: 0,
            closed_until: None,
            retry_after: options.retry_after,
            checked_at: Instant::now(),
        };
        Ok(Self {
            sealer,
            state: Mutex::new(state),
            syncing: Mutex::new(tail),
            durable: Mutex::new(Durable { tail: end, went_back_to: Vec::new() }),
            changed: Condvar::new(),
            _lock: lock,
            max_backlog: AtomicU64::new(options.max_backlog),
            #[cfg(test)]
            failing_syncs: Default::default(),
            options,
        })
    }

    /// From now on so many bytes of rows may wait before appending is refused.
    pub fn set_max_backlog(&self, bytes: u64) {
        self.max_backlog.store(bytes, Ordering::Relaxed);
    }

    /// Appends NDJSON rows (the last line end may be missing) and returns once they are durable. With a key that was used
    /// before, appends nothing and says where the rows are.
    pub fn append(&self, rows: &[u8], idempotency_key: Option<&str>) -> Result<Appended, AppendError> {
        if rows.is_empty() {
            return Err(AppendError::Empty);
        }
        if rows.len() > MAX_APPEND {
            return Err(AppendError::TooLarge { bytes: rows.len() as u64, limit: MAX_APPEND as u64 });
        }
        let key = idempotency_key.map(|key| self.sealer.hash_key(key)).unwrap_or_default();
        let body = if idempotency_key.is_some() { self.sealer.hash(rows) } else { Hash::default() };
        let (appended, end) = self.write(rows, key, body)?;
        self.make_durable(end)?;
        Ok(appended)
    }

    /// Writes the frame; returns where the log must be durable to before the caller may be answered.
    fn write(&self, rows: &[u8], key: Hash, body: Hash) -> Result<(Appended, End), AppendError> {
        let state = &mut *self.state.lock();
        if let Some(until) = state.closed_until {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Err(AppendError::Unavailable { retry_after: left });
            }
            if let Err(error) = self.go_back(state) {
                self.failed(state);
                return Err(error.into());
            }
        }
        let generation = state.generation;
        if let Some(known) = (key != Hash::default()).then(|| state.keys.get(&key)).flatten() {
            if known.body != body {
                return Err(AppendError::KeyReused);
            }
            let appended = Appended { first_row: known.first_row, rows: u64::from(known.rows), duplicate: true };
            return Ok((appended, End { row: known.first_row + u64::from(known.rows), generation }));
        }
        self.check_backlog(state, rows.len() as u64)?;
        if state.length >= self.options.segment_bytes {
            self.begin_segment(state)?;
        }
        let mut text = Vec::with_capacity(rows.len() + 1);
        text.extend_from_slice(rows);
        if !rows.ends_with(b"\n") {
            text.push(b'\n');
        }
        let count = memchr::memchr_iter(b'\n', &text).count() as u32;
        let row_bytes = text.len() as u64;
        let head =
            FrameHead { at: state.length, length: HEADER as u64, first_row: state.row, first_byte: state.byte, rows: count };
        let content = Opened { appended_at: now_ms(), key, body, rows: text };
        let frame = self
            .sealer
            .seal(state.segment, head, &content)
            .map_err(|_| ConnectorError::Internal("rows could not be sealed".into()))?;
        if let Err(error) = (&*state.file).write_all(&frame) {
            // Whatever part arrived is taken back, or else the log would end in a torn frame.
            let back = state.file.set_len(state.length).and_then(|()| (&*state.file).seek(SeekFrom::Start(state.length)));
            if back.is_err() {
                self.failed(state);
            }
            return Err(ConnectorError::io(segment_path(&self.options.folder, state.segment), error).into());
        }
        state.length += frame.len() as u64;
        state.row += u64::from(count);
        state.byte += row_bytes;
        state.backlog.push(state.row, row_bytes);
        state.keys.insert_frame(head, &content);
        Ok((Appended { first_row: head.first_row, rows: u64::from(count), duplicate: false }, End { row: state.row, generation }))
    }

    /// The next segment. The full one is made durable first, and its keys are kept apart.
    fn begin_segment(&self, state: &mut State) -> Result<(), ConnectorError> {
        let path = segment_path(&self.options.folder, state.segment);
        if let Err(error) = self.sync(&state.file) {
            self.failed(state);
            return Err(ConnectorError::io(path, error));
        }
        state.keys.save(&self.options.folder, state.segment)?;
        let file = open_segment(&self.options.folder, state.row, 0)?;
        sync_folder(&self.options.folder)?;
        state.segment = state.row;
        state.length = 0;
        state.file = Arc::new(file);
        state.keys.expire(&self.options.folder, now_ms())
    }

    fn check_backlog(&self, state: &mut State, more: u64) -> Result<(), AppendError> {
        let max_backlog = self.max_backlog.load(Ordering::Relaxed);
        if state.backlog.bytes() + more <= max_backlog {
            return Ok(());
        }
        // The reader may live in another process: ask the disk, but not for every refused request.
        if state.checked_at.elapsed() > Duration::from_millis(50) {
            state.checked_at = Instant::now();
            state.backlog.commit(files::read_committed(&self.options.folder));
        }
        // A request larger than the whole backlog is accepted by an idle pipeline, or it never would be.
        if state.backlog.bytes() == 0 || state.backlog.bytes() + more <= max_backlog {
            return Ok(());
        }
        Err(AppendError::Backlog { bytes: state.backlog.bytes(), retry_after: state.backlog.retry_after() })
    }

    /// Returns once everything before `end` is durable. Who comes first syncs for all that wrote until then.
    fn make_durable(&self, end: End) -> Result<(), ConnectorError> {
        if self.is_durable(end)? {
            return Ok(());
        }
        let mut tail_file = self.syncing.lock();
        if self.is_durable(end)? {
            return Ok(());
        }
        let (file, tail) = {
            let state = self.state.lock();
            self.check_untouched(&state, end)?;
            (state.file.clone(), Tail { segment: state.segment, length: state.length, row: state.row, byte: state.byte })
        };
        let synced = self.sync(&file);
        let state = &mut *self.state.lock();
        if let Err(error) = synced {
            if state.generation == end.generation && state.closed_until.is_none() {
                self.failed(state);
            }
            return Err(ConnectorError::io(segment_path(&self.options.folder, tail.segment), error));
        }
        // An error is told once: if another fsync of this file had it meanwhile, this one's success means nothing.
        self.check_untouched(state, end)?;
        files::write_tail(&mut tail_file, tail).map_err(|error| ConnectorError::io(&self.options.folder, error))?;
        state.retry_after = self.options.retry_after;
        self.durable.lock().tail = tail;
        self.changed.notify_all();
        Ok(())
    }

    /// Errors when these rows are not in the log any more.
    fn is_durable(&self, end: End) -> Result<bool, ConnectorError> {
        let durable = self.durable.lock();
        match durable.went_back_to.get(end.generation) {
            None => Ok(durable.tail.row >= end.row),
            Some(row) if end.row <= *row => Ok(true),
            Some(_) => Err(self.taken_back()),
        }
    }

    fn check_untouched(&self, state: &State, end: End) -> Result<(), ConnectorError> {
        if state.closed_until.is_some() || state.generation != end.generation { Err(self.taken_back()) } else { Ok(()) }
    }

    fn taken_back(&self) -> ConnectorError {
        ConnectorError::io(&self.options.folder, std::io::Error::other("writing these rows failed; send them again"))
    }

    fn sync(&self, file: &File) -> std::io::Result<()> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            if self.failing_syncs.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(std::io::Error::other("injected"));
            }
        }
        file.sync_data()
    }

    /// The next fsyncs fail.
    #[cfg(test)]
    pub(super) fn fail_syncs(&self, count: usize) {
        self.failing_syncs.store(count, std::sync::atomic::Ordering::SeqCst);
    }

    /// Closes the log for a while.
    fn failed(&self, state: &mut State) {
        let wait = state.retry_after;
        state.closed_until = Some(Instant::now() + wait);
        state.retry_after = (wait * 2).min(LONGEST_RETRY.max(self.options.retry_after));
        tracing::error!(folder = %self.options.folder.display(), "writing to the ingest log failed; rows are refused for {wait:?}");
    }

    /// Takes back all that is not durable and begins a segment after it. May be repeated, also by a process that opens the log after this
    /// one died in the middle.
    fn go_back(&self, state: &mut State) -> Result<(), ConnectorError> {
        let folder = &self.options.folder;
        let last = self.durable.lock().tail;
        state.keys.take_back(last.row);
        state.backlog.take_back(last.row);
        // What is durable of a segment that began before; the later ones first, so that no gap can be left between two.
        files::delete_from(folder, last.row)?;
        if last.length > 0 {
            files::cut_off(folder, last.segment, last.length)?;
            state.keys.save(folder, last.segment)?;
        }
        let file = open_segment(folder, last.row, 0)?;
        sync_folder(folder)?;
        state.file = Arc::new(file);
        (state.segment, state.length, state.row, state.byte) = (last.row, 0, last.row, last.byte);
        state.generation += 1;
        state.closed_until = None;
        let mut durable = self.durable.lock();
        durable.tail = Tail { segment: last.row, length: 0, ..last };
        durable.went_back_to.push(last.row);
        tracing::info!(folder = %folder.display(), row = last.row, "the ingest log goes on after its last durable row");
        Ok(())
    }

    /// Bytes of rows that no checkpoint has committed yet.
    pub fn backlog_bytes(&self) -> u64 {
        let mut state = self.state.lock();
        let committed = files::read_committed(&self.options.folder);
        state.backlog.commit(committed);
        state.backlog.bytes()
    }

    pub(super) fn durable(&self) -> Tail {
        self.durable.lock().tail
    }

    /// Waits until the log is durable beyond `row`, for `wait` at most.
    pub(super) fn wait_beyond(&self, row: u64, wait: Duration) {
        let mut durable = self.durable.lock();
        if durable.tail.row <= row {
            self.changed.wait_for(&mut durable, wait);
        }
    }

    pub(super) fn note_committed(&self, row: u64) {
        self.state.lock().backlog.commit(row);
    }
}

impl Keys {
    fn insert_frame(&mut self, head: FrameHead, content: &Opened) {
        if content.key != Hash::default() {
            self.insert(KeyEntry {
                key: content.key,
                body: content.body,
                first_row: head.first_row,
                rows: head.rows,
                appended_at: content.appended_at,
            });
        }
    }
}

fn lock(folder: &Path) -> Result<File, ConnectorError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| ConnectorError::io(&path, error))?;
    let mut attempt = file.try_lock();
    for _ in 0..4 {
        // Whoever is just closing the log gets a moment to do so.
        if !matches!(attempt, Err(fs::TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        attempt = file.try_lock();
    }
    match attempt {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ConnectorError::Config(format!(
            "{}: another process appends to this log; only one server may take rows for a source",
            folder.display()
        ))),
        Err(fs::TryLockError::Error(error)) => Err(ConnectorError::io(path, error)),
    }
}

fn open_segment(folder: &Path, first_row: u64, length: u64) -> Result<File, ConnectorError> {
    let path = segment_path(folder, first_row);
    let failed = |error| ConnectorError::io(&path, error);
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    file.seek(SeekFrom::Start(length)).map_err(failed)?;
    Ok(file)
}

pub(super) fn damaged(path: &Path, at: u64) -> ConnectorError {
    ConnectorError::Resume(format!(
        "{}: damaged at byte {at}, or sealed under another key; rows that were accepted cannot be read, restore the file from a backup",
        path.display()
    ))
}

fn now_ms() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default()
}
