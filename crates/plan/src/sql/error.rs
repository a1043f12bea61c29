//! What is wrong with a query, in words for its author; DataFusion's errors translated.

use datafusion::{
    common::{Column, DataFusionError, SchemaError},
    sql::sqlparser::{parser::ParserError, tokenizer},
};
use weir_spec::Diagnostic;

use crate::suggest;

/// One finding about SQL text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Issue {
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
    /// Line and column in the text, from 1.
    pub at: Option<(u64, u64)>,
}

impl Issue {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, at: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn at(mut self, span: tokenizer::Span) -> Self {
        if span.start.line > 0 {
            self.at = Some((span.start.line, span.start.column));
        }
        self
    }

    /// As a diagnostic of the document, with the place in the text drawn as a note.
    pub fn diagnostic(self, path: &str, text: &str) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code, path, self.message);
        if let Some((line, column)) = self.at
            && let Some(source) = text.lines().nth(line as usize - 1)
        {
            let several = text.trim_end().contains('\n');
            diagnostic.notes = excerpt(source, column as usize, line, several);
        }
        diagnostic.help = self.help;
        diagnostic
    }
}

/// The characters around a place and a caret under it.
fn excerpt(line: &str, column: usize, number: u64, several: bool) -> Vec<String> {
    const AROUND: usize = 60;
    let chars: Vec<char> = line.chars().collect();
    let at = column.saturating_sub(1).min(chars.len());
    let start = at.saturating_sub(AROUND);
    let end = chars.len().min(at + AROUND);
    let before = if start > 0 { "…" } else { "" };
    let after = if end < chars.len() { "…" } else { "" };
    let shown: String = chars[start..end].iter().collect();
    let place = if several { format!("line {number} of the query: ") } else { String::new() };
    let caret = " ".repeat(place.chars().count() + before.chars().count() + at - start);
    vec![format!("{place}{before}{}{after}", shown.trim_end()), format!("{caret}^")]
}

/// Translates an error of DataFusion's planner. `columns` are the columns in scope, for suggestions.
pub(crate) fn issues(error: DataFusionError, columns: &[String]) -> Vec<Issue> {
    match error {
        DataFusionError::Collection(errors) => errors.into_iter().flat_map(|error| issues(error, columns)).collect(),
        DataFusionError::Context(_, inner) => issues(*inner, columns),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let mut found = issues(*inner, columns);
            if let (Some(issue), Some(span)) = (found.first_mut(), diagnostic.span) {
                issue.at.get_or_insert((span.start.line, span.start.column));
            }
            found
        }
        DataFusionError::SchemaError(error, _) => vec![schema_issue(*error, columns)],
        DataFusionError::SQL(error, _) => vec![syntax_issue(*error)],
        DataFusionError::Plan(message) | DataFusionError::Execution(message) => {
            vec![plan_issue(&message)]
        }
        DataFusionError::NotImplemented(message) => {
            vec![Issue::new("sql-unsupported", format!("not supported: {}", readable(&message)))]
        }
        other => vec![Issue::new("sql", readable(&other.strip_backtrace()))],
    }
}

fn schema_issue(error: SchemaError, columns: &[String]) -> Issue {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut names: Vec<String> = valid_fields.iter().map(|column| column.name.clone()).collect();
            if names.is_empty() {
                names = columns.to_vec();
            }
            let issue = Issue::new("unknown-column", format!("unknown column `{}`", shown(&field)));
            let issue = match names.iter().find(|name| **name != field.name && name.eq_ignore_ascii_case(&field.name)) {
                Some(name) => issue.help(format!("unquoted names are lower-cased; write \"{name}\"")),
                None => issue.help(suggest::among("column", &field.name, names.iter().map(String::as_str))),
            };
            match field.spans.first() {
                Some(span) => Issue { at: Some((span.start.line, span.start.column)), ..issue },
                None => issue,
            }
        }
        SchemaError::AmbiguousReference { field } => {
            Issue::new("ambiguous-column", format!("`{}` could be more than one column", field.name))
                .help("write its table before it")
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => duplicate(&name),
    }
}

pub(crate) fn duplicate(name: &str) -> Issue {
    Issue::new("duplicate-column", format!("two columns are named `{name}`")).help("give one of them another name with AS")
}

fn shown(column: &Column) -> String {
    match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => column.name.clone(),
    }
}

fn plan_issue(message: &str) -> Issue {
    if message.starts_with("Projections require unique expression names") {
        let name = message.split('"').nth(1).map(|expr| expr.rsplit([' ', '.']).next().unwrap_or(expr));
        return duplicate(name.unwrap_or("?"));
    }
    if let Some(rest) = message.split("column \"").nth(1).filter(|_| message.contains("must appear in the GROUP BY clause")) {
        let column = rest.split('"').next().unwrap_or("?");
        return Issue::new("sql-group", format!("`{column}` is neither grouped by nor inside an aggregate"))
            .help("add it to GROUP BY, or say which of its values is meant: min(…), max(…), first_value(…)");
    }
    Issue::new("sql", readable(message))
}

/// A syntax error, its position taken out of the message's end (` at Line: 1, Column: 8`).
pub(crate) fn syntax_issue(error: ParserError) -> Issue {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => "nested too deeply".to_owned(),
    };
    let (text, place) = message.rsplit_once(" at Line: ").unwrap_or((&message, ""));
    let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>().ok());
    let at = numbers.next().flatten().zip(numbers.next().flatten());
    Issue { at, ..Issue::new("sql-syntax", format!("SQL syntax: {}", readable(text))) }
}

/// One line, types by the names that documents use.
fn readable(message: &str) -> String {
    let mut text = message.trim().trim_start_matches("Error during planning: ").to_owned();
    if let Some((first, _)) = text.split_once("\n\nbacktrace") {
        text = first.to_owned();
    }
    // The essence of a failed function call stands between a report of a bug that is none and a list of type classes.
    if let Some(start) = text.find("No function matches") {
        let end = text.find(" You might need").unwrap_or(text.len());
        text = text[start..end].to_owned();
    }
    if let Some(end) = text.find(" This issue was likely caused by a bug") {
        text.truncate(end);
    }
    let arrow = [
        ("Timestamp(µs, \"UTC\")", "timestamp"),
        ("LargeUtf8", "string"),
        ("Utf8View", "string"),
        ("Utf8", "string"),
        ("Boolean", "boolean"),
        ("Int32", "int32"),
        ("Int64", "int64"),
        ("Float32", "float32"),
        ("Float64", "float64"),
        ("Date32", "date"),
        ("Binary", "bytes"),
        ("Decimal128", "decimal"),
    ];
    for (from, to) in arrow {
        text = text.replace(from, to);
    }
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        // A word in capitals (CASE, CAST) stays.
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => first.to_lowercase().chain(chars).collect(),
        Some(first) => std::iter::once(first).chain(chars).collect(),
        None => "the query cannot be planned".to_owned(),
    }
}
