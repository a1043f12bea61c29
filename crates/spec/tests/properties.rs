//! Properties that hold for every text and every pipeline: the parser never panics, what it reports lies in the text, and what is written
//! reads back.

#![allow(clippy::unwrap_used)]

use indexmap::IndexMap;
use proptest::{collection::vec, option, prelude::*, sample::select};
use weir_spec::{
    connector::*, consent::*, contract::*, mask::*, parse::parse, pipeline::*, quality::*, sql::sql_inputs, types::*, *,
};

const VALID: &str = include_str!("documents/everything.yaml");
const CONTRACT: &str = include_str!("documents/contract.yaml");

/// Every span lies within the text, and starts before it ends.
fn spans_lie_within(text: &str) {
    let parsed = parse_any(text);
    let normal = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<usize> = normal.split('\n').map(|line| line.chars().count()).collect();
    for diagnostic in &parsed.diagnostics {
        let span = diagnostic.span.expect("every finding in a text has a place");
        assert!(span.start <= span.end, "{diagnostic:?}");
        for at in [span.start, span.end] {
            let length = lines.get(at.line as usize - 1).unwrap_or_else(|| panic!("no such line: {diagnostic:?}"));
            assert!(at.column >= 1 && at.column as usize <= length + 1, "no such column: {diagnostic:?}");
        }
        let shown = diagnostic.render("f");
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown}");
    }
    assert!(parsed.value.is_some() || parsed.diagnostics.iter().any(Diagnostic::is_error));
}

fn pieces() -> impl Strategy<Value = String> {
    const TOKENS: &[&str] = &[
        "a",
        "name",
        ": ",
        ":",
        "- ",
        "-",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "|",
        ">",
        "&a",
        "*a",
        "!t",
        "#",
        "\t",
        "?",
        "---",
        "...",
        "é",
        "🦀",
        "\r\n",
        "\r",
        "null",
        "~",
        "1",
        "1.5",
        "kind: Pipeline",
        "kind: DataContract",
        "sources:",
        "%",
        "@",
        "`",
        "\u{0}",
        "\u{85}",
        "\u{feff}",
        "\u{2028}",
        "<<",
    ];
    vec(select(TOKENS), 0..40).prop_map(|parts| parts.concat())
}

/// A valid document with some of its text removed, repeated or replaced.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let change = (0..text.chars().count(), 0usize..12, pieces());
    vec(change, 1..4).prop_map(move |changes| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, with) in changes {
            let at = at.min(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, with.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        spans_lie_within(&text);
        let _ = sql_inputs(&text);
        let _ = text.parse::<DataType>();
    }

    #[test]
    fn any_yaml_like_text_is_answered(text in pieces()) {
        spans_lie_within(&text);
        let _ = sql_inputs(&text);
    }

    #[test]
    fn a_mutated_pipeline_is_answered(text in mutated(VALID)) {
        spans_lie_within(&text);
    }

    #[test]
    fn a_mutated_contract_is_answered(text in mutated(CONTRACT)) {
        spans_lie_within(&text);
    }

    #[test]
    fn a_pipeline_reads_back_as_it_was_written(pipeline in pipeline()) {
        let text = to_yaml(&pipeline);
        let parsed = parse_pipeline(&text);
        // Random parts may contradict each other; their texts must read back all the same.
        let (root, syntax) = parse(&text);
        prop_assert!(syntax.is_empty(), "{syntax:?}\n{text}");
        prop_assert!(root.is_some());
        let grammar = parsed.diagnostics.iter().filter(|d| d.is_error() && !from_check(&d.code)).collect::<Vec<_>>();
        prop_assert!(grammar.is_empty(), "{grammar:?}\n{text}");
        if let Some(read) = parsed.value {
            prop_assert_eq!(&read, &pipeline, "{}", text);
            prop_assert_eq!(to_json(&read), to_json(&pipeline));
        }
    }

    #[test]
    fn a_pipeline_without_contradictions_is_equal_after_the_round_trip(pipeline in consistent()) {
        let text = to_yaml(&pipeline);
        let parsed = parse_pipeline(&text);
        prop_assert!(parsed.value.is_some(), "{:?}\n{text}", parsed.diagnostics);
        prop_assert_eq!(parsed.value.unwrap(), pipeline, "{}", text);
    }

    #[test]
    fn the_canonical_json_is_a_document_too(pipeline in consistent()) {
        let json = to_json(&pipeline);
        let parsed = parse_pipeline(&serde_json::to_string(&json).unwrap());
        prop_assert!(parsed.value.is_some(), "{:?}", parsed.diagnostics);
        prop_assert_eq!(to_json(&parsed.value.unwrap()), json);
    }

    #[test]
    fn a_contract_reads_back_as_it_was_exported(contract in contract()) {
        let text = to_odcs(&contract);
        let parsed = parse_contract(&text);
        prop_assert!(parsed.value.is_some(), "{:?}\n{text}", parsed.diagnostics);
        prop_assert_eq!(parsed.value.unwrap(), contract, "{}", text);
    }
}

