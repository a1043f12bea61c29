//! The examples: every document plans without findings, and those on real data account for every row of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use weir_engine::{
    Control, Status, Summary,
    observation::{AlertChange, Observations},
};
use weir_service::Cx;
use weir_store::quarantine;
use weir_vault::quarantine::Entry;
use weir_worker::foreground;

use crate::harness::Instance;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The folder with real data; none, and a line saying so, where it is absent.
fn data(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WEIR_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join(file);
    if !path.exists() {
        println!("skipped: {file} is not in the folder with test data (WEIR_TEST_DATA, else ../shared/data)");
        return None;
    }
    Some(path.canonicalize().unwrap())
}

/// The text of an example, and its contracts beside the data folder of an instance.
fn example(weir: &Instance, name: &str) -> String {
    for contract in fs::read_dir(examples().join("contracts")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = contract.file_name().unwrap().to_string_lossy().into_owned();
        weir.write(&format!("contracts/{name}"), fs::read(contract).unwrap());
    }
    fs::read_to_string(examples().join(format!("{name}.yaml"))).unwrap()
}

/// Runs an example against real data instead of the path it names.
async fn run_on(weir: &Instance, name: &str, data: &Path) -> Summary {
    let text = example(weir, name);
    let path = text.lines().find_map(|line| line.trim().strip_prefix("file: { path: ../../shared/data/")).unwrap();
    let path = format!("../../shared/data/{}", path.split([' ', '}']).next().unwrap());
    let outcome = weir.run(&text.replacen(&path, &data.display().to_string(), 1)).await.unwrap();
    assert_eq!(outcome.status, Status::Finished);
    conserved(&outcome.summary);
    outcome.summary
}

/// Every row that came in is somewhere.
fn conserved(summary: &Summary) {
    let summary = serde_json::to_value(summary).unwrap();
    let sum = |counts: &Value, fields: &[&str]| fields.iter().map(|field| counts[field].as_u64().unwrap()).sum::<u64>();
    let each = |kind: &str| summary[kind].as_object().unwrap().values().cloned().collect::<Vec<_>>();
    for source in each("sources") {
        assert_eq!(sum(&source, &["in"]), sum(&source, &["malformed", "late", "out"]), "{source}");
    }
    for step in each("steps") {
        assert_eq!(sum(&step, &["in"]), sum(&step, &["out", "quarantined", "denied", "late", "dropped"]), "{step}");
    }
    for sink in each("sinks") {
        assert_eq!(sink["in"], sink["written"]);
    }
}

/// How often each rule held a row.
async fn held(cx: &Cx, weir: &Instance) -> BTreeMap<String, u64> {
    let project = cx.project().unwrap().id;
    let filter = quarantine::SegmentFilter { limit: 100_000, ..Default::default() };
    let segments = quarantine::list(weir.services.store(), project, filter).await.unwrap().items;
    let entries = segments.iter().flat_map(|segment| serde_json::from_str::<Vec<Entry>>(&segment.entries).unwrap());
    weir_vault::quarantine::count_by_rule(&entries.collect::<Vec<_>>())
}

