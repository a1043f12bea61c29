//! A pipeline about people: rows are posted, checked, allowed by consent and masked.

use crate::common::Server;
use axum::http::StatusCode;
use serde_json::json;

/// Rows about people, who must have agreed; what fails a rule is held.
pub const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: people
purpose: marketing.advertising
basis: consent
checkpoint: { every: 50ms }
batch: { rows: 100, wait: 5ms }
sources:
  rows:
    http: {}
    subject: person
    schema:
      - { name: id, type: int64, required: true }
      - { name: person, type: string, classification: confidential }
      - { name: note, type: string, classification: restricted }
steps:
  checked:
    quality:
      from: rows
      rules: [ { not_null: [note] }, { between: { column: id, min: 0 } } ]
  allowed:
    consent: { from: checked, on_deny: drop, on_unknown: deny }
  safe:
    mask: { from: allowed, columns: { person: { hash: {} }, note: { redact: {} } } }
sinks:
  out: { from: safe, file: { path: out } }
";

/// What it is for; people are asked about this.
pub const PURPOSE: &str = "marketing.advertising";

/// Posts one row.
pub async fn post_row(server: &Server, id: i64, person: &str, note: Option<&str>) {
    let row = json!({ "id": id, "person": person, "note": note });
    let answer = server.ingest("people/rows", &server.admin, &[("content-type", "application/x-ndjson")], row.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
}
