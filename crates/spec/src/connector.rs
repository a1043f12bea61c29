//! The configuration of each connector and format, as documents write it. The code that acts on it lives in
//! `weir-connectors`, one folder a connector; the JSON Schema of these types draws the console's forms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::nexmark::{NexmarkSource, NexmarkStream};
use crate::{
    pipeline::{Delivery, SinkMode},
    types::Timespan,
};

/// Where a source reads from: exactly one connector key.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConnector {
    File(FileSource),
    Generator(GeneratorSource),
    Http(HttpSource),
    Nexmark(NexmarkSource),
}

impl SourceConnector {
    /// The connector's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Generator(_) => "generator",
            Self::Http(_) => "http",
            Self::Nexmark(_) => "nexmark",
        }
    }
}

/// `file:` as a source. Each matching file is one partition; files are read in the order of their names.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSource {
    /// A file, a folder or a glob, relative to the document.
    pub path: String,
    /// How the files are compressed; by default told by the ending (`.gz`, `.zst`).
    pub compression: Option<Compression>,
    /// The longest line accepted, in bytes. Longer ones are malformed. Default 1 MiB.
    pub max_line: usize,
    /// CSV only: field separator, default `,`.
    pub delimiter: char,
    /// CSV only: the first line names the columns, default true.
    pub header: bool,
    /// CSV only: an empty unquoted field, or this text, is null. Default empty.
    pub null: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// `generator:`: seeded, realistic rows for demos, tests and benchmarks.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorSource {
    pub kind: GeneratorKind,
    /// The same seed gives the same rows. Default 1.
    pub seed: u64,
    /// Rows a second; without it, as fast as the pipeline takes them.
    pub rate: Option<u64>,
    /// Rows in all; without it, the source never ends.
    pub rows: Option<u64>,
    /// Distinct people, machines or visitors. Default 10,000.
    pub subjects: u64,
    /// Share of rows that break the contract or a usual rule, 0 to 1. Default 0.
    pub faults: f64,
    /// Share of rows that arrive after later ones, 0 to 1. Default 0.
    pub late: f64,
    /// Share of rows that belong to a fraud or failure pattern, 0 to 1. Default 0.001.
    pub anomalies: f64,
    /// The event time of the first row, RFC 3339. Default: 2026-01-01T00:00:00Z when `rate` is absent, now otherwise.
    pub start: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GeneratorKind {
    /// Card payments with card number, e-mail, name and birth date of the payer.
    Payments,
    /// Machine sensors: temperature, vibration, pressure; machines wear and fail.
    Sensors,
    /// Shop clicks: sessions of views, carts and orders with visitor, address and free text.
    Clicks,
}

/// `http:`: rows posted to `/api/v1/projects/{project}/ingest/{pipeline}/{source}`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSource {
    /// Rows accepted but not yet processed, in MiB, before callers are told to wait (429). Default 256.
    pub max_backlog_mib: u64,
}

/// Where a sink writes to: exactly one connector key.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkConnector {
    File(FileSink),
    Sqlite(SqliteSink),
    Stdout(StdoutSink),
}

impl SinkConnector {
    /// The connector's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Sqlite(_) => "sqlite",
            Self::Stdout(_) => "stdout",
        }
    }

    /// The best delivery that the connector can promise: what a sink has that names none.
    pub fn default_delivery(&self) -> Delivery {
        match self {
            Self::File(_) | Self::Sqlite(_) => Delivery::ExactlyOnce,
            Self::Stdout(_) => Delivery::AtLeastOnce,
        }
    }

    /// What a sink does with rows that names no mode: a table with a key is kept up to date, everything else only grows.
    pub fn default_mode(&self) -> SinkMode {
        match self {
            Self::Sqlite(table) if !table.key.is_empty() => SinkMode::Upsert,
            _ => SinkMode::Append,
        }
    }

    /// Whether rows become bytes in a format that the document chooses.
    pub fn has_format(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
    }
}

/// `file:` as a sink: a folder of files, each committed whole with a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSink {
    /// The folder, relative to the document.
    pub path: String,
    /// JSON and CSV only. Default none.
    pub compression: Compression,
    /// Hive-style folders by the values of these columns: `country=NL/`.
    pub partition_by: Vec<String>,
    /// Hive-style folders by time: `dt=2026-01-31/`, `hour=13/`.
    pub partition_time: Option<PartitionTime>,
    /// A file is closed at a checkpoint, or earlier when it reaches this size in MiB. Default 256.
    pub max_file_mib: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionTime {
    /// A timestamp or date column.
    pub column: String,
    pub by: TimeUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    Hour,
    Day,
    Month,
    Year,
}

/// `sqlite:` as a sink: a table of a SQLite database, which takes the rows of a checkpoint in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct SqliteSink {
    /// The database, a file relative to the document. Made if it is not there.
    pub path: String,
    /// Made if it is not there.
    pub table: String,
    /// The columns that tell the table's rows apart: a row replaces the one with its key. Empty where rows are only added.
    pub key: Vec<String>,
}

/// `sqlite:` as reference data: the rows of a table or view.
#[derive(Clone, Debug, PartialEq)]
pub struct SqliteTable {
    /// The database, a file relative to the document.
    pub path: String,
    pub table: String,
}

/// Where reference data is: exactly one connector key.
#[derive(Clone, Debug, PartialEq)]
pub enum TableConnector {
    File(FileSource),
    Sqlite(SqliteTable),
}

impl TableConnector {
    /// The connector's key in a document.
    pub fn key(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// The file, folder, glob or database, relative to the document.
    pub fn path(&self) -> &str {
        match self {
            Self::File(file) => &file.path,
            Self::Sqlite(table) => &table.path,
        }
    }
}

/// `stdout:`: rows as text on standard output. At least once: what was printed cannot be taken back.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StdoutSink {}

/// How rows are written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object a line.
    Json,
    Csv,
    Parquet,
}

impl Format {
    /// The name used in documents, also the ending of files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// The event time of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTime {
    /// A timestamp column.
    pub column: String,
    /// How far rows may lag behind the newest one of their partition. Default 0.
    pub max_delay: Timespan,
    /// A partition that is silent for this long no longer holds the watermark back.
    pub idle_after: Option<Timespan>,
    /// How far a row may run ahead of the clock and of the newest row before it. A row beyond that is quarantined, so that one
    /// wrong clock cannot make all other rows late. Default 1 h.
    pub max_ahead: Timespan,
    pub late: LatePolicy,
}

impl EventTime {
    pub const DEFAULT_MAX_AHEAD: Timespan = Timespan::from_millis(3_600_000);
}

/// What happens to rows behind the watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    #[default]
    Quarantine,
    Drop,
    Pass,
}