fn from_check(code: &str) -> bool {
    matches!(
        code,
        "unknown-reference"
            | "no-input"
            | "cycle"
            | "no-source"
            | "duplicate-name"
            | "unused"
            | "contract-and-schema"
            | "no-schema"
            | "duplicate-column"
            | "format-not-allowed"
            | "key-not-allowed"
            | "bad-bounds"
            | "duplicate-rule"
            | "unknown-column"
            | "wrong-column-type"
            | "own-output"
            | "same-folder"
            | "same-table"
            | "mode-not-allowed"
            | "reserved-name"
            | "no-key"
            | "delivery"
    )
}

fn document_name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"
}

fn table_name() -> impl Strategy<Value = String> {
    "t_[a-z0-9_]{0,6}"
}

fn column_name() -> BoxedStrategy<String> {
    prop_oneof!["[a-z_]{1,8}", "[A-Z]\\w{0,5}", Just("null".to_owned()), Just("a: b #c".to_owned()), "[ -~]{1,10}"].boxed()
}

/// Text that YAML could take for something else.
fn free() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,20}",
        "\\PC{0,20}",
        "([ -~]{0,12}\n){0,4}[ -~]{0,12}",
        select(
            &[
                "",
                " ",
                "null",
                "~",
                "true",
                "1",
                "1.5",
                "0x1f",
                "2026-01-31",
                "- a",
                "a: b",
                "#x",
                "'",
                "\"",
                "\\",
                "|",
                "> x",
                "a\n",
                "\n",
                "\ta",
                "a \nb",
                "a\n\n  b\n",
                "*a",
                "&a",
                "!x",
                "%a",
                "@a",
                "---",
                "...",
                "\u{85}",
                "\u{2028}",
                "\u{feff}",
                "ü🦀",
                "[a]",
                "{a}",
                "a,b",
                "a #b",
                "a\r\nb"
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

fn full() -> impl Strategy<Value = String> {
    free().prop_map(|text| if text.trim().is_empty() { "x".to_owned() } else { text })
}

fn timespan(min: u64, max: u64) -> impl Strategy<Value = Timespan> {
    (min..=max).prop_map(Timespan::from_millis)
}

fn data_type() -> impl Strategy<Value = DataType> {
    let simple = prop_oneof![
        select(
            &[
                DataType::Boolean,
                DataType::Int32,
                DataType::Int64,
                DataType::Float32,
                DataType::Float64,
                DataType::String,
                DataType::Bytes,
                DataType::Date,
                DataType::Timestamp,
            ][..]
        ),
        (1u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision as i8))
            .prop_map(|(precision, scale)| DataType::Decimal { precision, scale }),
    ];
    simple.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| DataType::List(Box::new(t))),
            vec(inner, 1..3).prop_map(|types| {
                DataType::Struct(types.into_iter().enumerate().map(|(i, t)| Column::new(format!("f{i}"), t)).collect())
            }),
        ]
    })
}

fn classification() -> impl Strategy<Value = Classification> {
    select(&Classification::ALL[..])
}

fn column() -> impl Strategy<Value = Column> {
    (column_name(), data_type(), any::<bool>(), any::<bool>(), classification(), vec("[a-z.]{1,12}", 0..3), option::of(free()))
        .prop_map(|(name, mut data_type, required, unique, classification, mut categories, description)| {
            data_type.classify(classification);
            categories.dedup();
            Column { name, data_type, required, unique, classification, categories, description }
        })
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<bool>().prop_map(Scalar::Bool),
        any::<i64>().prop_map(Scalar::Int),
        any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(Scalar::Float),
        free().prop_map(Scalar::String),
    ]
}

