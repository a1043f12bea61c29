//! A thread that reads one source, as far ahead as its channel lets it.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{SendTimeoutError, Sender};
use parking_lot::Mutex;
use weir_connectors::{Chunk, PartitionPosition, Read, ReadLimit, SourceReader};
use weir_spec::pipeline::Batch;

use super::Control;
use crate::{error::EngineError, live::Live};

/// Positions that have been committed and that the source has not heard of yet.
pub type Mailbox = Arc<Mutex<Option<Vec<PartitionPosition>>>>;

/// A source, opened.
pub struct OpenSource {
    /// Index among the plan's nodes.
    pub node: usize,
    pub name: String,
    pub reader: Box<dyn SourceReader>,
    pub mailbox: Mailbox,
}

/// What a reader tells the dispatcher.
#[expect(clippy::large_enum_variant, reason = "nearly every message is a chunk")]
pub enum FromReader {
    Chunk {
        chunk: Chunk,
        partition: Arc<str>,
        /// The position after the chunk.
        position: Option<PartitionPosition>,
    },
    /// Nothing more comes.
    End {
        positions: Vec<PartitionPosition>,
        /// The source is bounded and has been read to its end; otherwise somebody asked the run to stop.
        exhausted: bool,
    },
}

pub struct ReaderThread {
    pub source: OpenSource,
    pub limit: Batch,
    pub chunks: Sender<FromReader>,
    pub live: Arc<Live>,
    pub control: Control,
}

impl ReaderThread {
    pub fn run(mut self) -> Result<(), EngineError> {
        let limit = ReadLimit { rows: self.limit.rows, wait: self.limit.wait.as_duration() };
        let mut ended = false;
        let mut given = 0;
        let mut partitions: Vec<Arc<str>> = Vec::new();
        loop {
            if self.control.abort.is_cancelled() {
                return Ok(());
            }
            if let Some(positions) = self.source.mailbox.lock().take() {
                self.source.reader.committed(&positions).map_err(|e| EngineError::connector(&self.source.name, e))?;
            }
            if ended || self.control.is_stopping() {
                // Stays to hear of the last checkpoint; the dispatcher hangs up when the run is over.
                if !ended && !self.send(FromReader::End { positions: self.source.reader.positions(), exhausted: false }) {
                    return Ok(());
                }
                ended = true;
                if Arc::strong_count(&self.source.mailbox) == 1 {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            match self.source.reader.read(limit).map_err(|e| EngineError::connector(&self.source.name, e))? {
                Read::Chunk(chunk) => {
                    let index = chunk.partition as usize;
                    while partitions.len() <= index {
                        partitions.push(self.source.reader.partition_name(partitions.len() as u32).into());
                    }
                    let position = self.source.reader.position(chunk.partition);
                    let partition = Arc::clone(&partitions[index]);
                    if !self.send(FromReader::Chunk { chunk, partition, position }) {
                        return Ok(());
                    }
                    given += 1;
                    self.control.given(given);
                    self.live.set_lag(self.source.node, self.source.reader.lag());
                }
                Read::Idle => self.live.set_lag(self.source.node, self.source.reader.lag()),
                Read::End => {
                    self.live.set_lag(self.source.node, Some(0));
                    if !self.send(FromReader::End { positions: self.source.reader.positions(), exhausted: true }) {
                        return Ok(());
                    }
                    ended = true;
                }
            }
        }
    }

    /// False when nobody listens any more.
    fn send(&self, message: FromReader) -> bool {
        let mut message = message;
        loop {
            match self.chunks.send_timeout(message, Duration::from_millis(50)) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(back)) => {
                    if self.control.abort.is_cancelled() {
                        return false;
                    }
                    message = back;
                }
            }
        }
    }
}
