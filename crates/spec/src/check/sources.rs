//! Keys of a source that do not go together.

use std::collections::HashSet;

use super::Scope;
use crate::{
    connector::{FileSource, Format, SourceConnector},
    diagnostic::Diagnostic,
    parse::quoted,
    pipeline::Source,
};

pub fn check(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    for (name, source) in &scope.pipeline.sources {
        let path = format!("sources.{name}");
        schema(scope, name, &path, source, found);
        let connector = format!("{path}.{}", source.connector.key());
        let known = scope.spans.contains(&connector) || *scope.spans == crate::spans::SpanMap::default();
        if known && scope.is_clean(&format!("{path}.format")) {
            format(scope, name, &path, source, found);
        }
    }
}

fn schema(scope: &Scope<'_>, name: &str, path: &str, source: &Source, found: &mut Vec<Diagnostic>) {
    let contract = format!("{path}.contract");
    let schema = format!("{path}.schema");
    let has_contract = scope.is_given(&contract, source.contract.is_some());
    let has_schema = scope.is_given(&schema, source.schema.is_some());
    // A source that is broken itself, or whose key is misspelt, has been spoken of.
    let explained = scope.earlier.iter().any(|error| {
        let keys = ["contract", "schema", "generator", "nexmark"];
        error.path == path || keys.iter().any(|key| error.is_misspelling(path, key))
    });
    match (has_contract, has_schema) {
        (true, true) => {
            let error = Diagnostic::error(
                "contract-and-schema",
                schema.clone(),
                format!("the source `{name}` has a contract and a schema"),
            );
            found.push(error.with_help("keep one: the contract says what the columns are"));
        }
        (false, false) if !brings_columns(&source.connector) && !explained => {
            let error = Diagnostic::error("no-schema", path, format!("nothing says what the columns of the source `{name}` are"));
            found.push(error.with_help("add `contract: NAME@MAJOR`, or a `schema:` with its columns"));
        }
        _ => {}
    }
    let mut seen = HashSet::new();
    for (i, column) in source.schema.iter().flatten().enumerate() {
        if !column.name.is_empty() && !seen.insert(&column.name) {
            let message = format!("the column {} is given twice", quoted(&column.name));
            found.push(Diagnostic::error("duplicate-column", format!("{schema}[{i}].name"), message));
        }
    }
}

/// Sources that make their rows know their columns.
fn brings_columns(connector: &SourceConnector) -> bool {
    matches!(connector, SourceConnector::Generator(_) | SourceConnector::Nexmark(_))
}

fn format(scope: &Scope<'_>, name: &str, path: &str, source: &Source, found: &mut Vec<Diagnostic>) {
    let at = format!("{path}.format");
    match &source.connector {
        SourceConnector::Generator(_) | SourceConnector::Nexmark(_) if scope.is_given(&at, source.format.is_some()) => {
            let error = Diagnostic::error(
                "format-not-allowed",
                at,
                format!("the generator `{name}` has no format: its rows are never bytes"),
            );
            found.push(error.with_help("remove `format`"));
        }
        SourceConnector::Generator(_) | SourceConnector::Nexmark(_) => {}
        SourceConnector::Http(_) => {
            if let Some(format) = source.format.filter(|format| *format != Format::Json) {
                let message = format!("an http source takes json, not {}", format.as_str());
                found.push(
                    Diagnostic::error("format-not-allowed", at, message).with_help("write `format: json`, or leave it out"),
                );
            }
        }
        SourceConnector::File(file) => file_keys(scope, path, file, source.format.unwrap_or(Format::Json), found),
    }
}

fn file_keys(scope: &Scope<'_>, path: &str, file: &FileSource, format: Format, found: &mut Vec<Diagnostic>) {
    let text = [Format::Json, Format::Csv].as_slice();
    let keys = [
        ("delimiter", file.delimiter != ',', [Format::Csv].as_slice(), "csv"),
        ("header", !file.header, &[Format::Csv], "csv"),
        ("null", !file.null.is_empty(), &[Format::Csv], "csv"),
        ("max_line", file.max_line != 1 << 20, text, "json and csv"),
        ("compression", file.compression.is_some(), text, "json and csv"),
    ];
    for (key, differs, formats, names) in keys {
        let at = format!("{path}.file.{key}");
        if scope.is_given(&at, differs) && !formats.contains(&format) {
            let message = format!("`{key}` is for {names} only, and the format is {}", format.as_str());
            found
                .push(Diagnostic::error("key-not-allowed", at, message).with_help(format!("remove `{key}`, or change `format`")));
        }
    }
}