#[test]
fn every_example_plans_without_findings() {
    let mut planned = 0;
    for path in fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let checked = foreground::check_file(&path, &weir_worker::FileContracts::default()).unwrap();
        let shown: Vec<String> = checked.diagnostics.iter().map(|finding| finding.render(&path.display().to_string())).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
        assert!(checked.plan.is_some(), "{}", path.display());
        planned += 1;
    }
    assert!(planned >= 7, "{planned} examples");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_repeated_times_are_held_and_everything_else_is_written() {
    let Some(data) = data("nab/machine_temperature_system_failure.csv") else { return };
    let text = fs::read_to_string(&data).unwrap();
    let rows: Vec<(&str, f64)> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(time, value)| (time, value.parse().unwrap()))
        .collect();
    // A time is repeated when it was seen within the hour; times come in order, but for where the clocks went back.
    let mut seen = std::collections::HashSet::new();
    let repeated = rows.iter().filter(|(time, _)| !seen.insert(*time)).count();
    assert_eq!(repeated, 12);

    let weir = Instance::new().await;
    let summary = run_on(&weir, "nab-machine-temperature", &data).await;
    let summary = serde_json::to_value(&summary).unwrap();
    assert_eq!(summary["sources"]["readings"]["in"], rows.len());
    assert_eq!(summary["sources"]["readings"]["out"], rows.len());
    assert_eq!(summary["steps"]["checked"]["quarantined"], repeated);
    let held = held(&weir.cx().await, &weir).await;
    assert_eq!(held, BTreeMap::from([("unique(timestamp)".to_owned(), repeated as u64)]));

    let out: Vec<Value> =
        weir.output("out/nab-machine-temperature").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(out.len(), rows.len() - repeated);
    let mut seen = std::collections::HashSet::new();
    let kept = rows.iter().filter(|(time, _)| seen.insert(*time));
    for (row, (time, fahrenheit)) in out.iter().zip(kept) {
        assert!(row["measured_at"].as_str().unwrap().starts_with(&time.replace(' ', "T")), "{row} for {time}");
        assert!((row["celsius"].as_f64().unwrap() - (fahrenheit - 32.0) / 1.8).abs() < 1e-9);
        assert_eq!(row["hot"], *fahrenheit > 100.0);
    }
}

