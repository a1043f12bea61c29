//! What is noticed depends on the rows and their order, not on batches, restarts or when time is told.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::logical_expr::{Expr, cast, col, lit};
use proptest::prelude::*;
use weir_plan::operator::{AlertNode, AlertOn, MeasureNode, Operator as Planned, TimeBasis, Withheld};
use weir_spec::{
    Classification, DataType as Logical,
    metric::{Control, ControlChart, Metric, RuleSeverity, WindowCheck, WindowQuality, WindowRule},
    types::Timespan,
};
use weir_vault::Mac;

use super::{ObserverContext, build};
use crate::{
    batch::{Batch, Origin},
    counts::NodeCounts,
    observation::{AlertChange, AlertEvent, Observations, WindowVerdict},
    stages::{
        quality::metrics::measures::{CannotAdd, Sum},
        transform::{
            driver::OperatorStage,
            operator::{OperatorContext, Progress, Time},
        },
    },
    state::{LaneState, Settings},
};

/// Time, amount, name.
type Sample = (Option<i64>, Option<i64>, Option<&'static str>);

/// How far a row may lag behind the newest and still be in time.
const DELAY: i64 = 20;

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![field("at", time), field("amount", DataType::Int64), field("name", DataType::Utf8)]))
}

fn rows(samples: &[Sample]) -> RecordBatch {
    let times = samples.iter().map(|sample| sample.0).collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    let amounts: ArrayRef = Arc::new(samples.iter().map(|sample| sample.1).collect::<Int64Array>());
    let names: ArrayRef = Arc::new(samples.iter().map(|sample| sample.2).collect::<StringArray>());
    RecordBatch::try_new(schema(), vec![Arc::new(times), amounts, names]).unwrap()
}

/// An observer, and all that it has noticed.
struct Rig {
    planned: Planned,
    output: SchemaRef,
    input: SchemaRef,
    stage: OperatorStage,
    settings: Settings,
    files: usize,
    noticed: Observations,
    emitted: Vec<RecordBatch>,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new(planned: Planned) -> Self {
        let output = match &planned {
            Planned::Measure(_) => outcome_schema(),
            _ => Arc::new(Schema::empty()),
        };
        Self::over(planned, schema(), output)
    }

    fn over(planned: Planned, input: SchemaRef, output: SchemaRef) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            key: weir_vault::Key::generate().unwrap(),
            operator: [3; 32],
            folder: folder.path().to_owned(),
            memory_limit: None,
        };
        let stage = open(&planned, &input, &output, &settings, BTreeMap::new());
        let noticed = Observations::default();
        Self { planned, output, input, stage, settings, files: 0, noticed, emitted: Vec::new(), _folder: folder }
    }

    fn push(&mut self, batch: &Batch, after: Time) {
        let (processed, counts) = self.stage.process(0, batch, after).unwrap();
        let rows = batch.num_rows() as u64;
        assert_eq!((counts.rows_in, counts.absorbed), (rows, rows), "every row is absorbed");
        assert_eq!(counts.rejected(), 0);
        self.emitted.extend(processed.out.into_iter().map(|batch| batch.rows));
    }

    fn advance(&mut self, watermark: i64, now: i64) {
        let (processed, counts, progress) = self.stage.advance(Time { watermark, now }).unwrap();
        assert_eq!(progress, Progress::Done);
        assert_eq!(counts, NodeCounts { out: counts.emitted, emitted: counts.emitted, ..NodeCounts::default() });
        self.emitted.extend(processed.out.into_iter().map(|batch| batch.rows));
    }

    /// A checkpoint, and a run that begins from it.
    fn restart(&mut self) {
        self.noticed.append(self.stage.operator.take_observations());
        let mut written: BTreeMap<String, Vec<LaneState>> = BTreeMap::new();
        for pending in self.stage.snapshot(0, 0) {
            self.files += 1;
            let name = pending.name.to_owned();
            written.entry(name).or_default().push(pending.write(&format!("state-{}", self.files)).unwrap());
        }
        self.stage = open(&self.planned, &self.input, &self.output, &self.settings, written);
    }

    fn noticed(&mut self) -> Observations {
        self.noticed.append(self.stage.operator.take_observations());
        std::mem::take(&mut self.noticed)
    }

    /// Rows in batches of these sizes, as a source with event time gives them, and a restart after each batch whose turn it is.
    fn stream(&mut self, samples: &[Sample], sizes: &[usize], restarts: &[usize]) {
        let (mut newest, mut at) = (i64::MIN, 0);
        let mut watermark = i64::MIN;
        for (n, size) in sizes.iter().cycle().enumerate() {
            let part = &samples[at..(at + size).min(samples.len())];
            let mut behind = vec![i64::MIN; part.len()];
            for (row, behind) in part.iter().zip(&mut behind) {
                if let Some(time) = row.0 {
                    if time < watermark {
                        *behind = watermark;
                    }
                    newest = newest.max(time);
                    watermark = watermark.max(newest.saturating_sub(DELAY));
                }
            }
            let mut batch = batch(rows(part));
            batch.behind = behind.iter().any(|behind| *behind > i64::MIN).then(|| behind.into());
            self.push(&batch, Time { watermark, now: 0 });
            self.advance(watermark, 0);
            if restarts.contains(&n) {
                self.restart();
                self.advance(watermark, 0);
            }
            at += part.len();
            if at == samples.len() {
                break;
            }
        }
        self.advance(i64::MAX, 0);
    }
}

