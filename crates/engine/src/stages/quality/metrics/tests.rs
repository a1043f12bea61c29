//! Windows of metrics: whatever the cut into batches and restarts, the result is that of the whole, and parts add up to it.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use proptest::prelude::*;
use weir_spec::{
    metric::{
        Control, ControlChart, Distribution, DistributionTest, Metric, RuleSeverity, WindowCheck, WindowQuality, WindowRule,
    },
    types::Timespan,
};

use super::{
    digest::Digest,
    measures::{self, CannotAdd, Sum},
    plan::Plan,
    *,
};
use crate::state::{StateError, codec::Reader};

/// Time, number, text.
type Sample = (i64, Option<f64>, Option<&'static str>);

fn rows(samples: &[Sample]) -> (RecordBatch, Vec<Option<i64>>) {
    let numbers: ArrayRef = Arc::new(samples.iter().map(|sample| sample.1).collect::<Float64Array>());
    let texts: ArrayRef = Arc::new(samples.iter().map(|sample| sample.2).collect::<StringArray>());
    let rows = RecordBatch::try_from_iter_with_nullable([("amount", numbers, true), ("country", texts, true)]).unwrap();
    (rows, samples.iter().map(|sample| Some(sample.0)).collect())
}

fn schema() -> SchemaRef {
    rows(&[]).0.schema()
}

fn amount() -> String {
    "amount".to_owned()
}

fn rule(check: WindowCheck) -> WindowRule {
    WindowRule { name: check.default_name(), severity: RuleSeverity::Error, check }
}

fn bounds(metric: Metric, min: Option<f64>, max: Option<f64>) -> WindowRule {
    rule(WindowCheck::Bounds { metric, min, max })
}

fn plan(rules: Vec<WindowRule>, folder: &std::path::Path) -> Arc<Plan> {
    let quality = WindowQuality { over: Timespan::from_millis(1), rules };
    Arc::new(Plan::compile("checked", &quality, &schema(), folder).unwrap())
}

/// Closes windows as the rows come in batches of these sizes, with a restart after every third.
fn run(plan: &Arc<Plan>, samples: &[Sample], sizes: &[usize]) -> Vec<Closed> {
    let mut open = OpenWindows::new(Arc::clone(plan), &schema()).unwrap();
    let (mut closed, mut at) = (Vec::new(), 0);
    for (n, size) in sizes.iter().cycle().enumerate() {
        let end = (at + size).min(samples.len());
        let (batch, times) = rows(&samples[at..end]);
        open.add(&batch, &times).unwrap();
        at = end;
        closed.extend(open.close(samples[at..].iter().map(|sample| sample.0).min().unwrap_or(i64::MAX)));
        if n % 3 == 2 {
            open = restarted(plan, &open).unwrap();
        }
        if at == samples.len() {
            break;
        }
    }
    assert!(closed.iter().all(|closed| closed.late_rows == 0));
    closed
}

fn restarted(plan: &Arc<Plan>, open: &OpenWindows) -> Result<OpenWindows, StateError> {
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    let mut again = OpenWindows::new(Arc::clone(plan), &schema()).unwrap();
    again.restore(&bytes)?;
    Ok(again)
}

fn all_metrics(folder: &std::path::Path) -> Arc<Plan> {
    std::fs::write(folder.join("amounts.csv"), "amount,country\n1,de\n2,de\n3,fr\n4,\n").unwrap();
    let distribution = |column: &str| {
        rule(WindowCheck::Distribution(Distribution {
            column: column.to_owned(),
            reference: "amounts.csv".to_owned(),
            key: None,
            test: DistributionTest::Psi,
            max: Some(0.2),
            min_p: None,
            bins: 4,
        }))
    };
    let metrics = [
        Metric::RowCount,
        Metric::Completeness { column: "country".to_owned() },
        Metric::Uniqueness { columns: vec![amount(), "country".to_owned()] },
        Metric::Mean { column: amount() },
        Metric::Sum { column: amount() },
        Metric::Min { column: amount() },
        Metric::Max { column: amount() },
        Metric::Stddev { column: amount() },
        Metric::Quantile { column: amount(), q: 0.9 },
    ];
    let bounded = metrics.into_iter().map(|metric| bounds(metric, None, None));
    plan(
        bounded
            .chain([
                distribution("amount"),
                distribution("country"),
                rule(WindowCheck::Freshness { max: Timespan::from_millis(1) }),
            ])
            .collect(),
        folder,
    )
}

/// All that the rules observe, computed from the rows at once.
fn naive(samples: &[&Sample]) -> Vec<Option<f64>> {
    let numbers: Vec<f64> = samples.iter().filter_map(|sample| sample.1).filter(|number| number.is_finite()).collect();
    let count = numbers.len() as f64;
    let some = |value: f64| (count > 0.0).then_some(value);
    let mean = numbers.iter().sum::<f64>() / count;
    let m2: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    let texts: Vec<&str> = samples.iter().filter_map(|sample| sample.2).collect();
    let mut pairs: Vec<(u64, &str)> = samples.iter().filter_map(|sample| Some((sample.1?.to_bits(), sample.2?))).collect();
    let whole = pairs.len();
    pairs.sort();
    pairs.dedup();
    vec![
        Some(samples.len() as f64),
        (!samples.is_empty()).then(|| texts.len() as f64 / samples.len() as f64),
        (whole > 0).then(|| pairs.len() as f64 / whole as f64),
        some(mean),
        some(numbers.iter().sum()),
        numbers.iter().copied().reduce(f64::min),
        numbers.iter().copied().reduce(f64::max),
        (count > 1.0).then(|| (m2 / (count - 1.0)).sqrt()),
    ]
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let number = prop_oneof![
        8 => (-50i32..50).prop_map(|n| Some(f64::from(n) / 4.0)),
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(1e12)),
    ];
    let text = prop_oneof![Just(None), Just(Some("de")), Just(Some("fr")), Just(Some("it"))];
    (-3_000i64..6_000, number, text)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn merged_windows_equal_the_batch_result(
        mut samples in proptest::collection::vec(sample(), 1usize..120),
        lanes in 1usize..4,
        sizes in proptest::collection::vec(1usize..20, 1usize..6),
    ) {
        samples.sort_by_key(|sample| sample.0);
        let folder = tempfile::tempdir().unwrap();
        let plan = all_metrics(folder.path());
        let at_once = run(&plan, &samples, &[samples.len()]);
        let in_parts = run(&plan, &samples, &sizes);
        // To the last bit.
        prop_assert_eq!(format!("{at_once:?}"), format!("{in_parts:?}"));

        // Each lane sees a share of the rows; what they add up to is merged, window by window.
        let mut merged: BTreeMap<i64, Window> = BTreeMap::new();
        for lane in 0..lanes {
            let share: Vec<Sample> = samples.iter().skip(lane).step_by(lanes).copied().collect();
            if !share.is_empty() {
                for closed in run(&plan, &share, &[7]) {
                    merged.entry(closed.start).or_insert_with(|| Window::new(&plan)).merge(&closed.window);
                }
            }
        }
        let mut hours: Option<Window> = None;
        for whole in &at_once {
            let own: Vec<&Sample> = samples.iter().filter(|sample| (whole.start..whole.end).contains(&sample.0)).collect();
            let of_lanes = merged.get(&whole.start).cloned().unwrap_or_else(|| Window::new(&plan));
            let expected = naive(&own);
            for (n, (rule, expected)) in plan.rules.iter().zip(expected).enumerate() {
                let (whole, lanes) = (whole.outcomes[n].observed, rule.value(&of_lanes, whole.end));
                prop_assert!(close(whole, expected) && close(lanes, expected), "{}: {:?} {:?} {:?}", rule.name, whole, lanes, expected);
            }
            match &mut hours {
                Some(hours) => hours.merge(&whole.window),
                None => hours = Some(whole.window.clone()),
            }
        }
        let all: Vec<&Sample> = samples.iter().collect();
        let hours = hours.unwrap();
        for (rule, expected) in plan.rules.iter().zip(naive(&all)) {
            prop_assert!(close(rule.value(&hours, 0), expected), "{} over all windows", rule.name);
        }
        let encoded: Vec<Vec<u8>> = at_once.iter().map(|closed| measures::encode(&plan, &closed.window, |_| true)).collect();
        for (rule, expected) in plan.rules.iter().zip(naive(&all)) {
            prop_assert!(close(added(&rule.name, &encoded, 0), expected), "{} of encoded windows", rule.name);
        }
        let mut bytes = Vec::new();
        hours.encode(&mut bytes);
        prop_assert_eq!(format!("{:?}", Window::decode(&mut Reader::new(&bytes)).unwrap()), format!("{hours:?}"));
    }

    #[test]
    fn quantiles_are_near_their_rank_also_merged(
        values in proptest::collection::vec(prop_oneof![-1e3f64..1e3, Just(7.0), (0.0f64..1.0).prop_map(|x| x.powi(8) * 1e6)], 1usize..3_000),
        parts in 1usize..12,
        q in 0.0f64..=1.0,
    ) {
        let mut digests = vec![Digest::default(); parts];
        values.iter().enumerate().for_each(|(n, value)| digests[n % parts].add(*value));
        let mut merged = Digest::default();
        digests.iter().for_each(|digest| merged.merge(digest));
        let mut bytes = Vec::new();
        merged.encode(&mut bytes);
        let merged = Digest::decode(&mut Reader::new(&bytes)).unwrap();
        let found = merged.quantile(q).unwrap();
        let share = |of: usize| of as f64 / values.len() as f64;
        let (below, up_to) = (share(values.iter().filter(|v| **v < found).count()), share(values.iter().filter(|v| **v <= found).count()));
        let tolerance = 0.02 + 1.0 / values.len() as f64;
        prop_assert!(below <= q + tolerance && up_to >= q - tolerance, "{} has {}..{} below it, not {}", found, below, up_to, q);
    }
}

