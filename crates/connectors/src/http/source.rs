//! The http source's reader: follows the ingest log up to where it is durable.

use std::{
    fs::File,
    io::{Read as _, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use weir_spec::connector::HttpSource;

use super::{
    files::{self, Tail, segment_path},
    frame::{HEADER, Sealer, read_head},
    log::{damaged, open_here},
};
use crate::{
    context::SourceContext,
    error::ConnectorError,
    source::{Chunk, Offset, PartitionPosition, Payload, Read, ReadLimit, SourceReader},
};

const PARTITION: &str = "0";
/// How often a log of another process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// A chunk of many small requests is cut off at this size.
const CHUNK_BYTES: usize = 4 << 20;

/// Reads the rows that were posted to a source.
pub struct HttpReader {
    folder: PathBuf,
    sealer: Sealer,
    next: Offset,
    /// Where the next frame begins; `None` until it is looked for.
    place: Option<Place>,
    /// Rows of the last frame that did not fit into a chunk.
    rest: Bytes,
}

struct Place {
    segment: u64,
    at: u64,
    file: File,
}

impl HttpReader {
    pub fn open(_config: &HttpSource, context: &SourceContext, resume: &[PartitionPosition]) -> Result<Self, ConnectorError> {
        let (Some(folder), Some(key)) = (&context.ingest_dir, &context.seal_key) else {
            return Err(ConnectorError::Config(
                "an http source takes rows from a server: run this pipeline under `weir serve`, or read from a file".into(),
            ));
        };
        std::fs::create_dir_all(folder).map_err(|error| ConnectorError::io(folder, error))?;
        let folder = folder.canonicalize().map_err(|error| ConnectorError::io(folder, error))?;
        let mut this = Self { folder, sealer: Sealer::new(key), next: Offset::default(), place: None, rest: Bytes::new() };
        match resume.iter().find(|position| position.partition == PARTITION) {
            Some(position) => {
                this.next = position.offset;
                this.check_resume()?;
            }
            // A pipeline that starts anew begins with the first row that no checkpoint has committed.
            None => {
                let oldest = files::list(&this.folder, "log")?.first().copied().unwrap_or(0);
                this.next.row = files::read_committed(&this.folder).max(oldest);
            }
        }
        Ok(this)
    }

    fn check_resume(&self) -> Result<(), ConnectorError> {
        let segments = files::list(&self.folder, "log")?;
        let gone = segments.first().is_some_and(|&first| first > self.next.row);
        let behind = self.tail().is_some_and(|tail| tail.row < self.next.row) || (segments.is_empty() && self.next.row > 0);
        if gone || behind {
            return Err(ConnectorError::Resume(format!(
                "{}: row {} is not in the ingest log any more; restore the folder, or start the pipeline anew",
                self.folder.display(),
                self.next.row
            )));
        }
        Ok(())
    }

    fn tail(&self) -> Option<Tail> {
        match open_here(&self.folder) {
            Some(log) => Some(log.durable()),
            None => files::read_tail(&self.folder),
        }
    }

    /// Waits until there is a row to read. Says how far the log is durable, or `None` when the time is over.
    fn await_rows(&self, wait: Duration) -> Option<Tail> {
        let ready = |tail: &Tail| tail.row > self.next.row;
        if let Some(tail) = self.tail().filter(ready) {
            return Some(tail);
        }
        match open_here(&self.folder) {
            Some(log) => log.wait_beyond(self.next.row, wait),
            None => std::thread::sleep(wait.min(POLL)),
        }
        self.tail().filter(ready)
    }

    /// Opens the segment that holds the next row and steps to its frame.
    fn find_place(&mut self) -> Result<(), ConnectorError> {
        let segments = files::list(&self.folder, "log")?;
        let segment = segments.into_iter().rfind(|&first| first <= self.next.row).ok_or_else(|| {
            ConnectorError::Resume(format!("{}: row {} is not in the ingest log any more", self.folder.display(), self.next.row))
        })?;
        let path = segment_path(&self.folder, segment);
        let file = File::open(&path).map_err(|error| ConnectorError::io(&path, error))?;
        self.place = Some(Place { segment, at: 0, file });
        Ok(())
    }

    /// The rows of the next frame that were not returned yet.
    fn next_frame(&mut self, tail: Tail) -> Result<Option<Bytes>, ConnectorError> {
        loop {
            if self.place.is_none() {
                self.find_place()?;
            }
            let Some(place) = &mut self.place else {
                continue;
            };
            if place.segment == tail.segment && place.at >= tail.length {
                return Ok(None);
            }
            let path = segment_path(&self.folder, place.segment);
            let failed = |error| ConnectorError::io(&path, error);
            let mut frame = vec![0; HEADER];
            place.file.seek(SeekFrom::Start(place.at)).map_err(failed)?;
            match place.file.read_exact(&mut frame) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    // The end of a full segment; the rows go on in the next.
                    if files::list(&self.folder, "log")?.contains(&self.next.row) && place.segment != self.next.row {
                        self.place = None;
                        continue;
                    }
                    return Err(damaged(&path, place.at));
                }
                Err(error) => return Err(failed(error)),
            }
            let head = read_head(&frame, place.at).ok_or_else(|| damaged(&path, place.at))?;
            if head.end_row() <= self.next.row {
                place.at = head.end();
                continue;
            }
            let sealed = head.length - HEADER as u64;
            let read = (&mut place.file).take(sealed).read_to_end(&mut frame).map_err(failed)?;
            if read as u64 != sealed {
                return Err(damaged(&path, place.at));
            }
            let opened = self.sealer.open(place.segment, head, &frame).map_err(|_| damaged(&path, head.at))?;
            place.at = head.end();
            let skipped = usize::try_from(self.next.row.saturating_sub(head.first_row)).unwrap_or(usize::MAX);
            let from = match skipped {
                0 => 0,
                n => memchr::memchr_iter(b'\n', &opened.rows).nth(n - 1).map_or(opened.rows.len(), |newline| newline + 1),
            };
            self.next.byte = head.first_byte + from as u64;
            return Ok(Some(Bytes::from(opened.rows).slice(from..)));
        }
    }
}

