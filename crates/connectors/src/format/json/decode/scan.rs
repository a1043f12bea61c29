//! A cursor over one line of JSON: whitespace, strings, numbers, literals, and skipping whole values.

use crate::{format::number::Number, source::MalformedReason};

/// Why a row is refused. Boxed, because it is rare and the happy path should return a word.
pub(super) type Fault = Box<MalformedReason>;

/// How deeply values may nest; deeper ones are refused rather than allowed to exhaust the stack.
pub(super) const MAX_DEPTH: usize = 128;

pub(super) struct Scanner<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    /// A field was passed over that the schema does not name.
    pub unnamed: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, unnamed: false }
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it is next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    #[cold]
    #[inline(never)]
    pub fn expected(&self, what: &str) -> Fault {
        Box::new(MalformedReason::Syntax { at: self.at as u64, expected: what.to_owned() })
    }

    /// After the opening quote: the raw content of the string if it has no escapes. Leaves the cursor behind the closing quote.
    /// Otherwise the cursor stands at the first escape or control character.
    #[inline]
    pub fn plain_string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let end = find_special(self.bytes, start);
        self.at = end;
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return self.bytes.get(start..end);
        }
        None
    }

    /// After the opening quote: appends the string's value to `out`.
    #[inline]
    pub fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = self.at;
        match self.plain_string() {
            Some(plain) => {
                out.extend_from_slice(plain);
                Ok(())
            }
            None => self.escaped_into(start, out),
        }
    }

    #[cold]
    #[inline(never)]
    fn escaped_into(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.at = start;
        loop {
            let from = self.at;
            self.at = find_special(self.bytes, from);
            out.extend_from_slice(&self.bytes[from..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape_into(out)?;
                }
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    fn escape_into(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let plain = match self.peek() {
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let c = self.code_point()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    fn code_point(&mut self) -> Result<char, Fault> {
        let begin = self.at;
        let first = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.take(b'\\') && self.take(b'u') {
            match self.hex4()? {
                second @ 0xDC00..0xE000 => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => first,
            }
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| {
            self.at = begin;
            self.expected("a whole surrogate pair")
        })
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| (b as char).to_digit(16)).ok_or_else(|| self.expected("a hexadecimal digit"))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    #[inline]
    pub fn number(&mut self) -> Result<Number<'a>, Fault> {
        match Number::parse(self.bytes.get(self.at..).unwrap_or_default()) {
            Ok(number) => {
                self.at += number.text.len();
                Ok(number)
            }
            Err(offset) => {
                self.at += offset;
                Err(self.expected("a digit"))
            }
        }
    }

    /// Steps over `word` or refuses.
    pub fn literal(&mut self, word: &str) -> Result<(), Fault> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.expected("a JSON value"))
        }
    }

    /// Steps over any value, checking its syntax.
    pub fn skip_value(&mut self, scratch: &mut Vec<u8>, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                scratch.clear();
                self.string_into(scratch)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(open @ (b'{' | b'[')) => {
                if depth >= MAX_DEPTH {
                    return Err(self.expected("no deeper nesting than 128"));
                }
                self.at += 1;
                self.skip_members(open == b'{', scratch, depth)
            }
            _ => Err(self.expected("a JSON value")),
        }
    }

    fn skip_members(&mut self, object: bool, scratch: &mut Vec<u8>, depth: usize) -> Result<(), Fault> {
        let close = if object { b'}' } else { b']' };
        self.skip_space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.skip_space();
            if object {
                if !self.take(b'"') {
                    return Err(self.expected("a key"));
                }
                scratch.clear();
                self.string_into(scratch)?;
                self.skip_space();
                if !self.take(b':') {
                    return Err(self.expected("`:`"));
                }
                self.skip_space();
            }
            self.skip_value(scratch, depth + 1)?;
            self.skip_space();
            if self.take(close) {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.expected(if object { "`,` or `}`" } else { "`,` or `]`" }));
            }
        }
    }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES * 0x80;

/// The first `"`, `\` or control character at or after `from`, or the length. Eight bytes at a time: a byte is zero where
/// subtracting one borrows into its high bit; bits above the first true hit may be wrong, the first never is.
#[inline]
pub(super) fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let hits = ((quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}