/// What a rule's number is over encoded windows.
fn added(rule: &str, windows: &[Vec<u8>], end: i64) -> Option<f64> {
    let mut sum = Sum::of(rule);
    windows.iter().for_each(|window| sum.add(window).unwrap());
    sum.value(end)
}

fn encoded(plan: &Plan, closed: &[Closed]) -> Vec<Vec<u8>> {
    closed.iter().map(|closed| measures::encode(plan, &closed.window, |_| true)).collect()
}

#[test]
fn windows_add_up_to_what_a_longer_window_measures() {
    let folder = tempfile::tempdir().unwrap();
    let short = all_metrics(folder.path());
    let mut long = Arc::into_inner(all_metrics(folder.path())).unwrap();
    long.over *= 10;
    let long = Arc::new(long);
    // Two windows have no rows: all that there is of them is their age.
    let samples: Vec<Sample> = (0..700)
        .map(|n| (n * 10, Some((n * 7 % 31) as f64 / 4.0), ["de", "fr", "it"].get(n as usize % 4).copied()))
        .chain([(9_999, None, None)])
        .collect();
    let wholes = run(&long, &samples, &[90]);
    let [whole] = &wholes[..] else { panic!("{} windows", wholes.len()) };
    let (plan, short) = (&short, run(&short, &samples, &[90]));
    assert_eq!(short.len(), 10);
    let parts = encoded(plan, &short);
    for (rule, whole) in plan.rules.iter().zip(&whole.outcomes) {
        let found = added(&rule.name, &parts, 10_000);
        if rule.name.starts_with("quantile") {
            assert!((found.unwrap() - whole.observed.unwrap()).abs() < 0.1, "{found:?} {whole:?}");
        } else {
            assert!(whole.observed.is_some() && close(found, whole.observed), "{}: {found:?} {whole:?}", rule.name);
        }
    }
    let age = plan.rules.iter().position(|rule| rule.name == "freshness").unwrap();
    assert_eq!(added("freshness", &parts[..9], 9_000), short[8].outcomes[age].observed, "of windows without rows at their end");
    assert_eq!(added("freshness", &parts[7..9], 9_000), short[8].outcomes[age].observed, "of windows without rows");
}

