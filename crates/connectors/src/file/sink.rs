//! The file sink's writer: files grow under names that readers ignore and appear whole when their checkpoint is committed.
//!
//! A file is `.part-TAG-WRITER-N` while it is written. The pre-commit flushes and fsyncs it and promises its final name,
//! `part-EPOCH-N.json`; the commit renames it. Because a rename is atomic and only happens after the checkpoint that
//! promises it is durable, a file is visible if and only if its checkpoint is, whenever the process dies:
//!
//! | dies | temporary | final | recovery |
//! | --- | --- | --- | --- |
//! | before the checkpoint | yes | no | removed: no checkpoint promises it |
//! | after the checkpoint, before the rename | yes | no | renamed |
//! | after the rename | no | yes | nothing to do |
//! | after the rename, and a consumer took the file | no | no | nothing to do |

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::arrow::ArrowWriter;
use weir_spec::connector::{Compression, FileSink, Format};

use super::{encode::compress, hashing::HashingFile, partition::Partitioner};
use crate::{
    base_dir::BaseDir,
    context::SinkContext,
    error::ConnectorError,
    format::{csv, parquet::writer_properties},
    sink::{Encoded, EncodedPayload, PreCommit, PreparedFile, SealedEpoch, SinkWriter},
};

/// Files held open at a time; beyond it the one that was written least recently is closed.
const MAX_OPEN: usize = 64;

/// Writes the files of one sink.
pub struct FileWriter {
    pub(super) root: PathBuf,
    base_dir: BaseDir,
    prefix: String,
    format: Format,
    compression: Compression,
    max_bytes: u64,
    schema: SchemaRef,
    open: HashMap<String, OpenFile>,
    /// Closed and durable before their epoch ended.
    closed: Vec<ClosedFile>,
    /// Tells this writer's files from those of a dead one, which may still lie about when a rename is repeated.
    writer: u64,
    sequence: u64,
    clock: u64,
    rows: u64,
}

struct OpenFile {
    output: Output,
    /// Relative to the root.
    name: String,
    rows: u64,
    bytes: u64,
    used_at: u64,
}

enum Output {
    Text(BufWriter<HashingFile>),
    Parquet(Box<ArrowWriter<HashingFile>>),
}

struct ClosedFile {
    folder: String,
    name: String,
    rows: u64,
    bytes: u64,
    sha256: String,
}

impl FileWriter {
    /// A writer for a sink whose input has this schema. Makes the folder if need be.
    pub fn new(config: &FileSink, format: Format, schema: SchemaRef, context: &SinkContext) -> Result<Self, ConnectorError> {
        if format == Format::Parquet && config.compression != Compression::None {
            return Err(ConnectorError::Config("`compression` is for json and csv; Parquet compresses by itself".into()));
        }
        if context.run_tag.is_empty() || context.run_tag.contains(['/', '\\', '\0']) {
            return Err(ConnectorError::Internal("a sink's run tag must be a part of a file name".into()));
        }
        let root = context.base_dir.join(&config.path);
        context.base_dir.admit(&root)?;
        if root.exists() && !root.is_dir() {
            return Err(ConnectorError::Config(format!(
                "{} is a file; a file sink writes a folder of files, so give it a folder's path",
                root.display()
            )));
        }
        make_folders(&root)?;
        Ok(Self {
            prefix: format!(".part-{}-", context.run_tag),
            root,
            base_dir: context.base_dir.clone(),
            format,
            compression: config.compression,
            max_bytes: config.max_file_mib.max(1) << 20,
            schema: Partitioner::new(config, &schema)?.file_schema(&schema)?,
            open: HashMap::new(),
            closed: Vec::new(),
            writer: rand::random(),
            sequence: 0,
            clock: 0,
            rows: 0,
        })
    }

