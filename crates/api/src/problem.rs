//! What went wrong, as RFC 9457 problem documents (`application/problem+json`).

use serde::{Deserialize, Serialize};
use weir_spec::Diagnostic;

/// A problem document. `type` is a stable URI reference such as `/problems/not-found`; machines compare it, people read
/// `title` and `detail`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    #[serde(rename = "type")]
    pub type_uri: String,
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: Option<String>,
    /// The path that was asked for.
    pub instance: Option<String>,
    /// Names this request in the server's log and in the audit log.
    pub request_id: Option<String>,
    /// The single findings, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::ProblemError>))]
    pub errors: Vec<ProblemError>,
    /// Wait this long before trying again; also sent as `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// One finding of a problem: about a place in a document, or about a field of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ProblemError {
    Document(Diagnostic),
    Field(FieldError),
}

/// A field of a request that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl Problem {
    pub fn new(name: &str, title: &str, status: u16) -> Self {
        Self {
            type_uri: format!("/problems/{name}"),
            title: title.to_owned(),
            status,
            detail: None,
            instance: None,
            request_id: None,
            errors: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// The findings about a document, in their order.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.errors.iter().filter_map(|error| match error {
            ProblemError::Document(diagnostic) => Some(diagnostic),
            ProblemError::Field(_) => None,
        })
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title),
            None => f.write_str(&self.title),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_findings_survive_a_round_trip() {
        let mut problem = Problem::new("invalid-document", "The document has errors", 422);
        problem.errors = vec![
            ProblemError::Document(
                Diagnostic::error("unknown-key", "steps.a", "unknown key `maks`").with_help("did you mean `mask`?"),
            ),
            ProblemError::Field(FieldError { field: "name".into(), message: "is taken".into() }),
        ];
        let json = serde_json::to_string(&problem).unwrap();
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
        assert!(json.contains("\"type\":\"/problems/invalid-document\""));
        assert_eq!(problem.diagnostics().count(), 1);
    }
}
