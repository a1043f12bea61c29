//! A log in one file that anyone can verify anywhere: JSON lines of a header, the heads, the leaves.
//!
//! ```text
//! {"format":"weir-audit-bundle","heads":1,"keys":["<public key>"],"leaves":2,"log_id":"...","v":1}
//! {"at":"...","key_id":"...","log_id":"...","root":"...","signature":"...","size":2}
//! {"hash":"<leaf hash>","leaf":{...},"seq":0}
//! {"hash":"<leaf hash>","leaf":{...},"seq":1}
//! ```
//!
//! Every line has one legal spelling. Heads come first, so that one pass over the leaves suffices.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    canonical,
    hash::Hash,
    head::TreeHead,
    key::PublicKey,
    verify::{HeadOrigin, Outcome, Reason, Trust, Verifier},
};

const FORMAT: &str = "weir-audit-bundle";
const VERSION: u32 = 1;
/// No line is longer; protects the reader from a hostile file.
const MAX_LINE: u64 = 64 << 20;

/// The first line of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleHeader {
    pub log_id: String,
    /// Every key that signed heads of this log.
    pub keys: Vec<PublicKey>,
    /// How many heads follow.
    pub heads: u64,
    /// How many leaves follow the heads.
    pub leaves: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    format: String,
    v: u32,
    log_id: String,
    keys: Vec<PublicKey>,
    heads: u64,
    leaves: u64,
}

impl BundleHeader {
    fn to_line(&self) -> Result<Vec<u8>, canonical::CanonicalError> {
        let Self { log_id, keys, heads, leaves } = self.clone();
        canonical::to_vec(&HeaderLine { format: FORMAT.to_owned(), v: VERSION, log_id, keys, heads, leaves })
    }

    fn from_line(line: &[u8]) -> Result<Self, String> {
        let HeaderLine { format, v, log_id, keys, heads, leaves } =
            serde_json::from_slice(line).map_err(|error| format!("not the header of an audit bundle: {error}"))?;
        if (format.as_str(), v) != (FORMAT, VERSION) {
            return Err(format!("`{format}` version {v}, where `{FORMAT}` version {VERSION} is expected"));
        }
        let header = Self { log_id, keys, heads, leaves };
        match header.to_line() {
            Ok(canonical) if canonical == line => Ok(header),
            _ => Err("the header is not as Weir writes it; someone has edited it".to_owned()),
        }
    }
}

