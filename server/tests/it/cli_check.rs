//! `weir check` as an editor or a CI job calls it.

use expect_test::expect;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const VALID: &str = include_str!("data/valid.yaml");
const CONTRACT: &str = "apiVersion: v3.0.2
kind: DataContract
id: 4d7c1b1e-payments
name: payments
version: 1.0.0
status: active
schema:
  - name: payments
    logicalType: object
    properties:
      - { name: id, logicalType: integer, required: true }
      - { name: card, logicalType: string, classification: restricted }
";

fn weir(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

#[test]
fn a_valid_document_is_met_with_silence() {
    let folder = folder(&[("a.yaml", VALID)]);
    let output = weir(folder.path(), &["check", "a.yaml"]);
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(0), String::new(), String::new()));
}

#[test]
fn every_error_of_every_file_is_one_line_an_editor_can_jump_to() {
    let one = VALID.replace("purpose:", "porpose:").replace("redact:", "redcat:");
    let folder = folder(&[("one.yaml", &one), ("two.yaml", "kind: Pipeline\nname: [\n"), ("good.yaml", VALID)]);
    let output = weir(folder.path(), &["check", "one.yaml", "good.yaml", "two.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let found = text(&output.stdout);
    let places: Vec<&str> = found.lines().filter(|line| line.contains(": error: ")).collect();
    let count = |file: &str| places.iter().filter(|line| line.starts_with(file)).count();
    assert!(count("one.yaml:") >= 2 && count("two.yaml:") >= 1 && count("good.yaml:") == 0, "{found}");
    for line in places {
        let mut parts = line.splitn(4, ':').skip(1);
        let (row, column) = (parts.next().unwrap(), parts.next().unwrap());
        assert!(row.parse::<u32>().unwrap() > 0 && column.parse::<u32>().unwrap() > 0, "{line}");
    }
    assert!(found.contains("help: did you mean `purpose`?"), "{found}");
}

#[test]
fn a_leak_is_told_with_its_path() {
    let leak = VALID.replace("from: safe", "from: events");
    let folder = folder(&[("leak.yaml", &leak)]);
    let output = weir(folder.path(), &["check", "leak.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let found = text(&output.stdout);
    let errors: Vec<&str> = found.lines().filter(|line| line.starts_with("leak.yaml:") && line.contains(": error: ")).collect();
    assert_eq!(errors.len(), 1, "{found}");
    assert!(errors[0].contains("`card`") && errors[0].contains("`out`"), "{found}");
    let path = found.find("source `events`: `card`").expect("the path begins at the source");
    assert!(found[path..].contains("sink `out`: clearance internal"), "and ends at the sink: {found}");
    assert!(found.contains("help: "), "{found}");
}

#[test]
fn a_misspelt_key_does_not_hide_the_leak_beside_it() {
    let both = VALID
        .replace("steps:\n", "steps:\n  other: { quality: { from: events, rules: [{ not_nul: id }] } }\n")
        .replace("sinks:\n", "sinks:\n  leaky: { from: other, stdout: {} }\n");
    let folder = folder(&[("both.yaml", &both)]);
    let output = weir(folder.path(), &["check", "both.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let found = text(&output.stdout);
    let errors: Vec<&str> = found.lines().filter(|line| line.contains(": error: ")).collect();
    assert_eq!(errors.len(), 2, "{found}");
    assert!(errors[0].contains("unknown key `not_nul`"), "{found}");
    assert!(errors[1].contains("`card` is restricted and would reach sink `leaky`"), "{found}");
}

#[test]
fn contracts_are_found_among_the_files_below_the_pipeline_and_where_told() {
    let pipeline = VALID.replace(
        "    schema:
      - { name: id, type: int64, required: true, classification: internal }
      - { name: card, type: string, classification: restricted }
",
        "    contract: payments@1\n",
    );
    assert!(pipeline.contains("payments@1"));
    let alone = folder(&[("p/a.yaml", &pipeline)]);
    assert_eq!(weir(alone.path(), &["check", "p/a.yaml"]).status.code(), Some(2));
    for (place, arguments) in [
        ("elsewhere/payments.yaml", vec!["check", "p/a.yaml", "elsewhere/payments.yaml"]),
        ("p/contracts/payments.yaml", vec!["check", "p/a.yaml"]),
        ("elsewhere/payments.yaml", vec!["check", "--contracts", "elsewhere", "p/a.yaml"]),
    ] {
        let folder = folder(&[("p/a.yaml", &pipeline), (place, CONTRACT)]);
        let output = weir(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stdout));
    }
    // `weir run` looks in the same places.
    let row = "{\"id\":1,\"card\":\"4111111111111111\"}\n";
    let folder = folder(&[("p/a.yaml", &pipeline), ("p/events.ndjson", row), ("elsewhere/payments.yaml", CONTRACT)]);
    assert_eq!(weir(folder.path(), &["run", "p/a.yaml"]).status.code(), Some(2));
    let output = weir(folder.path(), &["run", "p/a.yaml", "--contracts", "elsewhere", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["sinks"]["out"]["written"], 1);
}

#[test]
fn a_contract_with_errors_is_named_where_it_is_missed() {
    let pipeline = VALID.replace("redact: {}", "hash: {}").replace("    schema:\n", "    contract: payments@1\n    xschema:\n");
    let pipeline: String = pipeline
        .lines()
        .filter(|line| !line.contains("xschema") && !line.contains("- { name:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let folder = folder(&[("a.yaml", &pipeline), ("contracts/payments.yaml", &CONTRACT.replace("status:", "statsu:"))]);
    for command in ["check", "run"] {
        let output = weir(folder.path(), &[command, "a.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(
            told.contains("unknown contract `payments@1`") && told.contains("contracts/payments.yaml:6:1"),
            "{command}: {told}"
        );
    }
}

#[test]
fn standard_input_is_a_file_called_dash() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(VALID.replace("kind: Pipeline", "kind: Pipelin").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    expect![[r#"
        -:2:7: error: `Pipelin` is not a kind of document
            help: did you mean `Pipeline`?
    "#]]
    .assert_eq(&text(&output.stdout));
}

#[test]
fn machines_get_one_json_object_a_finding() {
    let folder = folder(&[("a.yaml", &VALID.replace("redact:", "redcat:"))]);
    let output = weir(folder.path(), &["check", "--json", "a.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let found = text(&output.stdout);
    assert!(!found.is_empty());
    for line in found.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(finding["file"], "a.yaml");
        assert_eq!(finding["severity"], "error");
        assert!(finding["span"]["start"]["line"].is_u64());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_hides_no_other() {
    let folder = folder(&[("bad.yaml", "kind: Nothing\n")]);
    std::fs::write(folder.path().join("latin.yaml"), b"kind: \xe4\n").unwrap();
    let output = weir(folder.path(), &["check", "absent.yaml", "latin.yaml", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("error: absent.yaml: "), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("error: latin.yaml: is not UTF-8 from byte 6"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("bad.yaml:1:"), "{}", text(&output.stdout));
}

#[test]
fn a_wrong_call_exits_with_2_and_a_right_question_with_0() {
    let folder = folder(&[]);
    assert_eq!(weir(folder.path(), &["check"]).status.code(), Some(2));
    assert_eq!(weir(folder.path(), &["fly"]).status.code(), Some(2));
    let version = weir(folder.path(), &["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(text(&version.stdout), concat!("weir ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(weir(folder.path(), &["--help"]).status.code(), Some(0));
}
