//! The generator as a source: one partition, resumed by row, paced in real time when a rate is set.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_spec::connector::GeneratorSource;

use super::{Rows, Settings, start_of};
use crate::{
    error::ConnectorError,
    source::{Chunk, Offset, PartitionPosition, Payload, Read, ReadLimit, SourceReader},
};

const PARTITION: &str = "0";

/// Reads generated rows.
pub struct GeneratorReader {
    rows: Rows,
    /// Event time of row 0, had the rate always been this one, and the step between rows; microseconds.
    start: i64,
    step: i64,
    next: u64,
    total: Option<u64>,
    pace: Option<Pace>,
}

/// How many rows may have left by now.
struct Pace {
    rate: u64,
    since: Instant,
    first: u64,
}

impl Pace {
    fn due(&self) -> u64 {
        let due = self.since.elapsed().as_nanos() * u128::from(self.rate) / 1_000_000_000;
        self.first.saturating_add(u64::try_from(due).unwrap_or(u64::MAX))
    }

    fn until(&self, row: u64) -> Duration {
        let nanos = u128::from(row - self.first) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_sub(self.since.elapsed())
    }
}

impl GeneratorReader {
    pub fn open(config: &GeneratorSource, resume: &[PartitionPosition]) -> Result<Self, ConnectorError> {
        let position = resume.iter().find(|p| p.partition == PARTITION);
        let known = |name: &str| position.and_then(|p| p.state.as_ref()?.get(name)?.as_i64());
        // A start that was "now" must stay what it was.
        let start = match known("start") {
            Some(start) => start,
            None => start_of(config)?,
        };
        let mut settings = Settings::new(config, start)?;
        let next = position.map_or(0, |p| p.offset.row);
        // Under another rate, time goes on from where it was: neither back, so that rows would be late, nor ahead.
        if let Some(step) = known("step") {
            let row = i64::try_from(next).unwrap_or(i64::MAX);
            settings.start = settings.start.saturating_add(row.saturating_mul(step.saturating_sub(settings.step)));
        }
        let (start, step) = (settings.start, settings.step);
        Ok(Self {
            rows: Rows::new(config.kind, settings)?,
            start,
            step,
            next,
            total: config.rows,
            pace: config.rate.map(|rate| Pace { rate, since: Instant::now(), first: next }),
        })
    }

    fn left(&self) -> u64 {
        self.total.map_or(u64::MAX, |total| total.saturating_sub(self.next))
    }
}

impl SourceReader for GeneratorReader {
    fn read(&mut self, limit: ReadLimit) -> Result<Read, ConnectorError> {
        if self.left() == 0 {
            return Ok(Read::End);
        }
        let wanted = self.left().min(limit.rows.max(1) as u64);
        let count = match &self.pace {
            None => wanted,
            Some(pace) => {
                // Waits until the batch is full or the time is over, so that slow rates do not make batches of one row.
                std::thread::sleep(pace.until(self.next + wanted).min(limit.wait));
                pace.due().saturating_sub(self.next).min(wanted)
            }
        };
        if count == 0 {
            return Ok(Read::Idle);
        }
        let start = Offset { byte: 0, row: self.next };
        let rows = self.rows.make(self.next, count as usize)?;
        self.next += count;
        Ok(Read::Chunk(Chunk {
            partition: 0,
            start,
            end: Offset { byte: 0, row: self.next },
            payload: Payload::Rows(rows),
            malformed: Vec::new(),
            header: None,
        }))
    }

    fn positions(&self) -> Vec<PartitionPosition> {
        vec![PartitionPosition {
            partition: PARTITION.to_owned(),
            offset: Offset { byte: 0, row: self.next },
            done: self.left() == 0,
            fingerprint: None,
            state: Some(json!({ "start": self.start, "step": self.step })),
        }]
    }

    fn partition_name(&self, _partition: u32) -> &str {
        PARTITION
    }

    fn committed(&mut self, _positions: &[PartitionPosition]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        match &self.pace {
            Some(pace) => Some(pace.due().saturating_sub(self.next).min(self.left())),
            None => self.total.map(|_| self.left()),
        }
    }
}
