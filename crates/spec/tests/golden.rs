//! What a person is told about a document: every case of `golden/*.txt`, with all that is said of it.
//!
//! A case is a title, a text, and the diagnostics in the compiler's style. `$HEAD`, `$SOURCES` and `$SINKS` on a line of their own stand
//! for the parts of a pipeline that a case is not about. Run with `UPDATE_EXPECT=1` to write the diagnostics anew, and read the difference.

#![allow(clippy::unwrap_used)]

use expect_test::expect_file;
use weir_spec::parse_any;

const HEAD: &str = "apiVersion: weir/v1\nkind: Pipeline\nname: p\npurpose: essential.service\nbasis: contract";
const SOURCES: &str =
    "sources: { rows: { file: { path: in.ndjson }, schema: [{ name: id, type: string }, { name: amount, type: int64 }] } }";
const SINKS: &str = "sinks: { out: { from: rows, file: { path: out } } }";

const TITLE: &str = "=== ";
const ARROW: &str = "-->";

fn expand(text: &str) -> String {
    text.replace("$HEAD\n", &format!("{HEAD}\n"))
        .replace("$SOURCES\n", &format!("{SOURCES}\n"))
        .replace("$SINKS\n", &format!("{SINKS}\n"))
}

/// The same file with its diagnostics computed, and the number of its cases.
fn recompute(file: &str) -> (String, usize) {
    let mut out = String::new();
    let mut cases = 0;
    let mut sections = file.split(TITLE);
    out.push_str(sections.next().unwrap());
    for section in sections {
        let (title, rest) = section.split_once('\n').unwrap();
        let text = rest.split_once(&format!("{ARROW}\n")).map_or(rest, |(text, _)| text);
        let parsed = parse_any(&expand(text));
        assert_eq!(parsed.value.is_some(), !parsed.diagnostics.iter().any(|d| d.is_error()), "{title}");
        out.push_str(&format!("{TITLE}{title}\n{text}{ARROW}\n"));
        for diagnostic in &parsed.diagnostics {
            out.push_str(&diagnostic.render("doc.yaml"));
            out.push('\n');
        }
        if parsed.diagnostics.is_empty() {
            out.push_str("(nothing to say)\n");
        }
        out.push('\n');
        cases += 1;
    }
    (out.trim_end().to_owned() + "\n", cases)
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let (computed, _) = recompute(include_str!(concat!("golden/", stringify!($name), ".txt")));
            expect_file![concat!("golden/", stringify!($name), ".txt")].assert_eq(&computed);
        })*

        #[test]
        fn there_are_many_cases() {
            let cases: usize = [$(recompute(include_str!(concat!("golden/", stringify!($name), ".txt"))).1),*].iter().sum();
            assert!(cases >= 60, "{cases}");
        }
    };
}

golden!(syntax, keys, values, references, together, contracts, metrics);
