//! The built binary, and looking at what it left.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The binary, to be run in a folder.
pub fn weir(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(dir).env_remove("WEIR_DATA").env_remove("WEIR_MASTER_KEY").env_remove("WEIR_LOG");
    command
}

/// All files below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut stack = vec![folder.to_path_buf()];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            if entry.path().is_dir() { stack.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files
}

/// The lines of all committed files below a folder, in the order of the files' names.
pub fn lines_below(folder: &Path) -> Vec<String> {
    let visible = |path: &PathBuf| !path.file_name().unwrap().to_string_lossy().starts_with(['.', '_']);
    let text = files_below(folder).into_iter().filter(visible).map(|path| std::fs::read_to_string(path).unwrap());
    text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}
