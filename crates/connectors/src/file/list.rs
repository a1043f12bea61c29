//! Which files a path means: a file, every file of a folder (and of the folders in it), or what a glob matches.
//!
//! Names that start with `.` or `_` are bookkeeping or not committed yet, and are passed over, except when named outright.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::{base_dir::BaseDir, error::ConnectorError};

/// A file to read, and its name as a partition: its path relative to the source's folder, with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputFile {
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
}

/// The files that `path` means, by name. Errors when one of them, or a folder on the way, leads out of the folders that `base`
/// confines to.
pub(super) fn list(base: &BaseDir, path: &str) -> Result<Vec<InputFile>, ConnectorError> {
    let whole = base.join(path);
    let mut files = Vec::new();
    match fs::metadata(&whole) {
        Ok(metadata) if metadata.is_dir() => walk(base, &whole, &whole, &mut files)?,
        Ok(metadata) => {
            let name = whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned();
            files.push(InputFile { name, bytes: metadata.len(), path: whole });
        }
        Err(_) if is_glob(path) => matches(&whole, &mut files)?,
        Err(error) => return Err(ConnectorError::io(whole, error)),
    }
    files.iter().try_for_each(|file| base.admit(&file.path))?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn walk(base: &BaseDir, root: &Path, folder: &Path, files: &mut Vec<InputFile>) -> Result<(), ConnectorError> {
    base.admit(folder)?;
    let failed = |error| ConnectorError::io(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_hidden(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let metadata = fs::metadata(&path).map_err(|error| ConnectorError::io(&path, error))?;
        if metadata.is_dir() {
            walk(base, root, &path, files)?;
        } else if metadata.is_file() {
            files.push(InputFile { name: relative(root, &path), bytes: metadata.len(), path });
        }
    }
    Ok(())
}

fn matches(pattern: &Path, files: &mut Vec<InputFile>) -> Result<(), ConnectorError> {
    let text = pattern.to_string_lossy();
    let found = glob::glob(&text).map_err(|error| ConnectorError::Config(format!("`{text}` is not a valid glob: {error}")))?;
    let root: PathBuf = pattern
        .components()
        .take_while(|part| !matches!(part, Component::Normal(name) if is_glob(&name.to_string_lossy())))
        .collect();
    for path in found {
        let path = path.map_err(|error| ConnectorError::io(error.path().to_owned(), error.into()))?;
        let metadata = fs::metadata(&path).map_err(|error| ConnectorError::io(&path, error))?;
        let name = relative(&root, &path);
        if metadata.is_file() && !name.split('/').any(is_hidden) {
            files.push(InputFile { name, bytes: metadata.len(), path });
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path);
    parts.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