fn formats() -> impl Strategy<Value = TextFormat> {
    use TextFormat::*;
    select(&[Email, Iban, Card, Uuid, Ip, Url, Phone, Country, Currency, Date, Json][..])
}

/// A check of one of these columns.
fn check(column: BoxedStrategy<String>) -> impl Strategy<Value = Check> {
    let columns = vec(column.clone(), 1..3);
    prop_oneof![
        columns.clone().prop_map(|columns| Check::NotNull { columns }),
        (column.clone(), scalar()).prop_map(|(column, min)| Check::Between { column, min: Some(min), max: None }),
        (column.clone(), any::<i64>()).prop_map(|(column, max)| Check::Between {
            column,
            min: Some(Scalar::Int(i64::MIN)),
            max: Some(Scalar::Int(max))
        }),
        (column.clone(), vec(scalar(), 1..4)).prop_map(|(column, values)| Check::InSet { column, values }),
        (column.clone(), full()).prop_map(|(column, pattern)| Check::Matches { column, pattern }),
        (column.clone(), 0..=9u64, option::of(9..=u64::from(u32::MAX))).prop_map(|(column, min, max)| Check::Length {
            column,
            min: Some(min),
            max
        }),
        (column.clone(), formats()).prop_map(|(column, is)| Check::Format { column, is }),
        (columns, timespan(1, 31_536_000_000)).prop_map(|(columns, within)| Check::Unique { columns, within }),
        full().prop_map(|sql| Check::Expression { sql }),
        (column, full(), column_name()).prop_map(|(column, file, key)| Check::References { column, file, key }),
    ]
}

fn rules(column: BoxedStrategy<String>) -> impl Strategy<Value = Vec<Rule>> {
    vec((check(column), option::of(full())), 1..5).prop_map(|checks| {
        let mut rules: Vec<Rule> = Vec::new();
        for (i, (check, name)) in checks.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| check.default_name());
            let name =
                if rules.iter().any(|rule| rule.name == name) || name.trim().is_empty() { format!("rule {i}") } else { name };
            if !rules.iter().any(|rule| rule.check == check) {
                rules.push(Rule { name, check });
            }
        }
        rules
    })
}

fn mask() -> impl Strategy<Value = Mask> {
    use Generalization::*;
    let to =
        prop_oneof![select(&[Year, Month, Day, Hour][..]), (1e-9..1e300f64).prop_map(Width), (1usize..=1024).prop_map(Prefix)];
    prop_oneof![
        option::of(free()).prop_map(|with| Mask::Redact { with }),
        Just(Mask::Null),
        (0usize..=1024, 0usize..=1024, any::<char>().prop_filter("printable", |c| !c.is_control()))
            .prop_map(|(keep_first, keep_last, with)| Mask::Partial { keep_first, keep_last, with }),
        Just(Mask::Hash),
        (option::of(full()), 0usize..=16).prop_map(|(prefix, keep_last)| Mask::Token { prefix, keep_last }),
        Just(Mask::Encrypt),
        to.prop_map(|to| Mask::Generalize { to }),
    ]
}

fn source_connector() -> impl Strategy<Value = SourceConnector> {
    let compression = select(&[Compression::None, Compression::Gzip, Compression::Zstd][..]);
    prop_oneof![
        (full(), option::of(compression), 1usize..=(64 << 20)).prop_map(|(path, compression, max_line)| {
            SourceConnector::File(FileSource { path, compression, max_line, delimiter: ',', header: true, null: String::new() })
        }),
        (
            select(&[GeneratorKind::Payments, GeneratorKind::Sensors, GeneratorKind::Clicks][..]),
            0..(1u64 << 53),
            option::of(1u64..1_000_000),
            option::of(0u64..1_000_000),
            1u64..1_000_000,
            (0.0..=1.0f64, 0.0..=1.0f64, 0.0..=1.0f64),
        )
            .prop_map(|(kind, seed, rate, rows, subjects, (faults, late, anomalies))| {
                SourceConnector::Generator(GeneratorSource {
                    kind,
                    seed,
                    rate,
                    rows,
                    subjects,
                    faults,
                    late,
                    anomalies,
                    start: Some("2026-01-01T00:00:00Z".to_owned()),
                })
            }),
        (1u64..1000).prop_map(|max_backlog_mib| SourceConnector::Http(HttpSource { max_backlog_mib })),
        (
            select(&NexmarkStream::ALL[..]),
            0..(1u64 << 53),
            option::of(0u64..1_000_000),
            option::of(1u64..1_000_000),
            1u64..1_000_000,
        )
            .prop_map(|(stream, seed, events, rate, event_rate)| {
                SourceConnector::Nexmark(NexmarkSource { stream, seed, events, rate, event_rate, start: None })
            }),
    ]
}

