//! Connectors and what goes with them.

use super::{character, choice, flag, float, number, optional_text, span, text, texts};
use crate::{
    connector::{
        Compression, EventTime, FileSink, FileSource, GeneratorKind, GeneratorSource, HttpSource, NexmarkSource, NexmarkStream,
        PartitionTime, SinkConnector, SourceConnector, SqliteSink, SqliteTable, StdoutSink, TableConnector, TimeUnit,
    },
    nexmark::DEFAULT_EVENT_RATE,
    parse::Node,
    types::Timespan,
};

pub fn source(node: &Node) -> SourceConnector {
    if let Some(file) = node.get("file") {
        return SourceConnector::File(file_source(file));
    }
    if let Some(generator) = node.get("generator") {
        return SourceConnector::Generator(GeneratorSource {
            kind: choice(generator, "kind").unwrap_or(GeneratorKind::Payments),
            seed: number(generator, "seed").unwrap_or(1),
            rate: number(generator, "rate"),
            rows: number(generator, "rows"),
            subjects: number(generator, "subjects").unwrap_or(10_000),
            faults: float(generator, "faults").unwrap_or(0.0),
            late: float(generator, "late").unwrap_or(0.0),
            anomalies: float(generator, "anomalies").unwrap_or(0.001),
            start: optional_text(generator, "start"),
        });
    }
    if let Some(nexmark) = node.get("nexmark") {
        let rate = number(nexmark, "rate");
        return SourceConnector::Nexmark(NexmarkSource {
            stream: choice(nexmark, "stream").unwrap_or(NexmarkStream::Bid),
            seed: number(nexmark, "seed").unwrap_or(1),
            events: number(nexmark, "events"),
            rate,
            event_rate: number(nexmark, "event_rate").or(rate).unwrap_or(DEFAULT_EVENT_RATE),
            start: optional_text(nexmark, "start"),
        });
    }
    let http = node.get("http");
    SourceConnector::Http(HttpSource { max_backlog_mib: http.and_then(|http| number(http, "max_backlog_mib")).unwrap_or(256) })
}

pub fn file_source(file: &Node) -> FileSource {
    FileSource {
        path: text(file, "path"),
        compression: choice(file, "compression"),
        max_line: number(file, "max_line").unwrap_or(1 << 20),
        delimiter: character(file, "delimiter").unwrap_or(','),
        header: flag(file, "header").unwrap_or(true),
        null: text(file, "null"),
    }
}

pub fn table(node: &Node) -> TableConnector {
    match node.get("sqlite") {
        Some(table) => TableConnector::Sqlite(SqliteTable { path: text(table, "path"), table: text(table, "table") }),
        None => TableConnector::File(file_source(node.get("file").unwrap_or(node))),
    }
}

pub fn sink(node: &Node) -> SinkConnector {
    if let Some(table) = node.get("sqlite") {
        return SinkConnector::Sqlite(SqliteSink {
            path: text(table, "path"),
            table: text(table, "table"),
            key: texts(table, "key"),
        });
    }
    let Some(file) = node.get("file") else {
        return SinkConnector::Stdout(StdoutSink {});
    };
    SinkConnector::File(FileSink {
        path: text(file, "path"),
        compression: choice(file, "compression").unwrap_or(Compression::None),
        partition_by: texts(file, "partition_by"),
        partition_time: file
            .get("partition_time")
            .map(|node| PartitionTime { column: text(node, "column"), by: choice(node, "by").unwrap_or(TimeUnit::Day) }),
        max_file_mib: number(file, "max_file_mib").unwrap_or(256),
    })
}

pub fn event_time(node: &Node) -> EventTime {
    EventTime {
        column: text(node, "column"),
        max_delay: span(node, "max_delay").unwrap_or(Timespan::from_millis(0)),
        idle_after: span(node, "idle_after"),
        max_ahead: span(node, "max_ahead").unwrap_or(EventTime::DEFAULT_MAX_AHEAD),
        late: choice(node, "late").unwrap_or_default(),
    }
}
