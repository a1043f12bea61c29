//! Opening a file: decompression, its fingerprint, and telling a broken stream from a broken disk.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use weir_spec::connector::Compression;

use crate::error::ConnectorError;

/// How much of a file its fingerprint covers.
const FINGERPRINT_BYTES: u64 = 4096;

/// A file's uncompressed bytes.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    disk_error: Arc<Mutex<Option<io::Error>>>,
}

/// Why reading stopped early.
pub(super) enum ReadFailure {
    Disk(io::Error),
    /// The compressed stream ends or breaks in the middle.
    Broken(String),
}

impl Input {
    /// Opens `path` for reading from uncompressed byte `from` on.
    pub fn open(path: &Path, compression: Compression, from: u64) -> Result<Self, ConnectorError> {
        let failed = |error| ConnectorError::io(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if compression == Compression::None && from > 0 {
            if length < from {
                return Err(shrunk(path));
            }
            file.seek(SeekFrom::Start(from)).map_err(failed)?;
        }
        let disk_error = Arc::new(Mutex::new(None));
        let disk = Disk { file, error: disk_error.clone() };
        let reader: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(disk),
            // An empty file is an empty stream; the decoders would call it cut off.
            _ if length == 0 => Box::new(io::empty()),
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(1 << 18, disk))),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(disk).map_err(failed)?),
        };
        let mut input = Self { reader, disk_error };
        if compression != Compression::None && from > 0 {
            let mut skipped = io::sink();
            let copied = io::copy(&mut (&mut input.reader).take(from), &mut skipped);
            if let Some(error) = input.disk_error.lock().take() {
                return Err(failed(error));
            }
            if copied.ok() != Some(from) {
                return Err(shrunk(path));
            }
        }
        Ok(input)
    }

    /// Appends up to `limit` bytes to `out`; fewer only at the end or at a failure.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: u64) -> Result<usize, ReadFailure> {
        (&mut self.reader).take(limit).read_to_end(out).map_err(|error| match self.disk_error.lock().take() {
            Some(disk) => ReadFailure::Disk(disk),
            None => ReadFailure::Broken(match error.kind() {
                io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
                _ => "its content is damaged".to_owned(),
            }),
        })
    }
}

fn shrunk(path: &Path) -> ConnectorError {
    ConnectorError::Resume(format!(
        "{}: shorter than what was already read of it; put the original file back, or start the pipeline anew",
        path.display()
    ))
}

/// A file that remembers its own failures, so that they are not taken for a decompressor's.
struct Disk {
    file: File,
    error: Arc<Mutex<Option<io::Error>>>,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                *self.error.lock() = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
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

/// `LENGTH:HASH` of the first bytes of a file, as stored. A file that only grew keeps its old fingerprint when asked for the
/// same length.
pub(super) fn fingerprint(path: &Path) -> Result<String, ConnectorError> {
    fingerprint_of(path, FINGERPRINT_BYTES)
}

/// Fails if the file no longer begins as it did when `expected` was taken.
pub(super) fn check_fingerprint(path: &Path, expected: &str) -> Result<(), ConnectorError> {
    let length = expected.split_once(':').and_then(|(length, _)| length.parse().ok()).unwrap_or(FINGERPRINT_BYTES);
    if fingerprint_of(path, length)? == expected {
        return Ok(());
    }
    Err(ConnectorError::Resume(format!(
        "{}: not the file that was read before (its beginning changed); put the original file back, give the new one another name, or start the pipeline anew",
        path.display()
    )))
}

fn fingerprint_of(path: &Path, length: u64) -> Result<String, ConnectorError> {
    let failed = |error| ConnectorError::io(path, error);
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(length).read_to_end(&mut head).map_err(failed)?;
    Ok(format!("{}:{}", head.len(), hex::encode(&Sha256::digest(&head)[..16])))
}