#[test]
fn windows_of_rules_that_look_at_something_else_are_not_added() {
    let folder = tempfile::tempdir().unwrap();
    let measured = |metric: Metric, reference: &str| {
        std::fs::write(folder.path().join("reference.csv"), reference).unwrap();
        let distribution = Distribution {
            column: amount(),
            reference: "reference.csv".to_owned(),
            key: None,
            test: DistributionTest::Ks,
            max: None,
            min_p: None,
            bins: 2,
        };
        let named = WindowRule { name: "usual".to_owned(), ..bounds(metric, None, None) };
        let rules = vec![bounds(Metric::RowCount, None, None), rule(WindowCheck::Distribution(distribution)), named];
        let plan = plan(rules, folder.path());
        encoded(&plan, &run(&plan, &[(0, Some(1.0), Some("de")), (1, Some(3.0), None)], &[2])).remove(0)
    };
    let first = measured(Metric::Mean { column: amount() }, "amount\n1\n2\n");
    for (other, unalike) in [
        (measured(Metric::Mean { column: amount() }, "amount\n1\n2\n"), &[][..]),
        (measured(Metric::Max { column: amount() }, "amount\n1\n2\n"), &["usual"]),
        (measured(Metric::Quantile { column: amount(), q: 0.5 }, "amount\n1\n2\n"), &["usual"]),
        (measured(Metric::Completeness { column: "country".to_owned() }, "amount\n1\n2\n"), &["usual"]),
        (measured(Metric::Mean { column: amount() }, "amount\n1\n9\n10\n"), &["distribution(amount)"]),
    ] {
        for rule in ["row_count", "distribution(amount)", "usual"] {
            let mut sum = Sum::of(rule);
            sum.add(&first).unwrap();
            let before = sum.value(0);
            match sum.add(&other) {
                Err(error) => {
                    assert!(matches!(error, CannotAdd::Unalike) && unalike.contains(&rule), "{rule}: {error}");
                    assert_eq!(sum.value(0), before, "the sum is what it was");
                }
                Ok(()) => assert!(!unalike.contains(&rule), "{rule}"),
            }
        }
    }
    assert!(matches!(Sum::of("never measured").add(&first), Err(CannotAdd::Missing)));
}

