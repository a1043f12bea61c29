//! Taking back files that a commit has made visible, for a pipeline that goes back to an earlier checkpoint.
//!
//! A file is touched only when the commit names it and it still is what the sink wrote: its length and SHA-256 are looked at first.
//! It is hidden under a temporary name again, so that committing once more brings it back; recovery removes it when it is not wanted.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::sink::{FileWriter, shown, sync_folders};
use crate::{
    error::ConnectorError,
    sink::{PreCommit, PreparedFile},
};

impl FileWriter {
    /// Errors unless every file of the commit can be hidden, or is.
    pub(super) fn check_take_back(&self, commit: &PreCommit) -> Result<(), ConnectorError> {
        commit.files.iter().try_for_each(|file| self.is_visible(file).map(|_| ()))
    }

    pub(super) fn hide(&mut self, commit: &PreCommit) -> Result<(), ConnectorError> {
        for file in &commit.files {
            if self.is_visible(file)? {
                let hidden = match file.temporary.is_empty() {
                    true => self.new_temporary(file.path.rsplit_once('/').map_or("", |(folder, _)| folder)),
                    false => file.temporary.clone(),
                };
                let (from, to) = (self.root.join(&file.path), self.root.join(hidden));
                fs::rename(&from, &to).map_err(|error| ConnectorError::io(&from, error))?;
            }
        }
        sync_folders(&self.root, commit.files.iter().map(|file| &file.path))
    }

    /// Whether the file has its own name; else it is hidden.
    fn is_visible(&self, file: &PreparedFile) -> Result<bool, ConnectorError> {
        let path = self.root.join(&file.path);
        if path.exists() {
            return match is_as_written(&path, file)? {
                true => Ok(true),
                false => Err(ConnectorError::Resume(format!(
                    "{}: the file is not what this sink wrote any more, so it cannot be taken back; move it away and start anew: `weir run --fresh`",
                    shown(&self.root, &path).display()
                ))),
            };
        }
        if self.is_hidden(&path, file)? {
            return Ok(false);
        }
        Err(ConnectorError::Resume(format!(
            "{}: a checkpoint that is damaged now has committed this file, and it was taken away since, so going back would write its rows \
             twice; put it back, or start anew: `weir run --fresh`",
            shown(&self.root, &path).display()
        )))
    }

    /// Without a temporary name, any temporary of this sink in the file's folder with the file's content will do.
    fn is_hidden(&self, path: &Path, file: &PreparedFile) -> Result<bool, ConnectorError> {
        if !file.temporary.is_empty() {
            return Ok(self.root.join(&file.temporary).exists());
        }
        let Some(folder) = path.parent().filter(|folder| folder.is_dir()) else { return Ok(false) };
        let entries = fs::read_dir(folder).map_err(|error| ConnectorError::io(folder, error))?;
        let own = entries.flatten().filter(|entry| self.is_own_temporary(&entry.file_name().to_string_lossy()));
        let paths: Vec<PathBuf> = own.map(|entry| entry.path()).collect();
        for path in paths {
            if is_as_written(&path, file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a file still has the length and the SHA-256 that it was written with.
pub(crate) fn is_as_written(path: &Path, file: &PreparedFile) -> Result<bool, ConnectorError> {
    let failed = |error| ConnectorError::io(path, error);
    let mut opened = File::open(path).map_err(failed)?;
    if opened.metadata().map_err(failed)?.len() != file.bytes {
        return Ok(false);
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match opened.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex::encode(hash.finalize()) == file.sha256),
            read => hash.update(&buffer[..read]),
        }
    }
}
