//! Consent steps, subjects, and the lawful basis that asks for them.

use expect_test::{Expect, expect};

use crate::support::{document, findings};

fn check(steps: &str, sinks: &str, expected: Expect) {
    let text = document(steps, sinks).replace("legitimate_interest", "consent");
    expected.assert_eq(&findings(&text));
}

#[test]
fn every_path_needs_a_consent_step() {
    check(
        "",
        "  out: { from: payments, stdout: {}, clearance: restricted }",
        expect![[r#"
        14:3 error[no-consent] sinks.out: rows of `payments` reach sink `out` without a consent step for `essential.fraud_detection`
          | source `payments`
          | sink `out`
          = the basis is consent; ask before anything else, for example
          = steps:
          =   payments_allowed:
          =     consent: { from: payments }
          = and read from payments_allowed in the place of payments
    "#]],
    );
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
  inside: { from: allowed, file: { path: x }, clearance: restricted }",
        expect![[r#"
            21:3 error[no-consent] sinks.out: rows of `payments` reach sink `out` without a consent step for `essential.fraud_detection`
              | source `payments`
              | step `checked` (quality)
              | step `q` (sql)
              | sink `out`
              = the basis is consent; ask before anything else, for example
              = steps:
              =   payments_allowed:
              =     consent: { from: payments }
              = and read from payments_allowed in the place of payments
        "#]],
    );
}

#[test]
fn consent_to_another_purpose_does_not_count() {
    check(
        "  allowed:
    consent: { from: payments, purpose: marketing }
",
        "  out: { from: allowed, stdout: {}, clearance: restricted }",
        expect![[r#"
            17:3 error[no-consent] sinks.out: rows of `payments` reach sink `out` without a consent step for `essential.fraud_detection`
              | source `payments`
              | step `allowed` (consent) asks for another purpose, `marketing`
              | sink `out`
              = the basis is consent; ask before anything else, for example
              = steps:
              =   payments_allowed:
              =     consent: { from: payments }
              = and read from payments_allowed in the place of payments
        "#]],
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
        expect![[r#"
            16:22 error[no-subject] steps.allowed.consent.from: consent needs to know whom a row is about, but `safe` has no subject column
              | step `safe` masks the subject column `customer_id` with hash
              = do this before `safe`, or keep the subject column there
        "#]],
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
        expect![[r#"
            18:22 error[no-subject] steps.allowed.consent.from: consent needs to know whom a row is about, but `checked` has no subject column
              | step `q` does not pass the subject column `customer_id` of `payments` on as it is
              = do this before `q`, or keep the subject column there
        "#]],
    );
    let text = document("  allowed:\n    consent: { from: payments }\n", sinks).replace("    subject: customer_id\n", "");
    expect![[r#"
        13:22 error[no-subject] steps.allowed.consent.from: consent needs to know whom a row is about, but `payments` has no subject column
          | the source `payments` declares no subject
          = add `subject: column` to `sources.payments`
    "#]].assert_eq(&findings(&text));
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
        expect![[r#"
            18:61 error[no-subject] steps.late.mask.columns.card: `card` cannot be encrypted: `safe` has no subject column whose key to use
              | step `safe` masks the subject column `customer_id` with encrypt
              = do this before `safe`, or keep the subject column there
        "#]],
    );
}