    fn create(&mut self, folder: &str) -> Result<OpenFile, ConnectorError> {
        let place = self.root.join(folder);
        self.base_dir.admit(&place)?;
        make_folders(&place)?;
        let name = self.new_temporary(folder);
        let path = self.root.join(&name);
        let failed = |error| ConnectorError::io(&path, error);
        let file = HashingFile::new(File::create_new(&path).map_err(failed)?);
        let mut bytes = 0;
        let output = match self.format {
            Format::Parquet => Output::Parquet(Box::new(
                ArrowWriter::try_new(file, self.schema.clone(), Some(writer_properties()))
                    .map_err(|e| parquet_failed(&path, e))?,
            )),
            Format::Json => Output::Text(BufWriter::with_capacity(1 << 17, file)),
            Format::Csv => {
                let mut header = Vec::new();
                csv::write_header(&mut header, &self.schema);
                let header = compress(self.compression, header)?;
                let mut output = BufWriter::with_capacity(1 << 17, file);
                output.write_all(&header).map_err(failed)?;
                bytes = header.len() as u64;
                Output::Text(output)
            }
        };
        Ok(OpenFile { output, name, rows: 0, bytes, used_at: 0 })
    }

    pub(super) fn new_temporary(&mut self, folder: &str) -> String {
        self.sequence += 1;
        join(folder, &format!("{}{:016x}-{:08}", self.prefix, self.writer, self.sequence - 1))
    }

    fn close(&mut self, folder: &str) -> Result<(), ConnectorError> {
        if let Some(open) = self.open.remove(folder) {
            self.closed.push(open.close(&self.root, folder)?);
        }
        Ok(())
    }

    /// Closes the file that was written least recently, if there are too many.
    fn make_room(&mut self) -> Result<(), ConnectorError> {
        if self.open.len() < MAX_OPEN {
            return Ok(());
        }
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used_at).map(|(folder, _)| folder.clone());
        oldest.map_or(Ok(()), |folder| self.close(&folder))
    }

    fn append(&mut self, folder: &str, rows: u64, payload: EncodedPayload) -> Result<(), ConnectorError> {
        let mut open = match self.open.remove(folder) {
            Some(open) => open,
            None => {
                self.make_room()?;
                self.create(folder)?
            }
        };
        self.clock += 1;
        open.used_at = self.clock;
        open.rows += rows;
        let path = self.root.join(&open.name);
        match (&mut open.output, payload) {
            (Output::Text(output), EncodedPayload::Bytes(bytes)) => {
                output.write_all(&bytes).map_err(|error| ConnectorError::io(&path, error))?;
                open.bytes += bytes.len() as u64;
            }
            (Output::Parquet(writer), EncodedPayload::Rows(rows)) => {
                write_parquet(writer, &rows).map_err(|error| parquet_failed(&path, error))?;
                open.bytes = (writer.bytes_written() + writer.in_progress_size()) as u64;
            }
            _ => {
                return Err(ConnectorError::Internal("a part that was encoded for another format".into()));
            }
        }
        let full = open.bytes >= self.max_bytes;
        self.open.insert(folder.to_owned(), open);
        if full { self.close(folder) } else { Ok(()) }
    }

    /// Removes this sink's temporary files, except those that `kept` promises.
    fn remove_dead(&self, folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), ConnectorError> {
        let failed = |error| ConnectorError::io(folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().map_err(failed)?.is_dir() {
                if !name.starts_with(['.', '_']) {
                    self.remove_dead(&path, kept)?;
                }
            } else if self.is_own_temporary(&name) && !kept.contains(&path) {
                fs::remove_file(&path).map_err(|error| ConnectorError::io(&path, error))?;
            }
        }
        Ok(())
    }

    /// The whole of the name counts, so that the tag `a` does not own the files of the tag `a-b`.
    pub(super) fn is_own_temporary(&self, name: &str) -> bool {
        let Some((writer, number)) = name.strip_prefix(&self.prefix).and_then(|rest| rest.split_once('-')) else { return false };
        let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex(writer, 16) && hex(number, 8)
    }
}