#[test]
fn only_measures_of_rules_that_may_be_told_leave_and_damaged_ones_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let plan = all_metrics(folder.path());
    let closed = run(&plan, &[(0, Some(1.5), Some("de"))], &[1]);
    let some = measures::encode(&plan, &closed[0].window, |rule| plan.rules[rule].name == "completeness(country)");
    assert_eq!(added("completeness(country)", std::slice::from_ref(&some), 0), Some(1.0));
    assert!(matches!(Sum::of("mean(amount)").add(&some), Err(CannotAdd::Missing)));
    assert!(!some.windows(8).any(|bytes| bytes == 1.5f64.to_le_bytes()), "no value of a column that no such rule looks at");
    assert!(measures::encode(&plan, &closed[0].window, |_| false).is_empty());
    let all = measures::encode(&plan, &closed[0].window, |_| true);
    for end in 0..all.len() {
        let error = Sum::of("mean(amount)").add(&all[..end]);
        assert!(matches!(error, Err(CannotAdd::Damaged(_))), "cut off at {end}: {error:?}");
    }
}

#[test]
fn a_window_that_is_closed_takes_little_space_however_many_rows_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let size = |metric: Metric, samples: &[Sample]| {
        let plan = plan(vec![bounds(metric, None, None)], folder.path());
        encoded(&plan, &run(&plan, samples, &[1_000]))[0].len()
    };
    let samples: Vec<Sample> = (0..50_000).map(|n| (n % 1_000, Some((n as f64).sqrt()), None)).collect();
    let mut sorted = samples;
    sorted.sort_by_key(|sample| sample.0);
    assert!(size(Metric::Mean { column: amount() }, &sorted) < 100);
    assert!(size(Metric::Quantile { column: amount(), q: 0.9 }, &sorted) < 5_000);
    assert!(size(Metric::Uniqueness { columns: vec![amount()] }, &sorted) < 17_000);
    assert!(size(Metric::Uniqueness { columns: vec![amount()] }, &sorted[..4_096]) < 33_000);
}

