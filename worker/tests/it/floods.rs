//! Much that becomes due at one time: far more than is put out at once.

use std::fmt::Write;

use serde_json::{Value, json};
use weir_engine::{Control, Status};

use crate::harness::Instance;

/// Windows feed a sink, windows over windows, a rank of windows and a session each; all of them close at the end of the input.
const FLOOD: &str = "
apiVersion: weir/v1
kind: Pipeline
name: flood
purpose: analytics
basis: contract
parallelism: 2
sources:
  visits:
    file: { path: visits.csv }
    format: csv
    schema: [ { name: page, type: int64 }, { name: at, type: timestamp } ]
    event_time: { column: at, max_delay: 1s }
steps:
  pages:
    sql: SELECT page, window_start, window_end, count(*) AS n FROM tumble(visits, INTERVAL '1 day') GROUP BY page, window_start, window_end
  days:
    sql: SELECT window_start, count(*) AS pages, sum(n) AS visits, max(page) AS last FROM pages GROUP BY window_start, window_end
  first:
    sql: >
      SELECT window_start, page, place FROM (
        SELECT window_start, window_end, page, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY page) AS place FROM pages
      ) WHERE place <= 3
  stays:
    sql: SELECT page, window_start, count(*) AS n FROM session(visits, INTERVAL '1 minute', page) GROUP BY page, window_start
sinks:
  to_pages: { from: pages, file: { path: out/pages } }
  to_days: { from: days, file: { path: out/days } }
  to_first: { from: first, file: { path: out/first } }
  to_stays: { from: stays, file: { path: out/stays } }
";

const PAGES: i64 = 150_000;

#[tokio::test(flavor = "multi_thread")]
async fn windows_of_very_many_keys_that_close_at_once_come_out_whole_and_feed_what_follows() {
    let weir = Instance::new().await;
    let mut visits = String::from("page,at\n");
    for page in 0..PAGES {
        writeln!(visits, "{page},2026-01-01T00:00:00Z").unwrap();
    }
    weir.write("visits.csv", visits);
    let ended = weir.run_with(FLOOD, &Control::default()).await.unwrap();
    assert_eq!(ended.status, Status::Finished);

    let rows =
        |folder: &str| -> Vec<Value> { weir.output(folder).iter().map(|line| serde_json::from_str(line).unwrap()).collect() };
    for folder in ["out/pages", "out/stays"] {
        let mut pages: Vec<i64> = rows(folder).iter().map(|row| row["page"].as_i64().unwrap()).collect();
        pages.sort_unstable();
        assert!(pages.into_iter().eq(0..PAGES), "each page once in {folder}");
    }
    let days: Vec<Value> = rows("out/days");
    assert_eq!(days.len(), 1);
    assert_eq!((&days[0]["pages"], &days[0]["visits"], &days[0]["last"]), (&json!(PAGES), &json!(PAGES), &json!(PAGES - 1)));
    let first: Vec<Value> = rows("out/first").iter().map(|row| json!([row["page"], row["place"]])).collect();
    assert_eq!(first, [json!([0, 1]), json!([1, 2]), json!([2, 3])]);
}
