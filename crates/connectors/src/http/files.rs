//! The files of an ingest log: names, and the two small ones that say how far it is durable and how far committed.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::frame::{array, crc32};
use crate::error::ConnectorError;

/// How far the log is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The segment that is written.
    pub segment: u64,
    /// Durable bytes of it.
    pub length: u64,
    /// The row and the byte that come next.
    pub row: u64,
    pub byte: u64,
}

impl Tail {
    fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        for (i, number) in [self.segment, self.length, self.row, self.byte].into_iter().enumerate() {
            bytes[i * 8..i * 8 + 8].copy_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32(&bytes[..32]);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |i: usize| array(bytes, i * 8).map(u64::from_le_bytes);
        let tail = Self { segment: number(0)?, length: number(1)?, row: number(2)?, byte: number(3)? };
        (array(bytes, 32).map(u32::from_le_bytes)? == crc32(&bytes[..32])).then_some(tail)
    }
}

/// Opens the tail file for [`write_tail`].
pub(super) fn open_tail(folder: &Path) -> Result<File, ConnectorError> {
    let path = folder.join("tail");
    OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| ConnectorError::io(path, error))
}

/// One small write, which a reader sees whole or whose checksum fails. It need not be durable: an old tail only makes readers wait.
pub(super) fn write_tail(file: &mut File, tail: Tail) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&tail.to_bytes())
}

/// The tail as last written; `None` if there is none yet or it is being written.
pub(super) fn read_tail(folder: &Path) -> Option<Tail> {
    Tail::from_bytes(&fs::read(folder.join("tail")).ok()?)
}

/// The first row that is not committed.
pub(super) fn read_committed(folder: &Path) -> u64 {
    fs::read(folder.join("committed")).ok().and_then(|bytes| array(&bytes, 0)).map_or(0, u64::from_le_bytes)
}

/// In place, so that a checkpoint costs no new file: eight bytes, which lie in one sector, are there whole or not at all. They need not
/// be durable: the checkpoint is what counts.
pub(super) fn write_committed(folder: &Path, row: u64) -> Result<(), ConnectorError> {
    let path = folder.join("committed");
    let written = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    written.and_then(|mut file| file.write_all(&row.to_le_bytes())).map_err(|error| ConnectorError::io(&path, error))
}

pub(super) fn segment_path(folder: &Path, first_row: u64) -> PathBuf {
    folder.join(format!("segment-{first_row:020}.log"))
}

pub(super) fn keys_path(folder: &Path, first_row: u64) -> PathBuf {
    folder.join(format!("segment-{first_row:020}.keys"))
}

/// The first rows of all files `segment-*.{ending}`, ascending.
pub(super) fn list(folder: &Path, ending: &str) -> Result<Vec<u64>, ConnectorError> {
    let failed = |error| ConnectorError::io(folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let row: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix("segment-")?.strip_suffix(ending)?.strip_suffix('.')?.parse().ok());
        found.extend(row);
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), ConnectorError> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(|error| ConnectorError::io(folder, error))
}

/// Deletes, durably, the segments that begin at `row` or later, and their keys.
pub(super) fn delete_from(folder: &Path, row: u64) -> Result<(), ConnectorError> {
    let segments = list(folder, "log")?.into_iter().filter(|first| *first >= row).map(|first| segment_path(folder, first));
    let keys = list(folder, "keys")?.into_iter().filter(|first| *first >= row).map(|first| keys_path(folder, first));
    for path in segments.chain(keys) {
        fs::remove_file(&path).map_err(|error| ConnectorError::io(path, error))?;
    }
    sync_folder(folder)
}

/// Cuts a segment off, durably.
pub(super) fn cut_off(folder: &Path, segment: u64, length: u64) -> Result<(), ConnectorError> {
    let path = segment_path(folder, segment);
    let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
        file.set_len(length)?;
        file.sync_all()
    });
    cut.map_err(|error| ConnectorError::io(path, error))
}

/// Deletes what lies wholly before `row`: full segments whose keys are kept apart. The last segment always stays.
pub(super) fn delete_committed(folder: &Path, row: u64) -> Result<(), ConnectorError> {
    for pair in list(folder, "log")?.windows(2) {
        if pair[1] <= row && keys_path(folder, pair[0]).exists() {
            let path = segment_path(folder, pair[0]);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(ConnectorError::io(path, error)),
            }
        }
    }
    Ok(())
}
