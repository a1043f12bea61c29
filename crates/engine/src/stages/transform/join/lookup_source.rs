//! Where reference data is: files, or a table of a database. When it may have changed, and the rows it has.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parking_lot::Mutex;
use weir_connectors::{
    BaseDir, ConnectorError, Read, ReadLimit, SourceReader as _, file, row_decoder,
    sqlite::{DatabaseVersion, TableReader},
};
use weir_plan::TableNode;
use weir_spec::{
    Column,
    connector::{FileSource, Format, SourceConnector, TableConnector},
};

/// What the rows of a table are read from.
pub(super) enum LookupSource {
    Files(Files),
    Database(Mutex<TableReader>),
}

pub(super) struct Files {
    config: FileSource,
    format: Format,
    base_dir: BaseDir,
    schema: SchemaRef,
    columns: Vec<Column>,
}

/// What tells changed reference data from unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    Files(Vec<FileStamp>),
    Database(DatabaseVersion),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl LookupSource {
    pub fn new(plan: &TableNode, schema: &SchemaRef, base_dir: &BaseDir) -> Self {
        match &plan.connector {
            TableConnector::File(config) => Self::Files(Files {
                config: config.clone(),
                format: plan.format,
                base_dir: base_dir.clone(),
                schema: Arc::clone(schema),
                columns: plan.declared.clone(),
            }),
            TableConnector::Sqlite(config) => {
                Self::Database(Mutex::new(TableReader::new(config, &plan.declared, Arc::clone(schema), base_dir)))
            }
        }
    }

    /// Of what it would read now.
    pub fn stamp(&self) -> Result<Stamp, ConnectorError> {
        match self {
            Self::Files(files) => files.stamp().map(Stamp::Files),
            Self::Database(reader) => reader.lock().version().map(Stamp::Database),
        }
    }

    /// Hands all rows to `each`, in their order. Call [`Self::stamp`] before.
    pub fn read(&self, each: impl FnMut(RecordBatch) -> Result<(), ConnectorError>) -> Result<(), ConnectorError> {
        match self {
            Self::Files(files) => files.read(each),
            Self::Database(reader) => reader.lock().read(each),
        }
    }
}

impl Files {
    fn stamp(&self) -> Result<Vec<FileStamp>, ConnectorError> {
        let stamp = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).map_err(|error| ConnectorError::io(&path, error))?;
            Ok(FileStamp { bytes: metadata.len(), modified: metadata.modified().ok(), path })
        };
        file::files(&self.base_dir, &self.config.path)?.into_iter().map(stamp).collect()
    }

    fn read(&self, mut each: impl FnMut(RecordBatch) -> Result<(), ConnectorError>) -> Result<(), ConnectorError> {
        let connector = SourceConnector::File(self.config.clone());
        let options = file::FileReaderOptions {
            config: &self.config,
            format: self.format,
            schema: Arc::clone(&self.schema),
            columns: &self.columns,
            base_dir: self.base_dir.clone(),
        };
        let mut reader = file::FileReader::open(options, &[])?;
        let mut decoder = row_decoder(&connector, Some(self.format), Arc::clone(&self.schema), &self.columns)?;
        loop {
            match reader.read(ReadLimit { rows: 64 * 1024, wait: Duration::ZERO })? {
                Read::Chunk(chunk) => {
                    let decoded = decoder.decode(&chunk)?;
                    if let Some(malformed) = decoded.malformed.first() {
                        let path = self.base_dir.join(&self.config.path);
                        return Err(ConnectorError::Config(format!(
                            "reference data {}: row {} is malformed: {}",
                            path.display(),
                            malformed.at.row + 1,
                            malformed.reason
                        )));
                    }
                    each(decoded.rows)?;
                }
                Read::Idle => {}
                Read::End => return Ok(()),
            }
        }
    }
}