fn event_time(column: String) -> impl Strategy<Value = EventTime> {
    (
        timespan(0, 31_536_000_000),
        option::of(timespan(1, 31_536_000_000)),
        timespan(0, 31_536_000_000),
        select(&[LatePolicy::Quarantine, LatePolicy::Drop, LatePolicy::Pass][..]),
    )
        .prop_map(move |(max_delay, idle_after, max_ahead, late)| EventTime {
            column: column.clone(),
            max_delay,
            idle_after,
            max_ahead,
            late,
        })
}

fn head() -> impl Strategy<Value = Pipeline> {
    use Basis::*;
    (
        document_name(),
        option::of(free()),
        option::of(full()),
        full(),
        select(&[Consent, Contract, LegalObligation, VitalInterests, PublicTask, LegitimateInterest][..]),
        1usize..=64,
        timespan(1, 3_600_000),
        (1usize..=1_000_000, timespan(0, 60_000)),
    )
        .prop_map(|(name, description, owner, purpose, basis, parallelism, every, (rows, wait))| Pipeline {
            name,
            description,
            owner,
            purpose,
            basis,
            parallelism,
            checkpoint: Checkpoint { every },
            batch: Batch { rows, wait },
            strict: false,
            tables: IndexMap::new(),
            sources: IndexMap::new(),
            steps: IndexMap::new(),
            sinks: IndexMap::new(),
        })
}

fn on_malformed() -> impl Strategy<Value = OnMalformed> {
    select(&[OnMalformed::Quarantine, OnMalformed::Drop, OnMalformed::Fail][..])
}

/// Any pipeline that the types allow, references and columns at random.
fn pipeline() -> impl Strategy<Value = Pipeline> {
    let format = select(&[Format::Json, Format::Csv, Format::Parquet][..]);
    let source = (
        source_connector(),
        option::of(format.clone()),
        option::of(vec(column(), 1..4)),
        option::of(column_name()),
        option::of(event_time("at".to_owned())),
        on_malformed(),
    )
        .prop_map(|(connector, format, schema, subject, event_time, on_malformed)| {
            let contract = schema.is_none().then(|| ContractRef { name: "payments".to_owned(), version: 1 });
            Source { connector, format, contract, schema, subject, event_time, on_malformed }
        });
    let step = prop_oneof![
        (table_name(), rules(column_name()), select(&[OnFail::Quarantine, OnFail::Drop, OnFail::Flag, OnFail::Stop][..]))
            .prop_map(|(from, rules, on_fail)| Step::Quality(QualityStep { from, on_fail, rules, windows: None })),
        (
            table_name(),
            option::of(full()),
            select(&[OnDeny::Drop, OnDeny::Quarantine][..]),
            select(&[OnUnknown::Deny, OnUnknown::Quarantine, OnUnknown::Allow][..])
        )
            .prop_map(|(from, purpose, on_deny, on_unknown)| Step::Consent(ConsentStep {
                from,
                purpose,
                on_deny,
                on_unknown
            })),
        (table_name(), vec((column_name(), mask()), 1..4))
            .prop_map(|(from, columns)| Step::Mask(MaskStep { from, columns: columns.into_iter().collect() })),
        (full(), option::of(timespan(1_000, 86_400_000)), option::of(2u64..1_000_000))
            .prop_map(|(query, state_ttl, min_group)| Step::Sql(SqlStep { query, state_ttl, min_group })),
    ];
    let sink = (
        table_name(),
        prop_oneof![
            Just(SinkConnector::Stdout(StdoutSink {})),
            (full(), column_name(), vec(column_name(), 0..3))
                .prop_map(|(path, table, key)| { SinkConnector::Sqlite(SqliteSink { path, table, key }) }),
            (full(), vec(column_name(), 0..3), option::of(column_name()), 1u64..1000).prop_map(
                |(path, partition_by, time, max_file_mib)| {
                    SinkConnector::File(FileSink {
                        path,
                        compression: Compression::Gzip,
                        partition_by,
                        partition_time: time.map(|column| PartitionTime { column, by: TimeUnit::Month }),
                        max_file_mib,
                    })
                }
            )
        ],
        format,
        classification(),
        option::of(full()),
        select(&[Delivery::ExactlyOnce, Delivery::AtLeastOnce][..]),
        select(&[SinkMode::Append, SinkMode::Changes, SinkMode::Upsert][..]),
    )
        .prop_map(|(from, connector, format, clearance, recipient, delivery, mode)| Sink {
            from,
            format: if connector.has_format() { format } else { Format::Json },
            connector,
            clearance,
            recipient,
            delivery,
            mode,
        });
    let table = (
        prop_oneof![
            (full(), column_name()).prop_map(|(path, table)| TableConnector::Sqlite(SqliteTable { path, table })),
            full().prop_map(|path| {
                TableConnector::File(FileSource {
                    path,
                    compression: None,
                    max_line: 1 << 20,
                    delimiter: ',',
                    header: true,
                    null: String::new(),
                })
            }),
        ],
        vec(column(), 1..4),
        vec(column_name(), 0..3),
        timespan(100, 86_400_000),
    )
        .prop_map(|(connector, schema, key, reload)| Table {
            connector,
            format: Format::Json,
            contract: None,
            schema: Some(schema),
            key,
            reload,
        });
    (
        head(),
        vec((table_name(), table), 0..3),
        vec((table_name(), source), 1..3),
        vec((table_name(), step), 0..4),
        vec((table_name(), sink), 1..3),
    )
        .prop_map(|(head, tables, sources, steps, sinks)| Pipeline {
            tables: tables.into_iter().collect(),
            sources: sources.into_iter().collect(),
            steps: steps.into_iter().collect(),
            sinks: sinks.into_iter().collect(),
            ..head
        })
}

