//! Cutting a text file into chunks of whole rows, without copying them.
//!
//! The file is read in large blocks; chunks are slices of a block. Only the part of a row that a block's end cuts off is copied,
//! to the front of the next block. Blocks are used again once nobody holds a chunk of them.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use weir_spec::connector::Compression;

use super::input::{Input, ReadFailure};
use crate::{
    error::ConnectorError,
    format::csv,
    source::{Malformed, MalformedReason, Offset},
};

/// Bytes read at once.
const BLOCK: usize = 4 << 20;
const SPARE_BLOCKS: usize = 4;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How rows are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Lines,
    /// Quoted fields may hold line ends.
    Csv {
        delimiter: u8,
        header: bool,
    },
}

/// Some rows, in order.
pub(super) struct Piece {
    pub start: Offset,
    pub end: Offset,
    pub bytes: Bytes,
    pub malformed: Vec<Malformed>,
}

pub(super) struct TextInput {
    input: Input,
    framing: Framing,
    max_line: usize,
    pub header: Option<Arc<[String]>>,
    block: Bytes,
    at: usize,
    at_end: bool,
    broken: Option<String>,
    next: Offset,
    skipping: Option<Malformed>,
    spares: Vec<Bytes>,
}

struct Cut {
    bytes: usize,
    rows: usize,
    overlong: bool,
}

impl TextInput {
    /// Opens a file at `from`, which is `None` for its beginning.
    pub fn open(
        path: &Path,
        compression: Compression,
        framing: Framing,
        max_line: usize,
        from: Option<Offset>,
    ) -> Result<Self, ConnectorError> {
        let mut this = Self {
            input: Input::open(path, compression, 0)?,
            framing,
            max_line,
            header: None,
            block: Bytes::new(),
            at: 0,
            at_end: false,
            broken: None,
            next: Offset::default(),
            skipping: None,
            spares: Vec::new(),
        };
        let needs_start = from.is_none() || matches!(framing, Framing::Csv { header: true, .. });
        if needs_start {
            this.read_start(path)?;
        }
        if let Some(from) = from.filter(|from| *from != Offset::default()) {
            this.input = Input::open(path, compression, from.byte)?;
            (this.block, this.at, this.at_end, this.broken, this.next) = (Bytes::new(), 0, false, None, from);
        }
        Ok(this)
    }

    /// Steps over a byte order mark and reads the header line.
    fn read_start(&mut self, path: &Path) -> Result<(), ConnectorError> {
        self.refill(path)?;
        if self.block.starts_with(BYTE_ORDER_MARK) {
            self.advance(BYTE_ORDER_MARK.len(), 0);
        }
        let Framing::Csv { delimiter, header: true } = self.framing else {
            return Ok(());
        };
        loop {
            let window = &self.block[self.at..];
            let end =
                csv::record_end(window, delimiter).or_else(|| (self.at_end && self.broken.is_none()).then_some(window.len()));
            if end.unwrap_or(window.len()) > self.max_line + 2 {
                return Err(ConnectorError::Config(format!("{}: its header line is longer than max_line", path.display())));
            }
            match end {
                Some(0) => return Ok(()),
                Some(end) => {
                    let names = csv::split_record(csv::trim_line_end(&window[..end]), delimiter).ok().and_then(|fields| {
                        fields
                            .into_iter()
                            .map(|field| String::from_utf8(field.value.into_owned()).ok())
                            .collect::<Option<Vec<_>>>()
                    });
                    let names = names.ok_or_else(|| {
                        ConnectorError::Config(format!("{}: its header line is not valid CSV in UTF-8", path.display()))
                    })?;
                    self.header = Some(names.into());
                    self.advance(end, 0);
                    return Ok(());
                }
                None if self.at_end => return Ok(()),
                None => self.refill(path)?,
            }
        }
    }

    pub fn position(&self) -> Offset {
        self.next
    }

    /// Nothing more will come.
    pub fn is_exhausted(&self) -> bool {
        self.at_end && self.at == self.block.len() && self.broken.is_none() && self.skipping.is_none()
    }

    /// The next rows, `limit` at most; `None` at the end.
    pub fn next_piece(&mut self, path: &Path, limit: usize) -> Result<Option<Piece>, ConnectorError> {
        loop {
            if self.skipping.is_some() {
                match self.skip_line() {
                    Some(piece) => return Ok(Some(piece)),
                    None => {
                        self.refill(path)?;
                        continue;
                    }
                }
            }
            let window = &self.block[self.at..];
            let waiting = window.len();
            let cut = self.cut(window, limit.max(1));
            if cut.rows >= limit.max(1) || (cut.overlong && cut.rows > 0) {
                return Ok(Some(self.emit(cut.bytes, cut.rows)));
            }
            if cut.overlong {
                self.begin_skipping();
                continue;
            }
            if !self.at_end {
                if cut.rows > 0 && waiting > BLOCK / 4 {
                    return Ok(Some(self.emit(cut.bytes, cut.rows)));
                }
                self.refill(path)?;
                continue;
            }
            if waiting > cut.bytes && self.broken.is_none() {
                return Ok(Some(self.emit(waiting, cut.rows + 1)));
            }
            if cut.rows > 0 {
                return Ok(Some(self.emit(cut.bytes, cut.rows)));
            }
            if let Some(detail) = self.broken.take() {
                return Ok(Some(self.emit_rest(MalformedReason::Truncated { detail })));
            }
            if self.next == Offset::default() && self.header.is_none() {
                return Ok(Some(self.emit_rest(MalformedReason::EmptyFile)));
            }
            return Ok(None);
        }
    }

