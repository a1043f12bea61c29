//! The NEXMark documents against another engine: each query gives the rows that DuckDB computes from the same events.
//!
//! All windows of a bounded run are closed at its end, so its result is that of a batch. Without Python and DuckDB (`cargo xtask test`
//! installs them) the comparison is skipped.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use parquet::arrow::ArrowWriter;
use weir_benches::nexmark::{Query, queries};
use weir_connectors::{
    Read, ReadLimit, RowDecoder, SourceReader, arrow_schema,
    generator::nexmark::{NexmarkDecoder, NexmarkReader},
};
use weir_engine::Control;
use weir_service::{Services, ServicesConfig, bootstrap, operator};
use weir_spec::connector::{NexmarkSource, NexmarkStream};
use weir_store::Store;
use weir_vault::MasterKey;
use weir_worker::foreground;

/// 80 seconds of event time: eight windows of ten seconds, and several hot auctions, sellers and bidders.
const EVENTS: u64 = 40_000;
const EVENT_RATE: u64 = 500;

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nexmark")
}

/// A Python that has DuckDB; none, and a line saying so, where there is none.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let found = std::env::var_os("WEIR_ORACLE_PYTHON")
        .map(PathBuf::from)
        .or_else(|| cache.map(|cache| cache.join("weir/oracle/bin/python")))
        .filter(|python| python.is_file());
    if found.is_none() {
        println!("skipped: no Python with DuckDB (WEIR_ORACLE_PYTHON; `cargo xtask test` installs one)");
    }
    found
}

fn oracle(python: &Path, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))) }
}

/// The events as Parquet, one file a stream, straight from the generator.
fn inputs() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for stream in NexmarkStream::ALL {
            let config = NexmarkSource { stream, seed: 1, events: Some(EVENTS), rate: None, event_rate: EVENT_RATE, start: None };
            let schema = arrow_schema(&stream.columns());
            let file = File::create(folder.path().join(format!("{}.parquet", stream.as_str()))).unwrap();
            let mut writer = ArrowWriter::try_new(file, schema.clone(), None).unwrap();
            let mut reader = NexmarkReader::open(&config, &[]).unwrap();
            let mut decoder = NexmarkDecoder::new(&config, schema).unwrap();
            while let Read::Chunk(chunk) = reader.read(ReadLimit { rows: 8192, wait: Default::default() }).unwrap() {
                writer.write(&decoder.decode(&chunk).unwrap().rows).unwrap();
            }
            writer.close().unwrap();
        }
        folder
    });
    folder.path()
}

async fn open(data: &Path) -> std::sync::Arc<Services> {
    let store = Store::open(data, chrono::Utc::now()).await.unwrap();
    let (master_key, _) = MasterKey::load(&data.join("master.key")).unwrap();
    let config = ServicesConfig::new(store, master_key, data, weir_connectors::generator::columns, weir_worker::window_sum);
    let services = Services::open(config).await.unwrap();
    bootstrap::first_start(&services).await.unwrap();
    services
}

/// Runs a query's document; its output folder, or why it does not plan.
async fn run(name: &str, work: &Path) -> Result<PathBuf, String> {
    let query = Query::read(&documents(), name).unwrap();
    let document = query.sized(work, EVENTS, EVENT_RATE, 2).unwrap();
    let checked = foreground::check_text(document, work.to_path_buf(), &weir_worker::FileContracts::default());
    if checked.plan.is_none() {
        return Err(checked.diagnostics.iter().map(|finding| finding.render(name)).collect::<Vec<_>>().join("\n"));
    }
    let data = work.join("data");
    let services = open(&data).await;
    let cx = operator::context(&services).await.unwrap().in_project(&"main".parse().unwrap()).await.unwrap();
    foreground::run(&cx, &data, checked, &Control::default()).await.unwrap();
    Ok(work.join("out").join(name))
}

async fn check(name: &str) {
    let work = tempfile::tempdir().unwrap();
    let output = run(name, work.path()).await.unwrap_or_else(|findings| panic!("{findings}"));
    let Some(python) = python() else { return };
    let (folder, output) = (documents().join("oracle"), output.display().to_string());
    let arguments = ["compare", &inputs().display().to_string(), &folder.display().to_string(), name, &output];
    let rows: u64 = oracle(&python, &arguments, "").unwrap_or_else(|found| panic!("{found}")).trim().parse().unwrap();
    assert!(rows > 0, "{name}: the oracle has no rows, so nothing was compared");
}

macro_rules! compared {
    ($($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                check(stringify!($name)).await;
            }
        )*

        #[test]
        fn every_document_is_compared() {
            let mut compared = vec![$(stringify!($name).to_owned()),*];
            compared.sort_by_key(|name| name[1..].parse::<u32>().unwrap());
            assert_eq!(queries(&documents()).unwrap(), compared);
        }
    };
}

compared!(q0 q1 q2 q3 q4 q5 q7 q8 q9 q10 q11 q12 q13 q14 q15 q16 q17 q18 q19 q20 q21 q22);

