//! Text (YAML 1.2 or JSON, which is a part of it) to a node tree with spans.
//!
//! Left out on purpose: anchors and aliases (a few lines of them grow to gigabytes, and the place of an error in a copy cannot be
//! told), tags, several documents in one text. Each is an error that says what to write instead.

pub mod node;
pub mod scalar;

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use crate::{
    diagnostic::{Diagnostic, Position, Span},
    spans::join,
};
pub use node::{Entry, Node, Value, quoted};

/// The longest document accepted, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting accepted.
pub const MAX_DEPTH: usize = 64;

/// Reads a text. The tree is absent when the syntax is broken; it is present, with errors beside it, when only parts of it are unusable.
pub fn parse(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let lines = Lines::of(text);
    let mut builder = Builder { lines: &lines, diagnostics: Vec::new(), path: Vec::new(), events: Parser::new_from_str(text) };
    if let Some(refused) = refused(text) {
        return (None, vec![refused]);
    }
    let root = builder.document().unwrap_or_default();
    (root, builder.diagnostics)
}

fn refused(text: &str) -> Option<Diagnostic> {
    if text.len() > MAX_BYTES {
        let message = format!("the document is longer than {} KiB", MAX_BYTES / 1024);
        return Some(Diagnostic::error("too-large", "", message).at(Span::point(1, 1)));
    }
    let mut at = Position { line: 1, column: 1 };
    let mut previous = '\0';
    for c in text.chars() {
        // The scanner takes NUL for the end of its input; a document must not end where a reader sees more. The others are
        // not text in YAML nor in JSON.
        if c < ' ' && !matches!(c, '\n' | '\r' | '\t') {
            let message = format!("the character U+{:04X} is not allowed in a document", c as u32);
            let error = Diagnostic::error("syntax", "", message).at(Span::point(at.line, at.column));
            return Some(error.with_help("remove it, or write it as an escape in a double-quoted text"));
        }
        if c == '\n' && previous != '\r' || c == '\r' {
            at = Position { line: at.line + 1, column: 1 };
        } else if c != '\n' {
            at.column += 1;
        }
        previous = c;
    }
    None
}

/// The length of every line in characters; keeps spans inside the text.
struct Lines(Vec<(u32, bool)>);

impl Lines {
    fn of(text: &str) -> Self {
        let mut lines = vec![(0, false)];
        let mut chars = text.chars().peekable();
        let mut indenting = true;
        while let Some(c) = chars.next() {
            if c == '\n' || c == '\r' {
                if c == '\r' && chars.peek() == Some(&'\n') {
                    chars.next();
                }
                lines.push((0, false));
                indenting = true;
            } else if let Some((length, tabbed)) = lines.last_mut() {
                *length += 1;
                *tabbed |= indenting && c == '\t';
                indenting &= c == ' ' || c == '\t';
            }
        }
        Self(lines)
    }

    fn position(&self, mark: &Marker) -> Position {
        let line = mark.line().clamp(1, self.0.len());
        let beyond = mark.line() > self.0.len();
        let length = self.0[line - 1].0;
        let column =
            if beyond { length + 1 } else { u32::try_from(mark.col()).unwrap_or(u32::MAX).saturating_add(1).min(length + 1) };
        Position { line: line as u32, column }
    }

    fn span(&self, span: &saphyr_parser::Span) -> Span {
        let start = self.position(&span.start);
        Span { start, end: self.position(&span.end).max(start) }
    }

    fn indented_by_tab(&self, line: u32) -> bool {
        self.0.get(line as usize - 1).is_some_and(|(_, tabbed)| *tabbed)
    }
}

/// The text cannot be read further; why has been recorded.
struct Stop;

