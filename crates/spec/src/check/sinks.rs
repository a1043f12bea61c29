//! Keys of a sink that do not go together.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use super::Scope;
use crate::{
    connector::{Compression, Format, SinkConnector, SourceConnector, SqliteSink},
    diagnostic::Diagnostic,
    parse::quoted,
    pipeline::{Delivery, Sink, SinkMode},
};

pub fn check(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    let mut folders: HashMap<String, &str> = HashMap::new();
    let mut tables: HashMap<(String, String), &str> = HashMap::new();
    for (name, sink) in &scope.pipeline.sinks {
        let path = format!("sinks.{name}");
        // Without a connector the sink reads as stdout; of that nothing can be said.
        if scope.earlier.iter().any(|error| error.path == path) {
            continue;
        }
        let replaces = matches!(sink.connector, SinkConnector::Sqlite(_));
        if sink.mode == SinkMode::Upsert && !replaces && scope.is_clean(&format!("{path}.mode")) {
            let message = format!("`{}` only adds rows, so it cannot replace those with the same key", sink.connector.key());
            let error = Diagnostic::error("mode-not-allowed", format!("{path}.mode"), message);
            found.push(error.with_help("write to `sqlite`, or `mode: changes`, which adds a row for every change"));
        }
        match &sink.connector {
            SinkConnector::Stdout(_) => stdout(scope, &path, sink, found),
            SinkConnector::Sqlite(table) => {
                // SQLite does not tell upper and lower case apart.
                let place = (normal(&table.path), table.table.to_ascii_lowercase());
                if let Some(other) = tables.get(&place).filter(|_| !table.path.is_empty() && !table.table.is_empty()) {
                    let message = format!("the sinks `{other}` and `{name}` write to the same table");
                    found.push(
                        Diagnostic::error("same-table", format!("{path}.sqlite.table"), message).with_help("give each its own"),
                    );
                }
                tables.insert(place, name);
                sqlite(scope, &path, sink, table, found);
            }
            SinkConnector::File(file) => {
                let folder = normal(&file.path);
                if let Some(other) = folders.get(&folder).filter(|_| !file.path.is_empty()) {
                    let message = format!("the sinks `{other}` and `{name}` write to the same folder");
                    found.push(
                        Diagnostic::error("same-folder", format!("{path}.file.path"), message).with_help("give each its own"),
                    );
                }
                own_output(scope, &path, &folder, found);
                folders.insert(folder, name);
                let compression = format!("{path}.file.compression");
                if sink.format == Format::Parquet && file.compression != Compression::None {
                    let message = "`compression` is for json and csv only, and the format is parquet";
                    let error = Diagnostic::error("key-not-allowed", compression, message);
                    found.push(error.with_help("remove it: parquet compresses its own pages"));
                }
                let mut seen = HashSet::new();
                for (i, column) in file.partition_by.iter().enumerate() {
                    if !seen.insert(column) {
                        let message = format!("`{column}` partitions twice");
                        found.push(Diagnostic::error("duplicate-column", format!("{path}.file.partition_by[{i}]"), message));
                    }
                }
            }
        }
    }
}

fn stdout(scope: &Scope<'_>, path: &str, sink: &Sink, found: &mut Vec<Diagnostic>) {
    if sink.delivery == Delivery::ExactlyOnce && scope.is_clean(&format!("{path}.delivery")) {
        let message = "what was printed cannot be taken back, so `stdout` cannot deliver exactly once";
        let error = Diagnostic::error("delivery", format!("{path}.delivery"), message);
        found.push(error.with_help("write `delivery: at_least_once`, or leave it out"));
    }
    if sink.format == Format::Parquet {
        let message = "parquet is not text and cannot be printed";
        found.push(
            Diagnostic::error("format-not-allowed", format!("{path}.format"), message)
                .with_help("write `format: json` or `format: csv`"),
        );
    }
}

/// A sink whose files a source of the same pipeline reads: whenever it is run again, it would read what it wrote.
fn own_output(scope: &Scope<'_>, path: &str, folder: &str, found: &mut Vec<Diagnostic>) {
    for (name, source) in &scope.pipeline.sources {
        let SourceConnector::File(file) = &source.connector else { continue };
        // What stands before the first `*`, `?` or `[` of a glob.
        let fixed: Vec<&str> = file.path.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
        let is_glob = fixed.len() < file.path.split('/').count();
        let read = normal(&fixed.join("/"));
        // A name with an ending is a file; nothing lies below it.
        let is_folder = !is_glob && Path::new(&read).extension().is_none();
        let reads_it = is_folder && Path::new(folder).starts_with(&read) || read == folder;
        let reads_in_it = Path::new(&read).starts_with(folder);
        if !file.path.is_empty() && !folder.is_empty() && (reads_it || reads_in_it) {
            let message = format!("the source `{name}` reads where this sink writes");
            let error = Diagnostic::error("own-output", format!("{path}.file.path"), message);
            found.push(error.with_help("write to a folder that no source of this pipeline reads"));
        }
    }
}

fn sqlite(scope: &Scope<'_>, path: &str, sink: &Sink, table: &SqliteSink, found: &mut Vec<Diagnostic>) {
    let format = format!("{path}.format");
    if scope.is_given(&format, sink.format != Format::Json) {
        let message = "a database has no format: its rows are never bytes";
        found.push(Diagnostic::error("format-not-allowed", format, message).with_help("remove `format`"));
    }
    let lower = table.table.to_ascii_lowercase();
    if lower.starts_with("sqlite_") || lower.starts_with("_weir") {
        let owner = if lower.starts_with("_weir") { "Weir" } else { "SQLite" };
        let message = format!("the name {} is reserved: it belongs to {owner}", quoted(&table.table));
        found.push(
            Diagnostic::error("reserved-name", format!("{path}.sqlite.table"), message).with_help("give the table another name"),
        );
    }
    let key = format!("{path}.sqlite.key");
    if !scope.is_clean(&key) || !scope.is_clean(&format!("{path}.mode")) {
        return;
    }
    let mut seen = HashSet::new();
    if let Some(twice) = table.key.iter().find(|column| !seen.insert(column.as_str())) {
        let message = format!("the key names {} twice", quoted(twice));
        found.push(Diagnostic::error("duplicate-column", key.clone(), message).with_help("name each column once"));
    }
    match (sink.mode, table.key.is_empty()) {
        (SinkMode::Upsert, true) => {
            let message = "`mode: upsert` replaces the row with the same key, and nothing says what the key is";
            let error = Diagnostic::error("no-key", format!("{path}.mode"), message);
            found.push(error.with_help("add `key:` with the columns that tell the table's rows apart"));
        }
        (SinkMode::Append | SinkMode::Changes, false) => {
            let message = "a `key` is what rows are replaced by, and this mode only adds rows";
            let error = Diagnostic::error("key-not-allowed", key, message);
            found.push(error.with_help("remove `key`, or write `mode: upsert`"));
        }
        _ => {}
    }
}

/// Without `.`, `..` and empty parts, as far as the text alone tells.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}
