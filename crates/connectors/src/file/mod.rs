//! Files: reading a file, a folder or a glob; writing a folder of files that appear whole, with each checkpoint.

mod columns;
mod committed;
mod encode;
mod hashing;
mod input;
mod known;
mod list;
mod parquet_input;
mod partition;
mod sink;
mod source;
mod take_back;
mod text_input;

use std::path::PathBuf;

use crate::{base_dir::BaseDir, error::ConnectorError};

pub use committed::committed_files;
pub use encode::FileEncoder;
pub(crate) use hashing::HashingFile;
pub use sink::FileWriter;
pub(crate) use sink::{make_folders, sync_folder};
pub use source::{FileReader, FileReaderOptions};
pub(crate) use take_back::is_as_written;

/// The files that the `path` of a file source means, in the order in which they are read. Errors when one of them leads out of the
/// folders that `base` confines to.
pub fn files(base: &BaseDir, path: &str) -> Result<Vec<PathBuf>, ConnectorError> {
    Ok(list::list(base, path)?.into_iter().map(|file| file.path).collect())
}

#[cfg(test)]
mod known_tests;
#[cfg(test)]
mod parquet_tests;
#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod source_tests;