struct Builder<'t> {
    lines: &'t Lines,
    diagnostics: Vec<Diagnostic>,
    /// The keys and items around the value that is being read.
    path: Vec<String>,
    events: Parser<'t, StrInput<'t>>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, self.lines.span(&span))),
            Some(Err(error)) => {
                let at = self.lines.position(error.marker());
                let mut diagnostic = if self.lines.indented_by_tab(at.line) {
                    Diagnostic::error("syntax", "", "a tab cannot indent").with_help("indent with spaces")
                } else {
                    broken(error.info())
                };
                diagnostic.span = Some(Span { start: at, end: at });
                self.diagnostics.push(diagnostic);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Span::point(1, 1))),
        }
    }

    fn error(&mut self, code: &str, span: Span, message: impl Into<String>, help: &str) {
        self.diagnostics.push(Diagnostic::error(code, self.path(), message).at(span).with_help(help));
    }

    fn path(&self) -> String {
        self.path.iter().fold(String::new(), |path, part| if part.starts_with('[') { path + part } else { join(&path, part) })
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::Nothing | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    let help = "write one document a file";
                    self.error("several-documents", span, "a second document begins here", help);
                    return Ok(root);
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0, None)?);
                }
                _ => {}
            }
        }
        let empty = root.as_ref().is_none_or(|node| node.value == Value::Null);
        if empty {
            let start = Span::point(1, 1);
            self.error("empty-document", start, "the document is empty", "begin with `apiVersion:` and `kind:`");
            return Ok(None);
        }
        Ok(root)
    }

    /// Builds the node that begins with this event. `after` is where its key ended: the place of a value that is not there.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize, after: Option<Position>) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            self.error("too-deep", span, format!("nested deeper than {MAX_DEPTH} levels"), "flatten the document");
            return Err(Stop);
        }
        let plain = |anchor: usize, tagged: bool| anchor == 0 && !tagged;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(plain(anchor, tag.is_some()), anchor, span);
                let value = match style {
                    ScalarStyle::Plain => scalar::plain(&text),
                    _ => Value::String(text.into_owned()),
                };
                let span = match after {
                    Some(end) if value == Value::Null && span.start == span.end => Span { start: end, end },
                    _ => span,
                };
                Ok(Node { value, span })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(plain(anchor, tag.is_some()), anchor, span);
                let mut items = Vec::new();
                let mut end = span.end;
                loop {
                    let (event, at) = self.next()?;
                    if event == Event::SequenceEnd {
                        return Ok(Node { value: Value::List(items), span: closed(span, at, end) });
                    }
                    self.path.push(format!("[{}]", items.len()));
                    let item = self.node(event, at, depth + 1, None)?;
                    self.path.pop();
                    end = item.span.end;
                    items.push(item);
                }
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(plain(anchor, tag.is_some()), anchor, span);
                self.map(span, depth)
            }
            Event::Alias(_) => {
                let help = "write the value out where it is needed";
                self.error("alias", span, "aliases are not supported", help);
                Ok(Node { value: Value::Null, span })
            }
            _ => {
                self.error("syntax", span, "a value is missing here", "write one");
                Err(Stop)
            }
        }
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        let mut end = span.end;
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node { value: Value::Map(entries), span: closed(span, at, end) });
            }
            let key = match event {
                Event::Scalar(text, _, anchor, tag) => {
                    self.refuse_properties(anchor == 0 && tag.is_none(), anchor, at);
                    Some(text.into_owned())
                }
                other => {
                    self.node(other, at, depth + 1, None)?;
                    self.error("syntax", at, "a key must be a text", "write a plain word before the colon");
                    None
                }
            };
            let (event, value_at) = self.next()?;
            self.path.push(key.clone().unwrap_or_default());
            let value = self.node(event, value_at, depth + 1, Some(at.end))?;
            end = value.span.end.max(at.end);
            let Some(key) = key else {
                self.path.pop();
                continue;
            };
            if !keys.insert(key.clone()) {
                let first = entries.iter().find(|e| e.key == key).map_or(1, |e| e.key_span.start.line);
                let message = format!("the key {} is given twice", quoted(&key));
                self.error("duplicate-key", at, message, &format!("it was first given on line {first}; keep one"));
                self.path.pop();
                continue;
            }
            self.path.pop();
            entries.push(Entry { key, key_span: at, value });
        }
    }

    fn refuse_properties(&mut self, plain: bool, anchor: usize, span: Span) {
        if plain {
            return;
        }
        if anchor != 0 {
            self.error("alias", span, "anchors are not supported", "write the value out where it is needed");
        } else {
            self.error("tag", span, "tags are not supported", "remove the tag; quote a value to make it a text");
        }
    }
}

/// A flow collection ends behind its bracket, a block collection behind its last child.
fn closed(start: Span, close: Span, last_child: Position) -> Span {
    let end = if close.start < close.end { close.end } else { last_child };
    Span { start: start.start, end: end.max(start.start) }
}

/// The scanner's words as one clause without its own position.
/// What the scanner says of broken syntax, and what to do where its words do not tell.
fn broken(info: &str) -> Diagnostic {
    if info.contains("recursion limit") {
        return Diagnostic::error("too-deep", "", format!("nested deeper than {MAX_DEPTH} levels"))
            .with_help("flatten the document");
    }
    let mut diagnostic = Diagnostic::error("syntax", "", tidy(info));
    if info.contains("tab") {
        diagnostic.help =
            Some("write spaces instead of tabs; a tab within a text needs double quotes around the text, and `\\t`".to_owned());
    }
    diagnostic
}

fn tidy(info: &str) -> String {
    let info: String = info.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let info = info.trim().trim_end_matches('.');
    if info.is_empty() { "the syntax is broken here".to_owned() } else { format!("syntax: {info}") }
}
