//! What a source or a sink is, as far as stored state depends on it: the positions of a source mean nothing in another file, the files that
//! a sink has prepared nothing in another folder. How fast, how often and how much at once is not part of it.
//!
//! `source/2 file {"path":"in/*.ndjson"} as json`: the layout's number, the connector, and its settings that differ from what goes
//! without saying, so that a setting that is added later changes no definition. Layout 1 was the connector as Rust prints it;
//! [`translated`] tells what such a text means.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir_plan::SourceNode;
use weir_spec::{
    Sink,
    connector::{Format, SinkConnector, SourceConnector},
};

use super::debug_text;

/// What definitions of sources begin with.
pub const SOURCE: &str = "source/2 ";
/// What definitions of sinks begin with.
pub const SINK: &str = "sink/2 ";

/// A setting, and the value that is left out.
type Setting = (&'static str, Value);

/// What the positions of a source depend on.
pub fn source(source: &SourceNode) -> String {
    let settings = match &source.connector {
        SourceConnector::File(file) => json!({
            "path": file.path,
            "compression": file.compression,
            "delimiter": file.delimiter,
            "header": file.header,
        }),
        SourceConnector::Generator(generator) => json!({
            "kind": generator.kind,
            "seed": generator.seed,
            "subjects": generator.subjects,
            "faults": generator.faults,
            "late": generator.late,
            "anomalies": generator.anomalies,
            "start": generator.start,
        }),
        SourceConnector::Http(_) => json!({}),
        SourceConnector::Nexmark(nexmark) => json!({
            "stream": nexmark.stream,
            "seed": nexmark.seed,
            "event_rate": nexmark.event_rate,
            "start": nexmark.start,
        }),
    };
    of_source(source.connector.key(), &object(settings), source.format.map(Format::as_str))
}

/// What the pre-commits of a sink depend on.
pub fn sink(sink: &Sink) -> String {
    let settings = match &sink.connector {
        SinkConnector::File(file) => json!({
            "path": file.path,
            "partition_by": file.partition_by,
            "partition_time": file.partition_time.as_ref().map(|time| json!({ "column": time.column, "by": time.by })),
        }),
        SinkConnector::Sqlite(table) => json!({ "path": table.path, "table": table.table, "key": table.key }),
        SinkConnector::Stdout(_) => json!({}),
    };
    of_sink(sink.connector.key(), &object(settings), sink.format.as_str())
}

/// A definition of layout 1 as one of layout 2, for the node that is `now` so defined; `None` where it is no such definition. Where
/// layout 1 leaves positions open that layout 2 fixes, the setting must not have changed: it is then part of the text.
pub fn translated(before: &str, now: Option<&SourceNode>) -> Option<String> {
    let (side, rest) = before.split_once(' ')?;
    let (text, format) = match rest.rsplit_once(" as ") {
        Some((text, format)) if text.ends_with([')', '}']) => (text, Some(format)),
        _ => (rest, None),
    };
    let (variant, inner) = debug_text::variant(text)?;
    let key = variant.to_lowercase();
    match side {
        "source" => {
            let mut definition = of_source(&key, &inner, format);
            // The event times of generated rows went by the rate, and the old positions do not tell it.
            if let Some(SourceConnector::Generator(generator)) = now.map(|now| &now.connector)
                && key == "generator"
                && inner.get("rate").and_then(Value::as_u64) != generator.rate
            {
                definition.push_str(&format!(" at {} rows a second", inner.get("rate").unwrap_or(&Value::Null)));
            }
            Some(definition)
        }
        "sink" => Some(of_sink(&key, &inner, format?)),
        _ => None,
    }
}

fn of_source(key: &str, settings: &Map<String, Value>, format: Option<&str>) -> String {
    let matters: Vec<Setting> = match key {
        // How a file is cut into rows is all that positions in it depend on.
        "file" if format == Some("csv") => {
            vec![("path", Value::Null), ("compression", Value::Null), ("delimiter", json!(',')), ("header", json!(true))]
        }
        "file" => vec![("path", Value::Null), ("compression", Value::Null)],
        "generator" => vec![
            ("kind", Value::Null),
            ("seed", json!(1)),
            ("subjects", json!(10_000)),
            ("faults", json!(0.0)),
            ("late", json!(0.0)),
            ("anomalies", json!(0.001)),
            ("start", Value::Null),
        ],
        "nexmark" => {
            vec![("stream", Value::Null), ("seed", json!(1)), ("event_rate", json!(10_000)), ("start", Value::Null)]
        }
        _ => Vec::new(),
    };
    text(SOURCE, key, &matters, settings, format)
}

fn of_sink(key: &str, settings: &Map<String, Value>, format: &str) -> String {
    let matters: Vec<Setting> = match key {
        "file" => vec![("path", Value::Null), ("partition_by", json!([])), ("partition_time", Value::Null)],
        "sqlite" => vec![("path", Value::Null), ("table", Value::Null), ("key", json!([]))],
        _ => Vec::new(),
    };
    // A database has no format; the document's default stands there.
    text(SINK, key, &matters, settings, (key != "sqlite").then_some(format))
}

fn text(side: &str, key: &str, matters: &[Setting], settings: &Map<String, Value>, format: Option<&str>) -> String {
    let said: Vec<String> = matters
        .iter()
        .filter_map(|(name, usual)| {
            settings.get(*name).filter(|value| *value != usual).map(|value| format!("\"{name}\":{}", sorted(value)))
        })
        .collect();
    let format = format.map_or(String::new(), |format| format!(" as {format}"));
    format!("{side}{key} {{{}}}{format}", said.join(","))
}

/// As JSON, with the fields of an object in the order of their names.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        }
        plain => plain.to_string(),
    }
}

fn object(settings: Value) -> Map<String, Value> {
    match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_layout_1_said_is_what_layout_2_says() {
        let file = r#"source File(FileSource { path: "in/\"a\".csv", compression: Some(Gzip), max_line: 1048576, delimiter: ';', header: true, null: "" }) as csv"#;
        assert_eq!(
            translated(file, None).as_deref(),
            Some(r#"source/2 file {"path":"in/\"a\".csv","compression":"gzip","delimiter":";"} as csv"#)
        );
        let http = "source Http(HttpSource { max_backlog_mib: 64 }) as json";
        assert_eq!(translated(http, None).as_deref(), Some("source/2 http {} as json"));
        let generator = "source Generator(GeneratorSource { kind: Payments, seed: 7, rate: Some(50), rows: None, subjects: 10000, faults: 0.02, late: 0.0, anomalies: 0.001, start: None })";
        assert_eq!(
            translated(generator, None).as_deref(),
            Some(r#"source/2 generator {"kind":"payments","seed":7,"faults":0.02}"#)
        );
        let sink = r#"sink File(FileSink { path: "out", compression: None, partition_by: ["country"], partition_time: Some(PartitionTime { column: "at", by: Day }), max_file_mib: 256 }) as json"#;
        assert_eq!(
            translated(sink, None).as_deref(),
            Some(r#"sink/2 file {"path":"out","partition_by":["country"],"partition_time":{"by":"day","column":"at"}} as json"#)
        );
        assert_eq!(translated("sink Stdout(StdoutSink) as json", None).as_deref(), Some("sink/2 stdout {} as json"));
        let sqlite = r#"sink Sqlite(SqliteSink { path: "a.db", table: "t", key: ["id"] }) as json"#;
        assert_eq!(translated(sqlite, None).as_deref(), Some(r#"sink/2 sqlite {"path":"a.db","table":"t","key":["id"]}"#));
        assert_eq!(translated("quality unique(id) within 1h", None), None);
    }
}
