//! The file source: one partition a file, in the order of their names.

use std::{fs, path::PathBuf};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use weir_spec::{
    Column,
    connector::{Compression, FileSource, Format},
};

use super::{
    columns::header_columns,
    input::compression_of,
    known::{self, Known, fingerprint},
    list::{InputFile, list},
    parquet_input::ParquetInput,
    text_input::{Framing, TextInput},
};
use crate::{
    base_dir::BaseDir,
    error::ConnectorError,
    format::csv::delimiter_byte,
    source::{Chunk, Malformed, Offset, PartitionPosition, Payload, Read, ReadLimit, SourceReader},
};

/// What a file source reads and how.
pub struct FileReaderOptions<'a> {
    pub config: &'a FileSource,
    pub format: Format,
    pub schema: SchemaRef,
    pub columns: &'a [Column],
    pub base_dir: BaseDir,
}

/// Reads the files of a source, one after the other.
pub struct FileReader {
    files: Vec<InputFile>,
    positions: Vec<Option<PartitionPosition>>,
    current: usize,
    open: Option<Open>,
    base_dir: BaseDir,
    config: FileSource,
    format: Format,
    framing: Framing,
    schema: SchemaRef,
    required: Vec<String>,
}

enum Open {
    Text(Box<TextInput>),
    Parquet(Box<ParquetInput>),
    /// One malformed row, and none behind it.
    Refused(Option<Malformed>),
}

impl FileReader {
    pub fn open(options: FileReaderOptions<'_>, resume: &[PartitionPosition]) -> Result<Self, ConnectorError> {
        let FileReaderOptions { config, format, schema, columns, base_dir } = options;
        let framing = match format {
            Format::Csv => Framing::Csv { delimiter: delimiter_byte(config.delimiter)?, header: config.header },
            Format::Json | Format::Parquet => Framing::Lines,
        };
        let files = match list(&base_dir, &config.path) {
            Ok(files) => files,
            // All of it was read and then tidied away.
            Err(_) if !resume.is_empty() && resume.iter().all(|p| p.done) => Vec::new(),
            Err(error) => return Err(error),
        };
        if files.is_empty() && resume.is_empty() {
            return Err(ConnectorError::Config(format!(
                "`{}` matches no file below {}; names that begin with `.` or `_` are passed over",
                config.path,
                base_dir.display()
            )));
        }
        let mut this = Self {
            positions: vec![None; files.len()],
            files,
            current: 0,
            open: None,
            base_dir,
            config: config.clone(),
            format,
            framing,
            schema,
            required: columns.iter().filter(|c| c.required).map(|c| c.name.clone()).collect(),
        };
        resume.iter().try_for_each(|position| this.resume(position))?;
        Ok(this)
    }

    fn resume(&mut self, position: &PartitionPosition) -> Result<(), ConnectorError> {
        match self.files.iter().position(|file| file.name == position.partition) {
            Some(index) => {
                let path = &self.files[index].path;
                let done = known::is_done(path, position, self.is_plain(&self.files[index]))?;
                self.positions[index] = Some(PartitionPosition { done, ..position.clone() });
            }
            None if position.done => {
                let path = PathBuf::from(&position.partition);
                self.files.push(InputFile { name: position.partition.clone(), path, bytes: 0 });
                self.positions.push(Some(position.clone()));
            }
            None => {
                return Err(ConnectorError::Resume(format!(
                    "`{}` was read halfway and is gone; put it back, or start the pipeline anew",
                    position.partition
                )));
            }
        }
        Ok(())
    }

    /// Whether a file is text that is stored as it is.
    fn is_plain(&self, file: &InputFile) -> bool {
        self.format != Format::Parquet && compression_of(&file.path, self.config.compression) == Compression::None
    }

    fn open_current(&mut self) -> Result<(), ConnectorError> {
        let file = &self.files[self.current];
        // Again: it may have been a long time since it was listed.
        self.base_dir.admit(&file.path)?;
        let position = self.positions[self.current].as_ref();
        let known = position.map(Known::of).transpose()?.unwrap_or_default();
        let from = position.map(|p| p.offset);
        let fingerprint = match position.and_then(|p| p.fingerprint.clone()) {
            Some(known) => known,
            None => fingerprint(&file.path)?,
        };
        let (open, offset, known) = if self.format == Format::Parquet {
            let input = ParquetInput::open(&file.path, self.schema.clone(), &self.required, from.map_or(0, |o| o.row))?;
            let known = Known { whole: Some(known::whole(&file.path, input.length)?), ..Known::default() };
            let offset = input.position();
            (Open::Parquet(Box::new(input)), offset, known)
        } else {
            let compression = compression_of(&file.path, self.config.compression);
            let from = from.map(|offset| (offset, &known));
            let mut input = TextInput::open(&file.path, compression, self.framing, self.config.max_line, from)?;
            let (offset, known) = (input.position(), input.known());
            match input.refused(|header| header_columns(header, &self.schema, &self.required)) {
                Some(malformed) => {
                    let whole =
                        known::whole(&file.path, fs::metadata(&file.path).map_err(|e| ConnectorError::io(&file.path, e))?.len())?;
                    (Open::Refused(Some(malformed)), offset, Known { whole: Some(whole), ..Known::default() })
                }
                None => (Open::Text(Box::new(input)), offset, known),
            }
        };
        self.positions[self.current] = Some(PartitionPosition {
            partition: file.name.clone(),
            offset,
            done: false,
            fingerprint: Some(fingerprint),
            state: Some(known.to_state()?),
        });
        self.open = Some(open);
        Ok(())
    }