fn open(
    planned: &Planned,
    input: &SchemaRef,
    output: &SchemaRef,
    settings: &Settings,
    restored: BTreeMap<String, Vec<LaneState>>,
) -> OperatorStage {
    let operator = OperatorContext {
        node: "step".into(),
        inputs: vec![Arc::clone(input)],
        input_changes: vec![false],
        output: Arc::clone(output),
        lane: 0,
        lanes: 1,
        settings: settings.clone(),
        restored,
    };
    let context =
        ObserverContext { operator: &operator, step: "step", base_dir: std::path::Path::new("."), causes: Mac::new(b"key") };
    OperatorStage {
        node: "step".into(),
        index: 1,
        schema: Arc::clone(output),
        operator: build(planned, &context).unwrap().unwrap(),
        late: Arc::default(),
        partition: "step/0".into(),
        emitted: 0,
        counts: NodeCounts::default(),
        watermark: i64::MIN,
    }
}

fn batch(rows: RecordBatch) -> Batch {
    Batch::new(rows, Arc::new(Origin { source: 0, partition: "p".into(), first_row: 0 }), None)
}

fn outcome_schema() -> SchemaRef {
    let columns = MeasureNode::OUTPUT.iter().map(|column| {
        let data_type = match *column {
            "window_start" | "window_end" => Logical::Timestamp,
            "rows" => Logical::Int64,
            "observed" => Logical::Float64,
            _ => Logical::String,
        };
        weir_spec::Column::new(*column, data_type)
    });
    weir_plan::schema::arrow_schema(&columns.collect::<Vec<_>>())
}

fn rule(check: WindowCheck) -> WindowRule {
    WindowRule { name: check.default_name(), severity: RuleSeverity::Error, check }
}

fn bounded(metric: Metric, min: Option<f64>, max: Option<f64>) -> WindowRule {
    rule(WindowCheck::Bounds { metric, min, max })
}

fn amount() -> String {
    "amount".to_owned()
}

/// Windows of a millisecond.
fn measure(rules: Vec<WindowRule>, time: TimeBasis) -> MeasureNode {
    let withheld = vec![None; rules.len()];
    let measures_withheld = vec![false; rules.len()];
    MeasureNode { quality: WindowQuality { over: Timespan::from_millis(1), rules }, time, withheld, measures_withheld }
}

fn alert(when: Expr, key: &[usize], time: TimeBasis, resolve_after: i64) -> Planned {
    let on = AlertOn::Rows { when: Arc::new(when), key: key.to_vec(), time, resolve_after };
    Planned::Alert(AlertNode { on, severity: RuleSeverity::Error, message: "look".to_owned() })
}

/// What happened to each cause, in order, the causes sorted: in which order those of several happen is left open.
fn by_cause(alerts: &[AlertEvent]) -> Vec<Vec<String>> {
    let mut causes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for alert in alerts {
        let told = match &alert.change {
            AlertChange::Raised => format!("raised {}", alert.at),
            AlertChange::Resolved { raised_at, seen_at, count } => {
                format!("resolved {}, raised {raised_at}, seen {count} times until {seen_at}", alert.at)
            }
        };
        causes.entry(&alert.cause).or_default().push(told);
    }
    causes.into_values().collect()
}