/// Why a bundle cannot be written.
#[derive(Debug, Error)]
pub enum BundleWriteError {
    #[error("cannot write the bundle: {0}")]
    Io(#[from] io::Error),
    #[error("cannot write the bundle: {0}")]
    Canonical(#[from] canonical::CanonicalError),
    #[error("the bundle's header promises {promised} {what}, but {given} were given; count again and export anew")]
    Count { what: &'static str, promised: u64, given: u64 },
}

/// Writes a bundle: heads first, then leaves, then [`BundleWriter::finish`].
#[derive(Debug)]
pub struct BundleWriter<W: Write> {
    out: W,
    header: BundleHeader,
    heads: u64,
    leaves: u64,
}

impl<W: Write> BundleWriter<W> {
    pub fn new(mut out: W, header: BundleHeader) -> Result<Self, BundleWriteError> {
        out.write_all(&header.to_line()?)?;
        out.write_all(b"\n")?;
        Ok(Self { out, header, heads: 0, leaves: 0 })
    }

    pub fn head(&mut self, head: &TreeHead) -> Result<(), BundleWriteError> {
        self.heads += 1;
        self.out.write_all(head.to_line()?.as_bytes())?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Takes the leaf as stored; what is damaged in the log must be visible in the bundle, so nothing is checked.
    pub fn leaf(&mut self, seq: u64, canonical: &[u8], stored: &Hash) -> Result<(), BundleWriteError> {
        if self.heads != self.header.heads {
            return Err(count("heads", self.header.heads, self.heads));
        }
        self.leaves += 1;
        write!(self.out, "{{\"hash\":\"{stored}\",\"leaf\":")?;
        self.out.write_all(canonical)?;
        Ok(writeln!(self.out, ",\"seq\":{seq}}}")?)
    }

    /// Flushes, and refuses to call a bundle done that does not hold what its header says.
    pub fn finish(mut self) -> Result<W, BundleWriteError> {
        if self.heads != self.header.heads {
            return Err(count("heads", self.header.heads, self.heads));
        }
        if self.leaves != self.header.leaves {
            return Err(count("leaves", self.header.leaves, self.leaves));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

fn count(what: &'static str, promised: u64, given: u64) -> BundleWriteError {
    BundleWriteError::Count { what, promised, given }
}

/// Why a bundle cannot be read.
#[derive(Debug, Error)]
pub enum BundleReadError {
    #[error("cannot read the bundle: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written: damaged, cut or edited.
    #[error("bundle, line {line}: {problem}")]
    Damaged { line: u64, problem: String },
}

/// A leaf as a bundle holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BundleLeaf<'a> {
    pub seq: u64,
    pub canonical: &'a [u8],
    pub stored: Hash,
}

/// Reads a bundle line by line.
#[derive(Debug)]
pub struct BundleReader<R> {
    lines: Lines<R>,
    header: BundleHeader,
    heads: Vec<TreeHead>,
    leaves: u64,
}

impl<R: BufRead> BundleReader<R> {
    /// Reads the header and the heads.
    pub fn open(reader: R) -> Result<Self, BundleReadError> {
        let mut lines = Lines { reader, text: Vec::new(), line: 0 };
        let header = match lines.next()? {
            Some(line) => BundleHeader::from_line(line).map_err(|problem| lines.damaged(problem))?,
            None => return Err(lines.damaged("the file is empty".to_owned())),
        };
        let mut heads = Vec::new();
        for _ in 0..header.heads {
            let Some(line) = lines.next()? else {
                return Err(lines.damaged(format!("the file ends where one of its {} heads is due", header.heads)));
            };
            let head = std::str::from_utf8(line)
                .map_err(|_| "not UTF-8".to_owned())
                .and_then(|line| TreeHead::from_line(line).map_err(|error| error.to_string()));
            heads.push(head.map_err(|problem| lines.damaged(problem))?);
        }
        Ok(Self { lines, header, heads, leaves: 0 })
    }

    pub fn header(&self) -> &BundleHeader {
        &self.header
    }

    pub fn heads(&self) -> &[TreeHead] {
        &self.heads
    }

    /// The next leaf; none when all that the header promised were read and nothing follows.
    pub fn next_leaf(&mut self) -> Result<Option<BundleLeaf<'_>>, BundleReadError> {
        let due = self.leaves;
        let promised = self.header.leaves;
        if self.lines.advance()? {
            if due == promised {
                return Err(self.lines.damaged(format!("more follows after the {promised} leaves that the header promises")));
            }
            self.leaves += 1;
            match parse_leaf(&self.lines.text) {
                Some(leaf) => Ok(Some(leaf)),
                None => Err(self.lines.damaged("not a leaf as Weir writes it".to_owned())),
            }
        } else if due < promised {
            Err(self.lines.damaged(format!("the file ends after {due} of {promised} leaves")))
        } else {
            Ok(None)
        }
    }
}

/// `{"hash":"<64 hex>","leaf":<bytes>,"seq":<digits>}`, and nothing else.
fn parse_leaf(line: &[u8]) -> Option<BundleLeaf<'_>> {
    const BEFORE_LEAF: &[u8] = b"\",\"leaf\":";
    const BEFORE_SEQ: &[u8] = b",\"seq\":";
    let rest = line.strip_prefix(b"{\"hash\":\"")?;
    let (hash, rest) = rest.split_at_checked(2 * Hash::LEN)?;
    let stored = std::str::from_utf8(hash).ok()?.parse().ok()?;
    let rest = rest.strip_prefix(BEFORE_LEAF)?.strip_suffix(b"}")?;
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, seq) = rest.split_at(rest.len() - digits);
    let canonical = rest.strip_suffix(BEFORE_SEQ)?;
    let text = std::str::from_utf8(seq).ok()?;
    let seq: u64 = text.parse().ok()?;
    (seq.to_string() == text).then_some(BundleLeaf { seq, canonical, stored })
}

#[derive(Debug)]
struct Lines<R> {
    reader: R,
    text: Vec<u8>,
    /// The number of the line in `text`, from 1.
    line: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, BundleReadError> {
        Ok(if self.advance()? { Some(&self.text) } else { None })
    }

    /// Puts the next line, without its end, into `text`; false at the end of the file.
    fn advance(&mut self) -> Result<bool, BundleReadError> {
        self.text.clear();
        self.line += 1;
        if (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.text)? == 0 {
            return Ok(false);
        }
        match self.text.pop_if(|byte| *byte == b'\n') {
            Some(_) => Ok(true),
            None if self.text.len() as u64 == MAX_LINE => Err(self.damaged(format!("longer than {MAX_LINE} bytes"))),
            None => Err(self.damaged("the line has no end; the file was cut".to_owned())),
        }
    }

    fn damaged(&self, problem: String) -> BundleReadError {
        BundleReadError::Damaged { line: self.line, problem }
    }
}

/// Verifies a bundle against itself, against heads kept outside, and against the public keys that the caller trusts.
///
/// Without `trusted` the bundle's own keys are believed: that proves it consistent, not genuine. Heads kept outside, or
/// the log's public key got another way, prove it genuine. `Err` only where the file cannot be read at all.
pub fn verify_bundle(
    reader: impl BufRead,
    outside: impl IntoIterator<Item = TreeHead>,
    trusted: Option<&[PublicKey]>,
) -> io::Result<Outcome> {
    let mut bundle = match BundleReader::open(reader) {
        Ok(bundle) => bundle,
        Err(error) => return damaged_outcome(error),
    };
    let header = bundle.header();
    let trust = Trust {
        log_id: header.log_id.clone(),
        keys: header.keys.iter().filter(|key| trusted.is_none_or(|keys| keys.contains(key))).copied().collect(),
    };
    let own = bundle.heads().iter().map(|head| (HeadOrigin::Log, head.clone()));
    let outside = outside.into_iter().map(|head| (HeadOrigin::Outside, head));
    let mut verifier = Verifier::new(&trust, own.chain(outside));
    loop {
        match bundle.next_leaf() {
            Ok(Some(BundleLeaf { seq, canonical, stored })) => {
                if verifier.leaf(seq, canonical, &stored).is_break() {
                    break;
                }
            }
            Ok(None) => break,
            Err(BundleReadError::Io(error)) => return Err(error),
            Err(BundleReadError::Damaged { line, problem }) => {
                verifier.break_at(Some(verifier.size()), Reason::DamagedBundle { line, problem });
                break;
            }
        }
    }
    Ok(verifier.finish())
}

fn damaged_outcome(error: BundleReadError) -> io::Result<Outcome> {
    match error {
        BundleReadError::Io(error) => Err(error),
        BundleReadError::Damaged { line, problem } => {
            let reason = Reason::DamagedBundle { line, problem };
            Ok(Outcome::Broken(crate::verify::Broken { at: None, reason }))
        }
    }
}
