//! Hive-style partitions: which folder each row belongs to.
//!
//! `partition_by` columns become folders `column=value/` and are left out of the files, as Hive, Spark and their readers have
//! it. A time partition (`dt=2026-01-31/`, with `hour=13/` below it by the hour; `month=2026-01/`; `year=2026/`, all in UTC)
//! is derived, so its column stays. A null or empty value is `__HIVE_DEFAULT_PARTITION__`; characters that Hive escapes in
//! paths are written `%XX`.

use ahash::AHashMap;
use arrow::array::AsArray;
use arrow::{
    array::{Array, ArrayRef, RecordBatch, UInt32Array},
    compute::{cast, take_record_batch},
    datatypes::{DataType, Schema, SchemaRef, TimeUnit as ArrowUnit, TimestampMicrosecondType},
};
use weir_spec::connector::{FileSink, TimeUnit};

use crate::{
    error::ConnectorError,
    format::{
        json::encode::{PlainColumn, writable_columns},
        time::civil_from_days,
    },
};

const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";
/// The longest name that file systems take, in bytes.
const LONGEST_NAME: usize = 255;

pub(super) struct Partitioner {
    by: Vec<(usize, String)>,
    time: Option<(usize, TimeUnit)>,
    /// Columns that are written to the files.
    kept: Vec<usize>,
}

impl Partitioner {
    /// Checks the configuration against the schema of the rows.
    pub fn new(config: &FileSink, schema: &Schema) -> Result<Self, ConnectorError> {
        let find = |name: &str| {
            schema
                .index_of(name)
                .map_err(|_| ConnectorError::Config(format!("the sink partitions by `{name}`, a column its input does not have")))
        };
        let mut by = Vec::new();
        for name in &config.partition_by {
            let index = find(name)?;
            if schema.field(index).data_type().is_nested() || matches!(schema.field(index).data_type(), DataType::Binary) {
                return Err(ConnectorError::Config(format!(
                    "`{name}` cannot name folders: its type is {}",
                    schema.field(index).data_type()
                )));
            }
            by.push((index, escape(name)));
        }
        let time = match &config.partition_time {
            None => None,
            Some(time) => {
                let index = find(&time.column)?;
                if !matches!(schema.field(index).data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
                    return Err(ConnectorError::Config(format!(
                        "partition_time needs a timestamp or a date, and `{}` is {}",
                        time.column,
                        schema.field(index).data_type()
                    )));
                }
                Some((index, time.by))
            }
        };
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|i| !by.iter().any(|(index, _)| index == i)).collect();
        if kept.is_empty() {
            return Err(ConnectorError::Config("the sink partitions by every column, which leaves none for its files".into()));
        }
        let derived: &[&str] = match time {
            None => &[],
            Some((_, TimeUnit::Hour)) => &["dt", "hour"],
            Some((_, TimeUnit::Day)) => &["dt"],
            Some((_, TimeUnit::Month)) => &["month"],
            Some((_, TimeUnit::Year)) => &["year"],
        };
        if let Some(clash) = derived.iter().find(|name| schema.index_of(name).is_ok()) {
            return Err(ConnectorError::Config(format!(
                "partition_time makes folders `{clash}=...`, but there is a column `{clash}` already; rename it"
            )));
        }
        Ok(Self { by, time, kept })
    }

    /// The schema of the files.
    pub fn file_schema(&self, schema: &Schema) -> Result<SchemaRef, ConnectorError> {
        let kept = schema.project(&self.kept).map_err(|error| ConnectorError::Internal(error.to_string()))?;
        Ok(kept.into())
    }

    /// The rows of each folder, in order; folders in the order of their first row.
    pub fn split(&self, rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>, ConnectorError> {
        let failed =
            |error: arrow::error::ArrowError| ConnectorError::Internal(format!("rows could not be partitioned: {error}"));
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let data = rows.project(&self.kept).map_err(failed)?;
        if self.by.is_empty() && self.time.is_none() {
            return Ok(vec![(String::new(), data)]);
        }
        let writable = writable_columns(&rows.project(&self.by.iter().map(|(i, _)| *i).collect::<Vec<_>>()).map_err(failed)?)?;
        let values: Vec<PlainColumn<'_>> = writable.iter().map(|array| PlainColumn::new(array.as_ref())).collect();
        let times = match self.time {
            Some((index, _)) => {
                Some(cast(rows.column(index), &DataType::Timestamp(ArrowUnit::Microsecond, None)).map_err(failed)?)
            }
            None => None,
        };
        let mut folders: AHashMap<String, usize> = AHashMap::new();
        let mut members: Vec<(String, Vec<u32>)> = Vec::new();
        let (mut path, mut text) = (String::new(), Vec::new());
        for row in 0..rows.num_rows() {
            path.clear();
            for ((_, name), value) in self.by.iter().zip(&values) {
                text.clear();
                let present = value.write(&mut text, row) && !text.is_empty();
                let before = path.len();
                push_folder(&mut path, name, if present { &text } else { NO_VALUE.as_bytes() });
                let length = path.len() - before - usize::from(before > 0);
                if length > LONGEST_NAME {
                    // The value itself is nobody's business in an error.
                    return Err(ConnectorError::Config(format!(
                        "a value of `{name}` makes a folder's name of {length} bytes, and file systems take {LONGEST_NAME}; partition by \
                         a shorter column, or shorten it in a `sql` step"
                    )));
                }
            }
            if let (Some((_, unit)), Some(times)) = (self.time, &times) {
                push_time(&mut path, unit, times, row);
            }
            let folder = match folders.get(&path) {
                Some(&folder) => folder,
                None => {
                    folders.insert(path.clone(), members.len());
                    members.push((path.clone(), Vec::new()));
                    members.len() - 1
                }
            };
            members[folder].1.push(row as u32);
        }
        if let [(path, _)] = members.as_mut_slice() {
            return Ok(vec![(std::mem::take(path), data)]);
        }
        members
            .into_iter()
            .map(|(path, rows)| Ok((path, take_record_batch(&data, &UInt32Array::from(rows)).map_err(failed)?)))
            .collect()
    }
}

fn push_folder(path: &mut String, name: &str, value: &[u8]) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
    path.push('=');
    path.push_str(&escape(&String::from_utf8_lossy(value)));
}

fn push_time(path: &mut String, unit: TimeUnit, times: &ArrayRef, row: usize) {
    let first = match unit {
        TimeUnit::Hour | TimeUnit::Day => "dt",
        TimeUnit::Month => "month",
        TimeUnit::Year => "year",
    };
    if times.is_null(row) {
        push_folder(path, first, NO_VALUE.as_bytes());
        if unit == TimeUnit::Hour {
            push_folder(path, "hour", NO_VALUE.as_bytes());
        }
        return;
    }
    let seconds = times.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1_000_000);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let value = match unit {
        TimeUnit::Hour | TimeUnit::Day => format!("{year:04}-{month:02}-{day:02}"),
        TimeUnit::Month => format!("{year:04}-{month:02}"),
        TimeUnit::Year => format!("{year:04}"),
    };
    push_folder(path, first, value.as_bytes());
    if unit == TimeUnit::Hour {
        push_folder(path, "hour", format!("{:02}", seconds.rem_euclid(86_400) / 3600).as_bytes());
    }
}

/// Escapes as Hive's `FileUtils.escapePathName` does.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0'..='\x1f' | '\x7f' | '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^' => {
                out.push_str(&format!("%{:02X}", c as u32));
            }
            _ => out.push(c),
        }
    }
    out
}
