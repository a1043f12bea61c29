//! Reading one Parquet file by batches, only the columns that are asked for, from any row on.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};

use super::{columns::stored_columns, known::changed};
use crate::{
    error::ConnectorError,
    source::{Malformed, MalformedReason, Offset},
};

pub(super) struct ParquetInput {
    state: State,
    next: Offset,
    /// Of the stored file, when it was opened.
    pub length: u64,
}

enum State {
    Unread { file: File, metadata: ArrowReaderMetadata, columns: Vec<usize> },
    Reading { reader: ParquetRecordBatchReader, ready: VecDeque<RecordBatch> },
    Refused(MalformedReason),
    Done,
}

type Rows = (Offset, Offset, Option<RecordBatch>, Vec<Malformed>);

impl ParquetInput {
    /// Opens a file at row `from`. A file that is no Parquet, is damaged, or has other columns than the schema asks for, is one malformed
    /// row.
    pub fn open(path: &Path, schema: SchemaRef, required: &[String], from: u64) -> Result<Self, ConnectorError> {
        let failed = |error| ConnectorError::io(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let next = Offset { byte: 0, row: from };
        let refused = |reason| Ok(Self { state: State::Refused(reason), next, length });
        if length == 0 {
            return refused(MalformedReason::EmptyFile);
        }
        let mut magic = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        if magic != MAGIC {
            return refused(MalformedReason::WrongFormat { expected: "Parquet".to_owned() });
        }
        let Some(Ok(metadata)) = contained(|| ArrowReaderMetadata::load(&file, Default::default())) else {
            return refused(damaged());
        };
        let rows = metadata.metadata().file_metadata().num_rows().max(0) as u64;
        if from > rows {
            return Err(changed(path, &format!("{from} rows were read, and it has {rows} now")));
        }
        let stored = metadata.schema().fields();
        if let Some(reason) = stored_columns(stored, &schema, required) {
            return refused(reason);
        }
        let columns = schema.fields().iter().filter_map(|field| stored.find(field.name()).map(|(i, _)| i)).collect();
        Ok(Self { state: State::Unread { file, metadata, columns }, next, length })
    }

    pub fn position(&self) -> Offset {
        self.next
    }

    /// Nothing more will come.
    pub fn is_exhausted(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub fn next_rows(&mut self, limit: usize) -> Result<Option<Rows>, ConnectorError> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Ok(None),
                State::Refused(reason) => {
                    let start = self.next;
                    self.next.row += 1;
                    let malformed = Malformed { at: start, reason, raw: Vec::new(), raw_length: 0 };
                    return Ok(Some((start, self.next, None, vec![malformed])));
                }
                State::Unread { file, metadata, columns } => {
                    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
                    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                        .with_projection(mask)
                        .with_batch_size(limit.max(1))
                        .with_offset(self.next.row as usize);
                    self.state = match contained(|| builder.build()) {
                        Some(Ok(reader)) => State::Reading { reader, ready: VecDeque::new() },
                        Some(Err(_)) | None => State::Refused(damaged()),
                    };
                }
                State::Reading { mut reader, mut ready } => {
                    if ready.is_empty() {
                        match contained(|| reader.next()) {
                            Some(None) => return Ok(None),
                            None | Some(Some(Err(_))) => {
                                self.state = State::Refused(damaged());
                                continue;
                            }
                            Some(Some(Ok(batch))) => {
                                let step = limit.max(1);
                                ready.extend(
                                    (0..batch.num_rows())
                                        .step_by(step)
                                        .map(|at| batch.slice(at, step.min(batch.num_rows() - at))),
                                );
                            }
                        }
                    }
                    let batch = ready.pop_front();
                    self.state = State::Reading { reader, ready };
                    if let Some(batch) = batch {
                        let start = self.next;
                        self.next.row += batch.num_rows() as u64;
                        return Ok(Some((start, self.next, Some(batch), Vec::new())));
                    }
                }
            }
        }
    }
}

/// What every Parquet file begins with.
const MAGIC: &[u8] = b"PAR1";

fn damaged() -> MalformedReason {
    MalformedReason::Damaged { format: "Parquet".to_owned() }
}

/// Runs a part of the Parquet library, which panics on some damaged files where it should answer with an error. What it worked on
/// is not used again after that.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
