//! Keys of a sink that do not go together.

use std::collections::{HashMap, HashSet};

use super::Scope;
use crate::{
    connector::{Compression, Format, SinkConnector},
    diagnostic::Diagnostic,
    pipeline::{Delivery, Sink},
};

pub fn check(scope: &Scope<'_>, found: &mut Vec<Diagnostic>) {
    let mut folders: HashMap<String, &str> = HashMap::new();
    for (name, sink) in &scope.pipeline.sinks {
        let path = format!("sinks.{name}");
        // Without a connector the sink reads as stdout; of that nothing can be said.
        if scope.earlier.iter().any(|error| error.path == path) {
            continue;
        }
        match &sink.connector {
            SinkConnector::Stdout(_) => stdout(scope, &path, sink, found),
            SinkConnector::File(file) => {
                let folder = normal(&file.path);
                if let Some(other) = folders.get(&folder).filter(|_| !file.path.is_empty()) {
                    let message = format!("the sinks `{other}` and `{name}` write to the same folder");
                    found.push(
                        Diagnostic::error("same-folder", format!("{path}.file.path"), message).with_help("give each its own"),
                    );
                }
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

fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}
