//! The grammar of the pipeline document.

use super::{
    Field, List, Map, Object, Shape, choices, defaulted,
    metrics::{ALERT, WINDOW_RULE},
    optional, required,
    text::Text::{self, ColumnName, ContractRef, DocumentName, Free, NonEmpty, Relation, TableName, Timestamp},
};
use crate::{
    connector::{Compression, Format, GeneratorKind, LatePolicy, NexmarkStream, TimeUnit},
    consent::{OnDeny, OnUnknown},
    pipeline::{Basis, Delivery, OnMalformed, SinkMode},
    quality::{OnFail, TextFormat},
    types::Classification,
};

/// The `apiVersion` of pipelines.
pub const API_VERSION: &str = "weir/v1";

/// Sources, steps or sinks of one pipeline: far beyond what anyone draws, and small enough to check while someone types.
const MAX_NODES: usize = 500;

const DAY: u64 = 86_400_000;
/// The largest whole number that every JSON reader keeps exactly.
const MAX_EXACT: i128 = (1 << 53) - 1;

const ONE_OR_MORE_COLUMNS: Shape = Shape::List(&List { of: Shape::Text(ColumnName), min: 1, or_one: true });
const COLUMN: Shape = Shape::Text(ColumnName);
const FROM: Shape = Shape::Text(NonEmpty);

pub static PIPELINE: Shape = Shape::Object(&Object::new(
    "a pipeline",
    &[
        required("apiVersion", Shape::Const(API_VERSION), "The version of this grammar."),
        required("kind", Shape::Const("Pipeline"), "What the document is."),
        required("name", Shape::Text(DocumentName), "The pipeline's name, unique in its project."),
        optional("description", Shape::Text(Free), "What the pipeline is for, in a sentence."),
        optional("owner", Shape::Text(NonEmpty), "The team that answers for it."),
        required(
            "purpose",
            Shape::Text(NonEmpty),
            "The registered purpose for which personal data is processed: a fideslang data use, or your own.",
        ),
        required(
            "basis",
            Shape::Choice(choices::<Basis>),
            "The lawful basis of GDPR Art. 6(1). With `consent`, every path to a sink needs a consent step.",
        ),
        defaulted("parallelism", Shape::Integer(1, 64), "1", "Lanes that process batches side by side."),
        optional("checkpoint", Shape::Object(&CHECKPOINT), "How often the run's state and evidence are made durable."),
        optional("batch", Shape::Object(&BATCH), "When a batch of rows closes."),
        defaulted("strict", Shape::Boolean, "false", "State that would grow without bound is an error rather than a warning."),
        optional("tables", Shape::Map(&TABLES), "Reference data that SQL steps look up, by name."),
        required("sources", Shape::Map(&SOURCES), "Where rows come from, by name."),
        optional("steps", Shape::Map(&STEPS), "What happens to rows, by name: a graph joined by `from`."),
        optional(
            "sinks",
            Shape::Map(&SINKS),
            "Where rows go, by name. May be left out where steps only watch: alerts, quality over time.",
        ),
    ],
));

static CHECKPOINT: Object = Object::new(
    "a checkpoint",
    &[defaulted("every", Shape::Duration(1, 3_600_000), "\"2s\"", "Time between two checkpoints, 1ms to 1h.")],
);

static BATCH: Object = Object::new(
    "a batch",
    &[
        defaulted("rows", Shape::Integer(1, 1_000_000), "8192", "A batch closes at so many rows,"),
        defaulted("wait", Shape::Duration(0, 60_000), "\"5ms\"", "or after so long, whichever comes first."),
    ],
);

static TABLES: Map = Map { what: "a table", key: TableName, of: Shape::Object(&TABLE), min: 0, max: MAX_NODES };
static SOURCES: Map = Map { what: "a source", key: TableName, of: Shape::Object(&SOURCE), min: 1, max: MAX_NODES };
static STEPS: Map = Map { what: "a step", key: TableName, of: Shape::Object(&STEP), min: 0, max: MAX_NODES };
static SINKS: Map = Map { what: "a sink", key: TableName, of: Shape::Object(&SINK), min: 0, max: MAX_NODES };

