//! Pipelines that would leak, and what is said about them.

use expect_test::{Expect, expect};
use weir_plan::{PurposePolicy, purpose::CategoryRule};

use crate::support::{Registry, document, findings, plan_with, report};

fn check(steps: &str, sinks: &str, expected: Expect) {
    expected.assert_eq(&findings(&document(steps, sinks)));
}

/// A query, then a sink with this clearance.
fn query(sql: &str, clearance: &str) -> String {
    findings(&document(&format!("  q:\n    sql: {sql}\n"), &format!("  out: {{ from: q, stdout: {{}}, clearance: {clearance} }}")))
}

#[test]
fn straight_from_source_to_sink() {
    check("", "  out: { from: payments, stdout: {}, clearance: confidential, recipient: fraud-desk }", expect![[""]]);
}

#[test]
fn through_every_kind_of_step() {
    check(
        "  checked:
    quality: { from: payments, rules: [ { not_null: [card] } ] }
  allowed:
    consent: { from: checked }
  safe:
    mask:
      from: allowed
      columns:
        email: { hash: {} }
        card: { partial: { keep_last: 4 } }
  out:
    sql: SELECT upper(card) AS c, email FROM safe
",
        "  alerts: { from: out, file: { path: out }, recipient: fraud-desk }",
        expect![[""]],
    );
}

#[test]
fn past_a_mask_step_that_forgot_the_column() {
    check(
        "  safe:
    mask: { from: payments, columns: { card: { token: {} } } }
  out:
    sql: SELECT card, email, birth_date FROM safe
",
        "  alerts: { from: out, stdout: {} }",
        expect![[""]],
    );
}

#[test]
fn from_more_than_one_column() {
    expect![[""]].assert_eq(&query("SELECT email || card AS both FROM payments", "internal"));
}

#[test]
fn by_a_condition() {
    expect![[""]].assert_eq(&query("SELECT CASE WHEN diagnosis IS NULL THEN 'healthy' ELSE 'ill' END AS state FROM payments", "internal"));
}

#[test]
fn through_functions_that_hide_little() {
    for expr in [
        "substr(card, 1, 6)",
        "left(card, 1)",
        "length(card)",
        "reverse(card)",
        "encode(card, 'base64')",
        "ascii(card)",
        "card IS NULL",
        "card = '4111111111111111'",
        "nullif(card, 'x')",
        "coalesce(kind, card)",
        "regexp_replace(card, '[0-9]', 'x')",
        "translate(card, '0', '1')",
        "concat('', card)",
    ] {
        let found = query(&format!("SELECT {expr} AS x FROM payments"), "confidential");
        assert!(found.contains("error[leak] sinks.out: `x` is restricted"), "{expr}: {found}");
    }
}

/// Digests without a key fall to a dictionary of inputs; whichever of them the engine knows, none lowers a class.
#[test]
fn through_unkeyed_digests() {
    for expr in ["md5(card)", "sha224(card)", "sha256(card)", "sha384(card)", "sha512(card)", "digest(card, 'blake3')", "crc32(card)"] {
        let found = query(&format!("SELECT {expr} AS x FROM payments"), "confidential");
        let refused = found.contains("error[leak]") || found.contains("error[unknown-function]");
        assert!(refused, "{expr}: {found}");
    }
}

#[test]
fn through_one_arm_of_a_union() {
    expect![[""]].assert_eq(&query("SELECT kind AS k FROM payments UNION ALL SELECT card FROM payments", "internal"));
}

#[test]
fn through_a_subquery() {
    expect![[""]].assert_eq(&query("WITH a AS (SELECT card AS b FROM payments) SELECT c FROM (SELECT b AS c FROM a) d", "confidential"));
}

#[test]
fn through_a_mask_that_hides_too_little() {
    check(
        "  safe:
    mask: { from: payments, columns: { card: { partial: { keep_first: 10, keep_last: 9 } } } }
  q:
    sql: SELECT card FROM safe
",
        "  out: { from: q, stdout: {} }",
        expect![[""]],
    );
    check(
        "  safe:
    mask: { from: payments, columns: { card: { token: { keep_last: 16 } }, email: { generalize: { to: { prefix: 20 } } } } }
  q:
    sql: SELECT card, email FROM safe
",
        "  out: { from: q, stdout: {} }",
        expect![[""]],
    );
}

#[test]
fn encrypted_columns_keep_their_class() {
    check(
        "  safe:
    mask: { from: payments, columns: { card: { encrypt: {} } } }
  q:
    sql: SELECT card FROM safe
",
        "  out: { from: q, stdout: {}, clearance: confidential }",
        expect![[""]],
    );
}

#[test]
fn to_a_public_sink() {
    expect![[""]].assert_eq(&query("SELECT kind, country, items, birth_date, flagged FROM payments", "public"));
}

