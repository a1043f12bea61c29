//! Pipelines that meet in a table: one keeps it up to date, another looks up in it.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::json;
use weir_engine::{Control, Status};
use weir_worker::{
    foreground::{self, Start},
    host::DEFAULT_STATE_MEMORY,
};

use crate::{harness::Instance, table};

const TOTALS: &str = "
apiVersion: weir/v1
kind: Pipeline
name: totals
purpose: analytics
basis: contract
parallelism: 2
sources:
  orders:
    file: { path: orders }
    schema: [ { name: country, type: string }, { name: amount, type: int64 } ]
steps:
  totals:
    sql: { query: 'SELECT country, count(*) AS n, sum(amount) AS total FROM orders GROUP BY country', state_ttl: 1h }
sinks:
  kept: { from: totals, sqlite: { path: out/shop.db, table: totals, key: country } }
";

const VISITS: &str = "
apiVersion: weir/v1
kind: Pipeline
name: visits
purpose: analytics
basis: contract
tables:
  totals:
    sqlite: { path: out/shop.db, table: totals }
    schema: [ { name: total, type: int64 }, { name: country, type: string } ]
    key: country
sources:
  visits:
    file: { path: visits }
    schema: [ { name: id, type: int64 }, { name: country, type: string } ]
steps:
  known:
    sql: SELECT v.id, t.total FROM visits AS v LEFT JOIN totals AS t ON v.country = t.country
sinks:
  out: { from: known, file: { path: out/visits } }
";

async fn finish(weir: &Instance, document: &str) {
    let ended = weir.run_with(document, &Control::default()).await.unwrap();
    assert_eq!(ended.status, Status::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_pipeline_puts_into_a_table_another_looks_up() {
    let weir = Instance::new().await;
    let order = |country: &str, amount: i64| format!("{}\n", json!({ "country": country, "amount": amount }));
    let visit = |id: i64, country: &str| format!("{}\n", json!({ "id": id, "country": country }));
    weir.write("orders/1.json", [order("NL", 3), order("DE", 4), order("NL", 5)].concat());
    weir.write("visits/1.json", [visit(1, "NL"), visit(2, "FR")].concat());
    finish(&weir, TOTALS).await;
    finish(&weir, VISITS).await;
    assert_eq!(weir.output("out/visits"), [r#"{"id":1,"total":8}"#, r#"{"id":2,"total":null}"#]);

    weir.write("orders/2.json", [order("FR", 1), order("NL", 1)].concat());
    weir.write("visits/2.json", [visit(3, "NL"), visit(4, "FR")].concat());
    finish(&weir, TOTALS).await;
    finish(&weir, VISITS).await;
    assert_eq!(weir.output("out/visits")[2..], [r#"{"id":3,"total":9}"#, r#"{"id":4,"total":1}"#]);
    let mut rows = table::rows(&weir.path("out/shop.db"), "totals");
    rows.sort();
    assert_eq!(
        rows,
        [r#"{"country":"DE","n":1,"total":4}"#, r#"{"country":"FR","n":1,"total":1}"#, r#"{"country":"NL","n":3,"total":9}"#]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_removed_between_two_runs_is_noticed() {
    let weir = Instance::new().await;
    let order = |country: &str| format!("{}\n", json!({ "country": country, "amount": 1 }));
    weir.write("orders/1.json", order("NL"));
    finish(&weir, TOTALS).await;
    for file in std::fs::read_dir(weir.path("out")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    weir.write("orders/2.json", order("NL"));
    let error = weir.run(TOTALS).await.err().unwrap().to_string();
    assert!(error.contains("the last one there is none") && error.contains("--fresh"), "{error}");

    let path = weir.write("pipeline.yaml", TOTALS);
    let checked = foreground::check_file(&path, &weir_worker::FileContracts::default()).unwrap();
    let (cx, data, control) = (weir.cx().await, weir.data(), Control::default());
    let anew = foreground::run_reported(&cx, &data, checked, Start::Fresh, &control, DEFAULT_STATE_MEMORY).await.unwrap();
    assert_eq!(anew.result.unwrap().status, Status::Finished);
    assert_eq!(table::rows(&weir.path("out/shop.db"), "totals"), [r#"{"country":"NL","n":2,"total":2}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_masked_before_reaches_the_table_masked_and_nothing_else_does() {
    let weir = Instance::new().await;
    let document = TOTALS
        .replace(
            "schema: [ { name: country, type: string }, ",
            "subject: country\n    schema: [ { name: country, type: string, classification: confidential }, ",
        )
        .replace("FROM orders", "FROM safe")
        .replace("steps:\n", "steps:\n  safe: { mask: { from: orders, columns: { country: { hash: {} } } } }\n");
    let sentinel = "sentinel-7f3a";
    weir.write("orders/1.json", format!("{}\n", json!({ "country": sentinel, "amount": 3 })).repeat(3));
    finish(&weir, &document).await;
    let rows = table::rows(&weir.path("out/shop.db"), "totals");
    assert_eq!(rows.len(), 1);
    assert!(rows[0].ends_with(r#""n":3,"total":9}"#), "{rows:?}");
    for folder in ["out", "data"] {
        for file in std::fs::read_dir(weir.path(folder)).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let bytes = std::fs::read(file.path()).unwrap();
            let found = bytes.windows(sentinel.len()).any(|window| window == sentinel.as_bytes());
            assert!(!found, "{}", file.path().display());
        }
    }
}

/// The queries of the benchmark whose rows change, with what tells their rows apart.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_a_query_is_what_its_changes_make() {
    let queries = [
        ("q4", "category"),
        ("q9", "id"),
        ("q15", "day"),
        ("q16", "channel, day"),
        ("q17", "auction, day"),
        ("q18", "bidder, auction"),
        ("q19", "auction, place"),
    ];
    for (query, key) in queries {
        let weir = Instance::new().await;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/nexmark/{query}.yaml"));
        let text =
            fs::read_to_string(path).unwrap().replace("events: 100000", "events: 10000").replace("every: 2s", "every: 20ms");
        let (before, sink) = text.split_once("sinks:\n  out:\n    from: ").unwrap();
        let step = sink.lines().next().unwrap();
        let document = format!(
            "{before}sinks:\n  now: {{ from: {step}, sqlite: {{ path: out.db, table: now, key: [{key}] }} }}\n  \
             log: {{ from: {step}, sqlite: {{ path: out.db, table: log }}, mode: changes }}\n"
        );
        finish(&weir, &document).await;
        let mut folded: BTreeMap<String, i64> = BTreeMap::new();
        for row in table::rows(&weir.path("out.db"), "log") {
            let (op, row) = row.strip_prefix(r#"{"op":""#).and_then(|rest| rest.split_once(r#"","#)).unwrap();
            *folded.entry(format!("{{{row}")).or_default() += if op.starts_with('+') { 1 } else { -1 };
        }
        folded.retain(|_, times| *times != 0);
        assert!(folded.values().all(|times| *times == 1), "{query}");
        let mut now = table::rows(&weir.path("out.db"), "now");
        now.sort();
        assert!(!now.is_empty() && now == folded.into_keys().collect::<Vec<_>>(), "{query}: {} rows", now.len());
    }
}