#[test]
fn broken_rules_say_what_was_found_and_empty_windows_are_judged_too() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(
        vec![
            bounds(Metric::RowCount, Some(1.0), Some(2.0)),
            bounds(Metric::Mean { column: amount() }, None, Some(10.0)),
            rule(WindowCheck::Freshness { max: Timespan::from_millis(1) }),
        ],
        folder.path(),
    );
    // Windows are 1,000 microseconds long.
    let samples = [(0, Some(30.0), None), (10, Some(1.0), None), (20, Some(2.0), None), (2_500, None, None)];
    let closed = run(&plan, &samples, &[4]);
    let told = |outcome: &Outcome| match &outcome.verdict {
        Verdict::Kept => "kept".to_owned(),
        Verdict::Open => "open".to_owned(),
        Verdict::Broken(finding) => finding.told.clone(),
    };
    let verdicts: Vec<Vec<String>> = closed.iter().map(|closed| closed.outcomes.iter().map(told).collect()).collect();
    assert_eq!(
        verdicts,
        [
            ["row_count is 3, above 2", "mean(amount) is 11, above 10", "kept"],
            ["row_count is 0, below 1", "open", "the newest row is 0.00198 s old, more than 0.001 s"],
            ["kept", "open", "kept"],
        ]
    );
}

fn with_rows_at(open: &mut OpenWindows, times: &[i64]) {
    let samples: Vec<Sample> = times.iter().map(|time| (*time, None, None)).collect();
    let (batch, times) = rows(&samples);
    open.add(&batch, &times).unwrap();
}

fn counted(closed: &[Closed]) -> Vec<(i64, u64, u64)> {
    closed.iter().map(|closed| (closed.start, closed.window.rows(), closed.late_rows)).collect()
}

fn counting() -> Arc<Plan> {
    plan(vec![bounds(Metric::RowCount, Some(1.0), None)], std::path::Path::new("."))
}

#[test]
fn a_watermark_that_moves_without_rows_closes_windows_and_late_rows_are_counted() {
    let plan = counting();
    let mut open = OpenWindows::new(Arc::clone(&plan), &schema()).unwrap();
    assert!(open.close(10).is_empty(), "before the first row there is no window");
    with_rows_at(&mut open, &[500, 900]);
    assert!(open.close(999).is_empty());
    assert_eq!(counted(&open.close(3_500)), [(0, 2, 0), (1_000, 0, 0), (2_000, 0, 0)]);
    with_rows_at(&mut open, &[2_999, 3_000]);
    assert_eq!(counted(&open.close(i64::MAX)), [(3_000, 1, 1)]);
}

#[test]
fn a_row_without_a_time_counts_with_the_newest_before_it() {
    let mut open = OpenWindows::new(counting(), &schema()).unwrap();
    let (batch, _) = rows(&[(0, None, None); 6]);
    open.add(&batch, &[None, None, Some(1_500), Some(300), None, Some(2_000)]).unwrap();
    open.add(&batch.slice(0, 1), &[None]).unwrap();
    assert_eq!(counted(&open.close(i64::MAX)), [(0, 1, 2), (1_000, 2, 0), (2_000, 2, 0)]);
}

