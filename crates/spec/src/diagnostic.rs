//! What is wrong with a document, where, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spans::{join, parent};

/// A place in a document's text. Lines and columns count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// A stretch of a document's text; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    pub start: Position,
    pub end: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// The way of a column to where it must not go, by the names that the document gives its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// As the sink knows it.
    pub column: String,
    pub sink: String,
    /// Each from a source to the sink, both included.
    pub ways: Vec<Vec<String>>,
}

/// One finding about a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable, kebab-case name of the finding, such as `unknown-key` or `leak`.
    pub code: String,
    /// Where in the document's structure: `steps.safe.mask.columns.card`. Empty for the whole document.
    pub path: String,
    /// Where in its text; absent when the document was not read from text.
    pub span: Option<Span>,
    pub message: String,
    /// Further facts, one a line: for a leak, each step of the path.
    pub notes: Vec<String>,
    /// What to do, when there is something to suggest.
    pub help: Option<String>,
    /// For what reaches a sink that must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<Trail>,
}

impl Diagnostic {
    pub fn error(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, path, message)
    }

    pub fn warning(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, path, message)
    }

    fn new(severity: Severity, code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: code.to_owned(),
            path: path.into(),
            span: None,
            message: message.into(),
            notes: Vec::new(),
            help: None,
            trail: None,
        }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub fn with_trail(mut self, trail: Trail) -> Self {
        self.trail = Some(trail);
        self
    }

    /// Says where in the text.
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Whether this says that `key` was misspelt in the map at `path`; then nothing more is to be said of its absence.
    pub(crate) fn is_misspelling(&self, path: &str, key: &str) -> bool {
        self.code == "unknown-key" && self.meant() == join(path, key) && self.path != join(path, key)
    }

    /// The path with the key that was probably meant in the place of one that is unknown.
    pub(crate) fn meant(&self) -> String {
        let suggested = self.help.as_deref().and_then(|help| help.strip_prefix("did you mean `")?.strip_suffix("`?"));
        match suggested.filter(|_| self.code == "unknown-key") {
            Some(key) => join(parent(&self.path), key),
            None => self.path.clone(),
        }
    }

    /// Where below this path the finding is, such as `.quality.rules[1]`; empty at the path itself, None elsewhere.
    pub(crate) fn below(&self, path: &str) -> Option<&str> {
        self.path.strip_prefix(path).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// As compilers write it: `FILE:LINE:COLUMN: error: MESSAGE`, then the notes and the help, indented, their line breaks kept: a
    /// help may hold YAML to paste. A finding without a place is shown at the beginning of the document. No line break at the end.
    pub fn render(&self, file: &str) -> String {
        let at = self.span.map_or(Position { line: 1, column: 1 }, |span| span.start);
        let mut out = format!("{file}:{at}: {}: {}", self.severity, one_line(&self.message));
        for note in &self.notes {
            out.push_str("\n    ");
            out.push_str(&indented(note, "    "));
        }
        if let Some(help) = &self.help {
            out.push_str("\n    help: ");
            out.push_str(&indented(help, "      "));
        }
        out
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The lines of a text, those after the first behind an indent.
fn indented(text: &str, indent: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(&format!("\n{indent}"))
}

impl Span {
    /// A place without length.
    pub const fn point(line: u32, column: u32) -> Self {
        let at = Position { line, column };
        Self { start: at, end: at }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