#[test]
fn masked_pipelines_pass() {
    check(
        "  safe:
    mask:
      from: payments
      columns:
        card: { token: { keep_last: 4 } }
        email: { hash: {} }
        customer_id: { hash: {} }
        birth_date: { generalize: { to: year } }
        diagnosis: { null: {} }
        address: { redact: {} }
",
        "  out: { from: safe, stdout: {}, clearance: internal }",
        expect![[""]],
    );
}

#[test]
fn constants_are_public() {
    assert_eq!(query("SELECT 1 AS one, 'x' AS x FROM payments", "public"), "");
}

#[test]
fn filters_tell_of_what_they_filter() {
    expect![[""]].assert_eq(&query("SELECT kind FROM payments WHERE diagnosis = 'flu'", "internal"));
    expect![[""]].assert_eq(&query("SELECT kind FROM payments WHERE email LIKE '%.gov'", "internal"));
    expect![[""]].assert_eq(&query("SELECT kind FROM payments WHERE card IS NOT NULL", "internal"));
    assert_eq!(query("SELECT kind FROM payments WHERE amount > 3", "internal"), "");
    assert_eq!(query("SELECT kind FROM payments WHERE email LIKE '%.gov'", "confidential"), "");
}

#[test]
fn filters_are_found_before_later_steps() {
    check(
        "  q:
    sql: SELECT kind, amount FROM payments WHERE diagnosis = 'flu'
  r:
    sql: SELECT kind FROM q WHERE amount > 1
",
        "  open: { from: r, stdout: {} }
  closed: { from: r, file: { path: x }, clearance: restricted }",
        expect![[""]],
    );
}

#[test]
fn purposes_allow_categories() {
    let text = document("  q:\n    sql: SELECT diagnosis AS d, card FROM payments\n", "  out: { from: q, stdout: {}, clearance: restricted }");
    expect![[""]].assert_eq(&findings(&text.replace("essential.fraud_detection", "marketing.advertising")));
    assert_eq!(findings(&text), "");
}

#[test]
fn masking_takes_categories_away() {
    let text = document(
        "  safe:
    mask: { from: payments, columns: { diagnosis: { hash: {} }, card: { redact: {} } } }
  q:
    sql: SELECT diagnosis, card FROM safe
",
        "  out: { from: q, stdout: {}, clearance: restricted }",
    );
    assert_eq!(findings(&text.replace("essential.fraud_detection", "marketing.advertising")), "");
    let partial = text.replace("hash: {}", "partial: { keep_first: 1 }").replace("essential.fraud_detection", "marketing.advertising");
    assert!(findings(&partial).contains("error[purpose]"));
}

#[test]
fn a_project_brings_its_own_policy() {
    let policy = PurposePolicy { rules: vec![CategoryRule::new("user.contact", &["newsletter"], "house rule 7")] };
    let registry = Registry { policy, ..Registry::default() };
    let text = document("  q:\n    sql: SELECT email FROM payments\n", "  out: { from: q, stdout: {}, clearance: restricted }");
    expect![[""]].assert_eq(&report(&plan_with(&text, &registry).diagnostics));
    let allowed = text.replace("essential.fraud_detection", "newsletter.weekly");
    assert_eq!(report(&plan_with(&allowed, &registry).diagnostics), "");
}

/// Follows the first remedy of a leak, as its author would.
#[test]
fn remedies_make_pipelines_lawful() {
    let cases = [
        ("email", "internal"),
        ("email", "public"),
        ("card", "internal"),
        ("card", "confidential"),
        ("birth_date", "internal"),
        ("birth_date", "public"),
        ("diagnosis", "public"),
        ("address", "internal"),
        ("tags", "public"),
        ("items", "public"),
        ("customer_id", "internal"),
    ];
    for (column, clearance) in cases {
        let steps = format!("  q:\n    sql: SELECT {column} AS x FROM payments\n");
        let text = document(&steps, &format!("  out: {{ from: q, stdout: {{}}, clearance: {clearance} }}"));
        let planned = plan_with(&text, &Registry::default());
        let help = planned.diagnostics[0].help.clone().unwrap();
        let step: String = help.lines().skip(2).take(5).map(|line| format!("{line}\n")).collect();
        let mended = document(&format!("{steps}{step}"), &format!("  out: {{ from: out_masked, stdout: {{}}, clearance: {clearance} }}"));
        assert_eq!(findings(&mended), "", "{help}");
        let raised = help.lines().last().unwrap().trim();
        let raised = document(&steps, &format!("  out: {{ from: q, stdout: {{}}, {raised} }}"));
        assert_eq!(findings(&raised), "", "{help}");
    }
}