#[test]
fn a_row_behind_time_is_late_also_where_no_window_was_closed_before() {
    let mut open = OpenWindows::new(counting(), &schema()).unwrap();
    assert!(open.close(5_000).is_empty());
    with_rows_at(&mut open, &[4_999, 5_000]);
    assert_eq!(counted(&open.close(i64::MAX)), [(5_000, 1, 1)]);
}

#[test]
fn a_stream_that_stands_still_closes_so_many_empty_windows_whether_time_jumps_or_creeps() {
    let plan = counting();
    let through = |steps: &[i64]| {
        let mut open = OpenWindows::new(Arc::clone(&plan), &schema()).unwrap();
        with_rows_at(&mut open, &[0]);
        let mut all = Vec::new();
        for &until in steps {
            all.extend(counted(&open.close(until)));
            open = restarted(&plan, &open).unwrap();
        }
        open.close(*steps.last().unwrap());
        with_rows_at(&mut open, &[20_000_000, 20_001_000]);
        all.extend(counted(&open.close(i64::MAX)));
        all
    };
    let jumped = through(&[20_000_000]);
    assert_eq!(jumped.len(), 1 + 10_000 + 2);
    assert_eq!(jumped.last(), Some(&(20_001_000, 1, 0)));
    assert_eq!(jumped, through(&[3_000, 5_000_500, 16_000_000, 19_999_999, 20_000_000]));
}

#[test]
fn windows_in_which_nobody_watched_are_not_judged() {
    let mut open = OpenWindows::new(counting(), &schema()).unwrap();
    with_rows_at(&mut open, &[500]);
    assert_eq!(counted(&open.close_after_absence(9_500)), [(0, 1, 0)]);
    with_rows_at(&mut open, &[10_100]);
    assert_eq!(counted(&open.close(11_000)), [(9_000, 0, 0), (10_000, 1, 0)]);
}

#[test]
fn what_was_counted_by_another_reference_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let by_reference = |text: &str| {
        std::fs::write(folder.path().join("reference.csv"), text).unwrap();
        let check = Distribution {
            column: amount(),
            reference: "reference.csv".to_owned(),
            key: None,
            test: DistributionTest::Ks,
            max: Some(0.1),
            min_p: None,
            bins: 2,
        };
        plan(vec![rule(WindowCheck::Distribution(check)), bounds(Metric::RowCount, None, None)], folder.path())
    };
    let first = by_reference("amount\n1\n2\n");
    let mut open = OpenWindows::new(Arc::clone(&first), &schema()).unwrap();
    let (batch, times) = rows(&[(0, Some(1.0), None), (1, Some(1.0), None)]);
    open.add(&batch, &times).unwrap();
    let same = restarted(&first, &open).unwrap().close(i64::MAX);
    assert_eq!(same[0].outcomes[0].observed, Some(0.5));
    let other = restarted(&by_reference("amount\n10\n20\n"), &open).unwrap().close(i64::MAX);
    assert_eq!(other[0].outcomes.iter().map(|outcome| outcome.observed).collect::<Vec<_>>(), [None, Some(2.0)]);
}