/// A pipeline that the checks let pass: a chain of steps over known columns.
fn consistent() -> impl Strategy<Value = Pipeline> {
    let names = || select(&["id", "amount", "at"][..]).prop_map(str::to_owned).boxed();
    (head(), event_time("at".to_owned()), on_malformed(), rules(names()), vec((names(), mask()), 1..3), free(), classification())
        .prop_map(|(head, event_time, on_malformed, rules, masks, note, clearance)| {
            let schema = vec![
                Column { description: Some(note), ..Column::new("id", DataType::String) },
                Column::new("amount", DataType::Decimal { precision: 12, scale: 2 }),
                Column { required: true, ..Column::new("at", DataType::Timestamp) },
            ];
            let source = Source {
                connector: SourceConnector::Http(HttpSource { max_backlog_mib: 256 }),
                format: None,
                contract: None,
                schema: Some(schema),
                subject: Some("id".to_owned()),
                event_time: Some(event_time),
                on_malformed,
            };
            let consent =
                ConsentStep { from: "checked".into(), purpose: None, on_deny: OnDeny::Drop, on_unknown: OnUnknown::Deny };
            let steps = [
                ("checked", Step::Quality(QualityStep { from: "rows".into(), on_fail: OnFail::Flag, rules, windows: None })),
                ("allowed", Step::Consent(consent)),
                ("safe", Step::Mask(MaskStep { from: "allowed".into(), columns: masks.into_iter().collect() })),
                ("chosen", Step::Sql("SELECT id, amount -- 'all'\nFROM safe\nWHERE amount > 0".into())),
            ];
            let sink = Sink {
                from: "chosen".into(),
                connector: SinkConnector::Stdout(StdoutSink {}),
                format: Format::Csv,
                clearance,
                recipient: None,
                delivery: Delivery::AtLeastOnce,
                mode: SinkMode::Append,
            };
            Pipeline {
                sources: IndexMap::from([("rows".to_owned(), source)]),
                steps: steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect(),
                sinks: IndexMap::from([("out".to_owned(), sink)]),
                ..head
            }
        })
}

fn contract() -> impl Strategy<Value = Contract> {
    let names = || select(&["c0", "c1"][..]).prop_map(str::to_owned).boxed();
    (full(), document_name(), (0u32..100, 0u32..100), full(), option::of(free()), vec(column(), 2..5), option::of(rules(names())))
        .prop_map(|(id, name, (major, minor), status, description, columns, rules)| Contract {
            id,
            name,
            version: format!("{major}.{minor}.0"),
            status,
            description,
            columns: columns.into_iter().enumerate().map(|(i, c)| Column { name: format!("c{i}"), ..c }).collect(),
            rules: rules.unwrap_or_default(),
        })
}
