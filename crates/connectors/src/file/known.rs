//! What a position keeps of its file, and whether the file still is the one that was read.
//!
//! A plain text file may grow behind a position, also where that is its end. All that lies before the position must be as it was: the
//! first bytes of the file and the last ones before the position are compared, and the checksum of all of them where the file was
//! touched since and no more than [`COMPARED_WHOLE`] was read. A compressed file must begin as it did up to the position, for it is read
//! again up to there. Once such a file has been read to its end, and always where it is Parquet or was refused as a whole, the stored
//! file must not change at all: its length, its first and its last bytes are compared.

use std::{
    fs::{File, Metadata},
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{error::ConnectorError, source::PartitionPosition};

/// How much is compared at the beginning of a file, before a position and at the end.
const SAMPLE: u64 = 4096;

/// Up to here everything before a position is compared; beyond it, reading it again would take too long.
const COMPARED_WHOLE: u64 = 1 << 30;

/// A file that was written to so shortly before it was opened may be written to again without its time of modification telling.
const SETTLED: Duration = Duration::from_secs(2);

const WAYS_OUT: &str = "put the original file back, give the new content another file name, or start anew: `weir run --fresh`, on a \
                        server deploy the pipeline under a new name";

/// What a position keeps of its file besides the first bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// CRC-32 of all bytes before the position, uncompressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc: Option<u32>,
    /// `LENGTH:HASH` of the last bytes before the position, uncompressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// `LENGTH:HASH`: the length of the stored file, and a hash of its last bytes. Only where nothing of it may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat: Option<Stat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// A row that ended because the file did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cut {
    /// A line end behind it makes it the row it was taken for.
    Line,
    /// The file ended within quotes: whatever follows belongs to the row.
    Quotes,
}

/// A file as its folder shows it. Equal ones are of equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    length: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Stat {
    /// None where a later change might not show.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?;
        let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age >= SETTLED);
        let modified = u64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
        settled.then_some(Self { length: metadata.len(), modified })
    }
}

impl Known {
    /// What a position holds; nothing, where a Weir wrote it that kept less.
    pub fn of(position: &PartitionPosition) -> Result<Self, ConnectorError> {
        let Some(state) = &position.state else { return Ok(Self::default()) };
        Self::deserialize(state).map_err(|error| {
            ConnectorError::Resume(format!("{}: what its position holds cannot be read: {error}", position.partition))
        })
    }

    pub fn to_state(&self) -> Result<serde_json::Value, ConnectorError> {
        serde_json::to_value(self).map_err(|error| ConnectorError::Internal(format!("a position has no JSON form: {error}")))
    }
}

/// The bytes that were read, as far as they must be known again.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    crc: Option<crc32fast::Hasher>,
    last: Vec<u8>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { crc: Some(crc32fast::Hasher::new()), last: Vec::new() }
    }
}

impl Seen {
    /// Goes on behind `read` bytes of a plain file. Where the checksum of those is not known, there will be none.
    pub fn resumed(file: &mut File, read: u64, crc: Option<u32>) -> std::io::Result<Self> {
        let crc = crc.map(|crc| crc32fast::Hasher::new_with_initial_len(crc, read));
        Ok(Self { crc, last: sample_before(file, read)? })
    }

    pub fn add(&mut self, bytes: &[u8]) {
        if let Some(crc) = &mut self.crc {
            crc.update(bytes);
        }
        let kept = &bytes[bytes.len().saturating_sub(SAMPLE as usize)..];
        let over = (self.last.len() + kept.len()).saturating_sub(SAMPLE as usize);
        self.last.drain(..over.min(self.last.len()));
        self.last.extend_from_slice(kept);
    }

    pub fn crc(&self) -> Option<u32> {
        self.crc.clone().map(crc32fast::Hasher::finalize)
    }

    /// Where a position does not tell: whether it ends within a line.
    pub fn unended(&self) -> Option<Cut> {
        unended(&self.last)
    }

    pub fn before(&self) -> String {
        digest(self.last.len() as u64, &self.last)
    }
}

/// `LENGTH:HASH` of the first bytes of a file, as stored. A file that only grew keeps its old fingerprint when asked for the
/// same length.
pub(super) fn fingerprint(path: &Path) -> Result<String, ConnectorError> {
    beginning(path, SAMPLE)
}

/// `LENGTH:HASH` of a stored file of this length: of its last bytes.
pub(super) fn whole(path: &Path, length: u64) -> Result<String, ConnectorError> {
    let failed = |error| ConnectorError::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    Ok(digest(length, &sample_before(&mut file, length).map_err(failed)?))
}