#[test]
fn a_control_chart_notices_a_shift_that_no_bound_was_set_for() {
    let folder = tempfile::tempdir().unwrap();
    let control = |chart, western_electric| {
        rule(WindowCheck::Control(Control { metric: Metric::Mean { column: amount() }, chart, training: 20, western_electric }))
    };
    let plan = plan(
        vec![
            control(ControlChart::Ewma { lambda: 0.2, limit: 3.0 }, false),
            control(ControlChart::Cusum { slack: 0.5, decision: 5.0 }, false),
            control(ControlChart::Shewhart { sigmas: 3.0 }, true),
        ],
        folder.path(),
    );
    // One row a window around 100; from window 40 on by two sigmas more.
    let noise = |n: i64| [0.4, -1.1, 0.9, -0.3, 1.2, -0.8, 0.1, -0.5, 0.7, -0.6][(n * 7 % 10) as usize];
    let samples: Vec<Sample> =
        (0..60).map(|n| (n * 1_000, Some(100.0 + noise(n) + if n >= 40 { 2.0 } else { 0.0 }), None)).collect();
    let closed = run(&plan, &samples, &[7]);
    for rule in 0..3 {
        let first = closed.iter().position(|closed| matches!(closed.outcomes[rule].verdict, Verdict::Broken(_)));
        assert!(first.is_some_and(|first| (40..52).contains(&first)), "rule {rule}: {first:?}");
        assert_eq!(closed[19].outcomes[rule].verdict, Verdict::Open, "the baseline is in the making");
    }
}

#[test]
fn a_distribution_is_compared_with_its_reference() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..400).map(|n| format!("{}\n", n % 4)).collect();
    std::fs::write(folder.path().join("reference.csv"), format!("amount\n{text}")).unwrap();
    let distribution = |test, max, min_p| {
        rule(WindowCheck::Distribution(Distribution {
            column: amount(),
            reference: "reference.csv".to_owned(),
            key: None,
            test,
            max,
            min_p,
            bins: 4,
        }))
    };
    let plan = plan(
        vec![
            distribution(DistributionTest::Psi, Some(0.25), None),
            distribution(DistributionTest::Ks, Some(0.2), None),
            distribution(DistributionTest::JensenShannon, Some(0.1), None),
            distribution(DistributionTest::ChiSquare, None, Some(0.01)),
        ],
        folder.path(),
    );
    assert_eq!(
        plan.measures.iter().filter(|measure| !matches!(measure, super::plan::Measure::Rows)).count(),
        1,
        "they share one"
    );
    let same = (0..100).map(|n| (n, Some((n % 4) as f64), None));
    let shifted = (0..100).map(|n| (1_000 + n, Some(if n % 4 == 0 { 0.0 } else { 3.0 }), None));
    let closed = run(&plan, &same.chain(shifted).collect::<Vec<_>>(), &[30]);
    for rule in 0..4 {
        assert_eq!(closed[0].outcomes[rule].verdict, Verdict::Kept);
        assert!(matches!(closed[1].outcomes[rule].verdict, Verdict::Broken(_)), "{:?}", closed[1].outcomes[rule]);
    }
}

#[test]
fn rules_that_cannot_be_measured_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |check: WindowCheck| {
        let quality = WindowQuality { over: Timespan::from_millis(1), rules: vec![rule(check)] };
        Plan::compile("checked", &quality, &schema(), folder.path()).unwrap_err().to_string()
    };
    let error = refused(WindowCheck::Bounds { metric: Metric::Mean { column: "country".to_owned() }, min: None, max: None });
    assert!(error.contains("mean(country) needs numbers"), "{error}");
    let error = refused(WindowCheck::Bounds { metric: Metric::Mean { column: "amuont".to_owned() }, min: None, max: None });
    assert!(error.contains("no column `amuont`"), "{error}");
}

#[test]
fn damaged_state_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let plan = all_metrics(folder.path());
    let mut open = OpenWindows::new(Arc::clone(&plan), &schema()).unwrap();
    with_rows_at(&mut open, &[0]);
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    let restore = |plan: &Arc<Plan>, bytes: &[u8]| OpenWindows::new(Arc::clone(plan), &schema()).unwrap().restore(bytes);
    assert!(restore(&plan, &bytes).is_ok());
    for end in 0..bytes.len() {
        assert!(restore(&plan, &bytes[..end]).is_err());
    }
    let mut open = OpenWindows::new(counting(), &schema()).unwrap();
    with_rows_at(&mut open, &[0]);
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    assert!(restore(&plan, &bytes).is_err(), "of other rules");
}
