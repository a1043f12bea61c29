//! Generated rows as a file, with lines that are broken as files are broken. For benchmarks and tests.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use arrow::{array::RecordBatch, datatypes::Schema};
use weir_spec::connector::{GeneratorKind, GeneratorSource};

use super::{
    Rows, Settings,
    random::{Random, Share},
    start_of,
};
use crate::{error::ConnectorError, format::json::encode::write_rows};

const BATCH: u64 = 8192;

/// What [`write_ndjson`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Lines in all, malformed ones included.
    pub rows: u64,
    pub malformed: u64,
    pub bytes: u64,
}

/// Writes the rows of a bounded generator as NDJSON, one line a row; `malformed_share` of the lines are broken. Payments leave out
/// `name`, which makes 11 fields.
pub fn write_ndjson(path: &Path, config: &GeneratorSource, malformed_share: f64) -> Result<Written, ConnectorError> {
    let Some(total) = config.rows else {
        return Err(ConnectorError::Config("a generator that writes a file needs `rows`".into()));
    };
    let failed = |error| ConnectorError::io(path, error);
    let mut rows = Rows::new(config.kind, Settings::new(config, start_of(config)?)?)?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    let share = Share::new(malformed_share);
    let mut written = Written::default();
    let (mut text, mut out) = (Vec::new(), Vec::new());
    for from in (0..total).step_by(BATCH as usize) {
        let batch = rows.make(from, BATCH.min(total - from) as usize)?;
        text.clear();
        write_rows(&mut text, &without_name(config.kind, batch)?)?;
        if malformed_share > 0.0 {
            out.clear();
            for (line, row) in text.split_inclusive(|&b| b == b'\n').zip(from..) {
                let mut random = Random::of(config.seed, 0xbad, row);
                if random.chance(share) {
                    write_broken(&mut out, line.strip_suffix(b"\n").unwrap_or(line), random.below(6));
                    written.malformed += 1;
                } else {
                    out.extend_from_slice(line);
                }
            }
            std::mem::swap(&mut text, &mut out);
        }
        file.write_all(&text).map_err(failed)?;
        written.bytes += text.len() as u64;
    }
    file.flush().map_err(failed)?;
    written.rows = total;
    Ok(written)
}

fn without_name(kind: GeneratorKind, batch: RecordBatch) -> Result<RecordBatch, ConnectorError> {
    if kind != GeneratorKind::Payments {
        return Ok(batch);
    }
    let schema: &Schema = batch.schema_ref();
    let kept: Vec<usize> = (0..schema.fields().len()).filter(|&i| schema.field(i).name() != "name").collect();
    batch.project(&kept).map_err(|error| ConnectorError::Internal(error.to_string()))
}

/// One line that is malformed under the contract of every kind.
fn write_broken(out: &mut Vec<u8>, line: &[u8], how: u64) {
    match how {
        // Cut off, as by a full disk.
        0 => out.extend_from_slice(&line[..line.len() / 2]),
        // Not UTF-8 in the first value: every first column is text.
        1 => {
            let value = line.iter().position(|&b| b == b':').map_or(0, |colon| colon + 2);
            out.extend_from_slice(&line[..value]);
            out.push(0xff);
            out.extend_from_slice(&line[value..]);
        }
        // The first key twice.
        2 => {
            let member = line.iter().position(|&b| b == b',').unwrap_or(line.len());
            out.extend_from_slice(&line[..member]);
            out.push(b',');
            out.extend_from_slice(&line[1..]);
        }
        // A number where the first column is text.
        3 => {
            let value = line.iter().position(|&b| b == b':').map_or(0, |colon| colon + 1);
            let end = line.iter().position(|&b| b == b',').unwrap_or(line.len());
            out.extend_from_slice(&line[..value]);
            out.extend_from_slice(b"17");
            out.extend_from_slice(&line[end..]);
        }
        // Two lines in one, as by a lost line end.
        4 => {
            out.extend_from_slice(line);
            out.extend_from_slice(line);
        }
        _ => out.extend_from_slice(b"Traceback (most recent call last):"),
    }
    out.push(b'\n');
}