fn sample() -> impl Strategy<Value = Sample> {
    let name = prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    let amount = prop_oneof![1 => Just(None), 9 => (-50i64..200).prop_map(Some)];
    (prop_oneof![1 => Just(None), 30 => (-60i64..60).prop_map(Some)], amount, name)
}

/// Times that go on, with some disorder, some rows far behind, and some stretches without any.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let gap = prop_oneof![8 => 0i64..300, 1 => 2_000i64..6_000];
    proptest::collection::vec((sample(), gap), 1usize..80).prop_map(|rows| {
        let mut clock = -5_000;
        let mut first = true;
        rows.into_iter()
            .map(|((jitter, amount, name), gap)| {
                clock += gap;
                // Before the first time there is only the clock to go by.
                let jitter = if std::mem::take(&mut first) { jitter.or(Some(0)) } else { jitter };
                (jitter.map(|jitter| clock + jitter), amount, name)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn windows_are_the_same_to_the_last_bit_whatever_the_batches_and_restarts(
        samples in samples(),
        sizes in proptest::collection::vec(1usize..12, 1usize..5),
        restarts in proptest::collection::vec(0usize..30, 0usize..4),
    ) {
        let control = |chart| rule(WindowCheck::Control(Control {
            metric: Metric::Mean { column: amount() }, chart, training: 2, western_electric: true,
        }));
        let node = measure(vec![
            bounded(Metric::RowCount, Some(2.0), None),
            bounded(Metric::Completeness { column: "name".into() }, Some(0.5), None),
            bounded(Metric::Uniqueness { columns: vec!["name".into(), amount()] }, None, None),
            bounded(Metric::Mean { column: amount() }, None, Some(90.0)),
            bounded(Metric::Stddev { column: amount() }, None, None),
            bounded(Metric::Quantile { column: amount(), q: 0.3 }, None, None),
            rule(WindowCheck::Freshness { max: Timespan::from_millis(1) }),
            control(ControlChart::Ewma { lambda: 0.3, limit: 2.0 }),
            control(ControlChart::Cusum { slack: 0.2, decision: 1.0 }),
        ], TimeBasis::Event(0));
        let mut at_once = Rig::new(Planned::Measure(node.clone()));
        at_once.stream(&samples, &[samples.len()], &[]);
        let mut in_parts = Rig::new(Planned::Measure(node));
        in_parts.stream(&samples, &sizes, &restarts);
        let (at_once, in_parts) = (at_once.noticed(), in_parts.noticed());
        prop_assert_eq!(format!("{at_once:#?}"), format!("{in_parts:#?}"));

        // A row is in a window, or late; those that were late behind the last window are not told of.
        let told: u64 = at_once.windows.iter().map(|window| window.rows + window.late_rows).sum();
        prop_assert!(told <= samples.len() as u64);
    }

    #[test]
    fn alerts_are_the_same_whatever_the_batches_and_restarts(
        samples in samples(),
        sizes in proptest::collection::vec(1usize..12, 1usize..5),
        restarts in proptest::collection::vec(0usize..30, 0usize..4),
        after in prop_oneof![1i64..50, 50i64..3_000],
    ) {
        let node = alert(col("amount").gt(lit(60i64)), &[2], TimeBasis::Event(0), after);
        let mut at_once = Rig::new(node.clone());
        at_once.stream(&samples, &[samples.len()], &[]);
        let mut in_parts = Rig::new(node);
        in_parts.stream(&samples, &sizes, &restarts);
        let (at_once, in_parts) = (at_once.noticed(), in_parts.noticed());
        prop_assert_eq!(by_cause(&at_once.alerts), by_cause(&in_parts.alerts));

        // Once per cause: raised and resolved in turn, and as often seen as there were rows.
        let mut open: BTreeMap<&str, i64> = BTreeMap::new();
        let mut seen = 0;
        for alert in &at_once.alerts {
            match alert.change {
                AlertChange::Raised => prop_assert!(open.insert(&alert.cause, alert.at).is_none()),
                AlertChange::Resolved { raised_at, seen_at, count } => {
                    prop_assert_eq!(open.remove(&*alert.cause), Some(raised_at));
                    prop_assert!(raised_at <= seen_at && alert.at == seen_at + after);
                    seen += count;
                }
            }
        }
        let large = samples.iter().filter(|sample| sample.1.is_some_and(|amount| amount > 60)).count() as u64;
        let all_told = if open.is_empty() { seen == large } else { seen < large };
        prop_assert!(all_told);
    }
}

#[test]
fn windows_of_the_clock_close_by_the_clock_and_those_in_which_nobody_watched_are_not_judged() {
    let node = measure(vec![bounded(Metric::RowCount, Some(1.0), None)], TimeBasis::Processing);
    let mut rig = Rig::new(Planned::Measure(node));
    let some = batch(rows(&[(None, Some(1), None), (None, Some(2), None)]));
    let time = |now| Time { watermark: i64::MIN, now };
    rig.advance(i64::MIN, 1_000_100);
    rig.push(&some, time(1_000_200));
    rig.advance(i64::MIN, 1_000_900);
    assert!(rig.noticed().is_empty());
    rig.advance(i64::MIN, 1_002_000);
    rig.push(&some, time(1_002_100));
    let told = |noticed: Observations| {
        let each = noticed.windows.iter().map(|window| (window.start, window.rows, window.rules[0].verdict));
        each.collect::<Vec<_>>()
    };
    use WindowVerdict::{Broken, Kept};
    assert_eq!(told(rig.noticed()), [(1_000_000, 2, Kept), (1_001_000, 0, Broken)]);
    rig.restart();
    rig.advance(i64::MIN, 1_900_500);
    rig.push(&some, time(1_900_600));
    rig.advance(i64::MAX, 1_900_700);
    assert_eq!(told(rig.noticed()), [(1_002_000, 2, Kept), (1_900_000, 2, Kept)]);
}

#[test]
fn alerts_of_rows_without_event_time_are_resolved_by_the_clock() {
    let mut rig = Rig::new(alert(col("amount").gt(lit(0i64)), &[], TimeBasis::Processing, 500));
    rig.advance(i64::MIN, 1_000);
    rig.push(&batch(rows(&[(None, Some(1), None), (None, Some(0), None)])), Time { watermark: i64::MIN, now: 1_000 });
    rig.advance(i64::MIN, 1_400);
    rig.restart();
    rig.advance(i64::MIN, 1_499);
    assert_eq!(by_cause(&rig.noticed().alerts), [["raised 1000"]]);
    rig.advance(i64::MIN, 1_501);
    assert_eq!(by_cause(&rig.noticed().alerts), [["resolved 1500, raised 1000, seen 1 times until 1000"]]);
}

#[test]
fn what_the_end_of_the_input_does_not_resolve_stays_open() {
    let node = alert(col("amount").gt(lit(0i64)), &[2], TimeBasis::Event(0), 100);
    let mut rig = Rig::new(node);
    rig.stream(&[(Some(0), Some(1), Some("a")), (Some(50), Some(1), Some("b")), (Some(110), Some(0), None)], &[1], &[]);
    let noticed = rig.noticed();
    let mut told = by_cause(&noticed.alerts);
    told.sort();
    assert_eq!(told, [vec!["raised 0", "resolved 100, raised 0, seen 1 times until 0"], vec!["raised 50"]]);
}

#[test]
fn a_condition_that_is_null_or_cannot_be_computed_raises_nothing_and_disturbs_no_other_row() {
    let node = alert(cast(col("name"), DataType::Int64).gt(lit(5i64)), &[], TimeBasis::Event(0), 100);
    let mut rig = Rig::new(node);
    let names = [None, Some("x"), Some("3"), Some("7"), Some(""), Some("9")];
    let samples: Vec<Sample> = names.iter().enumerate().map(|(n, name)| (Some(n as i64), None, *name)).collect();
    rig.push(&batch(rows(&samples)), Time { watermark: i64::MIN, now: 0 });
    let counts = rig.stage.operator.take_rules();
    assert_eq!((counts["computable"].evaluated, counts["computable"].failed), (6, 2));
    assert_eq!(by_cause(&rig.noticed().alerts), [["raised 3"]]);
}

#[test]
fn causes_are_keyed_hashes_and_tell_values_apart_nulls_too() {
    let mut rig = Rig::new(alert(lit(true), &[2], TimeBasis::Event(0), 100));
    let samples = [
        (Some(0), None, Some("4111-1111")),
        (Some(0), None, None),
        (Some(1), None, Some("4111-1111")),
        (Some(1), None, Some("")),
    ];
    rig.push(&batch(rows(&samples)), Time { watermark: i64::MIN, now: 0 });
    let noticed = rig.noticed();
    assert_eq!(noticed.alerts.len(), 3);
    for alert in &noticed.alerts {
        assert!(alert.cause.len() == 64 && alert.cause.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", alert.cause);
        assert_eq!((alert.step.as_str(), alert.message.as_str(), &alert.detail), ("step", "look", &None));
    }
}

#[test]
fn a_rule_raises_an_alert_where_it_is_broken_and_a_window_that_keeps_it_resolves_it() {
    let node = measure(
        vec![bounded(Metric::Mean { column: amount() }, None, Some(10.0)), bounded(Metric::RowCount, None, None)],
        TimeBasis::Event(0),
    );
    let mut measured = Rig::new(Planned::Measure(node));
    let samples =
        [(0, 5), (1_100, 20), (2_000, 30), (4_500, 40), (5_500, 1)].map(|(time, amount)| (Some(time), Some(amount), None));
    measured.stream(&samples, &[2], &[0]);
    let on = AlertOn::Rule("mean(amount)".to_owned());
    let planned = Planned::Alert(AlertNode { on, severity: RuleSeverity::Critical, message: "look".to_owned() });
    let mut rig = Rig::over(planned, outcome_schema(), Arc::new(Schema::empty()));
    for outcomes in measured.emitted {
        rig.push(&batch(outcomes), Time { watermark: i64::MIN, now: 0 });
        rig.restart();
    }
    rig.advance(i64::MAX, 0);
    let alerts = rig.noticed().alerts;
    // The window without rows in between has nothing to judge and changes nothing.
    assert_eq!(by_cause(&alerts), [["raised 2000", "resolved 6000, raised 2000, seen 3 times until 5000"]]);
    assert_eq!(alerts[0].detail.as_deref(), Some("mean(amount) is 20, above 10"));
    assert_eq!(alerts[1].detail, None);
}

#[test]
fn numbers_that_show_what_is_above_internal_are_neither_told_nor_handed_on() {
    let mut node = measure(
        vec![
            bounded(Metric::Max { column: amount() }, None, Some(10.0)),
            bounded(Metric::Min { column: amount() }, None, None),
            rule(WindowCheck::Control(Control {
                metric: Metric::Sum { column: amount() },
                chart: ControlChart::Shewhart { sigmas: 2.0 },
                training: 2,
                western_electric: true,
            })),
            bounded(Metric::RowCount, Some(1.0), None),
        ],
        TimeBasis::Event(0),
    );
    let withheld = Withheld { column: amount(), classification: Classification::Restricted };
    node.withheld = vec![Some(withheld.clone()), Some(withheld.clone()), Some(withheld), None];
    node.measures_withheld = vec![true, true, true, false];
    let mut rig = Rig::new(Planned::Measure(node));
    let sentinel = 918_273;
    let samples =
        [(0, 4), (1_000, 5), (2_000, sentinel), (3_000, sentinel)].map(|(time, amount)| (Some(time), Some(amount), None));
    rig.stream(&samples, &[3], &[1]);
    let noticed = rig.noticed();
    let told = serde_json::to_string(&noticed.windows).unwrap() + &format!("{:?}", rig.emitted);
    assert!(!told.contains("918273") && !told.contains("918_273"), "{told}");
    let mut rows = Sum::of("row_count");
    for window in &noticed.windows {
        rows.add(&window.measures).unwrap();
        assert!(matches!(Sum::of("max(amount)").add(&window.measures), Err(CannotAdd::Missing)));
        let shown = |form: &[u8]| window.measures.windows(form.len()).any(|bytes| bytes == form);
        assert!(!shown(&(sentinel as f64).to_le_bytes()));
    }
    assert_eq!(rows.value(0), Some(4.0));
    let rules = &noticed.windows[2].rules;
    let why = "the value is withheld: `amount` is restricted";
    assert_eq!(rules[0].detail.as_deref(), Some(&*format!("max(amount) is above 10; {why}")));
    assert_eq!((rules[0].observed, rules[0].verdict), (None, WindowVerdict::Broken));
    assert_eq!(rules[1].detail.as_deref(), Some(why));
    assert_eq!(
        rules[2].detail.as_deref(),
        Some(&*format!("sum(amount) is not as usual: the chart is above its limit; Western Electric rule 1; {why}"))
    );
    assert_eq!((rules[3].observed, &rules[3].detail), (Some(1.0), &None));
}
