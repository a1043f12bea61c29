//! Reading a NEXMark stream: one partition, resumed by row, paced in real time when a rate is set.

use std::time::{Duration, Instant};

use weir_spec::connector::{NexmarkSource, NexmarkStream};

use super::world::{World, event_of, rows};
use crate::{
    error::ConnectorError,
    source::{Chunk, Offset, PartitionPosition, Payload, Read, ReadLimit, SourceReader},
};

const PARTITION: &str = "0";

/// Hands out which rows come next; [`super::NexmarkDecoder`] makes them.
pub struct NexmarkReader {
    stream: NexmarkStream,
    next: u64,
    total: Option<u64>,
    pace: Option<Pace>,
}

/// How many events may have happened by now.
struct Pace {
    rate: u64,
    since: Instant,
    first_event: u64,
}

impl Pace {
    fn events(&self) -> u64 {
        let passed = self.since.elapsed().as_nanos() * u128::from(self.rate) / 1_000_000_000;
        self.first_event.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn until(&self, event: u64) -> Duration {
        let nanos = u128::from((event + 1).saturating_sub(self.first_event)) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_sub(self.since.elapsed())
    }
}

impl NexmarkReader {
    pub fn open(config: &NexmarkSource, resume: &[PartitionPosition]) -> Result<Self, ConnectorError> {
        // Refuses a configuration that the decoder could not follow.
        World::new(config)?;
        let next = resume.iter().find(|position| position.partition == PARTITION).map_or(0, |position| position.offset.row);
        let first_event = event_of(config.stream, next);
        Ok(Self {
            stream: config.stream,
            next,
            total: config.events.map(|events| rows(config.stream, events)),
            pace: config.rate.map(|rate| Pace { rate, since: Instant::now(), first_event }),
        })
    }

    fn left(&self) -> u64 {
        self.total.map_or(u64::MAX, |total| total.saturating_sub(self.next))
    }

    /// Rows that may have left by now and have not.
    fn due(&self, pace: &Pace) -> u64 {
        rows(self.stream, pace.events()).saturating_sub(self.next)
    }
}

impl SourceReader for NexmarkReader {
    fn read(&mut self, limit: ReadLimit) -> Result<Read, ConnectorError> {
        if self.left() == 0 {
            return Ok(Read::End);
        }
        let wanted = self.left().min(limit.rows.max(1) as u64);
        let count = match &self.pace {
            None => wanted,
            Some(pace) => {
                // Waits until the batch is full or the time is over, so that slow rates do not make batches of one row.
                let last = event_of(self.stream, self.next + wanted - 1);
                std::thread::sleep(pace.until(last).min(limit.wait));
                self.due(pace).min(wanted)
            }
        };
        if count == 0 {
            return Ok(Read::Idle);
        }
        let start = Offset { byte: 0, row: self.next };
        self.next += count;
        let end = Offset { byte: 0, row: self.next };
        Ok(Read::Chunk(Chunk { partition: 0, start, end, payload: Payload::Unmade, malformed: Vec::new(), header: None }))
    }

    fn positions(&self) -> Vec<PartitionPosition> {
        vec![PartitionPosition {
            partition: PARTITION.to_owned(),
            offset: Offset { byte: 0, row: self.next },
            done: self.left() == 0,
            fingerprint: None,
            state: None,
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
            Some(pace) => Some(self.due(pace).min(self.left())),
            None => self.total.map(|_| self.left()),
        }
    }
}