/// When the charts of the example on the failing machine are out of control, against the labels of the benchmark.
#[tokio::test(flavor = "multi_thread")]
async fn control_charts_notice_that_the_machine_fails() {
    let (Some(series), Some(labels)) = (data("nab/machine_temperature_system_failure.csv"), data("nab/combined_windows.json"))
    else {
        return;
    };
    let labels: Value = serde_json::from_str(&fs::read_to_string(labels).unwrap()).unwrap();
    let micros = |text: &Value| {
        let time = chrono::NaiveDateTime::parse_from_str(text.as_str().unwrap(), "%Y-%m-%d %H:%M:%S%.f").unwrap();
        time.and_utc().timestamp_micros()
    };
    let labels = labels["realKnownCause/machine_temperature_system_failure.csv"].as_array().unwrap();
    let labels: Vec<(i64, i64)> = labels.iter().map(|label| (micros(&label[0]), micros(&label[1]))).collect();

    let weir = Instance::new().await;
    let control = Control::default();
    let noticed = Arc::new(Mutex::new(Observations::default()));
    let heard = Arc::clone(&noticed);
    control.on_observations(move |observations| heard.lock().unwrap().append(observations.clone()));
    let text = example(&weir, "nab-machine-watch");
    let path = "../../shared/data/nab/machine_temperature_system_failure.csv";
    let outcome = weir.run_with(&text.replacen(path, &series.display().to_string(), 1), &control).await.unwrap();
    assert_eq!(outcome.status, Status::Finished);
    let rows = fs::read_to_string(&series).unwrap().lines().count() as u64 - 1;
    assert_eq!(outcome.summary.sinks["readings_out"].written, rows);
    for alert in ["hot", "drifting", "failing"] {
        let step = outcome.summary.steps[alert];
        assert_eq!((step.rows_in, step.out), (step.absorbed, 0), "{alert}");
    }

    let noticed = noticed.lock().unwrap();
    assert_eq!(noticed.windows.iter().map(|window| window.rows).sum::<u64>(), rows);
    // From when to when each alert was open.
    let open = |step: &str| {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for alert in noticed.alerts.iter().filter(|alert| alert.step == step) {
            match alert.change {
                AlertChange::Raised => spans.push((alert.at, i64::MAX)),
                AlertChange::Resolved { raised_at, .. } => {
                    let last = spans.last_mut().unwrap();
                    assert_eq!(*last, (raised_at, i64::MAX));
                    last.1 = alert.at;
                }
            }
        }
        spans
    };
    // A window's alert comes when the window is over.
    let of_label = |span: &(i64, i64)| labels.iter().position(|label| span.0 <= label.1 + 3 * 3_600_000_000 && span.1 >= label.0);
    let found = |step: &str| open(step).iter().map(of_label).collect::<Vec<_>>();
    assert_eq!(found("drifting"), [Some(0), Some(1), Some(3)]);
    assert_eq!(found("failing"), [Some(1), Some(3)]);
    assert!(!open("hot").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn taxi_demand_lands_in_one_folder_a_month() {
    let Some(data) = data("nab/nyc_taxi.csv") else { return };
    let text = fs::read_to_string(&data).unwrap();
    let mut months: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (time, value) in text.lines().skip(1).map(|line| line.split_once(',').unwrap()) {
        let month = months.entry(format!("month={}", &time[..7])).or_default();
        *month = (month.0 + 1, month.1 + value.parse::<u64>().unwrap());
    }
    let weir = Instance::new().await;
    let summary = run_on(&weir, "nab-nyc-taxi", &data).await;
    let rows: u64 = months.values().map(|(rows, _)| rows).sum();
    assert_eq!(serde_json::to_value(&summary).unwrap()["sinks"]["months"]["written"], rows);

    let mut written = BTreeMap::new();
    for folder in fs::read_dir(weir.path("out/nab-nyc-taxi")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("month=") {
            continue;
        }
        let lines = crate::harness::lines_below(&folder);
        let rows: Vec<_> = lines.iter().filter(|line| !line.starts_with("began_at")).collect();
        let passengers = rows.iter().map(|row| row.split(',').nth(1).unwrap().parse::<u64>().unwrap()).sum();
        written.insert(name, (rows.len() as u64, passengers));
    }
    assert_eq!(written, months);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_electricity_market_is_split_by_direction() {
    let Some(data) = data("electricity/elec.csv") else { return };
    let text = fs::read_to_string(&data).unwrap();
    let heading: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let class = heading.iter().position(|name| *name == "class").unwrap();
    let up = text.lines().skip(1).filter(|line| line.split(',').nth(class) == Some("1")).count() as i64;
    let all = text.lines().skip(1).count() as i64;

    let weir = Instance::new().await;
    let summary = serde_json::to_value(run_on(&weir, "electricity", &data).await).unwrap();
    assert_eq!(summary["sources"]["market"], serde_json::json!({"in": all, "malformed": 0, "late": 0, "out": all}));
    assert_eq!(summary["sinks"]["by_direction"]["written"], all);
    assert_eq!(parquet_rows(&weir.path("out/electricity/direction=up")), up);
    assert_eq!(parquet_rows(&weir.path("out/electricity/direction=down")), all - up);
}

fn parquet_rows(folder: &Path) -> i64 {
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::File::open(entry.unwrap().path()).unwrap());
    let builders = files.map(|file| parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap());
    builders.map(|builder| builder.metadata().file_metadata().num_rows()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_examples_account_for_every_row() {
    for name in ["payments", "sensors", "clicks"] {
        let weir = Instance::new().await;
        let text = example(&weir, name);
        assert!(text.contains("rate: 200, "), "{name}");
        let outcome = weir.run(&text.replacen("rate: 200, ", "rows: 20000, ", 1)).await.unwrap();
        assert_eq!(outcome.status, Status::Finished);
        conserved(&outcome.summary);
        let summary = serde_json::to_value(&outcome.summary).unwrap();
        let source = summary["sources"].as_object().unwrap().values().next().unwrap();
        assert_eq!(source["in"], 20_000, "{name}");
        let late = source["late"].as_u64().unwrap();
        assert!(late > 0 && late < 1_000, "{name}: {late} late rows");
        let faulty = source["malformed"].as_u64().unwrap() + summary["steps"]["checked"]["quarantined"].as_u64().unwrap();
        assert!((100..1_000).contains(&faulty), "{name}: {faulty} faulty rows");
        for (sink, counts) in summary["sinks"].as_object().unwrap() {
            assert!(counts["written"].as_u64().unwrap() > 0, "{name}: {sink}");
        }
    }
}
