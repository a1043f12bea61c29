//! `weir check`: every error of every document, one a line, as compilers write them.

use super::contracts::ContractsArg;
use super::{Failure, Outcome, output};
use clap::Args;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use weir_spec::{Diagnostic, Document, Parsed, parse_any};
use weir_worker::FileContracts;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Pipeline and contract documents, YAML or JSON; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    // Contracts among the files are known too.
    #[command(flatten)]
    contracts: ContractsArg,
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
    let mut shared = args.contracts.read()?;
    for document in &documents {
        if let Some(Document::Contract(contract)) = &document.parsed.value {
            shared.add((**contract).clone());
        }
    }
    let mut errors = 0;
    for document in documents {
        for finding in findings(document.parsed, &shared.with_neighbours(&document.folder)) {
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

/// What is wrong with the document itself, and, of a pipeline, what planning it finds.
fn findings(parsed: Parsed<Document>, known: &FileContracts) -> Vec<Diagnostic> {
    known.plan(&parsed.into_pipeline()).diagnostics
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
