//! Opening a file: decompression, and telling a broken stream from a broken disk.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use parking_lot::Mutex;
use weir_spec::connector::Compression;

use super::known::{Known, Seen, Stat, changed};
use crate::{error::ConnectorError, source::MalformedReason};

/// A file's uncompressed bytes.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    disk: Arc<Mutex<DiskState>>,
    /// What the file is instead of what its name or the source says.
    other_format: Option<MalformedReason>,
    /// As it was opened.
    pub stat: Option<Stat>,
}

#[derive(Default)]
struct DiskState {
    error: Option<io::Error>,
    /// Bytes read, as stored.
    read: u64,
}

/// Why reading stopped early.
pub(super) enum ReadFailure {
    Disk(io::Error),
    /// The compressed stream ends or breaks in the middle, or is none.
    Broken(MalformedReason),
}

impl Input {
    /// Opens `path` for reading its uncompressed bytes from the beginning.
    pub fn open(path: &Path, compression: Compression) -> Result<Self, ConnectorError> {
        let failed = |error| ConnectorError::io(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mut other_format = None;
        if compression != Compression::None && metadata.len() > 0 {
            let mut magic = Vec::new();
            (&mut file).take(4).read_to_end(&mut magic).map_err(failed)?;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            other_format = not_compressed(compression, &magic);
        }
        let disk = Arc::new(Mutex::new(DiskState::default()));
        let stored = Disk { file, state: disk.clone() };
        let reader: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(stored),
            // An empty file is an empty stream; the decoders would call it cut off.
            _ if metadata.len() == 0 => Box::new(io::empty()),
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(1 << 18, stored))),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(stored).map_err(failed)?),
        };
        Ok(Self { reader, disk, other_format, stat: Stat::of(&metadata) })
    }

    /// Opens `path` behind its first `from` uncompressed bytes. Errors when those are not the ones that were read before, as far as
    /// that shows.
    pub fn resume(path: &Path, compression: Compression, from: u64, known: &Known) -> Result<(Self, Seen), ConnectorError> {
        let failed = |error| ConnectorError::io(path, error);
        if compression == Compression::None {
            let mut file = File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.len() < from {
                return Err(changed(path, &format!("{from} bytes were read, and it has {} now", metadata.len())));
            }
            let seen = Seen::resumed(&mut file, from, known.crc).map_err(failed)?;
            file.seek(SeekFrom::Start(from)).map_err(failed)?;
            let disk = Arc::new(Mutex::new(DiskState { error: None, read: from }));
            let reader = Box::new(Disk { file, state: disk.clone() });
            return Ok((Self { reader, disk, other_format: None, stat: Stat::of(&metadata) }, seen));
        }
        let mut input = Self::open(path, compression)?;
        let (mut seen, mut rest, mut buffer) = (Seen::default(), from, Vec::new());
        while rest > 0 {
            buffer.clear();
            match input.fill(&mut buffer, rest.min(1 << 20)) {
                Ok(0) | Err(ReadFailure::Broken(_)) => {
                    let read = from - rest + buffer.len() as u64;
                    return Err(changed(path, &format!("{from} uncompressed bytes were read, and {read} can be now")));
                }
                Ok(read) => rest -= read as u64,
                Err(ReadFailure::Disk(error)) => return Err(failed(error)),
            }
            seen.add(&buffer);
        }
        if known.crc.is_some() && known.crc != seen.crc() {
            return Err(changed(path, &format!("some of the {from} uncompressed bytes that were read are others")));
        }
        Ok((input, seen))
    }

    /// Bytes read, as stored.
    pub fn stored_read(&self) -> u64 {
        self.disk.lock().read
    }

    /// Appends up to `limit` bytes to `out`; fewer only at the end or at a failure.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: u64) -> Result<usize, ReadFailure> {
        if let Some(reason) = self.other_format.take() {
            return Err(ReadFailure::Broken(reason));
        }
        (&mut self.reader).take(limit).read_to_end(out).map_err(|error| match self.disk.lock().error.take() {
            Some(disk) => ReadFailure::Disk(disk),
            None => ReadFailure::Broken(MalformedReason::Truncated {
                detail: match error.kind() {
                    io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
                    _ => "its content is damaged".to_owned(),
                },
            }),
        })
    }
}

/// Tells a file that begins like no file of this compression.
fn not_compressed(compression: Compression, magic: &[u8]) -> Option<MalformedReason> {
    let (format, expected) = match compression {
        Compression::None => return None,
        Compression::Gzip => ("gzip", magic.starts_with(&[0x1f, 0x8b]) || [0x1f].starts_with(magic)),
        // A frame of zstd, or one that is to be skipped.
        Compression::Zstd => (
            "zstd",
            [0x28, 0xb5, 0x2f, 0xfd].starts_with(magic)
                || (magic.len() == 4 && magic[0] & 0xf0 == 0x50 && magic[1..] == [0x2a, 0x4d, 0x18]),
        ),
    };
    (!expected).then(|| MalformedReason::WrongFormat { expected: format.to_owned() })
}

/// A file that remembers its own failures, so that they are not taken for a decompressor's.
struct Disk {
    file: File,
    state: Arc<Mutex<DiskState>>,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.file.read(buffer);
        match &result {
            Ok(read) => self.state.lock().read += *read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.state.lock().error = Some(io::Error::new(error.kind(), error.to_string())),
        }
        result
    }
}

/// How a file is compressed: as configured, or by the ending of its name.
pub(super) fn compression_of(path: &Path, configured: Option<Compression>) -> Compression {
    configured.unwrap_or_else(|| match path.extension().and_then(|e| e.to_str()) {
        Some("gz" | "gzip") => Compression::Gzip,
        Some("zst" | "zstd") => Compression::Zstd,
        _ => Compression::None,
    })
}
