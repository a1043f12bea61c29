//! How types of other crates look in the OpenAPI document. Never constructed.

use serde::Serialize;
use utoipa::ToSchema;

/// How sensitive a value is, least sensitive first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    Public,
    Internal,
    Confidential,
    Restricted,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// A place in a document's text; both count from 1.
#[derive(Serialize, ToSchema)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// A stretch of a document's text; `end` is exclusive.
#[derive(Serialize, ToSchema)]
pub struct Span {
    pub start: Position,
    pub end: Position,
}

/// The way of a column to where it must not go, by the names that the document gives its parts.
#[derive(Serialize, ToSchema)]
pub struct Trail {
    /// As the sink knows it.
    pub column: String,
    pub sink: String,
    /// Each from a source to the sink, both included.
    pub ways: Vec<Vec<String>>,
}

/// One finding about a document.
#[derive(Serialize, ToSchema)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable name of the finding, such as `unknown-key` or `leak`.
    pub code: String,
    /// Where in the document's structure: `steps.safe.mask.columns.card`.
    pub path: String,
    pub span: Option<Span>,
    pub message: String,
    /// Further facts, one a line.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// For what reaches a sink that must not.
    pub trail: Option<Trail>,
}

/// One finding of a problem: about a place in a document, or about a field of the request.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ProblemError {
    Document(Diagnostic),
    Field(crate::problem::FieldError),
}