/// What an oracle must say of a few rows, worked out by hand.
struct Case {
    query: &'static str,
    input: &'static str,
    rows: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        query: "q5",
        // The windows [2,12) and [4,14) hold both bids on 1; [0,10) and those before hold one on each, so both are the hottest there.
        input: "INSERT INTO bid SELECT a, 1, 1, '', '', make_timestamp(us), '' FROM (VALUES (1, 4000000), (2, 5000000), (1, 11000000)) AS t(a, us)",
        rows: &[
            "1|1", "1|1", "1|1", "1|1", "1|1", "1|1", "1|2", "1|2", "2|1", "2|1", "2|1",
        ],
    },
    Case {
        query: "q7",
        // A bid of the next window's first moment is within reach of the window before: its end is inclusive.
        input: "INSERT INTO bid SELECT a, 1, p, '', '', make_timestamp(us), '' FROM (VALUES (1, 50, 0), (2, 40, 9999999), (3, 50, 10000000), (4, 60, 11000000)) AS t(a, p, us)",
        rows: &[
            "1|1|50|1970-01-01 00:00:00|",
            "3|1|50|1970-01-01 00:00:10|",
            "4|1|60|1970-01-01 00:00:11|",
        ],
    },
    Case {
        query: "q8",
        input: "INSERT INTO person SELECT id, 'n', '', '', '', '', make_timestamp(us), '' FROM (VALUES (1, 0), (2, 9999999), (3, 10000000)) AS t(id, us);
                INSERT INTO auction SELECT us, '', '', 1, 1, make_timestamp(us), make_timestamp(us), seller, 10, '' FROM (VALUES (1, 9000000), (1, 9500000), (2, 10000000), (3, 19999999)) AS t(seller, us)",
        rows: &["1|n|1970-01-01 00:00:00", "3|n|1970-01-01 00:00:10"],
    },
    Case {
        query: "q9",
        // Of equal bids the first wins; one after the end and one before the beginning do not count.
        input: "INSERT INTO auction SELECT id, '', '', 1, 1, make_timestamp(10), make_timestamp(20), 7, 10, '' FROM (VALUES (1), (2)) AS t(id);
                INSERT INTO bid SELECT 1, b, p, '', '', make_timestamp(us), '' FROM (VALUES (1, 5, 10), (2, 9, 12), (3, 9, 11), (4, 99, 21), (5, 99, 9), (6, 8, 20)) AS t(b, p, us)",
        rows: &["1|||1|1|1970-01-01 00:00:00.000010|1970-01-01 00:00:00.000020|7|10||1|3|9|1970-01-01 00:00:00.000011|"],
    },
    Case {
        query: "q4",
        input: "INSERT INTO auction SELECT id, '', '', 1, 1, make_timestamp(10), make_timestamp(20), 7, c, '' FROM (VALUES (1, 10), (2, 10), (3, 11), (4, 12)) AS t(id, c);
                INSERT INTO bid SELECT a, 1, p, '', '', make_timestamp(us), '' FROM (VALUES (1, 5, 10), (1, 9, 20), (2, 4, 15), (2, 90, 21), (3, 7, 11)) AS t(a, p, us)",
        rows: &["10|6.5", "11|7.0"],
    },
    Case {
        query: "q11",
        // Exactly ten seconds apart is one session; a microsecond more is two.
        input: "INSERT INTO bid SELECT 1, b, 1, '', '', make_timestamp(us), '' FROM (VALUES (1, 0), (1, 10000000), (1, 20000001), (2, 5000000)) AS t(b, us)",
        rows: &[
            "1|1|1970-01-01 00:00:20.000001|1970-01-01 00:00:30.000001",
            "1|2|1970-01-01 00:00:00|1970-01-01 00:00:20",
            "2|1|1970-01-01 00:00:05|1970-01-01 00:00:15",
        ],
    },
    Case {
        query: "q18",
        input: "INSERT INTO bid SELECT a, b, p, '', '', make_timestamp(us), '' FROM (VALUES (1, 1, 5, 10), (1, 1, 4, 12), (1, 2, 3, 11)) AS t(a, b, p, us)",
        rows: &["1|1|4|||1970-01-01 00:00:00.000012|", "1|2|3|||1970-01-01 00:00:00.000011|"],
    },
    Case {
        query: "q15",
        input: "INSERT INTO bid SELECT a, b, p, '', '', make_timestamp(us), '' FROM (VALUES (1, 1, 9999, 0), (1, 2, 10000, 1), (2, 2, 1000000, 2), (2, 2, 50, 86400000000)) AS t(a, b, p, us)",
        rows: &["1970-01-01|3|1|1|1|2|1|1|1|2|1|1|1", "1970-01-02|1|1|0|0|1|1|0|0|1|1|0|0"],
    },
    Case {
        query: "q21",
        input: "INSERT INTO bid VALUES (1, 1, 1, 'Apple', 'https://x/a/b/c/item.htm?query=1', TIMESTAMP '1970-01-01', ''), (2, 1, 1, 'channel-5', 'https://x/a/b/c/item.htm?query=1&channel_id=77', TIMESTAMP '1970-01-01', ''), (3, 1, 1, 'channel-6', 'https://x/a/b/c/item.htm?query=1', TIMESTAMP '1970-01-01', '')",
        rows: &["1|1|1|Apple|0", "2|1|1|channel-5|77"],
    },
];

#[test]
fn oracles_say_what_was_worked_out_by_hand() {
    let Some(python) = python() else { return };
    let folder = documents().join("oracle").display().to_string();
    for case in CASES {
        let said = oracle(&python, &["rows", &folder, case.query], case.input).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(said.lines().collect::<Vec<_>>(), case.rows, "{}", case.query);
    }
}
