//! What is wrong with sources, rules, masks and sinks.

use expect_test::{Expect, expect};

use crate::support::{Registry, document, findings, plan_with, report};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&findings(text));
}

const SINK: &str = "  out: { from: payments, stdout: {}, clearance: restricted }";

fn rules(rules: &str) -> String {
    document(
        &format!("  checked:\n    quality:\n      from: payments\n      rules:\n{rules}"),
        "  out: { from: checked, stdout: {}, clearance: restricted }",
    )
}

#[test]
fn unknown_contracts_are_named_with_the_nearest_one() {
    check(&document("", SINK).replace("payments@1", "payment@1"), expect![[""]]);
    let none = Registry { contracts: Vec::new(), ..Registry::default() };
    expect![[""]].assert_eq(&report(&plan_with(&document("", SINK), &none).diagnostics));
}

#[test]
fn a_generator_must_deliver_what_the_contract_wants() {
    check(&document("", SINK).replace("file: { path: payments.ndjson }", "generator: { kind: payments }"), expect![[""]]);
    let sensors = "apiVersion: weir/v1
kind: Pipeline
name: test
purpose: analytics
basis: contract
sources:
  machines:
    generator: { kind: sensors }
    schema:
      - { name: machine, type: string }
      - { name: temprature, type: float64 }
      - { name: temperature, type: float32 }
sinks:
  out: { from: machines, stdout: {} }
";
    check(sensors, expect![[""]]);
}

#[test]
fn csv_cannot_deliver_nested_columns() {
    let text = document("", SINK).replace("    contract:", "    format: csv\n    contract:");
    check(&text, expect![[""]]);
}

#[test]
fn subject_and_event_time_must_exist_and_fit() {
    let text = document("", SINK).replace("subject: customer_id", "subject: costumer_id").replace("column: paid_at", "column: birth_date");
    check(&text, expect![[""]]);
    check(&document("", SINK).replace("subject: customer_id", "subject: score"), expect![[""]]);
}

#[test]
fn rules_are_bound_to_columns_and_types() {
    let text = rules(
        "        - not_null: [tx_id, emial]
        - between: { column: flagged, min: 0, max: 1 }
        - between: { column: amount, min: '1', max: 100 }
        - between: { column: items, min: 0, max: 3000000000 }
        - between: { column: birth_date, min: '1900-01-01', max: '2026-13-01' }
        - between: { column: paid_at, min: '2026-01-01T00:00:00Z', max: '2025-01-01T00:00:00Z' }
        - in_set: { column: kind, values: [sale, 3] }
        - in_set: { column: tags, values: [a] }
        - matches: { column: email, pattern: '(' }
        - matches: { column: amount, pattern: 'x' }
        - length: { column: score, min: 1 }
        - format: { column: items, is: email }
        - unique: { columns: [tx_id, address], within: 1h }
        - not_null: [address.zip]
",
    );
    check(&text, expect![[""]]);
}

#[test]
fn rules_that_fit_are_accepted() {
    let text = rules(
        "        - not_null: [tx_id, email]
        - between: { column: amount, min: 0, max: 100000.5 }
        - between: { column: birth_date, min: '1900-01-01' }
        - between: { column: paid_at, min: '2020-01-01T00:00:00Z' }
        - between: { column: kind, min: a, max: z }
        - in_set: { column: items, values: [1, 2, 3] }
        - in_set: { column: flagged, values: [true] }
        - matches: { column: email, pattern: '@' }
        - length: { column: tags, max: 10 }
        - format: { column: card, is: card }
        - unique: { columns: [tx_id], within: 1h }
        - expression: \"amount > 0 OR kind = 'refund'\"
        - expression: \"paid_at > '2020-01-01' AND score BETWEEN 0 AND 1\"
        - expression: \"address['zip'] IS NOT NULL\"
",
    );
    check(&text, expect![[""]]);
}

#[test]
fn expressions_are_typed() {
    let text = rules(
        "        - expression: 'amount + 1'
        - { name: b, expression: 'amout > 0' }
        - { name: c, expression: 'kind + 1 > 0 OR' }
        - { name: d, expression: 'sum(amount) > 0' }
        - { name: e, expression: 'random() > 0.5' }
        - { name: f, expression: 'amount IN (SELECT 1)' }
        - { name: g, expression: 'lenght(kind) > 0' }
        - { name: h, expression: 'birth_date + tags > 0' }
        - { name: i, expression: 'amount > 0; DROP TABLE x' }
",
    );
    check(&text, expect![[""]]);
}

#[test]
fn masks_must_fit_their_columns() {
    let text = document(
        "  safe:
    mask:
      from: payments
      columns:
        crad: { hash: {} }
        amount: { partial: { keep_last: 1 } }
        birth_date: { generalize: { to: hour } }
        tags: { hash: {} }
        kind: { generalize: { to: year } }
        email: { partial: { keep_first: 20, keep_last: 20 } }
",
        "  out: { from: safe, stdout: {}, clearance: restricted }",
    );
    check(&text, expect![[""]]);
}

#[test]
fn sinks_must_be_able_to_hold_the_columns() {
    let text = document(
        "",
        "  a: { from: payments, file: { path: a, partition_by: [contry, amount], partition_time: { column: kind, by: day } }, clearance: restricted }
  b: { from: payments, file: { path: b }, format: csv, clearance: restricted }",
    );
    check(&text, expect![[""]]);
}

#[test]
fn an_error_hides_only_what_comes_after_it() {
    let text = document(
        "  a:
    sql: SELECT nothing FROM payments
  b:
    mask: { from: a, columns: { nowhere: { hash: {} } } }
  c:
    mask: { from: payments, columns: { nowhere: { hash: {} } } }
",
        "  x: { from: b, stdout: {} }
  y: { from: payments, file: { path: y, partition_by: [nowhere] }, clearance: restricted }
  z: { from: c, stdout: {} }",
    );
    check(&text, expect![[""]]);
}
