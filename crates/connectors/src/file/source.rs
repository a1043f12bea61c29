//! The file source: one partition a file, in the order of their names.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use weir_spec::{
    Column,
    connector::{FileSource, Format},
};

use super::{
    input::{check_fingerprint, compression_of, fingerprint},
    list::{InputFile, list},
    parquet_input::ParquetInput,
    text_input::{Framing, TextInput},
};
use crate::{
    base_dir::BaseDir,
    error::ConnectorError,
    format::csv::delimiter_byte,
    source::{Chunk, PartitionPosition, Payload, Read, ReadLimit, SourceReader},
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
                if let Some(expected) = &position.fingerprint {
                    check_fingerprint(&self.files[index].path, expected)?;
                }
                self.positions[index] = Some(position.clone());
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

    fn open_current(&mut self) -> Result<(), ConnectorError> {
        let file = &self.files[self.current];
        // Again: it may have been a long time since it was listed.
        self.base_dir.admit(&file.path)?;
        let position = self.positions[self.current].as_ref();
        let from = position.map(|p| p.offset);
        let fingerprint = match position.and_then(|p| p.fingerprint.clone()) {
            Some(known) => known,
            None => fingerprint(&file.path)?,
        };
        let (open, offset) = if self.format == Format::Parquet {
            let input = ParquetInput::open(&file.path, self.schema.clone(), &self.required, from.map_or(0, |o| o.row))?;
            let offset = input.position();
            (Open::Parquet(Box::new(input)), offset)
        } else {
            let compression = compression_of(&file.path, self.config.compression);
            let input = TextInput::open(&file.path, compression, self.framing, self.config.max_line, from)?;
            if let Some(header) = &input.header {
                self.check_header(file, header)?;
            }
            let offset = input.position();
            (Open::Text(Box::new(input)), offset)
        };
        self.positions[self.current] = Some(PartitionPosition {
            partition: file.name.clone(),
            offset,
            done: false,
            fingerprint: Some(fingerprint),
            state: None,
        });
        self.open = Some(open);
        Ok(())
    }

    /// Names what is wrong, but never what the header says: without a header, the first line is data.
    fn check_header(&self, file: &InputFile, header: &Arc<[String]>) -> Result<(), ConnectorError> {
        let times = |name: &str| header.iter().filter(|h| *h == name).count();
        if let Some(missing) = self.required.iter().find(|name| times(name) == 0) {
            return Err(ConnectorError::Config(format!(
                "{}: its header has no column `{missing}`, which is required; correct the header, or set `header: false` if the file has none",
                file.path.display()
            )));
        }
        if let Some(twice) = self.schema.fields().iter().find(|field| times(field.name()) > 1) {
            return Err(ConnectorError::Config(format!(
                "{}: its header names column `{}` more than once",
                file.path.display(),
                twice.name()
            )));
        }
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
            None => None,
        })
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
                None => true,
            };
            let position = self.positions[self.current].as_mut();
            match (chunk, position) {
                (Some(chunk), Some(position)) => {
                    position.offset = chunk.end;
                    position.done = exhausted;
                    return Ok(Read::Chunk(chunk));
                }
                (_, position) => {
                    if let Some(position) = position {
                        position.done = true;
                    }
                    self.open = None;
                    self.current += 1;
                }
            }
        }
    }

    fn positions(&self) -> Vec<PartitionPosition> {
        self.positions.iter().flatten().cloned().collect()
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
            Some(position) if compression_of(&file.path, self.config.compression) == weir_spec::connector::Compression::None => {
                file.bytes.saturating_sub(position.offset.byte)
            }
            _ => file.bytes,
        });
        Some(waiting.sum())
    }
}