impl SinkWriter for FileWriter {
    fn write(&mut self, rows: Encoded) -> Result<(), ConnectorError> {
        for part in rows.parts {
            self.rows += part.rows;
            self.append(&part.path, part.rows, part.payload).map_err(|error| without_values(&self.root, error))?;
        }
        Ok(())
    }

    fn seal(&mut self, epoch: u64) -> Result<Box<dyn SealedEpoch>, ConnectorError> {
        let mut open: Vec<(String, OpenFile)> = self.open.drain().collect();
        open.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Box::new(SealedFiles {
            root: self.root.clone(),
            ending: ending(self.format, self.compression),
            epoch,
            rows: std::mem::take(&mut self.rows),
            closed: std::mem::take(&mut self.closed),
            open,
        }))
    }

    fn recover(&mut self, last: Option<&PreCommit>) -> Result<(), ConnectorError> {
        if let Some(last) = last {
            // A file that is there under neither name had its own and was taken away since, by whoever consumes the folder.
            let exists = |name: &String| self.root.join(name).exists();
            let files = last.files.iter().filter(|file| exists(&file.temporary) || exists(&file.path)).cloned().collect();
            commit(&self.root, &PreCommit { files, ..last.clone() }).map_err(|error| without_values(&self.root, error))?;
        }
        self.remove_dead(&self.root, &BTreeSet::new()).map_err(|error| without_values(&self.root, error))
    }

    fn can_take_back(&self, commit: &PreCommit) -> Result<(), ConnectorError> {
        self.check_take_back(commit).map_err(|error| without_values(&self.root, error))
    }

    fn take_back(&mut self, commit: &PreCommit) -> Result<(), ConnectorError> {
        self.hide(commit).map_err(|error| without_values(&self.root, error))
    }
}

/// The files of one epoch.
struct SealedFiles {
    root: PathBuf,
    ending: &'static str,
    epoch: u64,
    rows: u64,
    closed: Vec<ClosedFile>,
    open: Vec<(String, OpenFile)>,
}

impl SealedEpoch for SealedFiles {
    fn pre_commit(&mut self) -> Result<PreCommit, ConnectorError> {
        self.finish().map_err(|error| without_values(&self.root, error))
    }

    fn commit(&mut self, pre_commit: &PreCommit) -> Result<(), ConnectorError> {
        commit(&self.root, pre_commit).map_err(|error| without_values(&self.root, error))
    }
}

impl SealedFiles {
    /// Closes all files and finds names for them.
    fn finish(&mut self) -> Result<PreCommit, ConnectorError> {
        let mut closed = std::mem::take(&mut self.closed);
        for (folder, file) in self.open.drain(..) {
            closed.push(file.close(&self.root, &folder)?);
        }
        let bytes = closed.iter().map(|file| file.bytes).sum();
        let mut files = Vec::with_capacity(closed.len());
        let mut number = 0;
        for file in closed {
            let target = loop {
                let target = join(&file.folder, &format!("part-{:08}-{number:04}.{}", self.epoch, self.ending));
                number += 1;
                if !self.root.join(&target).exists() {
                    break target;
                }
            };
            files.push(PreparedFile {
                temporary: file.name,
                path: target,
                rows: file.rows,
                bytes: file.bytes,
                sha256: file.sha256,
            });
        }
        sync_folders(&self.root, files.iter().map(|file| &file.temporary))?;
        Ok(PreCommit { epoch: self.epoch, rows: self.rows, bytes, files })
    }
}

impl OpenFile {
    /// Makes the file durable.
    fn close(self, root: &Path, folder: &str) -> Result<ClosedFile, ConnectorError> {
        let path = root.join(&self.name);
        let failed = |error: io::Error| ConnectorError::io(&path, error);
        let file = match self.output {
            Output::Text(output) => output.into_inner().map_err(|error| failed(error.into_error()))?,
            Output::Parquet(writer) => writer.into_inner().map_err(|error| parquet_failed(&path, error))?,
        };
        let (bytes, sha256) = file.finish().map_err(failed)?;
        Ok(ClosedFile { folder: folder.to_owned(), name: self.name, rows: self.rows, bytes, sha256 })
    }
}