    /// Finds the ends of up to `limit` rows.
    fn cut(&self, window: &[u8], limit: usize) -> Cut {
        let mut cut = Cut { bytes: 0, rows: 0, overlong: false };
        match self.framing {
            Framing::Lines => {
                for newline in memchr::memchr_iter(b'\n', window) {
                    if newline - cut.bytes > self.max_line {
                        cut.overlong = true;
                        return cut;
                    }
                    cut.bytes = newline + 1;
                    cut.rows += 1;
                    if cut.rows == limit {
                        return cut;
                    }
                }
            }
            Framing::Csv { delimiter, .. } => {
                while let Some(length) = csv::record_end(&window[cut.bytes..], delimiter) {
                    if length - 1 > self.max_line {
                        cut.overlong = true;
                        return cut;
                    }
                    cut.bytes += length;
                    cut.rows += 1;
                    if cut.rows == limit {
                        return cut;
                    }
                }
            }
        }
        cut.overlong = window.len() - cut.bytes > self.max_line;
        cut
    }

    fn advance(&mut self, bytes: usize, rows: u64) {
        self.at += bytes;
        self.next = Offset { byte: self.next.byte + bytes as u64, row: self.next.row + rows };
    }

    fn emit(&mut self, bytes: usize, rows: usize) -> Piece {
        let start = self.next;
        let slice = self.block.slice(self.at..self.at + bytes);
        self.advance(bytes, rows as u64);
        Piece { start, end: self.next, bytes: slice, malformed: Vec::new() }
    }

    /// Everything that is left, as one malformed row.
    fn emit_rest(&mut self, reason: MalformedReason) -> Piece {
        let rest = self.block.slice(self.at..);
        let start = self.next;
        self.advance(rest.len(), 1);
        let raw = rest[..rest.len().min(self.max_line)].to_vec();
        let malformed = vec![Malformed { at: start, reason, raw, raw_length: rest.len() as u64 }];
        Piece { start, end: self.next, bytes: Bytes::new(), malformed }
    }

    fn begin_skipping(&mut self) {
        let raw = self.block[self.at..self.at + self.max_line].to_vec();
        let at = self.next;
        self.advance(self.max_line, 0);
        let reason = MalformedReason::TooLong { limit: self.max_line as u64 };
        self.skipping = Some(Malformed { at, reason, raw_length: raw.len() as u64, raw });
    }

    /// Goes on to the next line end; `None` if it is not in this block.
    fn skip_line(&mut self) -> Option<Piece> {
        let window = &self.block[self.at..];
        let end = memchr::memchr(b'\n', window);
        let skipped = end.unwrap_or(window.len());
        let mut malformed = self.skipping.take()?;
        malformed.raw_length += skipped as u64;
        self.advance(skipped, 0);
        if end.is_none() && !self.at_end {
            self.skipping = Some(malformed);
            return None;
        }
        self.advance(usize::from(end.is_some()), 1);
        Some(Piece { start: malformed.at, end: self.next, bytes: Bytes::new(), malformed: vec![malformed] })
    }

    /// Reads the next block behind what is left of this one.
    fn refill(&mut self, path: &Path) -> Result<(), ConnectorError> {
        let rest = self.block.slice(self.at..);
        let mut block = self.spare_block(rest.len() + BLOCK);
        block.extend_from_slice(&rest);
        match self.input.fill(&mut block, BLOCK as u64) {
            Ok(read) => self.at_end = read < BLOCK,
            Err(ReadFailure::Disk(error)) => return Err(ConnectorError::io(path, error)),
            Err(ReadFailure::Broken(detail)) => {
                self.at_end = true;
                self.broken = Some(detail);
            }
        }
        drop(rest);
        let used = std::mem::replace(&mut self.block, Bytes::from(block));
        self.at = 0;
        if self.spares.len() >= SPARE_BLOCKS {
            self.spares.remove(0);
        }
        self.spares.push(used);
        Ok(())
    }

    /// An empty buffer of this capacity: a block that nobody uses any more, or a new one.
    fn spare_block(&mut self, capacity: usize) -> Vec<u8> {
        let free = self.spares.iter().position(Bytes::is_unique);
        let mut block = free.map(|i| Vec::from(self.spares.swap_remove(i))).unwrap_or_default();
        block.clear();
        block.reserve(capacity);
        block
    }
}
