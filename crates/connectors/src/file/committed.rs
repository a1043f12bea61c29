//! Counting the files that a sink has made visible.

use std::{fs, io, ops::RangeInclusive, path::Path};

use weir_spec::connector::FileSink;

use crate::{base_dir::BaseDir, error::ConnectorError, sink::PreCommit};

use super::sink::shown;

/// How many files with the names of these epochs are in a sink's folder. Those of `last`, the commit that a dead run may have left
/// half done, count under their temporary names too.
pub fn committed_files(
    base: &BaseDir,
    config: &FileSink,
    epochs: RangeInclusive<u64>,
    last: Option<&PreCommit>,
) -> Result<u64, ConnectorError> {
    let root = base.join(&config.path);
    base.admit(&root)?;
    let unnamed = last.into_iter().flat_map(|last| &last.files);
    let unnamed = unnamed.filter(|file| !root.join(&file.path).exists() && root.join(&file.temporary).exists());
    Ok(unnamed.count() as u64 + count(&root, &root, &epochs)?)
}

fn count(root: &Path, folder: &Path, epochs: &RangeInclusive<u64>) -> Result<u64, ConnectorError> {
    let failed = |error| ConnectorError::io(shown(root, folder), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(0),
        Err(error) => return Err(failed(error)),
    };
    let mut files = 0;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            files += count(root, &entry.path(), epochs)?;
        } else if epoch_of(&name).is_some_and(|epoch| epochs.contains(&epoch)) {
            files += 1;
        }
    }
    Ok(files)
}

/// Of `part-EPOCH-N.ENDING`.
fn epoch_of(name: &str) -> Option<u64> {
    name.strip_prefix("part-")?.split_once('-')?.0.parse().ok()
}
