//! Consent steps, subjects, and the lawful basis that asks for them.

use expect_test::{Expect, expect};

use crate::support::{document, findings};

fn check(steps: &str, sinks: &str, expected: Expect) {
    let text = document(steps, sinks).replace("legitimate_interest", "consent");
    expected.assert_eq(&findings(&text));
}

#[test]
fn every_path_needs_a_consent_step() {
    check("", "  out: { from: payments, stdout: {}, clearance: restricted }", expect![[""]]);
}

#[test]
fn a_consent_step_on_every_path_suffices() {
    check(
        "  allowed:
    consent: { from: payments }
  q:
    sql: SELECT kind FROM allowed UNION ALL SELECT country FROM allowed
",
        "  out: { from: q, stdout: {} }",
        expect![[""]],
    );
}

#[test]
fn one_arm_of_a_union_that_goes_around_is_found() {
    check(
        "  allowed:
    consent: { from: payments }
  checked:
    quality: { from: payments, rules: [ { not_null: [tx_id] } ] }
  q:
    sql: SELECT kind FROM allowed UNION ALL SELECT country FROM checked
",
        "  out: { from: q, stdout: {} }
  in: { from: allowed, file: { path: x }, clearance: restricted }",
        expect![[""]],
    );
}

#[test]
fn consent_to_another_purpose_does_not_count() {
    check(
        "  allowed:
    consent: { from: payments, purpose: marketing }
",
        "  out: { from: allowed, stdout: {}, clearance: restricted }",
        expect![[""]],
    );
}

#[test]
fn other_bases_need_none() {
    assert_eq!(findings(&document("", "  out: { from: payments, stdout: {}, clearance: restricted }")), "");
}

#[test]
fn consent_needs_a_subject() {
    let sinks = "  out: { from: allowed, stdout: {}, clearance: restricted }";
    check(
        "  safe:
    mask: { from: payments, columns: { customer_id: { hash: {} } } }
  allowed:
    consent: { from: safe }
",
        sinks,
        expect![[""]],
    );
    check(
        "  q:
    sql: SELECT kind, upper(customer_id) AS customer_id FROM payments
  checked:
    quality: { from: q, rules: [ { not_null: [kind] } ] }
  allowed:
    consent: { from: checked }
",
        sinks,
        expect![[""]],
    );
    let text = document("  allowed:\n    consent: { from: payments }\n", sinks).replace("    subject: customer_id\n", "");
    expect![[""]].assert_eq(&findings(&text));
}

#[test]
fn encryption_needs_a_subject() {
    check(
        "  allowed:
    consent: { from: payments }
  safe:
    mask: { from: allowed, columns: { customer_id: { encrypt: {} }, email: { encrypt: {} } } }
  late:
    mask: { from: safe, columns: { address: { redact: {} }, card: { encrypt: {} } } }
",
        "  out: { from: late, stdout: {}, clearance: restricted }",
        expect![[""]],
    );
}
