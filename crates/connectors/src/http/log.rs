//! Appending to the ingest log: durable before it returns, one fsync for many callers, each idempotency key once.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Weak},
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

/// The ingest log of one source, open for appending. One process at a time; within it, everybody shares one.
pub struct IngestLog {
    options: LogOptions,
    sealer: Sealer,
    state: Mutex<State>,
    /// Held by the caller that fsyncs for all who wait.
    syncing: Mutex<File>,
    durable: Mutex<Tail>,
    changed: Condvar,
    _lock: File,
}

struct State {
    segment: u64,
    file: Arc<File>,
    length: u64,
    row: u64,
    byte: u64,
    keys: Keys,
    backlog: Backlog,
    /// A write or an fsync failed: what the disk holds is unknown until the log is opened anew.
    broken: bool,
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
            broken: false,
            checked_at: Instant::now(),
        };
        Ok(Self {
            sealer,
            state: Mutex::new(state),
            syncing: Mutex::new(tail),
            durable: Mutex::new(end),
            changed: Condvar::new(),
            _lock: lock,
            options,
        })
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
    fn write(&self, rows: &[u8], key: Hash, body: Hash) -> Result<(Appended, u64), AppendError> {
        let state = &mut *self.state.lock();
        if state.broken {
            return Err(self.broken().into());
        }
        if let Some(known) = (key != Hash::default()).then(|| state.keys.get(&key)).flatten() {
            if known.body != body {
                return Err(AppendError::KeyReused);
            }
            let appended = Appended { first_row: known.first_row, rows: u64::from(known.rows), duplicate: true };
            return Ok((appended, known.first_row + u64::from(known.rows)));
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
            state.broken = back.is_err();
            return Err(ConnectorError::io(segment_path(&self.options.folder, state.segment), error).into());
        }
        state.length += frame.len() as u64;
        state.row += u64::from(count);
        state.byte += row_bytes;
        state.backlog.push(state.row, row_bytes);
        state.keys.insert_frame(head, &content);
        Ok((Appended { first_row: head.first_row, rows: u64::from(count), duplicate: false }, state.row))
    }

    /// The next segment. The full one is made durable first, and its keys are kept apart.
    fn begin_segment(&self, state: &mut State) -> Result<(), ConnectorError> {
        let path = segment_path(&self.options.folder, state.segment);
        if let Err(error) = state.file.sync_all() {
            state.broken = true;
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
        if state.backlog.bytes() + more <= self.options.max_backlog {
            return Ok(());
        }
        // The reader may live in another process: ask the disk, but not for every refused request.
        if state.checked_at.elapsed() > Duration::from_millis(50) {
            state.checked_at = Instant::now();
            state.backlog.commit(files::read_committed(&self.options.folder));
        }
        // A request larger than the whole backlog is accepted by an idle pipeline, or it never would be.
        if state.backlog.bytes() == 0 || state.backlog.bytes() + more <= self.options.max_backlog {
            return Ok(());
        }
        Err(AppendError::Backlog { bytes: state.backlog.bytes(), retry_after: state.backlog.retry_after() })
    }

    /// Returns once everything before `row` is durable. Who comes first syncs for all that wrote until then.
    fn make_durable(&self, row: u64) -> Result<(), ConnectorError> {
        if self.durable.lock().row >= row {
            return Ok(());
        }
        let mut tail_file = self.syncing.lock();
        if self.durable.lock().row >= row {
            return Ok(());
        }
        let (file, tail) = {
            let state = self.state.lock();
            if state.broken {
                return Err(self.broken());
            }
            (state.file.clone(), Tail { segment: state.segment, length: state.length, row: state.row, byte: state.byte })
        };
        if let Err(error) = file.sync_data() {
            // After a failed fsync the page cache no longer tells what is on disk.
            self.state.lock().broken = true;
            return Err(ConnectorError::io(segment_path(&self.options.folder, tail.segment), error));
        }
        files::write_tail(&mut tail_file, tail).map_err(|error| ConnectorError::io(&self.options.folder, error))?;
        *self.durable.lock() = tail;
        self.changed.notify_all();
        Ok(())
    }

    fn broken(&self) -> ConnectorError {
        ConnectorError::io(
            &self.options.folder,
            std::io::Error::other("an earlier write failed; the log must be opened again, which checks what is on disk"),
        )
    }

    /// Bytes of rows that no checkpoint has committed yet.
    pub fn backlog_bytes(&self) -> u64 {
        let mut state = self.state.lock();
        let committed = files::read_committed(&self.options.folder);
        state.backlog.commit(committed);
        state.backlog.bytes()
    }

    pub(super) fn durable(&self) -> Tail {
        *self.durable.lock()
    }

    /// Waits until the log is durable beyond `row`, for `wait` at most.
    pub(super) fn wait_beyond(&self, row: u64, wait: Duration) {
        let mut durable = self.durable.lock();
        if durable.row <= row {
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