static TABLE: Object = Object::new(
    "a table",
    &[
        defaulted(
            "format",
            Shape::Choice(choices::<Format>),
            "\"json\"",
            "How rows are written as bytes. A database's table has none.",
        ),
        optional("contract", Shape::Text(ContractRef), "A registered contract and its major version: `rates@1`."),
        optional(
            "schema",
            Shape::List(&List { of: Shape::Object(&SCHEMA_COLUMN), min: 1, or_one: false }),
            "The columns, written here instead of in a contract.",
        ),
        optional("key", ONE_OR_MORE_COLUMNS, "The columns that tell its rows apart; a later row replaces an earlier one."),
        defaulted("reload", Shape::Duration(100, DAY), "\"10s\"", "How often it is looked at; it is read again when it changed."),
    ],
)
.with_one_of(
    "connector",
    &[
        optional("file", Shape::Object(&FILE_SOURCE), "The file that holds the rows."),
        optional("sqlite", Shape::Object(&SQLITE_TABLE), "The table of a SQLite database that holds the rows."),
    ],
);

static SQLITE_TABLE: Object = Object::new(
    "a database's table",
    &[
        required("path", Shape::Text(NonEmpty), "The database, a file relative to the document."),
        required("table", Shape::Text(Relation), "The table or view. Its columns are found by their names."),
    ],
);

static SOURCE: Object = Object::new(
    "a source",
    &[
        optional(
            "format",
            Shape::Choice(choices::<Format>),
            "How rows are written as bytes; json by default. A generator has none.",
        ),
        optional("contract", Shape::Text(ContractRef), "A registered contract and its major version: `payments@1`."),
        optional(
            "schema",
            Shape::List(&List { of: Shape::Object(&SCHEMA_COLUMN), min: 1, or_one: false }),
            "The columns, written here instead of in a contract.",
        ),
        optional("subject", COLUMN, "The column that names the person a row is about."),
        optional("event_time", Shape::Object(&EVENT_TIME), "When the events happened, and how late rows may be."),
        defaulted(
            "on_malformed",
            Shape::Choice(choices::<OnMalformed>),
            "\"quarantine\"",
            "What happens to input that cannot be decoded or that breaks its contract.",
        ),
    ],
)
.with_one_of(
    "connector",
    &[
        optional("file", Shape::Object(&FILE_SOURCE), "Reads a file, a folder or a glob."),
        optional("generator", Shape::Object(&GENERATOR), "Makes realistic rows for demos, tests and benchmarks."),
        optional("http", Shape::Object(&HTTP), "Takes rows posted to the ingest API."),
        optional("nexmark", Shape::Object(&NEXMARK), "People, auctions and bids of the NEXMark benchmark."),
    ],
);

static FILE_SOURCE: Object = Object::new(
    "a file source",
    &[
        required("path", Shape::Text(NonEmpty), "A file, a folder or a glob, relative to the document."),
        optional(
            "compression",
            Shape::Choice(choices::<Compression>),
            "How the files are compressed; told by the ending (`.gz`, `.zst`) by default.",
        ),
        defaulted(
            "max_line",
            Shape::Integer(1, 64 << 20),
            "1048576",
            "The longest line accepted, in bytes; longer ones are malformed.",
        ),
        defaulted("delimiter", Shape::Text(Text::Char), "\",\"", "CSV only: the character between fields."),
        defaulted("header", Shape::Boolean, "true", "CSV only: the first line names the columns."),
        defaulted("null", Shape::Text(Free), "\"\"", "CSV only: an unquoted field with this text is null."),
    ],
);