/// Whether nothing more is to be read of a file behind this position. Errors when it is not the file that was read. `plain` says
/// that it is uncompressed text.
pub(super) fn is_done(path: &Path, position: &PartitionPosition, plain: bool) -> Result<bool, ConnectorError> {
    let failed = |error| ConnectorError::io(path, error);
    let known = Known::of(position)?;
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let length = metadata.len();
    if let Some(expected) = &known.whole {
        let before: u64 = expected.split_once(':').and_then(|(length, _)| length.parse().ok()).unwrap_or_default();
        if before != length {
            return Err(changed(path, &format!("it had {before} bytes and has {length} now")));
        }
        if digest(length, &sample_before(&mut file, length).map_err(failed)?) != *expected {
            return Err(changed(path, "its end is another"));
        }
    }
    let read = position.offset.byte;
    if plain && known.whole.is_none() && length < read {
        return Err(changed(path, &format!("{read} bytes were read, and it has {length} now")));
    }
    if let Some(expected) = &position.fingerprint {
        let length = expected.split_once(':').and_then(|(length, _)| length.parse().ok()).unwrap_or(SAMPLE);
        if beginning(path, length)? != *expected {
            return Err(changed(path, "its beginning is another"));
        }
    }
    if !plain || known.whole.is_some() {
        return Ok(position.done);
    }
    let before = sample_before(&mut file, read).map_err(failed)?;
    if known.before.as_ref().is_some_and(|expected| digest(before.len() as u64, &before) != *expected) {
        return Err(changed(path, &format!("what stands before byte {read}, up to which it was read, is another")));
    }
    let untouched = known.stat.is_some() && Stat::of(&metadata) == known.stat;
    if !untouched
        && read <= COMPARED_WHOLE
        && let Some(expected) = known.crc
        && checksum(&mut file, read).map_err(failed)? != Some(expected)
    {
        return Err(changed(path, &format!("some of the {read} bytes that were read are others")));
    }
    if !position.done || length == read {
        return Ok(position.done);
    }
    let mut next = Vec::new();
    file.seek(SeekFrom::Start(read)).and_then(|_| (&mut file).take(2).read_to_end(&mut next)).map_err(failed)?;
    match known.cut.or_else(|| unended(&before)) {
        None => Ok(false),
        Some(Cut::Line) if line_end(&next).is_some() => Ok(false),
        // Half of a line end: its other half may come yet.
        Some(Cut::Line) if next == b"\r" => Ok(true),
        Some(_) => Err(went_on(path, read)),
    }
}

fn unended(before: &[u8]) -> Option<Cut> {
    before.last().is_some_and(|&last| last != b'\n').then_some(Cut::Line)
}

/// The length of the line end that `bytes` begins with.
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    [&b"\n"[..], b"\r\n"].into_iter().find(|end| bytes.starts_with(end)).map(<[u8]>::len)
}

pub(super) fn changed(path: &Path, what: &str) -> ConnectorError {
    ConnectorError::Resume(format!("{}: not the file that was read before: {what}; {WAYS_OUT}", path.display()))
}

/// What was a row because the file ended goes on now.
pub(super) fn went_on(path: &Path, at: u64) -> ConnectorError {
    ConnectorError::Resume(format!(
        "{}: when it was read, it ended at byte {at} in the middle of a line, which was taken as a row and cannot be taken back; that \
         line has gone on since. Put a line end at byte {at} if a new row begins there; or {WAYS_OUT}",
        path.display()
    ))
}

fn beginning(path: &Path, length: u64) -> Result<String, ConnectorError> {
    let failed = |error| ConnectorError::io(path, error);
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(length).read_to_end(&mut head).map_err(failed)?;
    Ok(digest(head.len() as u64, &head))
}

/// The last bytes before a place.
fn sample_before(file: &mut File, place: u64) -> std::io::Result<Vec<u8>> {
    let length = place.min(SAMPLE);
    let mut sample = Vec::with_capacity(length as usize);
    file.seek(SeekFrom::Start(place - length))?;
    file.take(length).read_to_end(&mut sample)?;
    Ok(sample)
}

/// Of the first bytes of a file; None when it has fewer.
fn checksum(file: &mut File, length: u64) -> std::io::Result<Option<u32>> {
    file.seek(SeekFrom::Start(0))?;
    let (mut crc, mut rest, mut buffer) = (crc32fast::Hasher::new(), length, vec![0; 1 << 20]);
    while rest > 0 {
        let limit = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        match file.read(&mut buffer[..limit]) {
            Ok(0) => return Ok(None),
            Ok(read) => {
                crc.update(&buffer[..read]);
                rest -= read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(crc.finalize()))
}

fn digest(length: u64, bytes: &[u8]) -> String {
    format!("{length}:{}", hex::encode(&Sha256::digest(bytes)[..16]))
}