/// The first `limit` lines of `text`, and how many there are.
fn take_rows(text: &mut Bytes, limit: usize) -> (Bytes, u64) {
    let mut rows = 0;
    let mut end = 0;
    for newline in memchr::memchr_iter(b'\n', text).take(limit) {
        rows += 1;
        end = newline + 1;
    }
    (text.split_to(end), rows)
}

impl SourceReader for HttpReader {
    fn read(&mut self, limit: ReadLimit) -> Result<Read, ConnectorError> {
        let wanted = limit.rows.max(1) as u64;
        let mut chunk: Vec<Bytes> = Vec::new();
        let (mut rows, mut bytes) = (0_u64, 0_usize);
        let mut start = self.next;
        let tail = if self.rest.is_empty() { self.await_rows(limit.wait) } else { self.tail() };
        while rows < wanted && bytes < CHUNK_BYTES {
            if self.rest.is_empty() {
                let Some(tail) = tail.filter(|tail| tail.row > self.next.row) else {
                    break;
                };
                let Some(frame) = self.next_frame(tail)? else {
                    break;
                };
                self.rest = frame;
            }
            if chunk.is_empty() {
                start = self.next;
            }
            let (part, count) = take_rows(&mut self.rest, (wanted - rows) as usize);
            self.next = Offset { byte: self.next.byte + part.len() as u64, row: self.next.row + count };
            rows += count;
            bytes += part.len();
            chunk.push(part);
        }
        if rows == 0 {
            return Ok(Read::Idle);
        }
        let payload = if chunk.len() == 1 { chunk.swap_remove(0) } else { Bytes::from(chunk.concat()) };
        Ok(Read::Chunk(Chunk {
            partition: 0,
            start,
            end: self.next,
            payload: Payload::Bytes(payload),
            malformed: Vec::new(),
            header: None,
        }))
    }

    fn positions(&self) -> Vec<PartitionPosition> {
        vec![PartitionPosition {
            partition: PARTITION.to_owned(),
            offset: self.next,
            done: false,
            fingerprint: None,
            state: None,
        }]
    }

    fn partition_name(&self, _partition: u32) -> &str {
        PARTITION
    }

    fn committed(&mut self, positions: &[PartitionPosition]) -> Result<(), ConnectorError> {
        let Some(position) = positions.iter().find(|position| position.partition == PARTITION) else {
            return Ok(());
        };
        let row = position.offset.row;
        if row == files::read_committed(&self.folder) {
            return Ok(());
        }
        files::write_committed(&self.folder, row)?;
        if let Some(log) = open_here(&self.folder) {
            log.note_committed(row);
        }
        files::delete_committed(&self.folder, row)
    }

    /// Rows that are durable but not read yet.
    fn lag(&self) -> Option<u64> {
        self.tail().map(|tail| tail.row.saturating_sub(self.next.row))
    }
}
