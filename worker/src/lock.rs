//! One process at a time: an advisory lock on a file, which the system releases when the process dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use crate::error::WorkerError;

/// Held until dropped.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes the lock of this name below the data folder, or says that another process has it.
    pub fn acquire(data: &Path, name: &str, what: &str) -> Result<Self, WorkerError> {
        let dir = data.join("locks");
        std::fs::create_dir_all(&dir).map_err(|e| WorkerError::io(&dir, e))?;
        let path = dir.join(format!("{name}.lock"));
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| WorkerError::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(WorkerError::Busy(format!("{what} is already running with the data folder {}", data.display())))
            }
            Err(TryLockError::Error(error)) => Err(WorkerError::io(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let held = ProcessLock::acquire(dir.path(), "a", "pipeline a").unwrap();
        let error = ProcessLock::acquire(dir.path(), "a", "pipeline a").unwrap_err();
        assert!(error.to_string().starts_with("pipeline a is already running"), "{error}");
        ProcessLock::acquire(dir.path(), "b", "pipeline b").unwrap();
        drop(held);
        ProcessLock::acquire(dir.path(), "a", "pipeline a").unwrap();
    }
}