static GENERATOR: Object = Object::new(
    "a generator",
    &[
        required("kind", Shape::Choice(choices::<GeneratorKind>), "What the rows are about."),
        defaulted("seed", Shape::Integer(0, MAX_EXACT), "1", "The same seed gives the same rows."),
        optional("rate", Shape::Integer(1, 100_000_000), "Rows a second; without it, as fast as the pipeline takes them."),
        optional("rows", Shape::Integer(0, MAX_EXACT), "Rows in all; without it, the source never ends."),
        defaulted("subjects", Shape::Integer(1, 1_000_000_000), "10000", "Distinct people, machines or visitors."),
        defaulted("faults", Shape::Number(0.0, 1.0), "0.0", "Share of rows that break the contract or a usual rule."),
        defaulted("late", Shape::Number(0.0, 1.0), "0.0", "Share of rows that arrive after later ones."),
        defaulted("anomalies", Shape::Number(0.0, 1.0), "0.001", "Share of rows that belong to a fraud or failure pattern."),
        optional("start", Shape::Text(Timestamp), "The event time of the first row, RFC 3339."),
    ],
);

static NEXMARK: Object = Object::new(
    "a nexmark source",
    &[
        required("stream", Shape::Choice(choices::<NexmarkStream>), "Which of the events: people, auctions or bids."),
        defaulted("seed", Shape::Integer(0, MAX_EXACT), "1", "The same seed gives the same rows."),
        optional(
            "events",
            Shape::Integer(0, MAX_EXACT),
            "Events in all, of the three streams together; without it, the source never ends.",
        ),
        optional(
            "rate",
            Shape::Integer(1, 100_000_000),
            "Events a second, of the three streams together; without it, as fast as the pipeline takes them.",
        ),
        optional(
            "event_rate",
            Shape::Integer(1, 100_000_000),
            "Events a second of event time, of the three streams together; `rate` by default, else 10000.",
        ),
        optional("start", Shape::Text(Timestamp), "The event time of the first event, RFC 3339."),
    ],
);

static HTTP: Object = Object::new(
    "an http source",
    &[defaulted(
        "max_backlog_mib",
        Shape::Integer(1, 1 << 20),
        "256",
        "Rows accepted but not yet processed, in MiB, before callers are told to wait.",
    )],
);

static EVENT_TIME: Object = Object::new(
    "an event time",
    &[
        required("column", COLUMN, "A timestamp column."),
        defaulted(
            "max_delay",
            Shape::Duration(0, 365 * DAY),
            "\"0ms\"",
            "How far rows may lag behind the newest one of their partition.",
        ),
        optional(
            "idle_after",
            Shape::Duration(1, 365 * DAY),
            "A partition that is silent for this long no longer holds the watermark back.",
        ),
        defaulted(
            "max_ahead",
            Shape::Duration(0, 365 * DAY),
            "\"1h\"",
            "How far a row may run ahead of the clock and of the newest row before it; beyond that it is quarantined.",
        ),
        defaulted("late", Shape::Choice(choices::<LatePolicy>), "\"quarantine\"", "What happens to rows behind the watermark."),
    ],
);

static SCHEMA_COLUMN: Object = Object::new(
    "a column",
    &[
        required("name", COLUMN, "The column's name."),
        required(
            "type",
            Shape::Text(Text::DataType),
            "boolean, int32, int64, float32, float64, decimal(p,s), string, bytes, date, timestamp, list<...> or struct<name: type, ...>.",
        ),
        defaulted("required", Shape::Boolean, "false", "A row without a value here breaks the schema."),
        defaulted("unique", Shape::Boolean, "false", "The values are promised to be distinct."),
        defaulted("classification", Shape::Choice(choices::<Classification>), "\"internal\"", "How sensitive the values are."),
        defaulted(
            "categories",
            Shape::List(&List { of: Shape::Text(NonEmpty), min: 0, or_one: false }),
            "[]",
            "Data categories: fideslang keys such as `user.contact.email`.",
        ),
        optional("description", Shape::Text(Free), "What the column means."),
    ],
);

