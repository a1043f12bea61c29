//! How much is appended but not yet committed, and how long callers should wait when it is too much.

use std::{collections::VecDeque, time::Duration};

/// Frames whose rows no checkpoint has committed.
#[derive(Default)]
pub(super) struct Backlog {
    /// The row after each frame, and the bytes of its rows.
    frames: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Backlog {
    pub fn push(&mut self, end_row: u64, bytes: u64) {
        self.frames.push_back((end_row, bytes));
        self.bytes += bytes;
    }

    /// Everything before `row` is committed.
    pub fn commit(&mut self, row: u64) {
        while let Some(&(_, bytes)) = self.frames.front().filter(|(end_row, _)| *end_row <= row) {
            self.bytes -= bytes;
            self.frames.pop_front();
        }
    }

    /// Rows from `row` on are not in the log after all.
    pub fn take_back(&mut self, row: u64) {
        while let Some(&(_, bytes)) = self.frames.back().filter(|(end_row, _)| *end_row > row) {
            self.bytes -= bytes;
            self.frames.pop_back();
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A second for each 64 MiB, at least one and at most 30: about as fast as a slow pipeline works.
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs((self.bytes >> 26).clamp(1, 30))
    }
}
