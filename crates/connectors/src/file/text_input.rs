//! Cutting a text file into chunks of whole rows, without copying them.
//!
//! The file is read in large blocks; chunks are slices of a block. Only the part of a row that a block's end cuts off is copied,
//! to the front of the next block. Blocks are used again once nobody holds a chunk of them.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use weir_spec::connector::Compression;

use super::{
    input::{Input, ReadFailure},
    known::{self, Known, Seen, Stat},
};
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
    /// The header line as it is written, and at which byte.
    header_line: (u64, Vec<u8>),
    /// What is wrong with the header line. None of the file's rows can be read then.
    bad_header: Option<MalformedReason>,
    block: Bytes,
    at: usize,
    at_end: bool,
    broken: Option<MalformedReason>,
    /// The stream has not broken so far.
    whole_stream: bool,
    next: Offset,
    /// Everything before `next`.
    seen: Seen,
    /// The last row, or the header line, ended because the file did.
    unended: Option<known::Cut>,
    stat: Option<Stat>,
    skipping: Option<Malformed>,
    spares: Vec<Bytes>,
}

struct Cut {
    bytes: usize,
    rows: usize,
    overlong: bool,
}

impl TextInput {
    /// Opens a file behind what was read of it, which is `None` for its beginning.
    pub fn open(
        path: &Path,
        compression: Compression,
        framing: Framing,
        max_line: usize,
        from: Option<(Offset, &Known)>,
    ) -> Result<Self, ConnectorError> {
        let input = Input::open(path, compression)?;
        let mut this = Self {
            stat: input.stat,
            input,
            framing,
            max_line,
            header: None,
            header_line: (0, Vec::new()),
            bad_header: None,
            block: Bytes::new(),
            at: 0,
            at_end: false,
            broken: None,
            whole_stream: true,
            next: Offset::default(),
            seen: Seen::default(),
            unended: None,
            skipping: None,
            spares: Vec::new(),
        };
        let from_start = from.is_none_or(|(from, _)| from.byte == 0);
        if from_start || matches!(framing, Framing::Csv { header: true, .. }) {
            this.read_start(path)?;
        }
        if let Some((from, known)) = from {
            this.go_on(path, compression, from, known)?;
        }
        Ok(this)
    }

    /// Goes to where reading ended before, unless that was within what stands before the rows, which has been read again by now.
    fn go_on(&mut self, path: &Path, compression: Compression, from: Offset, known: &Known) -> Result<(), ConnectorError> {
        if from.byte <= self.next.byte {
            self.next.row = from.row;
            return Ok(());
        }
        (self.input, self.seen) = Input::resume(path, compression, from.byte, known)?;
        self.stat = self.input.stat;
        (self.block, self.at, self.at_end, self.broken, self.next) = (Bytes::new(), 0, false, None, from);
        self.unended = known.cut.or_else(|| self.seen.unended());
        if self.unended.is_some() {
            self.refill(path)?;
            let window = &self.block[self.at..];
            match known::line_end(window) {
                Some(length) if self.unended == Some(known::Cut::Line) => {
                    self.advance(length, 0);
                    self.unended = None;
                }
                _ if window.is_empty() => {}
                _ => return Err(known::went_on(path, from.byte)),
            }
        }
        Ok(())
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
            let end = csv::record_end(window, delimiter);
            let end = end.or_else(|| (self.at_end && self.broken.is_none()).then_some(window.len()));
            if end.unwrap_or(window.len()) > self.max_line + 2 {
                self.header_line = (self.next.byte, window[..self.max_line].to_vec());
                self.bad_header = Some(MalformedReason::TooLong { limit: self.max_line as u64 });
                return Ok(());
            }
            match end {
                Some(0) => return Ok(()),
                Some(end) => {
                    let line = csv::trim_line_end(&window[..end]);
                    self.header_line = (self.next.byte, line.to_vec());
                    match names(line, delimiter) {
                        Ok(names) => self.header = Some(names.into()),
                        Err(reason) => {
                            self.bad_header = Some(reason);
                            return Ok(());
                        }
                    }
                    self.unended = cut_by_end(self.framing, &window[..end]);
                    self.advance(end, 0);
                    return Ok(());
                }
                None if self.at_end => return Ok(()),
                None => self.refill(path)?,
            }
        }
    }

    /// The header line as the one malformed row that the file is, for a reason of the reader's own or the one given.
    pub fn refused(&mut self, reason: impl FnOnce(&Arc<[String]>) -> Option<MalformedReason>) -> Option<Malformed> {
        let reason = self.bad_header.take().or_else(|| self.header.as_ref().and_then(reason))?;
        let (byte, raw) = std::mem::take(&mut self.header_line);
        Some(Malformed { at: Offset { byte, row: 0 }, reason, raw_length: raw.len() as u64, raw })
    }

    pub fn position(&self) -> Offset {
        self.next
    }

    /// What a position keeps of the file as it has been read so far.
    pub fn known(&self) -> Known {
        Known { crc: self.seen.crc(), before: Some(self.seen.before()), whole: None, stat: self.stat, cut: self.unended }
    }

    /// How much of the stored file has been read; None where it could not be read to its end.
    pub fn stored_length(&self) -> Option<u64> {
        (self.at_end && self.whole_stream).then(|| self.input.stored_read())
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
                self.unended = cut_by_end(self.framing, &window[cut.bytes..]);
                return Ok(Some(self.emit(waiting, cut.rows + 1)));
            }
            if cut.rows > 0 {
                return Ok(Some(self.emit(cut.bytes, cut.rows)));
            }
            if let Some(reason) = self.broken.take() {
                return Ok(Some(self.emit_rest(reason)));
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
        self.seen.add(&self.block[self.at..self.at + bytes]);
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
        self.unended = end.is_none().then_some(known::Cut::Line);
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
            Err(ReadFailure::Broken(reason)) => {
                self.at_end = true;
                self.whole_stream = false;
                self.broken = Some(reason);
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

/// The names in a header line.
fn names(line: &[u8], delimiter: u8) -> Result<Vec<String>, MalformedReason> {
    if let Err(error) = std::str::from_utf8(line) {
        return Err(MalformedReason::NotUtf8 { at: error.valid_up_to() as u64 });
    }
    let fields = csv::split_record(line, delimiter)
        .map_err(|error| MalformedReason::Syntax { at: error.at as u64, expected: error.expected.to_owned() })?;
    Ok(fields.into_iter().map(|field| String::from_utf8_lossy(&field.value).into_owned()).collect())
}

/// Whether a row, the last of its file, ends only because the file does, and what could follow.
fn cut_by_end(framing: Framing, row: &[u8]) -> Option<known::Cut> {
    match framing {
        Framing::Lines => (!row.ends_with(b"\n")).then_some(known::Cut::Line),
        Framing::Csv { delimiter, .. } => match csv::record_end(row, delimiter) {
            Some(_) => None,
            None if csv::record_end(&[row, b"\n"].concat(), delimiter).is_some() => Some(known::Cut::Line),
            None => Some(known::Cut::Quotes),
        },
    }
}
