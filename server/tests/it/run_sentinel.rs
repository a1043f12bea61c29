//! A value planted in a restricted column is found nowhere: not in the data folder, not in a log line, not in a sink.

use std::fmt::Write;

use crate::weir::{files_below, weir};

/// Looked for as it is and in the encodings in which a careless program would leave it.
const SENTINEL: &str = "5ENT1NEL-7c0ffee-4242";

const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: sentinel
purpose: essential.fraud_detection
basis: consent
checkpoint: { every: 20ms }
batch: { rows: 50, wait: 5ms }
sources:
  people:
    file: { path: people.ndjson }
    subject: person
    schema:
      - { name: id, type: int64, required: true }
      - { name: person, type: string, classification: confidential }
      - { name: secret, type: string, classification: restricted }
      - { name: amount, type: float64 }
steps:
  checked:
    quality:
      from: people
      rules:
        - between: { column: amount, min: 0 }
        - unique: { columns: [secret, id], within: 1h }
  allowed:
    consent: { from: checked, on_deny: quarantine }
  masked:
    mask:
      from: allowed
      columns: { person: { token: {} }, secret: { hash: {} } }
  encrypted:
    mask:
      from: allowed
      columns: { secret: { encrypt: {} }, person: { hash: {} } }
sinks:
  public: { from: masked, file: { path: public } }
  sealed: { from: encrypted, file: { path: sealed }, format: parquet, clearance: restricted }
";

#[test]
fn a_sentinel_in_a_restricted_column_is_found_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut input = String::new();
    for row in 0..500 {
        // Good, failing a rule, of the wrong type, cut off, and repeated rows all carry it.
        let _ = match row % 5 {
            0 | 1 => writeln!(input, r#"{{"id": {row}, "person": "{SENTINEL}-p{row}", "secret": "{SENTINEL}", "amount": 1}}"#),
            2 => writeln!(input, r#"{{"id": {row}, "person": "p{row}", "secret": "{SENTINEL}", "amount": -1}}"#),
            3 => writeln!(input, r#"{{"id": "{SENTINEL}", "person": "p", "secret": "{SENTINEL}"}}"#),
            _ => writeln!(input, r#"{{"id": {row}, "secret": "{SENTINEL}"#),
        };
    }
    std::fs::write(dir.path().join("people.ndjson"), input).unwrap();
    std::fs::write(dir.path().join("pipeline.yaml"), DOCUMENT).unwrap();
    let consent: String = std::iter::once("subject,purpose,state,at,expires_at\n".to_owned())
        .chain((0..500).map(|row| {
            let state = if row % 10 == 0 { "denied" } else { "granted" };
            format!("{SENTINEL}-p{row},essential.fraud_detection,{state},2026-01-01T00:00:00Z,\n")
        }))
        .collect();
    std::fs::write(dir.path().join("consent.csv"), consent).unwrap();

    let mut said = Vec::new();
    let mut call = |args: &[&str]| {
        let output = weir(dir.path()).env("WEIR_LOG", "trace").args(args).output().unwrap();
        said.extend_from_slice(&output.stdout);
        said.extend_from_slice(&output.stderr);
        (
            output.status,
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // A run makes the data folder; consent comes into it afterwards.
    std::fs::write(
        dir.path().join("empty.yaml"),
        DOCUMENT.replace("name: sentinel", "name: empty").replace("people.ndjson", "empty.ndjson"),
    )
    .unwrap();
    std::fs::write(dir.path().join("empty.ndjson"), "{\"id\": 1}\n").unwrap();
    let (status, _, errors) = call(&["run", "empty.yaml", "--data", "data"]);
    assert!(status.success(), "{errors}");
    let (status, _, errors) = call(&["consent", "import", "consent.csv", "--data", "data"]);
    assert!(status.success(), "{errors}");
    let (status, summary, errors) = call(&["run", "pipeline.yaml", "--data", "data", "--json"]);
    assert!(status.success(), "{errors}");
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["sinks"]["public"]["written"], 150, "{summary}");
    let (status, _, errors) = call(&["quarantine", "list", "--data", "data", "--json"]);
    assert!(status.success(), "{errors}");
    let (status, _, errors) = call(&["audit", "verify", "--data", "data"]);
    assert!(status.success(), "{errors}");

    let mut needles = vec![SENTINEL.as_bytes().to_vec(), SENTINEL.to_lowercase().into_bytes()];
    let hex: String = SENTINEL.bytes().map(|byte| format!("{byte:02x}")).collect();
    needles.push(hex.into_bytes());
    needles.extend(base64_forms(SENTINEL.as_bytes()));
    let found = |haystack: &[u8]| needles.iter().any(|needle| haystack.windows(needle.len()).any(|window| window == needle));
    assert!(found(format!("x{SENTINEL}y").as_bytes()), "the search itself works");
    assert!(!found(&said), "in what the program said");
    let mut searched = 0;
    for folder in ["data", "public", "sealed"] {
        for path in files_below(&dir.path().join(folder)) {
            let content = std::fs::read(&path).unwrap();
            searched += content.len();
            assert!(!found(&content), "in {}", path.display());
            assert!(!found(path.to_string_lossy().as_bytes()), "in the name {}", path.display());
        }
    }
    assert!(searched > 100_000, "only {searched} bytes were searched");

    // It is not lost: whoever may read the quarantine finds it, and that is on record.
    let output = weir(dir.path()).args(["quarantine", "export", "--data", "data"]).output().unwrap();
    assert!(found(&output.stdout), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The base64 of a text that lies at any offset within a longer one, without its ragged ends.
fn base64_forms(text: &[u8]) -> Vec<Vec<u8>> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    (0..3)
        .map(|shift| {
            let shifted: Vec<u8> = std::iter::repeat_n(b' ', shift).chain(text.iter().copied()).collect();
            let encoded = BASE64_STANDARD.encode(shifted);
            encoded.as_bytes()[4..encoded.len() - 4].to_vec()
        })
        .collect()
}
