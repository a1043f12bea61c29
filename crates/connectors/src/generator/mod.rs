//! The generator: seeded, realistic rows for demos, tests and benchmarks.
//!
//! Row `i` is a pure function of the configuration and `i`: any chunking gives the same rows, and a resumed run goes on where it
//! stopped. The people are invented; card numbers come from the card schemes' test ranges, e-mail addresses from the domains
//! reserved for examples (RFC 2606), telephone numbers from ranges kept for fiction.
//!
//! - `faults`: rows that break the contract or a usual rule: a required value missing, a negative amount, a broken e-mail
//!   address, a wrong check digit, an implausible reading.
//! - `late`: rows whose event time lies up to two minutes before their neighbours'.
//! - `anomalies`: rows of a pattern: a burst of payments on one stolen card, a machine that wears out and fails, a bot's session.
//!   Patterns come in whole bursts, so the share holds over many rows.

mod clicks;
mod ndjson;
pub mod nexmark;
mod payments;
mod people;
mod push;
mod random;
mod reader;
mod sensors;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use weir_spec::{
    Classification, Column, DataType,
    connector::{GeneratorKind, GeneratorSource},
};

pub use ndjson::write_ndjson;
pub use reader::GeneratorReader;

use crate::{
    error::ConnectorError,
    format::{columns::ColumnBuffer, time::parse_timestamp},
    schema::arrow_schema,
};

/// 2026-01-01T00:00:00Z.
const DEFAULT_START: i64 = 1_767_225_600_000_000;
/// Event time between two rows when no rate is given: 10 ms.
const DEFAULT_STEP: i64 = 10_000;
/// How far back late rows lie at most: two minutes.
const MAX_LATENESS: u64 = 120_000_000;

/// The columns of a kind: the contract that a generator brings along.
pub fn columns(kind: GeneratorKind) -> Vec<Column> {
    match kind {
        GeneratorKind::Payments => payments::columns(),
        GeneratorKind::Sensors => sensors::columns(),
        GeneratorKind::Clicks => clicks::columns(),
    }
}

/// What a row generator must know of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub seed: u64,
    pub subjects: u64,
    pub faults: random::Share,
    pub late: random::Share,
    pub anomalies: f64,
    /// Event time of row 0 and the step between rows, in microseconds.
    pub start: i64,
    pub step: i64,
}

impl Settings {
    fn new(config: &GeneratorSource, start: i64) -> Result<Self, ConnectorError> {
        for (key, share) in [("faults", config.faults), ("late", config.late), ("anomalies", config.anomalies)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(ConnectorError::Config(format!("the generator's `{key}` is a share from 0 to 1")));
            }
        }
        let step = match config.rate {
            None => DEFAULT_STEP,
            Some(0) => {
                return Err(ConnectorError::Config("the generator's `rate` must be at least 1 row a second".into()));
            }
            Some(rate) => 1_000_000 / i64::try_from(rate).unwrap_or(i64::MAX),
        };
        Ok(Self {
            seed: config.seed,
            subjects: config.subjects.max(1),
            faults: random::Share::new(config.faults),
            late: random::Share::new(config.late),
            anomalies: config.anomalies,
            start,
            step,
        })
    }

    /// The event time of a row, before `random` may make it late.
    fn event_time(&self, row: u64, random: &mut random::Random) -> i64 {
        let on_time = self.start.saturating_add((row as i64).saturating_mul(self.step));
        if random.chance(self.late) { on_time - 1_000_000 - random.below(MAX_LATENESS) as i64 } else { on_time }
    }
}

/// The event time of row 0: as configured, else 2026-01-01 for unpaced and the current time for paced generators.
fn start_of(config: &GeneratorSource) -> Result<i64, ConnectorError> {
    match (&config.start, config.rate) {
        (Some(text), _) => parse_timestamp(text.as_bytes()).ok_or_else(|| {
            ConnectorError::Config(format!("the generator's `start: {text}` is not a time; write it as 2026-01-31T00:00:00Z"))
        }),
        (None, None) => Ok(DEFAULT_START),
        (None, Some(_)) => Ok(chrono::Utc::now().timestamp_micros()),
    }
}

/// Makes rows of one kind.
pub(crate) struct Rows {
    kind: GeneratorKind,
    settings: Settings,
    schema: SchemaRef,
    buffers: Vec<ColumnBuffer>,
}

impl Rows {
    pub fn new(kind: GeneratorKind, settings: Settings) -> Result<Self, ConnectorError> {
        let schema = arrow_schema(&columns(kind));
        let buffers = schema
            .fields()
            .iter()
            .map(|field| ColumnBuffer::new(field.data_type()))
            .collect::<Result<_, _>>()
            .map_err(|error| ConnectorError::Internal(error.to_string()))?;
        Ok(Self { kind, settings, schema, buffers })
    }

    /// The rows `from..from + count`.
    pub fn make(&mut self, from: u64, count: usize) -> Result<RecordBatch, ConnectorError> {
        let failed =
            |error: arrow::error::ArrowError| ConnectorError::Internal(format!("generated rows do not form a batch: {error}"));
        for row in from..from + count as u64 {
            match self.kind {
                GeneratorKind::Payments => payments::push(&self.settings, row, &mut self.buffers),
                GeneratorKind::Sensors => sensors::push(&self.settings, row, &mut self.buffers),
                GeneratorKind::Clicks => clicks::push(&self.settings, row, &mut self.buffers),
            }
        }
        let arrays = self.buffers.iter_mut().map(ColumnBuffer::finish).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        RecordBatch::try_new(self.schema.clone(), arrays).map_err(failed)
    }
}

/// A column of a generator's contract.
fn column(
    name: &str,
    data_type: DataType,
    required: bool,
    classification: Classification,
    categories: &[&str],
    about: &str,
) -> Column {
    Column {
        required,
        classification,
        categories: categories.iter().map(|c| (*c).to_owned()).collect(),
        description: Some(about.to_owned()),
        ..Column::new(name, data_type)
    }
}

#[cfg(test)]
mod tests;
