//! Consent as CSV (RFC 4180): `subject,purpose,state,at,expires_at`, read in chunks, every bad line named.

use chrono::{DateTime, NaiveDate, Utc};
use csv_core::ReadRecordResult;
use weir_api::{ConsentState, ImportLineError};

/// The longest record accepted, in bytes.
const MAX_RECORD: usize = 16 * 1024;
/// Spreadsheets begin a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const COLUMNS: [&str; 5] = ["subject", "purpose", "state", "at", "expires_at"];

/// A good line.
pub(crate) struct Line<'a> {
    pub subject: &'a str,
    pub purpose: &'a str,
    pub state: ConsentState,
    /// Absent: now.
    pub at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Cuts a stream of bytes into records. Messages name columns, never values: a value may be a person.
pub(crate) struct ConsentCsv {
    reader: csv_core::Reader,
    /// So many bytes of a byte order mark have come; all of them as well where it is known that there is none.
    marked: usize,
    fields: Vec<u8>,
    ends: [usize; 16],
    written: usize,
    ended: usize,
    overlong: bool,
    /// The line on which the current record begins.
    line: u64,
    /// The line that is read now.
    here: u64,
    /// Some bytes of the current record were read.
    in_record: bool,
    heading_read: bool,
}

/// The heading is not the one that is expected: nothing can be read.
pub(crate) struct WrongHeading;

impl ConsentCsv {
    pub(crate) fn new() -> Self {
        // The reader knows the mark only if its first chunk holds all of it. After a blank line it knows none.
        let mut reader = csv_core::Reader::new();
        let _ = reader.read_record(b"\n", &mut [], &mut []);
        Self {
            reader,
            marked: 0,
            fields: vec![0; MAX_RECORD],
            ends: [0; 16],
            written: 0,
            ended: 0,
            overlong: false,
            line: 1,
            here: 1,
            in_record: false,
            heading_read: false,
        }
    }

    /// Whether there was anything in the file.
    pub(crate) fn has_heading(&self) -> bool {
        self.heading_read
    }

    /// Reads a chunk; an empty one ends the file. Each record is handed over as soon as it is complete.
    pub(crate) fn push(
        &mut self,
        mut chunk: &[u8],
        mut record: impl FnMut(u64, Result<Line<'_>, ImportLineError>),
    ) -> Result<(), WrongHeading> {
        let last = chunk.is_empty();
        while self.marked < BYTE_ORDER_MARK.len() {
            match chunk.split_first() {
                Some((byte, rest)) if *byte == BYTE_ORDER_MARK[self.marked] => (self.marked, chunk) = (self.marked + 1, rest),
                None if !last => return Ok(()),
                _ => {
                    let taken = std::mem::replace(&mut self.marked, BYTE_ORDER_MARK.len());
                    if taken > 0 {
                        self.read(&BYTE_ORDER_MARK[..taken], &mut record)?;
                    }
                }
            }
        }
        if chunk.is_empty() && !last {
            return Ok(());
        }
        self.read(chunk, &mut record)
    }

    /// Reads what comes behind a byte order mark.
    fn read(
        &mut self,
        mut chunk: &[u8],
        record: &mut impl FnMut(u64, Result<Line<'_>, ImportLineError>),
    ) -> Result<(), WrongHeading> {
        let last = chunk.is_empty();
        loop {
            if !self.in_record {
                let blank = chunk.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.here += line_ends(&chunk[..blank]);
                chunk = &chunk[blank..];
                self.line = self.here;
                self.in_record = !chunk.is_empty();
            }
            // To the reader an empty input is the end of the file.
            if chunk.is_empty() && !last {
                return Ok(());
            }
            let (result, read, written, ended) =
                self.reader.read_record(chunk, &mut self.fields[self.written..], &mut self.ends[self.ended..]);
            self.here += line_ends(&chunk[..read]);
            chunk = &chunk[read..];
            self.written += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty if last => continue,
                ReadRecordResult::InputEmpty => return Ok(()),
                // The rest of such a record is read and thrown away, so that the next one is found.
                ReadRecordResult::OutputFull => (self.overlong, self.written) = (true, 0),
                ReadRecordResult::OutputEndsFull => (self.overlong, self.ended) = (true, 0),
                ReadRecordResult::Record => self.finish(record)?,
                ReadRecordResult::End => return Ok(()),
            }
        }
    }

    fn finish(&mut self, record: &mut impl FnMut(u64, Result<Line<'_>, ImportLineError>)) -> Result<(), WrongHeading> {
        let line = self.line;
        self.in_record = false;
        let overlong = std::mem::take(&mut self.overlong);
        let ended = std::mem::take(&mut self.ended);
        self.written = 0;
        let mut start = 0;
        let fields: Vec<&[u8]> = self.ends[..ended]
            .iter()
            .map(|end| {
                let field = self.fields.get(start..*end).unwrap_or_default();
                start = *end;
                field
            })
            .collect();
        if !self.heading_read {
            self.heading_read = true;
            let names = fields.iter().map(|field| field.trim_ascii());
            let fits = !overlong && names.eq(COLUMNS.iter().map(|name| name.as_bytes()));
            return if fits { Ok(()) } else { Err(WrongHeading) };
        }
        let parsed = if overlong {
            Err(format!("is longer than {MAX_RECORD} bytes or has more than {} fields", self.ends.len()))
        } else {
            parse(&fields)
        };
        record(line, parsed.map_err(|message| ImportLineError { line, message }));
        Ok(())
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn parse<'a>(fields: &[&'a [u8]]) -> Result<Line<'a>, String> {
    let count = fields.len();
    let [subject, purpose, state, at, expires_at] =
        fields.try_into().map_err(|_| format!("has {count} fields where {} are expected", COLUMNS.len()))?;
    let text =
        |field: &'a [u8], name: &str| std::str::from_utf8(field).map(str::trim).map_err(|_| format!("{name} is not UTF-8"));
    let subject = text(subject, "subject")?;
    let purpose = text(purpose, "purpose")?;
    if subject.is_empty() {
        return Err("subject is empty".to_owned());
    }
    check_purpose(purpose)?;
    let state = text(state, "state")?;
    let state = ConsentState::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(state));
    let state = state.ok_or("state is not one of granted, denied and withdrawn")?;
    let at = time(text(at, "at")?, "at")?;
    let expires_at = time(text(expires_at, "expires_at")?, "expires_at")?;
    Ok(Line { subject, purpose, state, at, expires_at })
}

