//! The changes of an epoch on disk, between its checkpoint and the database: a file beside it that readers do not see.
//!
//! ```text
//! head: magic 8 | folding 1
//! runs: entries of `fold`, each run in order
//! foot: end of each run 8 ... | number of runs 8 | epoch 8 | epoch before 8
//! ```
//!
//! A run is what fits into memory; an epoch of a usual size has one. The whole file's SHA-256 is in the checkpoint and in the
//! evidence. It holds what the table will hold, for its owner's eyes only (mode 0600).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    fold::{ENTRY_HEAD, Fold, Folding},
    value::broken,
};
use crate::{
    error::ConnectorError,
    file::{HashingFile, sync_folder},
};

const MAGIC: &[u8; 8] = b"WEIRTAB1";
const HEAD: u64 = 9;
/// The end of the foot.
const TAIL: u64 = 24;
const BUFFER: usize = 1 << 17;

/// A staging file that grows.
pub(super) struct Staging {
    path: PathBuf,
    out: BufWriter<HashingFile>,
    ends: Vec<u64>,
    at: u64,
}

impl Staging {
    pub fn create(path: &Path, folding: Folding) -> Result<Self, ConnectorError> {
        let failed = |error| ConnectorError::io(path, error);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut out = BufWriter::with_capacity(BUFFER, HashingFile::new(options.open(path).map_err(failed)?));
        out.write_all(MAGIC).map_err(failed)?;
        out.write_all(&[folding as u8]).map_err(failed)?;
        Ok(Self { path: path.to_owned(), out, ends: Vec::new(), at: HEAD })
    }

    /// Writes what was folded as a run.
    pub fn run(&mut self, fold: &mut Fold) -> Result<(), ConnectorError> {
        let (out, at) = (&mut self.out, &mut self.at);
        fold.drain(|entries| {
            *at += entries.len() as u64;
            out.write_all(entries)
        })
        .map_err(|error| ConnectorError::io(&self.path, error))?;
        self.ends.push(self.at);
        Ok(())
    }

    /// Makes it durable; gives its length and its SHA-256 in hex. `after` is the epoch that the database holds of this sink before
    /// `epoch` is applied.
    pub fn finish(mut self, epoch: u64, after: u64) -> Result<(u64, String), ConnectorError> {
        let failed = |error| ConnectorError::io(&self.path, error);
        for number in self.ends.iter().copied().chain([self.ends.len() as u64, epoch, after]) {
            self.out.write_all(&number.to_le_bytes()).map_err(failed)?;
        }
        let file = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        let written = file.finish().map_err(failed)?;
        self.path.parent().map_or(Ok(()), sync_folder)?;
        Ok(written)
    }
}

/// A staging file that is complete.
pub(super) struct Staged {
    pub folding: Folding,
    pub epoch: u64,
    /// The epoch before.
    pub after: u64,
    pub runs: Vec<Run>,
}

impl Staged {
    pub fn open(path: &Path) -> Result<Self, ConnectorError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => broken(),
            _ => ConnectorError::io(path, error),
        };
        let mut file = File::open(path).map_err(failed)?;
        let mut head = [0; HEAD as usize];
        file.read_exact(&mut head).map_err(failed)?;
        let folding = Folding::from_code(head[8]).filter(|_| head.starts_with(MAGIC)).ok_or_else(broken)?;
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let last = |file: &mut File, from_end: u64| {
            file.seek(SeekFrom::Start(length.checked_sub(from_end).ok_or_else(broken)?)).map_err(failed)?;
            let mut number = [0; 8];
            file.read_exact(&mut number).map_err(failed)?;
            Ok::<u64, ConnectorError>(u64::from_le_bytes(number))
        };
        let (count, epoch, after) = (last(&mut file, 24)?, last(&mut file, 16)?, last(&mut file, 8)?);
        let mut runs = Vec::new();
        let mut start = HEAD;
        for run in 0..count {
            let back = (count - run).checked_mul(8).and_then(|back| back.checked_add(TAIL)).ok_or_else(broken)?;
            let end = last(&mut file, back)?;
            let remaining = end.checked_sub(start).filter(|_| end <= length).ok_or_else(broken)?;
            let mut own = File::open(path).map_err(failed)?;
            own.seek(SeekFrom::Start(start)).map_err(failed)?;
            let file = BufReader::with_capacity(BUFFER, own);
            runs.push(Run { path: path.to_owned(), file, remaining, key: Vec::new(), value: Vec::new() });
            start = end;
        }
        Ok(Self { folding, epoch, after, runs })
    }
}

/// A run, read from its first entry to its last.
pub(super) struct Run {
    path: PathBuf,
    file: BufReader<File>,
    remaining: u64,
    /// Of the entry that was read last.
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl Run {
    /// Reads the next entry; false at the end.
    pub fn advance(&mut self) -> Result<bool, ConnectorError> {
        if self.remaining == 0 {
            return Ok(false);
        }
        let mut head = [0; ENTRY_HEAD];
        self.file.read_exact(&mut head).map_err(|error| ConnectorError::io(&self.path, error))?;
        let length = |at: usize| head[at..at + 8].try_into().map(u64::from_le_bytes).map_err(|_| broken());
        let (key, value) = (length(0)?, length(8)?);
        let whole = key.checked_add(value).and_then(|both| both.checked_add(ENTRY_HEAD as u64)).ok_or_else(broken)?;
        self.remaining = self.remaining.checked_sub(whole).ok_or_else(broken)?;
        for (into, length) in [(&mut self.key, key), (&mut self.value, value)] {
            into.resize(length as usize, 0);
            self.file.read_exact(into).map_err(|error| ConnectorError::io(&self.path, error))?;
        }
        Ok(true)
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), ConnectorError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ConnectorError::io(path, error)),
        _ => Ok(()),
    }
}
