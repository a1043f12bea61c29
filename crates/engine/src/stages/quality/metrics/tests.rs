//! Windows of metrics: whatever the cut into lanes and batches, the result is that of the whole.

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
    judge::read,
    plan::{Judged, Plan},
    *,
};
use crate::state::codec::Reader;

/// Time, number, text.
type Sample = (i64, Option<f64>, Option<&'static str>);

fn rows(samples: &[Sample]) -> (RecordBatch, Vec<i64>) {
    let numbers: ArrayRef = Arc::new(samples.iter().map(|sample| sample.1).collect::<Float64Array>());
    let texts: ArrayRef = Arc::new(samples.iter().map(|sample| sample.2).collect::<StringArray>());
    let rows = RecordBatch::try_from_iter_with_nullable([("amount", numbers, true), ("country", texts, true)]).unwrap();
    (rows, samples.iter().map(|sample| sample.0).collect())
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

/// Closes windows as the rows come: over so many lanes, in batches of these sizes, with a hand-over and a restart after every third.
fn run(plan: &Arc<Plan>, samples: &[Sample], lanes: usize, sizes: &[usize]) -> Vec<Closed> {
    let mut collectors: Vec<Collector> = (0..lanes).map(|_| Collector::new(Arc::clone(plan), &schema()).unwrap()).collect();
    let mut merger = Merger::new(Arc::clone(plan));
    let (mut closed, mut at) = (Vec::new(), 0);
    for (n, size) in sizes.iter().cycle().enumerate() {
        let end = (at + size).min(samples.len());
        let (batch, times) = rows(&samples[at..end]);
        collectors[n % lanes].add(&batch, &times).unwrap();
        at = end;
        if n % 3 == 2 || at == samples.len() {
            collectors.iter_mut().for_each(|collector| merger.merge(collector.take()));
            let watermark = samples[at..].iter().map(|sample| sample.0).min().unwrap_or(i64::MAX);
            closed.extend(merger.close(watermark));
            let mut bytes = Vec::new();
            merger.encode(&mut bytes);
            merger = Merger::decode(Arc::clone(plan), &bytes).unwrap();
        }
        if at == samples.len() {
            assert_eq!(merger.late_rows(), 0);
            return closed;
        }
    }
    closed
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
        let at_once = run(&plan, &samples, 1, &[samples.len()]);
        let in_parts = run(&plan, &samples, lanes, &sizes);

        prop_assert_eq!(at_once.len(), in_parts.len());
        let mut hours: Option<Window> = None;
        for (whole, parts) in at_once.iter().zip(&in_parts) {
            prop_assert_eq!((whole.start, whole.end), (parts.start, parts.end));
            let own: Vec<&Sample> = samples.iter().filter(|sample| (whole.start..whole.end).contains(&sample.0)).collect();
            for (n, expected) in naive(&own).into_iter().enumerate() {
                let (whole, parts) = (whole.outcomes[n].observed, parts.outcomes[n].observed);
                prop_assert!(close(whole, expected) && close(parts, expected), "{}: {:?} {:?} {:?}", plan.rules[n].name, whole, parts, expected);
            }
            for n in 9..12 {
                // Counts and times: equal to the last bit.
                prop_assert_eq!(&whole.outcomes[n], &parts.outcomes[n]);
            }
            match &mut hours {
                Some(hours) => hours.merge(&parts.window),
                None => hours = Some(parts.window.clone()),
            }
        }
        let all: Vec<&Sample> = samples.iter().collect();
        let hours = hours.unwrap();
        for (rule, expected) in plan.rules.iter().zip(naive(&all)) {
            let Judged::Bounds { metric, .. } = rule.judged else { continue };
            prop_assert!(close(read(metric, &hours), expected), "{} over all windows", rule.name);
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
    let closed = run(&plan, &samples, 1, &[4]);
    let verdicts: Vec<Vec<Verdict>> =
        closed.iter().map(|closed| closed.outcomes.iter().map(|outcome| outcome.verdict.clone()).collect()).collect();
    let broken = |text: &str| Verdict::Broken(text.to_owned());
    assert_eq!(
        verdicts,
        [
            vec![broken("row_count is 3, above 2"), broken("mean(amount) is 11, above 10"), Verdict::Kept],
            vec![broken("row_count is 0, below 1"), Verdict::Open, broken("the newest row is 0.00198 s old, more than 0.001 s")],
            vec![Verdict::Kept, Verdict::Open, Verdict::Kept],
        ]
    );
}

#[test]
fn a_watermark_that_moves_without_rows_closes_windows_and_late_rows_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(vec![bounds(Metric::RowCount, Some(1.0), None)], folder.path());
    let mut merger = Merger::new(Arc::clone(&plan));
    let mut collector = Collector::new(Arc::clone(&plan), &schema()).unwrap();
    assert!(merger.close(10_000).is_empty(), "before the first row there is no window");
    let mut add = |merger: &mut Merger, times: &[i64]| {
        let samples: Vec<Sample> = times.iter().map(|time| (*time, None, None)).collect();
        let (batch, times) = rows(&samples);
        collector.add(&batch, &times).unwrap();
        merger.merge(collector.take());
    };
    add(&mut merger, &[500, 900]);
    assert!(merger.close(999).is_empty());
    assert_eq!(
        merger.close(3_500).iter().map(|closed| (closed.start, closed.window.rows())).collect::<Vec<_>>(),
        [(0, 2), (1_000, 0), (2_000, 0)]
    );
    add(&mut merger, &[2_999, 3_000]);
    assert_eq!(merger.late_rows(), 1);
    assert_eq!(merger.close(i64::MAX).len(), 1);
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
    let closed = run(&plan, &samples, 2, &[7]);
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
    let closed = run(&plan, &same.chain(shifted).collect::<Vec<_>>(), 1, &[30]);
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
    let mut merger = Merger::new(Arc::clone(&plan));
    merger.merge(BTreeMap::from([(0, Window::new(&plan))]));
    let mut bytes = Vec::new();
    merger.encode(&mut bytes);
    assert!(Merger::decode(Arc::clone(&plan), &bytes).is_ok());
    for end in 0..bytes.len() {
        assert!(Merger::decode(Arc::clone(&plan), &bytes[..end]).is_err());
    }
    let mut other = Window::new(&plan);
    other.0.swap_remove(1);
    merger.merge(BTreeMap::from([(9, other)]));
    let mut bytes = Vec::new();
    merger.encode(&mut bytes);
    assert!(Merger::decode(plan, &bytes).is_err());
}
