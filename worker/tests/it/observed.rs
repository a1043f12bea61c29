//! What runs notice of their data: complete and the same however often they are cut off, right by an independent computation, and
//! without anything that those who read it may not see.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use weir_api::{AlertStates, NoValue, QualityPoint, QualityQuery, QualityResolution};
use weir_engine::{Control, EngineError, Observations, Status, observation::AlertChange};
use weir_service::{Services, operator, quality};
use weir_store::alerts::{self, AlertFilter};
use weir_worker::WorkerError;

use crate::harness::{Instance, open};

/// A control that adds what is noticed to `noticed`.
fn listening(noticed: &Arc<Mutex<Observations>>) -> Control {
    let control = Control::default();
    let heard = Arc::clone(noticed);
    control.on_observations(move |observations| heard.lock().unwrap().append(observations.clone()));
    control
}

async fn noticed(weir: &Instance, document: &str) -> Observations {
    let noticed = Arc::default();
    let outcome = weir.run_with(document, &listening(&noticed)).await.unwrap();
    assert_eq!(outcome.status, Status::Finished);
    std::mem::take(&mut *noticed.lock().unwrap())
}

/// What happened to each cause, in order: in which order those of several happen is left open.
fn by_cause(noticed: &Observations) -> Vec<String> {
    let mut causes: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for alert in &noticed.alerts {
        let told = causes.entry((&alert.step, &alert.cause)).or_insert_with(|| format!("{}\n", alert.step));
        match &alert.change {
            AlertChange::Raised => writeln!(told, "raised {} {:?}", alert.at, alert.detail),
            AlertChange::Resolved { raised_at, seen_at, count } => {
                writeln!(told, "resolved {} {raised_at} {seen_at} {count}", alert.at)
            }
        }
        .unwrap();
    }
    let mut causes: Vec<String> = causes.into_values().collect();
    causes.sort();
    causes
}

/// Step, cause, when it was raised, and of one that is resolved when, how often it was seen and when last.
type Kept = (String, String, i64, Option<(i64, u64, i64)>);

/// All alerts, as they were noticed.
fn told(noticed: &Observations) -> BTreeSet<Kept> {
    let mut alerts = BTreeSet::new();
    for alert in &noticed.alerts {
        let (step, cause) = (alert.step.clone(), alert.cause.clone());
        match alert.change {
            AlertChange::Raised => assert!(alerts.insert((step, cause, alert.at, None))),
            AlertChange::Resolved { raised_at, seen_at, count } => {
                assert!(alerts.remove(&(step.clone(), cause.clone(), raised_at, None)));
                alerts.insert((step, cause, raised_at, Some((alert.at, count, seen_at))));
            }
        }
    }
    alerts
}

/// All alerts, as they are kept.
async fn stored(weir: &Instance) -> BTreeSet<Kept> {
    let project = weir.cx().await.project().unwrap().id;
    let mut filter = AlertFilter { states: AlertStates::All, pipeline: None, severity: None, after: None, limit: 100 };
    let mut alerts = BTreeSet::new();
    loop {
        let page = alerts::list(weir.services.store(), project, filter.clone()).await.unwrap();
        alerts.extend(page.items.into_iter().map(|alert| {
            let ended = alert.ended_at.map(|ended| (ended.timestamp_micros(), alert.seen, alert.seen_at.timestamp_micros()));
            (alert.step, alert.cause, alert.raised_at.timestamp_micros(), ended)
        }));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return alerts,
        }
    }
}

/// The hours or days of each rule of the step `checked`, as people are told.
async fn added_up(
    services: &Arc<Services>,
    pipeline: &str,
    resolution: QualityResolution,
) -> BTreeMap<String, Vec<QualityPoint>> {
    let cx = operator::context(services).await.unwrap().in_project(&"main".parse().unwrap()).await.unwrap();
    let pipeline = pipeline.parse().unwrap();
    let mut all = BTreeMap::new();
    for rule in quality::rules(&cx, &pipeline).await.unwrap() {
        let query = QualityQuery {
            step: rule.step.clone(),
            rule: rule.rule.clone(),
            resolution: Some(resolution),
            ..QualityQuery::default()
        };
        all.insert(rule.rule, quality::series(&cx, &pipeline, query).await.unwrap().points);
    }
    all
}

