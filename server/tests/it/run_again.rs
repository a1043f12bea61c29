//! `weir run` once more: input that grew or changed, output that is gone, and what people are told of it.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::weir::{files_below, lines_below, weir};

const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: again
purpose: essential.service
basis: contract
checkpoint: { every: 20ms }
batch: { rows: 10 }
sources:
  events:
    file: { path: in }
    FORMAT
    schema:
      - { name: id, type: int64, required: true }
      - { name: n, type: int64 }
steps:
  checked:
    quality: { from: events, on_fail: flag, rules: [{ between: { column: n, max: 5 } }] }
sinks:
  rows: { from: checked, file: { path: out } }
";

fn prepare(format: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("again.yaml"), DOCUMENT.replace("FORMAT", format)).unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join("in").join(name), text).unwrap();
    }
    dir
}

fn run(dir: &Path, more: &[&str]) -> Output {
    weir(dir).args(["run", "again.yaml", "--data", "data"]).args(more).output().unwrap()
}

fn finish(dir: &Path) -> Value {
    let output = run(dir, &["--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn lines_that_came_after_a_run_had_finished_are_read_by_the_next() {
    for (format, head, first, more) in
        [("format: json", "", "{\"id\":1}\n", "{\"id\":2}\n{\"id\":3}\n"), ("format: csv", "id,n\n", "1,1\n", "2,2\n3,3\n")]
    {
        let dir = prepare(format, &[("a", &format!("{head}{first}")), ("b", &format!("{head}{first}"))]);
        assert_eq!(finish(dir.path())["sources"]["events"]["in"], 2);
        fs::write(dir.path().join("in/a"), format!("{head}{first}{more}")).unwrap();
        let summary = finish(dir.path());
        assert_eq!((&summary["sources"]["events"]["in"], &summary["sinks"]["rows"]["written"]), (&json!(4), &json!(4)));
        assert_eq!(finish(dir.path())["sources"]["events"]["in"], 4);
        assert_eq!(lines_below(&dir.path().join("out")).len(), 4);
    }
}

#[test]
fn input_that_is_not_what_was_read_stops_the_run_with_the_ways_out() {
    let dir = prepare("format: json", &[("a", "{\"id\":1}\n{\"id\":2}\n")]);
    finish(dir.path());
    for changed in ["{\"id\":1}\n", "{\"id\":7}\n{\"id\":2}\n", "{\"id\":1}\n{\"id\":7}\n"] {
        fs::write(dir.path().join("in/a"), changed).unwrap();
        let output = run(dir.path(), &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("in/a: not the file that was read before") && said.contains("weir run --fresh"), "{said}");
    }
    assert_eq!(lines_below(&dir.path().join("out")).len(), 2);
    assert!(run(dir.path(), &["--fresh"]).status.success());
    assert_eq!(lines_below(&dir.path().join("out")).len(), 4);
}

#[test]
fn a_file_with_a_wrong_header_is_quarantined_and_the_others_are_read() {
    let files = [("a.csv", "id,n\n1,1\n"), ("b.csv", "ID,n,n\n2,2,2\n3,3,3\n"), ("c.csv", "n,id\n4,4\n")];
    let dir = prepare("format: csv", &files);
    let summary = finish(dir.path());
    assert_eq!(summary["sources"]["events"], json!({ "in": 3, "malformed": 1, "late": 0, "out": 2 }));
    let listed = weir(dir.path()).args(["quarantine", "list", "--data", "data"]).output().unwrap();
    assert!(text(&listed.stdout).contains("events:b.csv  1     wrong_columns"), "{}", text(&listed.stdout));

    for (policy, expected) in [("drop", 0), ("fail", 1)] {
        let dir = prepare(&format!("format: csv\n    on_malformed: {policy}"), &files[1..2]);
        let output = run(dir.path(), &["--json"]);
        assert_eq!(output.status.code(), Some(expected));
        match policy {
            "drop" => assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["sources"]["events"]["malformed"], 1),
            _ => {
                let said = text(&output.stderr);
                assert!(said.contains("b.csv: the header cannot be used: `id`, which is required, is missing"), "{said}");
                assert!(said.contains("`n` is there more than once") && said.contains("on_malformed: fail"), "{said}");
            }
        }
    }
}

#[test]
fn committed_output_that_is_gone_is_told_and_is_no_error() {
    let lines: String = (0..100).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let dir = prepare("format: json", &[("a", &lines)]);
    assert_eq!(finish(dir.path()).get("missing"), None);
    fs::write(dir.path().join("in/b"), "{\"id\":100}\n").unwrap();
    assert_eq!(finish(dir.path()).get("missing"), None, "all is there");
    let written = files_below(&dir.path().join("out"));
    fs::remove_file(&written[0]).unwrap();
    let output = run(dir.path(), &[]);
    assert!(output.status.success());
    let (told, logged) = (text(&output.stdout), text(&output.stderr));
    let of = written.len();
    assert!(told.contains(&format!("rows: 1 of the {of} files that earlier runs wrote were gone when this one began")), "{told}");
    assert!(logged.contains("WARN") && logged.contains("gone"), "{logged}");
    fs::remove_dir_all(dir.path().join("out")).unwrap();
    assert_eq!(finish(dir.path())["missing"], json!({ "rows": { "missing": of, "files": of } }));
}

#[test]
fn rows_that_a_rule_flags_are_in_the_summary() {
    let dir = prepare("format: json", &[("a", "{\"id\":1,\"n\":9}\n{\"id\":2,\"n\":1}\n")]);
    let output = run(dir.path(), &[]);
    let told = text(&output.stdout);
    assert!(told.contains("NOTED") && told.contains("1 flagged"), "{told}");
    assert_eq!(
        finish(dir.path())["steps"]["checked"],
        json!({ "in": 2, "out": 2, "quarantined": 0, "denied": 0, "late": 0, "dropped": 0, "flagged": 1 })
    );
}

#[test]
fn malformed_lines_are_counted_from_one() {
    let dir = prepare("format: json\n    on_malformed: fail", &[("a", "{\"id\":1}\n{\"id\":2}\nnot json\n")]);
    let said = text(&run(dir.path(), &[]).stderr);
    assert!(said.contains("line 3 of a is malformed"), "{said}");
}

#[test]
fn what_a_part_of_a_step_holds_is_held_by_the_step() {
    let dir = prepare("format: json", &[("a", "{\"id\":1,\"n\":0}\n{\"id\":2,\"n\":1}\n")]);
    let totals = "SELECT id, sum(10 / n) AS total FROM events GROUP BY id";
    let document = fs::read_to_string(dir.path().join("again.yaml")).unwrap();
    let document = document.replace("sinks:\n", &format!("  totals: {{ sql: \"{totals}\" }}\nsinks:\n"));
    let document = document.trim_end().to_owned() + "\n  sums: { from: totals, mode: changes, file: { path: totals } }\n";
    fs::write(dir.path().join("again.yaml"), document).unwrap();
    let summary = finish(dir.path());
    assert_eq!(summary["steps"]["totals"]["quarantined"], 1, "{summary}");
    let listed = weir(dir.path()).args(["quarantine", "list", "--data", "data", "--json"]).output().unwrap();
    let entry: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(entry["node"], "totals");
    let row = format!("{}/{}", entry["segment"].as_str().unwrap(), entry["row"]);
    let shown = weir(dir.path()).args(["quarantine", "show", &row, "--data", "data"]).output().unwrap();
    assert!(shown.status.success() && text(&shown.stdout).contains("held by   totals"), "{}", text(&shown.stderr));
}