/// A path below a sink's folder without the values that its partitions are named after: errors and evidence must not hold them.
pub(super) fn shown(root: &Path, path: &Path) -> PathBuf {
    let Ok(below) = path.strip_prefix(root) else { return path.to_owned() };
    if below.parent().is_none_or(|parent| parent.as_os_str().is_empty()) && !below.to_string_lossy().contains('=') {
        return path.to_owned();
    }
    let hidden = root.join("…");
    match below.file_name().filter(|name| !name.to_string_lossy().contains('=')) {
        Some(name) => hidden.join(name),
        None => hidden,
    }
}

fn without_values(root: &Path, error: ConnectorError) -> ConnectorError {
    match error {
        ConnectorError::Io { path, error } => ConnectorError::Io { path: shown(root, &path), error },
        ConnectorError::Outside { path, leads_to } => ConnectorError::Outside { path: shown(root, &path), leads_to },
        other => other,
    }
}

/// Gives the files of a pre-commit their names.
pub(super) fn commit(root: &Path, pre_commit: &PreCommit) -> Result<(), ConnectorError> {
    for file in &pre_commit.files {
        let (from, to) = (root.join(&file.temporary), root.join(&file.path));
        match (from.exists(), to.exists()) {
            (true, false) => fs::rename(&from, &to).map_err(|error| ConnectorError::io(&to, error))?,
            (false, true) => {}
            (true, true) => {
                return Err(ConnectorError::Config(format!(
                    "{}: a file of that name appeared while the sink was writing; move it away, and give every sink its own folder",
                    shown(root, &to).display()
                )));
            }
            (false, false) => {
                return Err(ConnectorError::Resume(format!(
                    "{}: the checkpoint promises this file, but its temporary {} is gone; somebody removed it while the sink was writing",
                    shown(root, &to).display(),
                    shown(root, &from).display()
                )));
            }
        }
    }
    sync_folders(root, pre_commit.files.iter().map(|file| &file.path))
}

pub(super) fn sync_folders(root: &Path, names: impl Iterator<Item = impl AsRef<str>>) -> Result<(), ConnectorError> {
    let folders: BTreeSet<PathBuf> = names.filter_map(|name| root.join(name.as_ref()).parent().map(Path::to_owned)).collect();
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

fn ending(format: Format, compression: Compression) -> &'static str {
    match (format, compression) {
        (Format::Parquet, _) => "parquet",
        (Format::Json, Compression::None) => "json",
        (Format::Json, Compression::Gzip) => "json.gz",
        (Format::Json, Compression::Zstd) => "json.zst",
        (Format::Csv, Compression::None) => "csv",
        (Format::Csv, Compression::Gzip) => "csv.gz",
        (Format::Csv, Compression::Zstd) => "csv.zst",
    }
}

/// Nested names use `/`.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn write_parquet(writer: &mut ArrowWriter<HashingFile>, rows: &RecordBatch) -> Result<(), parquet::errors::ParquetError> {
    writer.write(rows)
}

fn parquet_failed(path: &Path, error: parquet::errors::ParquetError) -> ConnectorError {
    match error {
        parquet::errors::ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => ConnectorError::io(path, *error),
            Err(other) => ConnectorError::Internal(format!("{}: {other}", path.display())),
        },
        other => ConnectorError::Internal(format!("{}: {other}", path.display())),
    }
}

/// Makes a folder and those above it, each durable in the one above.
pub(crate) fn make_folders(folder: &Path) -> Result<(), ConnectorError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => folder.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(ConnectorError::io(folder, error)),
    }
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), ConnectorError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(|error| ConnectorError::io(folder, error))
}