    fn read_current(&mut self, limit: usize) -> Result<Option<Chunk>, ConnectorError> {
        let path = &self.files[self.current].path;
        let partition = self.current as u32;
        Ok(match &mut self.open {
            Some(Open::Text(input)) => input.next_piece(path, limit)?.map(|piece| Chunk {
                partition,
                start: piece.start,
                end: piece.end,
                payload: Payload::Bytes(piece.bytes),
                malformed: piece.malformed,
                header: input.header.clone(),
            }),
            Some(Open::Parquet(input)) => input.next_rows(limit)?.map(|(start, end, rows, malformed)| Chunk {
                partition,
                start,
                end,
                payload: rows.map_or(Payload::Bytes(Bytes::new()), Payload::Rows),
                malformed,
                header: None,
            }),
            Some(Open::Refused(malformed)) => malformed.take().map(|malformed| Chunk {
                partition,
                start: malformed.at,
                end: Offset { byte: malformed.at.byte + malformed.raw_length, row: malformed.at.row + 1 },
                payload: Payload::Bytes(Bytes::new()),
                malformed: vec![malformed],
                header: None,
            }),
            None => None,
        })
    }

    /// Brings the position of the file that is being read up to date.
    fn keep_position(&mut self, done: bool) -> Result<(), ConnectorError> {
        let file = &self.files[self.current];
        let (is_plain, path) = (self.is_plain(file), &file.path);
        let Some(position) = &mut self.positions[self.current] else { return Ok(()) };
        position.done = done;
        match &self.open {
            Some(Open::Text(input)) => {
                position.offset = input.position();
                let mut known = input.known();
                if done && !is_plain {
                    let stored = || fs::metadata(path).map(|metadata| metadata.len());
                    let length =
                        input.stored_length().map_or_else(stored, Ok).map_err(|error| ConnectorError::io(path, error))?;
                    known.whole = Some(known::whole(path, length)?);
                }
                position.state = Some(known.to_state()?);
            }
            Some(Open::Parquet(input)) => position.offset = input.position(),
            Some(Open::Refused(_)) | None => {}
        }
        Ok(())
    }
}

impl SourceReader for FileReader {
    fn read(&mut self, limit: ReadLimit) -> Result<Read, ConnectorError> {
        loop {
            if self.current >= self.files.len() {
                return Ok(Read::End);
            }
            if self.open.is_none() {
                if self.positions[self.current].as_ref().is_some_and(|p| p.done) {
                    self.current += 1;
                    continue;
                }
                self.open_current()?;
            }
            let chunk = self.read_current(limit.rows)?;
            let exhausted = match &self.open {
                Some(Open::Text(input)) => input.is_exhausted(),
                Some(Open::Parquet(input)) => input.is_exhausted(),
                Some(Open::Refused(_)) | None => true,
            };
            self.keep_position(exhausted || chunk.is_none())?;
            match chunk {
                Some(chunk) => {
                    if let Some(position) = &mut self.positions[self.current] {
                        position.offset = chunk.end;
                    }
                    return Ok(Read::Chunk(chunk));
                }
                None => {
                    self.open = None;
                    self.current += 1;
                }
            }
        }
    }

    fn positions(&self) -> Vec<PartitionPosition> {
        self.positions.iter().flatten().cloned().collect()
    }

    fn position(&self, partition: u32) -> Option<PartitionPosition> {
        self.positions.get(partition as usize).cloned().flatten()
    }

    fn partition_name(&self, partition: u32) -> &str {
        self.files.get(partition as usize).map_or("", |file| &file.name)
    }

    fn committed(&mut self, _positions: &[PartitionPosition]) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Bytes not read yet, as stored; a compressed file counts whole until it is done.
    fn lag(&self) -> Option<u64> {
        let waiting = self.files.iter().zip(&self.positions).skip(self.current).map(|(file, position)| match position {
            Some(position) if position.done => 0,
            Some(position) if compression_of(&file.path, self.config.compression) == Compression::None => {
                file.bytes.saturating_sub(position.offset.byte)
            }
            _ => file.bytes,
        });
        Some(waiting.sum())
    }
}