pub(super) static STEP: Object = Object::new("a step", &[]).with_one_of(
    "operator",
    &[
        optional("quality", Shape::Object(&QUALITY), "Rules that each row, or each window of rows, must keep."),
        optional("consent", Shape::Object(&CONSENT), "Lets pass the rows of those who allow the purpose."),
        optional("mask", Shape::Object(&MASK_STEP), "Replaces sensitive columns."),
        optional(
            "sql",
            Shape::TextOr(&Shape::Text(NonEmpty), &Shape::Object(&SQL)),
            "Streaming SQL; the tables it names are sources, steps or tables.",
        ),
        optional("alert", Shape::Object(&ALERT), "Raises an alert when a condition holds, once per cause."),
    ],
);

static SQL: Object = Object::new(
    "a sql step",
    &[
        required("query", Shape::Text(NonEmpty), "One SELECT."),
        optional(
            "state_ttl",
            Shape::Duration(1_000, 3650 * DAY),
            "How long state that nothing touches is kept where no window bounds it.",
        ),
        optional(
            "min_group",
            Shape::Integer(2, MAX_EXACT),
            "Groups of fewer rows are dropped; counts, sums and averages of a column over all rows of the rest are one class less sensitive.",
        ),
    ],
);

static QUALITY: Object = Object::new(
    "a quality step",
    &[
        required("from", FROM, "A source or a step."),
        defaulted("on_fail", Shape::Choice(choices::<OnFail>), "\"quarantine\"", "What happens to a row that fails a rule."),
        optional(
            "rules",
            Shape::List(&List { of: Shape::Object(&RULE), min: 1, or_one: false }),
            "The rules; all that a row breaks are kept.",
        ),
        defaulted(
            "over",
            Shape::Duration(1_000, 31 * DAY),
            "\"1m\"",
            "How long the windows are that `metrics` are measured over.",
        ),
        optional(
            "metrics",
            Shape::List(&List { of: Shape::Object(&WINDOW_RULE), min: 1, or_one: false }),
            "What is measured over windows of rows, and what it must be. Findings are reported; no row is rejected.",
        ),
    ],
)
.with_any_of(&["rules", "metrics"]);

/// The checks that a rule can make; contracts use them too.
const CHECKS: &[Field] = &[
    optional("not_null", ONE_OR_MORE_COLUMNS, "These columns have a value."),
    optional("between", Shape::Object(&BETWEEN), "The value lies between inclusive bounds."),
    optional("in_set", Shape::Object(&IN_SET), "The value is one of these."),
    optional("matches", Shape::Object(&MATCHES), "A regular expression matches somewhere in the text."),
    optional("length", Shape::Object(&LENGTH), "So many characters of a string or elements of a list."),
    optional("format", Shape::Object(&FORMAT), "The text is an e-mail address, a card number, ..."),
    optional("unique", Shape::Object(&UNIQUE), "No two rows with the same values within a span of time."),
    optional("expression", Shape::Text(NonEmpty), "A SQL expression that must not be false."),
    optional("references", Shape::Object(&REFERENCES), "The value is present in a reference file."),
];

static RULE: Object =
    Object::new("a rule", &[optional("name", Shape::Text(NonEmpty), "The name under which failures are counted and shown.")])
        .with_one_of("check", CHECKS);

/// A rule as the `implementation` of a contract's custom quality check; its name stands beside it.
pub static CHECK: Object = Object::new("a check", &[]).with_one_of("check", CHECKS);

static BETWEEN: Object = Object::new(
    "`between`",
    &[
        required("column", COLUMN, "The column checked."),
        optional("min", Shape::Scalar, "The smallest value allowed."),
        optional("max", Shape::Scalar, "The largest value allowed."),
    ],
)
.with_any_of(&["min", "max"]);

static IN_SET: Object = Object::new(
    "`in_set`",
    &[
        required("column", COLUMN, "The column checked."),
        required("values", Shape::List(&List { of: Shape::Scalar, min: 1, or_one: false }), "The values allowed."),
    ],
);

