//! What watches rows: window rules and alerts become nodes beside the rows' way, and what they may tell follows the classes.

use weir_plan::{
    NodeKind, Plan,
    operator::{AlertOn, MeasureNode, Operator, TimeBasis},
};

use crate::support::{document, findings, planned};

const OUT: &str = "  out: { from: payments, stdout: {}, clearance: restricted }";

fn measure<'p>(plan: &'p Plan, name: &str) -> &'p MeasureNode {
    match &plan.node(name).unwrap().kind {
        NodeKind::Operator(node) => match &node.operator {
            Operator::Measure(measure) => measure,
            other => panic!("{other:?}"),
        },
        other => panic!("{}", other.as_str()),
    }
}

fn checked(metrics: &str) -> String {
    document(
        &format!("  checked:\n    quality: {{ from: payments, rules: [{{ not_null: amount }}], metrics: {metrics} }}\n"),
        OUT,
    )
}

#[test]
fn windows_are_measured_of_what_reaches_the_step_and_others_read_the_step_as_before() {
    let text = document(
        "  checked:\n    quality: { from: payments, rules: [{ not_null: amount }], over: 10s, metrics: [{ mean: { column: amount } }] }\n  \
         told: { alert: { from: checked, rule: mean(amount) } }\n  large: { alert: { from: checked, when: amount > 5, key: kind } }\n",
        "  out: { from: checked, stdout: {}, clearance: restricted }",
    );
    let plan = planned(&text);
    let inputs = |name: &str| {
        let node = plan.node(name).unwrap();
        node.inputs.iter().map(|&input| plan.nodes[input].name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(inputs("checked#windows"), ["payments"]);
    assert_eq!(inputs("out"), ["checked"]);
    assert_eq!(inputs("told"), ["checked#windows"]);
    assert_eq!(inputs("large"), ["checked"]);
    let node = plan.node("checked#windows").unwrap();
    assert_eq!((node.step.as_str(), node.kind.as_str()), ("checked", "measure"));
    let columns: Vec<&str> = node.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(columns, MeasureNode::OUTPUT);
    let observers: Vec<&str> =
        (0..plan.nodes.len()).filter(|&id| plan.is_observer(id)).map(|id| plan.nodes[id].name.as_str()).collect();
    assert_eq!(observers, ["checked#windows", "told", "large"]);
    assert!(plan.node("told").unwrap().schema.fields().is_empty(), "an alert puts out nothing");
}

#[test]
fn observers_change_nothing_about_sinks() {
    let sinks = "  out: { from: checked, stdout: {}, clearance: restricted }";
    let without = planned(&document("  checked:\n    quality: { from: payments, rules: [{ not_null: amount }] }\n", sinks));
    let with = planned(&document(
        "  checked:\n    quality: { from: payments, rules: [{ not_null: amount }], metrics: [{ max: { column: score } }] }\n  \
         told: { alert: { from: payments, when: kind = 'x' } }\n",
        sinks,
    ));
    assert_eq!(with.node("out").unwrap().columns, without.node("out").unwrap().columns);
}

#[test]
fn numbers_of_columns_above_internal_are_withheld_and_counts_are_not() {
    let plan = planned(&checked(
        "[{ row_count: {} }, { completeness: { column: card } }, { uniqueness: { columns: [card, kind] } }, { mean: { column: items } },
          { distribution: { column: email, reference: r.csv, max: 0.1 } }, { freshness: { max: 5m } },
          { control: { metric: uniqueness(email) } }]",
    ));
    let node = measure(&plan, "checked#windows");
    assert!(node.withheld.iter().all(Option::is_none), "{:?}", node.withheld);
    let withheld = [false, false, true, false, true, false, true];
    assert_eq!(node.measures_withheld, withheld, "hashes of cards can be guessed");

    let mut registry = crate::support::Registry::default();
    for column in &mut registry.contracts[0].columns {
        if ["amount", "paid_at"].contains(&column.name.as_str()) {
            column.classification = weir_spec::Classification::Confidential;
        }
    }
    let text = checked(
        "[{ mean: { column: amount } }, { control: { metric: \"quantile(amount, 0.9)\" } }, { freshness: { max: 5m } }, { mean: { column: score } }]",
    );
    let planned = crate::support::plan_with(&text, &registry);
    let plan = planned.plan.unwrap();
    let node = measure(&plan, "checked#windows");
    let withheld: Vec<Option<&str>> =
        node.withheld.iter().map(|withheld| withheld.as_ref().map(|withheld| withheld.column.as_str())).collect();
    assert_eq!(withheld, [Some("amount"), Some("amount"), Some("paid_at"), None]);
    assert_eq!(node.measures_withheld, [true, true, true, false]);
    let plan = crate::support::planned(&checked("[{ mean: { column: amount } }, { completeness: { column: card } }]"));
    assert_eq!(measure(&plan, "checked#windows").measures_withheld, [false, false]);
}

#[test]
fn windows_go_by_event_time_where_it_is_known_and_by_the_clock_where_it_is_not() {
    let plan = planned(&checked("[{ row_count: { min: 1 } }]"));
    let input = plan.node("payments").unwrap();
    assert_eq!(measure(&plan, "checked#windows").time, TimeBasis::Event(input.event_time.unwrap()));
    assert_eq!(
        findings(&document(
            "  bare: { sql: SELECT kind FROM payments }\n  checked:\n    quality: { from: bare, metrics: [{ row_count: { min: 1 } }] }\n  \
             told: { alert: { from: bare, when: kind = 'x' } }\n",
            OUT
        )),
        "15:28 warning[event-time-lost] steps.checked.quality.metrics: `bare` does not pass on the event time `paid_at` of `payments`, so windows go by the clock\n  \
         = keep `paid_at` as it is, or read a step that does\n\
         16:11 warning[event-time-lost] steps.told.alert: `bare` does not pass on the event time `paid_at` of `payments`, so alerts are resolved by the clock\n  \
         = keep `paid_at` as it is, or read a step that does\n"
    );
}

#[test]
fn nothing_reads_an_alert() {
    let text = document(
        "  told: { alert: { from: payments, when: kind = 'x' } }\n  again: { alert: { from: told, when: kind = 'x' } }\n  \
         masked: { mask: { from: told, columns: { card: { hash: {} } } } }\n  q: { sql: SELECT kind FROM told }\n",
        "  out: { from: told, stdout: {}, clearance: restricted }",
    );
    let found = findings(&text);
    let lines: Vec<&str> = found.lines().filter(|line| line.contains("alert-read")).collect();
    assert_eq!(lines.len(), 4, "{found}");
    for path in ["steps.again.alert.from", "steps.masked.mask.from", "steps.q.sql", "sinks.out.from"] {
        assert!(lines.iter().any(|line| line.contains(path)), "{path}: {found}");
    }
    assert!(found.contains("`told` is an alert step: it puts out no rows"), "{found}");
    assert!(found.contains("= read what it reads, `payments`"), "{found}");
}

#[test]
fn rows_that_change_are_neither_measured_nor_watched() {
    let found = findings(&document(
        "  totals:\n    sql: { query: \"SELECT kind, count(*) AS n FROM payments GROUP BY kind\", state_ttl: 1h }\n  \
         checked: { quality: { from: totals, metrics: [{ mean: { column: n } }] } }\n  \
         told: { alert: { from: totals, when: n > 5 } }\n",
        OUT,
    ));
    let errors: Vec<&str> = found.lines().filter(|line| line.contains("error[changes]")).collect();
    assert_eq!(errors.len(), 2, "{found}");
    assert!(errors[0].contains("steps.checked.quality.metrics: `totals` changes rows that it has put out"), "{found}");
    assert!(errors[1].contains("steps.told.alert.from"), "{found}");
    assert!(found.contains("= read a step before it, or group by a window, whose rows never change"), "{found}");
}

#[test]
fn what_cannot_be_measured_or_asked_is_an_error_where_it_stands() {
    for (steps, expected) in [
        (
            "  checked: { quality: { from: payments, metrics: [{ mean: { column: kind } }] } }\n",
            "error[column-type] steps.checked.quality.metrics[0].mean.column: rule `mean(kind)` needs numbers, but `kind` is string",
        ),
        (
            "  checked: { quality: { from: payments, metrics: [{ control: { metric: stddev(flagged) } }] } }\n",
            "error[column-type] steps.checked.quality.metrics[0].control.metric: rule `control(stddev(flagged))` needs numbers",
        ),
        (
            "  checked: { quality: { from: payments, metrics: [{ uniqueness: { columns: tags } }] } }\n",
            "error[column-type] steps.checked.quality.metrics[0].uniqueness.columns: rule `uniqueness(tags)` needs no list or struct",
        ),
        (
            "  bare: { sql: SELECT kind FROM payments }\n  checked: { quality: { from: bare, metrics: [{ mean: { column: amount } }] } }\n",
            "error[unknown-column] steps.checked.quality.metrics[0].mean.column: unknown column `amount`",
        ),
        (
            "  told: { alert: { from: payments, when: amount + 1 } }\n",
            "error[rule-type] steps.told.alert.when: an alert needs a boolean, but this is decimal",
        ),
        ("  told: { alert: { from: payments, when: amout > 1 } }\n", "steps.told.alert.when"),
        (
            "  told: { alert: { from: payments, when: amount > 1, key: address } }\n",
            "error[column-type] steps.told.alert.key[0]: a list or a struct cannot tell causes apart, and `address` is one",
        ),
    ] {
        let found = findings(&document(steps, OUT));
        assert!(found.contains(expected) && found.contains(" error["), "{steps}{found}");
    }
}

#[test]
fn a_condition_on_a_column_above_internal_is_a_warning_with_its_path() {
    let text = document(
        "  small: { sql: \"SELECT upper(card) AS number, kind, paid_at FROM payments\" }\n  \
         told: { alert: { from: small, when: \"number LIKE '4%' AND kind = 'x'\" } }\n",
        OUT,
    );
    assert_eq!(
        findings(&text),
        "14:39 warning[alert-leak] steps.told.alert.when: the condition on `number` (restricted) tells everyone who sees the alerts of `told` what it holds in some row\n  \
         | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card\n  \
         | step `small` (sql): upper(card) AS number, restricted\n  \
         | step `told` (alert): asks about `number`\n  \
         = ask about a masked or less sensitive column, if that serves\n"
    );
    assert!(planned(&text).node("told").is_some());
}

#[test]
fn a_filter_before_what_watches_rows_tells_as_a_condition_does() {
    let text = document(
        "  some: { sql: \"SELECT kind, paid_at FROM payments WHERE diagnosis LIKE 'F%' AND email IS NOT NULL\" }\n  \
         watched: { quality: { from: some, metrics: [{ row_count: { min: 1 } }] } }\n  \
         told: { alert: { from: some, when: kind = 'x' } }\n",
        OUT,
    );
    assert_eq!(
        findings(&text),
        "13:16 warning[alert-leak] steps.some.sql: the filter on `diagnosis` (restricted) tells everyone who sees what `told`, `watched` observes what it holds\n  \
         | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical\n  \
         | step `some` (sql): filters on `diagnosis`\n  \
         = watch rows before the filter, or filter on a masked or less sensitive column\n"
    );
}

#[test]
fn state_is_kept_where_only_words_change_and_not_where_the_question_does() {
    let definition = |when: &str, more: &str| {
        let plan = planned(&document(&format!("  told: {{ alert: {{ from: payments, when: {when}{more} }} }}\n"), OUT));
        match &plan.node("told").unwrap().kind {
            NodeKind::Operator(node) => match &node.operator {
                Operator::Alert(alert) => {
                    assert!(matches!(alert.on, AlertOn::Rows { .. }));
                    node.definition.clone()
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{}", other.as_str()),
        }
    };
    let first = definition("amount > 1", "");
    assert_eq!(first, definition("amount > 1", ", message: Look, severity: warn, resolve_after: 1h"));
    assert_ne!(first, definition("amount > 2", ""));
    assert_ne!(first, definition("amount > 1", ", key: kind"));
    let plan = |metrics: &str| match &planned(&checked(metrics)).node("checked#windows").unwrap().kind {
        NodeKind::Operator(node) => node.definition.clone(),
        other => panic!("{}", other.as_str()),
    };
    let first = plan("[{ mean: { column: amount, max: 3 } }]");
    assert_eq!(first, plan("[{ mean: { column: amount, min: 1, max: 4 }, name: m, severity: warn }]"));
    assert_ne!(first, plan("[{ mean: { column: score, max: 3 } }]"));
}
