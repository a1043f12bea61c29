//! The heads file beside the database: one tree head a line, appended and synced, so that a database that was cut or
//! replaced does not take its heads with it.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
    path::Path,
};

use thiserror::Error;

use crate::head::{HeadError, TreeHead};

/// What a heads file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heads {
    pub heads: Vec<TreeHead>,
    /// The last line has no end and is no head: the process died while it wrote. Nobody was told of that head.
    pub torn: bool,
}

/// Why a heads file cannot be used.
#[derive(Debug, Error)]
pub enum HeadsFileError {
    #[error("heads file, line {line}: {source}")]
    Line { line: usize, source: HeadError },
    #[error("heads file, last line: {0}")]
    Last(#[source] HeadError),
    #[error("cannot read or write the heads file: {0}")]
    Io(#[from] io::Error),
}

/// Reads all heads.
pub fn read(mut reader: impl BufRead) -> Result<Heads, HeadsFileError> {
    let mut found = Heads::default();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        if reader.read_line(&mut text)? == 0 {
            break;
        }
        let whole = text.ends_with('\n');
        match TreeHead::from_line(text.strip_suffix('\n').unwrap_or(&text)) {
            Ok(head) => found.heads.push(head),
            Err(_) if !whole => found.torn = true,
            Err(source) => return Err(HeadsFileError::Line { line, source }),
        }
    }
    Ok(found)
}

/// The last head; none if there is no file or no head in it.
pub fn last(path: &Path) -> Result<Option<TreeHead>, HeadsFileError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let end = end_of_last_line(&mut file)?;
    last_before(&mut file, end)
}

/// Appends a head and syncs it to disk, unless one as large is there already: another process was faster. What a process left half
/// written before it died is removed first.
pub fn append(path: &Path, head: &TreeHead) -> Result<(), HeadsFileError> {
    let line = head.to_line().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    match file.lock() {
        // Where files cannot be locked, the database's own lock is what keeps processes apart.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        locked => locked?,
    }
    let end = end_of_last_line(&mut file)?;
    if last_before(&mut file, end)?.is_some_and(|last| last.size >= head.size) {
        return Ok(());
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// The head on the line that ends at `end`.
fn last_before(file: &mut (impl Read + Seek), end: u64) -> Result<Option<TreeHead>, HeadsFileError> {
    // Several times what a head takes.
    const LONGEST: u64 = 16 << 10;
    let Some(text) = end.checked_sub(1) else { return Ok(None) };
    let start = text.saturating_sub(LONGEST);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; (text - start) as usize];
    file.read_exact(&mut bytes)?;
    let line = bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    TreeHead::from_line(&String::from_utf8_lossy(line)).map(Some).map_err(HeadsFileError::Last)
}

/// Where the last whole line ends; the file's beginning if there is none.
fn end_of_last_line(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; (end - start) as usize];
        file.read_exact(&mut block)?;
        if let Some(position) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + position as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor};

    use super::*;
    use crate::{Hash, SigningKey, Timestamp};

    fn head(size: u64) -> TreeHead {
        let key = SigningKey::from_bytes(&[7; 32]);
        TreeHead::sign(&key, "log", size, Hash::of(&size.to_be_bytes()), Timestamp::from_micros(0).unwrap(), None).unwrap()
    }

    #[test]
    fn keeps_what_was_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.jsonl");
        for size in 1..=3 {
            append(&path, &head(size)).unwrap();
        }
        let found = read(Cursor::new(fs::read(&path).unwrap())).unwrap();
        assert_eq!(found, Heads { heads: (1..=3).map(head).collect(), torn: false });
    }

    #[test]
    fn a_line_cut_anywhere_by_a_crash_is_no_error_and_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.jsonl");
        let whole = format!("{}\n{}", head(1).to_line().unwrap(), head(2).to_line().unwrap());
        let first = whole.find('\n').unwrap() + 1;
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let found = read(Cursor::new(fs::read(&path).unwrap())).unwrap();
            assert_eq!(found, Heads { heads: vec![head(1)], torn: cut > first }, "cut at {cut}");
            append(&path, &head(3)).unwrap();
            let mended = read(Cursor::new(fs::read(&path).unwrap())).unwrap();
            assert_eq!(mended, Heads { heads: vec![head(1), head(3)], torn: false }, "cut at {cut}");
        }
    }

    #[test]
    fn the_last_head_is_found_behind_any_number_of_others_and_before_what_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.jsonl");
        assert_eq!(last(&path).unwrap(), None);
        for size in 1..=200 {
            append(&path, &head(size)).unwrap();
            assert_eq!(last(&path).unwrap(), Some(head(size)));
        }
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(last(&path).unwrap(), Some(head(199)));
        fs::write(&path, "nonsense\n").unwrap();
        assert!(last(&path).unwrap_err().to_string().starts_with("heads file, last line: "));
    }

    #[test]
    fn a_head_that_another_process_has_appended_is_not_appended_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads.jsonl");
        for size in [1, 2, 3, 3, 2] {
            append(&path, &head(size)).unwrap();
        }
        let found = read(Cursor::new(fs::read(&path).unwrap())).unwrap();
        assert_eq!(found.heads, [head(1), head(2), head(3)]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let text = format!("{}\nnonsense\n", head(1).to_line().unwrap());
        let error = read(Cursor::new(text)).unwrap_err();
        assert!(error.to_string().starts_with("heads file, line 2: "), "{error}");
    }
}