static MATCHES: Object = Object::new(
    "`matches`",
    &[
        required("column", COLUMN, "The column checked."),
        required("pattern", Shape::Text(NonEmpty), "The regular expression; anchor it with `^` and `$`."),
    ],
);

static LENGTH: Object = Object::new(
    "`length`",
    &[
        required("column", COLUMN, "The column checked."),
        optional("min", Shape::Integer(0, u32::MAX as i128), "The fewest allowed."),
        optional("max", Shape::Integer(0, u32::MAX as i128), "The most allowed."),
    ],
)
.with_any_of(&["min", "max"]);

static FORMAT: Object = Object::new(
    "`format`",
    &[
        required("column", COLUMN, "The column checked."),
        required("is", Shape::Choice(choices::<TextFormat>), "The format asked for."),
    ],
);

static UNIQUE: Object = Object::new(
    "`unique`",
    &[
        required("columns", ONE_OR_MORE_COLUMNS, "The columns that are distinct together."),
        required("within", Shape::Duration(1, 365 * DAY), "The span of event time (processing time where the source has none)."),
    ],
);

static REFERENCES: Object = Object::new(
    "`references`",
    &[
        required("column", COLUMN, "The column checked."),
        required("file", Shape::Text(NonEmpty), "A CSV or NDJSON file, relative to the document, read at start."),
        required("key", COLUMN, "The column of the file that holds the values."),
    ],
);

static CONSENT: Object = Object::new(
    "a consent step",
    &[
        required("from", FROM, "A source or a step."),
        optional("purpose", Shape::Text(NonEmpty), "The purpose asked for; the pipeline's by default."),
        defaulted(
            "on_deny",
            Shape::Choice(choices::<OnDeny>),
            "\"drop\"",
            "What happens to rows of people who denied, withdrew or let their consent expire.",
        ),
        defaulted(
            "on_unknown",
            Shape::Choice(choices::<OnUnknown>),
            "\"deny\"",
            "What happens to rows of people who have said nothing.",
        ),
    ],
);

static MASK_STEP: Object = Object::new(
    "a mask step",
    &[
        required("from", FROM, "A source or a step."),
        required(
            "columns",
            Shape::Map(&Map { what: "a column", key: ColumnName, of: Shape::Object(&MASK), min: 1, max: 10_000 }),
            "A masking operator for each column.",
        ),
    ],
);

static MASK: Object = Object::new("a mask", &[]).with_one_of(
    "operator",
    &[
        optional("redact", Shape::Object(&REDACT), "Replaces text by a constant, other types by null."),
        optional("null", Shape::Object(&NO_OPTIONS), "Null."),
        optional("partial", Shape::Object(&PARTIAL), "Keeps some characters at the ends and replaces the rest."),
        optional("hash", Shape::Object(&NO_OPTIONS), "Keyed HMAC-SHA256, hex; joins still work."),
        optional("token", Shape::Object(&TOKEN), "Keyed HMAC-SHA256 token; joins still work."),
        optional("encrypt", Shape::Object(&NO_OPTIONS), "AES-256-GCM under the subject's own key: erasable."),
        optional("generalize", Shape::Object(&GENERALIZE), "Coarser values."),
    ],
);

static NO_OPTIONS: Object = Object::new("this operator", &[]);

static REDACT: Object =
    Object::new("`redact`", &[optional("with", Shape::Text(Free), "The text put in place; `[redacted]` by default.")]);

static PARTIAL: Object = Object::new(
    "`partial`",
    &[
        defaulted("keep_first", Shape::Integer(0, 1024), "0", "Characters kept at the beginning."),
        defaulted("keep_last", Shape::Integer(0, 1024), "0", "Characters kept at the end."),
        defaulted("with", Shape::Text(Text::Char), "\"*\"", "The character put in place of each other one."),
    ],
);

