//! Window rules and alerts: what a document says is what is read, and what is written reads back as the same.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_spec::{
    Pipeline, Step,
    metric::{
        AlertCondition, AlertStep, Control, ControlChart, Distribution, DistributionTest, Metric, RuleSeverity, WindowCheck,
        WindowQuality, WindowRule,
    },
    parse_pipeline,
    quality::{OnFail, QualityStep},
    to_json, to_yaml,
    types::Timespan,
};

const HEAD: &str = "apiVersion: weir/v1
kind: Pipeline
name: p
purpose: essential.service
basis: contract
sources: { rows: { file: { path: in.ndjson }, schema: [{ name: id, type: string }, { name: amount, type: int64 }] } }
sinks: { out: { from: rows, file: { path: out } } }
";

fn parsed(steps: &str) -> Pipeline {
    let parsed = parse_pipeline(&format!("{HEAD}steps:\n{steps}"));
    assert!(!parsed.diagnostics.iter().any(|found| found.is_error()), "{:?}", parsed.diagnostics);
    parsed.value.unwrap()
}

fn windows(metrics: &str) -> WindowQuality {
    match parsed(&format!("  checked: {{ quality: {{ from: rows, metrics: {metrics} }} }}\n")).steps.swap_remove("checked") {
        Some(Step::Quality(QualityStep { windows: Some(windows), rules, .. })) if rules.is_empty() => windows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_grammar() {
    let found = windows("[{ control: { metric: mean(amount) } }, { distribution: { column: id, reference: r.csv, max: 0.1 } }]");
    let metric = Metric::Mean { column: "amount".into() };
    let chart = ControlChart::Ewma { lambda: 0.2, limit: 3.0 };
    let control = Control { metric, chart, training: 20, western_electric: false };
    let distribution = Distribution {
        column: "id".into(),
        reference: "r.csv".into(),
        key: None,
        test: DistributionTest::Psi,
        max: Some(0.1),
        min_p: None,
        bins: 10,
    };
    let rule = |name: &str, check| WindowRule { name: name.into(), severity: RuleSeverity::Error, check };
    let expected = WindowQuality {
        over: Timespan::from_millis(60_000),
        rules: vec![
            rule("control(mean(amount))", WindowCheck::Control(control)),
            rule("distribution(id)", WindowCheck::Distribution(distribution)),
        ],
    };
    assert_eq!(found, expected);
    let alerts = parsed("  a: { alert: { from: rows, when: amount > 1 } }\n");
    let expected = AlertStep {
        from: "rows".into(),
        when: AlertCondition::Rows("amount > 1".into()),
        severity: RuleSeverity::Error,
        key: Vec::new(),
        message: None,
        resolve_after: Timespan::from_millis(300_000),
    };
    assert_eq!(alerts.steps["a"], Step::Alert(expected));
}

#[test]
fn a_step_without_window_rules_keeps_its_canonical_form() {
    let pipeline = parsed("  checked: { quality: { from: rows, rules: [{ not_null: id }] } }\n");
    let text = to_json(&pipeline)["steps"]["checked"].to_string();
    assert!(!text.contains("over") && !text.contains("metrics"), "{text}");
}

#[test]
fn metrics_are_read_as_they_are_written() {
    for text in ["row_count", "completeness(id)", "uniqueness(a, b)", "stddev(x)", "quantile(amount, 0.95)"] {
        assert_eq!(text.parse::<Metric>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "mean",
        "mean()",
        "mean(a",
        "mean(a, b)",
        "median(a)",
        "quantile(a)",
        "quantile(a, 1.5)",
        "row_count(a)",
        "uniqueness(a,,b)",
    ] {
        assert!(text.parse::<Metric>().is_err(), "{text}");
    }
}

fn metric() -> impl Strategy<Value = Metric> {
    let column = || prop_oneof![Just("id".to_owned()), Just("amount".to_owned())];
    prop_oneof![
        Just(Metric::RowCount),
        column().prop_map(|column| Metric::Completeness { column }),
        Just(Metric::Uniqueness { columns: vec!["id".into(), "amount".into()] }),
        column().prop_map(|column| Metric::Mean { column }),
        column().prop_map(|column| Metric::Sum { column }),
        column().prop_map(|column| Metric::Min { column }),
        column().prop_map(|column| Metric::Max { column }),
        column().prop_map(|column| Metric::Stddev { column }),
        (column(), 0.0f64..=1.0).prop_map(|(column, q)| Metric::Quantile { column, q }),
    ]
}

fn check() -> impl Strategy<Value = WindowCheck> {
    let chart = prop_oneof![
        (0.5f64..9.0).prop_map(|sigmas| ControlChart::Shewhart { sigmas }),
        (0.01f64..1.0, 0.5f64..9.0).prop_map(|(lambda, limit)| ControlChart::Ewma { lambda, limit }),
        (0.0f64..3.0, 0.5f64..9.0).prop_map(|(slack, decision)| ControlChart::Cusum { slack, decision }),
    ];
    let bound = || proptest::option::of(0.0f64..=1.0);
    let test = prop_oneof![
        Just(DistributionTest::Psi),
        Just(DistributionTest::Ks),
        Just(DistributionTest::JensenShannon),
        Just(DistributionTest::ChiSquare)
    ];
    prop_oneof![
        (metric(), bound(), bound()).prop_map(|(metric, a, b)| {
            let swap = a.zip(b).is_some_and(|(a, b)| a > b);
            let (min, max) = if swap { (b, a) } else { (a, b) };
            WindowCheck::Bounds { metric, min, max }
        }),
        (1u64..100_000).prop_map(|ms| WindowCheck::Freshness { max: Timespan::from_millis(ms) }),
        (test, 0.0f64..=1.0, 2u32..100, proptest::option::of(Just("key".to_owned()))).prop_map(|(test, bound, bins, key)| {
            let chi = test == DistributionTest::ChiSquare;
            let (max, min_p) = if chi { (None, Some(bound)) } else { (Some(bound), None) };
            WindowCheck::Distribution(Distribution {
                column: "id".into(),
                reference: "r.csv".into(),
                key,
                test,
                max,
                min_p,
                bins,
            })
        }),
        (metric(), chart, 2u32..500, any::<bool>()).prop_map(|(metric, chart, training, western_electric)| {
            WindowCheck::Control(Control { metric, chart, training, western_electric })
        }),
    ]
}

fn severity() -> impl Strategy<Value = RuleSeverity> {
    prop_oneof![Just(RuleSeverity::Warn), Just(RuleSeverity::Error), Just(RuleSeverity::Critical)]
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same(
        checks in proptest::collection::vec((check(), severity()), 1usize..6),
        over in 1_000u64..100_000,
        (severity, key, message) in (severity(), proptest::collection::vec(Just("id".to_owned()), 0usize..2), proptest::option::of(Just("Look".to_owned()))),
        by_rule in any::<bool>(),
    ) {
        let rules = checks.into_iter().enumerate().map(|(n, (check, severity))| WindowRule { name: format!("rule {n}"), severity, check });
        let windows = Some(WindowQuality { over: Timespan::from_millis(over), rules: rules.collect() });
        let when = if by_rule { AlertCondition::Rule("rule 0".into()) } else { AlertCondition::Rows("amount > 1".into()) };
        let (key, resolve_after) = if by_rule { (Vec::new(), 300_000) } else { (key, over) };
        let alert = AlertStep { from: "checked".into(), when, severity, key, message, resolve_after: Timespan::from_millis(resolve_after) };
        let mut pipeline = parsed("  checked: { quality: { from: rows, rules: [{ not_null: id }] } }\n");
        pipeline.steps.insert("checked".into(), Step::Quality(QualityStep { from: "rows".into(), on_fail: OnFail::Flag, rules: Vec::new(), windows }));
        pipeline.steps.insert("told".into(), Step::Alert(alert));

        let text = to_yaml(&pipeline);
        let again = parse_pipeline(&text);
        prop_assert!(again.diagnostics.is_empty(), "{:?}\n{}", again.diagnostics, text);
        let again = again.value.unwrap();
        prop_assert_eq!(to_json(&again), to_json(&pipeline));
        prop_assert_eq!(again, pipeline, "{}", text);
    }
}