fn watched(lanes: usize) -> String {
    format!(
        "
apiVersion: weir/v1
kind: Pipeline
name: sensors
purpose: essential.service
basis: contract
parallelism: {lanes}
checkpoint: {{ every: 20ms }}
batch: {{ rows: 500, wait: 5ms }}
sources:
  readings:
    generator: {{ kind: sensors, seed: 7, rows: 60000, faults: 0.01, late: 0.01, anomalies: 0.02 }}
    event_time: {{ column: measured_at, max_delay: 1s, late: pass }}
steps:
  checked:
    quality:
      from: readings
      rules:
        - not_null: [machine_id]
      over: 2s
      metrics:
        - row_count: {{ min: 10 }}
        - mean: {{ column: temperature, max: 70 }}
        - stddev: {{ column: temperature }}
        - quantile: {{ column: vibration, q: 0.9 }}
        - uniqueness: {{ columns: machine_id }}
        - control: {{ metric: mean(temperature), training: 10 }}
  hot:
    alert: {{ from: readings, when: temperature > 90, key: machine_id, resolve_after: 5s }}
  warm:
    alert: {{ from: checked, rule: mean(temperature) }}
  unusual:
    alert: {{ from: checked, rule: control(mean(temperature)) }}
sinks:
  out: {{ from: checked, file: {{ path: out }}, format: json, clearance: restricted }}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_runs_notice_everything_once() {
    let undisturbed = Instance::new().await;
    let expected = noticed(&undisturbed, &watched(1)).await;
    assert!(expected.windows.len() > 20, "{} windows", expected.windows.len());
    assert!(expected.alerts.len() > 20, "{} alerts", expected.alerts.len());

    let disturbed = Instance::new().await;
    let found = Arc::new(Mutex::new(Observations::default()));
    let mut aborted = 0u64;
    loop {
        let control = listening(&found);
        if aborted < 12 {
            let control = control.clone();
            let after = Duration::from_millis(5 + (aborted * 7919) % 120);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                control.abort();
            });
        }
        match disturbed.run_with(&watched(1 + (aborted % 3) as usize), &control).await {
            Ok(outcome) if outcome.status == Status::Finished => break,
            Ok(_) => {}
            Err(WorkerError::Engine(EngineError::Cancelled)) => aborted += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(aborted > 0, "the run ended before it could be cut off");
    let found = std::mem::take(&mut *found.lock().unwrap());
    // To the last bit, measures included.
    assert_eq!(found.windows, expected.windows);
    // Causes are hashed under each installation's own key.
    assert_eq!(by_cause(&found), by_cause(&expected));
    assert_eq!(stored(&disturbed).await, told(&found), "what was heard is what is kept");
    let hours = added_up(&disturbed.services, "sensors", QualityResolution::Hour).await;
    assert_eq!(hours, added_up(&undisturbed.services, "sensors", QualityResolution::Hour).await);
    assert!(hours.len() == 6 && hours.values().flatten().all(|hour| hour.value.is_some()), "{hours:?}");
    assert_eq!(disturbed.output("out"), undisturbed.output("out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_what_the_rows_say_and_what_is_kept_of_them_adds_up_to_hours_and_days() {
    let mut rows: Vec<(i64, Option<f64>, &str)> = Vec::new();
    let mut csv = "at,amount,kind\n".to_owned();
    let mut state = 11u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (begin, mut at) = (1_767_225_600i64, 0i64);
    while at < 3 * 3600 {
        at += random(9) as i64;
        let amount = (random(20) > 0).then(|| random(100_000) as f64 / 100.0 - 200.0);
        let kind = ["a", "b", "c", "d"][random(4) as usize];
        rows.push((at, amount, kind));
        let time = chrono::DateTime::from_timestamp(begin + at, 0).unwrap().format("%FT%TZ");
        writeln!(csv, "{time},{},{kind}", amount.map_or(String::new(), |amount| amount.to_string())).unwrap();
    }
    let weir = Instance::new().await;
    weir.write("input.csv", &csv);
    let document = |name: &str, over: &str| {
        format!(
            "
apiVersion: weir/v1
kind: Pipeline
name: {name}
purpose: essential.service
basis: contract
parallelism: 2
batch: {{ rows: 700, wait: 5ms }}
sources:
  rows:
    file: {{ path: input.csv }}
    format: csv
    schema: [{{ name: at, type: timestamp }}, {{ name: amount, type: float64 }}, {{ name: kind, type: string }}]
    event_time: {{ column: at, max_delay: 0s }}
steps:
  checked:
    quality:
      from: rows
      over: {over}
      metrics:
        - row_count: {{}}
        - completeness: {{ column: amount }}
        - uniqueness: {{ columns: kind }}
        - mean: {{ column: amount }}
        - sum: {{ column: amount }}
        - min: {{ column: amount }}
        - max: {{ column: amount }}
        - stddev: {{ column: amount }}
        - quantile: {{ column: amount, q: 0.5 }}
sinks:
  out: {{ from: checked, file: {{ path: out/{name} }}, format: json }}
"
        )
    };
    let minutes = noticed(&weir, &document("minutes", "1m")).await.windows;
    let hours = noticed(&weir, &document("hours", "1h")).await.windows;
    assert_eq!(hours.len(), 4);
    let within = |start: i64, end: i64| {
        let within = rows.iter().filter(|row| (start..end).contains(&((begin + row.0) * 1_000_000)));
        within.map(|row| (row.1, row.2)).collect::<Vec<_>>()
    };
    for window in minutes.iter().chain(&hours) {
        assert!(window.rules.iter().zip(RULES).all(|(rule, name)| rule.rule == name));
        let observed: Vec<_> = window.rules.iter().map(|rule| rule.observed).collect();
        agrees(window.start, window.rows, &observed, &within(window.start, window.end));
    }

    // As soon as they are measured, and after a restart.
    let restarted = open(&weir.data()).await;
    for services in [&weir.services, &restarted] {
        for (resolution, expected) in [(QualityResolution::Hour, 4), (QualityResolution::Day, 1)] {
            let added = added_up(services, "minutes", resolution).await;
            let first = &added[RULES[0]];
            assert_eq!(first.len(), expected);
            for (n, span) in first.iter().enumerate() {
                let observed: Vec<_> = RULES.iter().map(|rule| added[*rule][n].value).collect();
                let (start, end) = (span.start.timestamp_micros(), span.end.timestamp_micros());
                agrees(start, span.rows, &observed, &within(start, end));
            }
        }
    }

    // Nothing of it lies in the clear.
    let measures = &minutes[7].measures;
    assert!(measures.len() > 200, "{} bytes", measures.len());
    everything_below(&weir.data(), &mut |path| {
        let bytes = std::fs::read(path).unwrap();
        assert!(measures.chunks_exact(32).all(|part| !shows(&bytes, part)), "{}", path.display());
    });
}

const RULES: [&str; 9] = [
    "row_count",
    "completeness(amount)",
    "uniqueness(kind)",
    "mean(amount)",
    "sum(amount)",
    "min(amount)",
    "max(amount)",
    "stddev(amount)",
    "quantile(amount, 0.5)",
];

/// Compares what [`RULES`] observed with the rows it was observed of, computed plainly.
fn agrees(start: i64, count: u64, observed: &[Option<f64>], rows: &[(Option<f64>, &str)]) {
    let mut amounts: Vec<f64> = rows.iter().filter_map(|row| row.0).collect();
    amounts.sort_by(f64::total_cmp);
    let n = amounts.len() as f64;
    let mean = amounts.iter().sum::<f64>() / n;
    let variance = amounts.iter().map(|amount| (amount - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row.1).collect();
    let some = |value: f64| value.is_finite().then_some(value);
    let expected = [
        Some(rows.len() as f64),
        some(n / rows.len() as f64),
        some(kinds.len() as f64 / rows.len() as f64),
        some(mean),
        (n > 0.0).then(|| amounts.iter().sum()),
        amounts.first().copied(),
        amounts.last().copied(),
        (n > 1.0).then(|| variance.sqrt()),
    ];
    assert_eq!(count, rows.len() as u64);
    for ((rule, observed), expected) in RULES.iter().zip(observed).zip(expected) {
        let close = match (observed, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            (found, expected) => *found == expected,
        };
        assert!(close, "{rule} from {start}: {observed:?}, not {expected:?}");
    }
    if let Some(median) = observed[8] {
        let below = amounts.iter().filter(|amount| **amount < median).count() as f64 / n;
        let up_to = amounts.iter().filter(|amount| **amount <= median).count() as f64 / n;
        assert!(below <= 0.52 + 1.0 / n && up_to >= 0.48 - 1.0 / n, "{median}: {below} {up_to}");
    }
}

fn shows(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_noticed_and_kept_of_classified_columns_shows_none_of_their_values() {
    const NAME: &str = "SENTINEL-4f1d9c";
    const DOSE: &str = "73129.0625";
    let weir = Instance::new().await;
    let rows: String = (0..40)
        .map(|n| {
            let (name, dose) = if n % 4 == 3 { (NAME, DOSE) } else { ("somebody", "12.5") };
            format!("{{\"at\":\"2026-01-01T00:00:{:02}Z\",\"name\":\"{name}\",\"dose\":{dose}}}\n", n)
        })
        .collect();
    weir.write("input.ndjson", &rows);
    weir.write("reference.csv", "name\nsomebody\n");
    let document = "
apiVersion: weir/v1
kind: Pipeline
name: secrets
purpose: essential.service
basis: contract
checkpoint: { every: 10ms }
batch: { rows: 3, wait: 5ms }
sources:
  rows:
    file: { path: input.ndjson }
    schema:
      - { name: at, type: timestamp }
      - { name: name, type: string, classification: confidential }
      - { name: dose, type: float64, classification: restricted }
    event_time: { column: at, max_delay: 1s }
steps:
  checked:
    quality:
      from: rows
      over: 4s
      metrics:
        - max: { column: dose, max: 100 }
        - quantile: { column: dose, q: 1, max: 100 }
        - sum: { column: dose }
        - control: { metric: max(dose), training: 2, western_electric: true }
        - control: { metric: min(dose), training: 2, chart: cusum }
        - uniqueness: { columns: name }
        - distribution: { column: name, reference: reference.csv, max: 0.01 }
        - row_count: {}
  each:
    alert: { from: rows, when: dose > 100, key: [name, dose], resolve_after: 1s }
  much:
    alert: { from: checked, rule: max(dose) }
  shifted:
    alert: { from: checked, rule: distribution(name) }
sinks:
  out: { from: checked, file: { path: out }, format: json, clearance: restricted }
";
    let noticed = noticed(&weir, document).await;
    assert!(noticed.windows.len() == 10 && noticed.alerts.len() > 10, "{noticed:?}");
    let broken = |rule: usize| noticed.windows.iter().filter(|window| window.rules[rule].detail.is_some()).count();
    assert!((0..5).all(|rule| broken(rule) == 10), "each says that it is withheld");
    let shown = |rule: usize| noticed.windows.iter().filter(|window| window.rules[rule].observed.is_some()).count();
    assert_eq!([0, 1, 2, 3, 4, 5, 6].map(shown), [0, 0, 0, 0, 0, 10, 10]);
    let hours = added_up(&weir.services, "secrets", QualityResolution::Hour).await;
    assert_eq!(hours.len(), 8);
    for (rule, hours) in &hours {
        let expected = if rule == "row_count" { (Some(40.0), None) } else { (None, Some(NoValue::NotKept)) };
        assert_eq!((hours[0].value, hours[0].no_value), expected, "{rule}");
        assert_eq!(
            hours[0].low.is_some(),
            ["row_count", "uniqueness(name)", "distribution(name)"].contains(&rule.as_str()),
            "{rule}"
        );
    }
    let told = serde_json::to_string(&noticed.windows).unwrap() + &*serde_json::to_string(&noticed.alerts).unwrap();
    let dose = DOSE.parse::<f64>().unwrap();
    let forms: Vec<Vec<u8>> = [
        NAME.as_bytes().to_vec(),
        DOSE.as_bytes().to_vec(),
        dose.to_le_bytes().to_vec(),
        dose.to_be_bytes().to_vec(),
        format!("{:.1}", dose).into_bytes(),
    ]
    .into();
    let shows = |bytes: &[u8]| forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form));
    assert!(!shows(told.as_bytes()), "{told}");
    assert!(shows(weir.output("out").join("\n").as_bytes()), "the rows themselves hold it");
    let mut files = 0;
    everything_below(&weir.data(), &mut |path| {
        files += 1;
        assert!(!shows(&std::fs::read(path).unwrap()), "{}", path.display());
    });
    assert!(files > 3, "{files} files");
}

fn everything_below(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { everything_below(&path, found) } else { found(&path) }
    }
}