static TOKEN: Object = Object::new(
    "`token`",
    &[
        optional("prefix", Shape::Text(NonEmpty), "Text put before the token, such as `cust_`."),
        defaulted("keep_last", Shape::Integer(0, 16), "0", "Characters of the value kept at the end, for support staff."),
    ],
);

static GENERALIZE: Object = Object::new(
    "`generalize`",
    &[required(
        "to",
        Shape::TextOr(&Shape::Choice(choices::<TimeUnit>), &Shape::Object(&GENERALIZE_TO)),
        "`year`, `month`, `day` or `hour` of a time, `{width: 10}` of a number, `{prefix: 4}` of a text.",
    )],
);

static GENERALIZE_TO: Object = Object::new("`to`", &[]).with_one_of(
    "measure",
    &[
        optional("width", Shape::Number(f64::MIN_POSITIVE, f64::MAX), "Numbers: the lower bound of the interval of this width. Of floats, a width below 1 lowers the classification only where rules keep the values in a range of 1000 widths at most."),
        optional("prefix", Shape::Integer(1, 1024), "Text: the first characters only."),
    ],
);

static SINK: Object = Object::new(
    "a sink",
    &[
        required("from", FROM, "A source or a step."),
        defaulted(
            "format",
            Shape::Choice(choices::<Format>),
            "\"json\"",
            "How rows are written as bytes. A database has none.",
        ),
        defaulted(
            "clearance",
            Shape::Choice(choices::<Classification>),
            "\"internal\"",
            "The most sensitive column it may hold.",
        ),
        optional("recipient", Shape::Text(NonEmpty), "A registered recipient: a team, a processor, a region."),
        optional(
            "delivery",
            Shape::Choice(choices::<Delivery>),
            "What is promised when a run is killed and started again; by default the best that the connector can: exactly_once to files and databases, at_least_once to stdout.",
        ),
        optional(
            "mode",
            Shape::Choice(choices::<SinkMode>),
            "What becomes of rows that change; by default upsert where the connector has a key, else append.",
        ),
    ],
)
.with_one_of(
    "connector",
    &[
        optional("file", Shape::Object(&FILE_SINK), "A folder of files, each committed whole with a checkpoint."),
        optional("sqlite", Shape::Object(&SQLITE_SINK), "A table of a SQLite database, changed with each checkpoint."),
        optional("stdout", Shape::Object(&STDOUT), "Rows as text on standard output."),
    ],
);

static STDOUT: Object = Object::new("`stdout`", &[]);

static SQLITE_SINK: Object = Object::new(
    "a sqlite sink",
    &[
        required("path", Shape::Text(NonEmpty), "The database, a file relative to the document; made if it is not there."),
        required("table", Shape::Text(Relation), "The table; made if it is not there."),
        optional(
            "key",
            ONE_OR_MORE_COLUMNS,
            "The columns that tell its rows apart: a row replaces the one with its key. Without, rows are only added.",
        ),
    ],
);

static FILE_SINK: Object = Object::new(
    "a file sink",
    &[
        required("path", Shape::Text(NonEmpty), "The folder, relative to the document."),
        defaulted("compression", Shape::Choice(choices::<Compression>), "\"none\"", "JSON and CSV only."),
        defaulted("partition_by", COLUMNS_OR_NONE, "[]", "Folders by the values of these columns: `country=NL/`."),
        optional("partition_time", Shape::Object(&PARTITION_TIME), "Folders by time: `dt=2026-01-31/`."),
        defaulted(
            "max_file_mib",
            Shape::Integer(1, 1 << 20),
            "256",
            "A file is closed at a checkpoint, or earlier at this size in MiB.",
        ),
    ],
);

const COLUMNS_OR_NONE: Shape = Shape::List(&List { of: Shape::Text(ColumnName), min: 0, or_one: false });

static PARTITION_TIME: Object = Object::new(
    "`partition_time`",
    &[
        required("column", COLUMN, "A timestamp or date column."),
        required("by", Shape::Choice(choices::<TimeUnit>), "The length of time that one folder holds."),
    ],
);
