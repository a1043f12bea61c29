//! `weir check`: every error of every document, one a line, as compilers write them.

use super::contracts::Contracts;
use super::{Failure, Outcome, output};
use clap::Args;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use weir_spec::{Diagnostic, Document, Parsed, parse_any};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Pipeline and contract documents, YAML or JSON; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A folder with contracts that pipelines may name; may be repeated. Contracts among the files and in `contracts/` beside a
    /// pipeline are known too
    #[arg(long, value_name = "DIR")]
    contracts: Vec<PathBuf>,
    /// Print one JSON object a finding
    #[arg(long)]
    json: bool,
}

/// A document as it was read.
struct Checked {
    name: String,
    folder: PathBuf,
    parsed: Parsed<Document>,
}

#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    #[serde(flatten)]
    finding: &'a Diagnostic,
}

pub fn run(args: &CheckArgs) -> Outcome {
    let mut unreadable = false;
    let mut documents = Vec::new();
    for path in &args.files {
        match read(path) {
            Ok(text) => documents.push(Checked {
                name: path.display().to_string(),
                folder: path.parent().unwrap_or(Path::new("")).to_owned(),
                parsed: parse_any(&text),
            }),
            Err(problem) => {
                output::error(&format!("{}: {problem}", path.display()));
                unreadable = true;
            }
        }
    }
    let mut shared = Contracts::default();
    for folder in &args.contracts {
        shared.add_folder(folder).map_err(|problem| Failure::usage(format!("{}: {problem}", folder.display())))?;
    }
    for document in &documents {
        if let Some(Document::Contract(contract)) = &document.parsed.value {
            shared.add((**contract).clone());
        }
    }
    let mut errors = 0;
    for document in &documents {
        for finding in findings(document, &shared) {
            errors += usize::from(finding.is_error());
            if args.json {
                output::json(&Finding { file: &document.name, finding: &finding })?;
            } else {
                output::line(finding.render(&document.name));
            }
        }
    }
    if errors > 0 || unreadable { Err(Failure::Usage(String::new())) } else { Ok(()) }
}

/// Structural findings, and, of a pipeline that has no structural error, what planning it finds.
fn findings(document: &Checked, shared: &Contracts) -> Vec<Diagnostic> {
    let mut findings = document.parsed.diagnostics.clone();
    if let Some(Document::Pipeline(pipeline)) = &document.parsed.value {
        let known = shared.with_neighbours(&document.folder);
        let mut planned = weir_plan::plan(pipeline, &known).diagnostics;
        document.parsed.spans.locate(&mut planned);
        findings.append(&mut planned);
    }
    findings.sort_by_key(|finding| (finding.span.map(|span| span.start), finding.severity));
    findings
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 from byte {}", error.utf8_error().valid_up_to()))
}