/// A purpose is a dotted key, such as `marketing.advertising`.
pub(crate) fn check_purpose(purpose: &str) -> Result<(), String> {
    let fits = (1..=128).contains(&purpose.len())
        && purpose.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        });
    if fits {
        Ok(())
    } else {
        Err("purpose is not a key such as marketing.advertising (a-z, 0-9, `_`, `-`, parts joined by dots)".to_owned())
    }
}

fn time(text: &str, name: &str) -> Result<Option<DateTime<Utc>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(time.to_utc()));
    }
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0));
    midnight
        .map(|midnight| Some(midnight.and_utc()))
        .ok_or_else(|| format!("{name} is neither a time such as 2026-01-31T12:00:00Z nor a date such as 2026-01-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], chunk: usize) -> Result<Vec<String>, WrongHeading> {
        let mut csv = ConsentCsv::new();
        let mut seen = Vec::new();
        let mut note = |line: u64, record: Result<Line<'_>, ImportLineError>| {
            seen.push(match record {
                Ok(record) => format!(
                    "{line} {} {} {} {} {}",
                    record.subject,
                    record.purpose,
                    record.state.as_str(),
                    record.at.map_or_else(|| "now".to_owned(), |at| at.to_rfc3339()),
                    record.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339()),
                ),
                Err(error) => format!("{}! {}", error.line, error.message),
            });
        };
        for chunk in text.chunks(chunk) {
            csv.push(chunk, &mut note)?;
        }
        csv.push(&[], &mut note)?;
        Ok(seen)
    }

    const HEADING: &str = "subject,purpose,state,at,expires_at\n";

    #[test]
    fn good_and_bad_lines_are_told_apart_whatever_the_chunks() {
        let text = format!(
            "\u{feff}{HEADING}c-1,marketing,granted,2026-01-31T12:00:00+01:00,\n\"c,2\",marketing.email,DENIED,,2026-12-31\r\n\n\
             c-3,marketing,perhaps,,\n,marketing,granted,,\nc-4,Marketing,granted,,\nc-5,marketing,granted,soon,\nc-6,marketing\n\
             \"c-\n7\",marketing,withdrawn,,\nc-8,marketing,granted,,{}\nc-9,marketing,granted,,",
            "x".repeat(MAX_RECORD)
        );
        let expected = [
            "2 c-1 marketing granted 2026-01-31T11:00:00+00:00 never",
            "3 c,2 marketing.email denied now 2026-12-31T00:00:00+00:00",
            "5! state is not one of granted, denied and withdrawn",
            "6! subject is empty",
            "7! purpose is not a key such as marketing.advertising (a-z, 0-9, `_`, `-`, parts joined by dots)",
            "8! at is neither a time such as 2026-01-31T12:00:00Z nor a date such as 2026-01-31",
            "9! has 2 fields where 5 are expected",
            "10 c-\n7 marketing withdrawn now never",
            "12! is longer than 16384 bytes or has more than 16 fields",
            "13 c-9 marketing granted now never",
        ];
        for chunk in [1, 7, 4096, 1 << 20] {
            let seen = read(text.as_bytes(), chunk).unwrap_or_else(|_| panic!("the heading is right"));
            assert_eq!(seen, expected, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_one_whatever_the_chunks() {
        let mark = "\u{feff}";
        for (text, said) in [
            (mark.to_owned(), Some(0)),
            (format!("{mark}\r\n{HEADING}c-1,marketing,granted,,"), Some(1)),
            (format!("{mark}{mark}{HEADING}"), None),
            (format!("\n{mark}{HEADING}"), None),
        ] {
            for chunk in [1, 2, 3, 64] {
                assert_eq!(read(text.as_bytes(), chunk).ok().map(|seen| seen.len()), said, "{text:?} in chunks of {chunk}");
            }
        }
        for part in 1..3 {
            assert!(read(&mark.as_bytes()[..part], 1).is_err());
            assert!(read(&[&mark.as_bytes()[..part], HEADING.as_bytes()].concat(), 64).is_err());
        }
    }

    #[test]
    fn another_heading_is_refused() {
        for text in ["a,b\nc,d\n", "c-1,marketing,granted,,\n", "subject,purpose,state,at\n"] {
            assert!(read(text.as_bytes(), 64).is_err(), "{text:?}");
        }
        assert!(read(HEADING.as_bytes(), 64).is_ok_and(|seen| seen.is_empty()));
    }
}
