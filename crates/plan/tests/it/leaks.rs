//! Pipelines that would leak, and what is said about them.

use expect_test::{Expect, expect};
use weir_plan::{PurposePolicy, purpose::CategoryRule};

use crate::support::{Registry, document, findings, plan_with, report};

fn check(steps: &str, sinks: &str, expected: Expect) {
    expected.assert_eq(&findings(&document(steps, sinks)));
}

/// A query, then a sink with this clearance.
fn query(sql: &str, clearance: &str) -> String {
    findings(&document(
        &format!("  q:\n    sql: {sql}\n"),
        &format!("  out: {{ from: q, stdout: {{}}, clearance: {clearance} }}"),
    ))
}

#[test]
fn straight_from_source_to_sink() {
    check(
        "",
        "  out: { from: payments, stdout: {}, clearance: confidential, recipient: fraud-desk }",
        expect![[r#"
            14:3 error[leak] sinks.out: `card` is restricted and would reach sink `out`, which is cleared for confidential
              | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
              | sink `out`: clearance confidential, recipient fraud-desk
              = mask `card` and `diagnosis` in a step before the sink:
              = steps:
              =   out_masked:
              =     mask:
              =       from: payments
              =       columns:
              =         card: { token: { keep_last: 4 } }
              =         diagnosis: { hash: {} }
              = sinks:
              =   out:
              =     from: out_masked
              = or raise the clearance, so that fraud-desk may hold restricted data, which needs explicit permission:
              = sinks:
              =   out:
              =     clearance: restricted
            14:3 error[leak] sinks.out: `diagnosis` is restricted and would reach sink `out`, which is cleared for confidential
              | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical
              | sink `out`: clearance confidential, recipient fraud-desk
              = `out_masked`, the step proposed for `card`, masks `diagnosis` too
              = or raise the clearance, as proposed for `card`
        "#]],
    );
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
        expect![[r#"
            27:3 error[leak] sinks.alerts: `c` is confidential and would reach sink `alerts`, which is cleared for internal
              | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
              | step `checked` (quality): passes `card` on as it is
              | step `allowed` (consent): passes `card` on as it is
              | step `safe` (mask): masks `card` with partial: restricted becomes confidential
              | step `out` (sql): upper(card) AS c, confidential
              | sink `alerts`: clearance internal, recipient fraud-desk
              = mask `c` in a step before the sink:
              = steps:
              =   alerts_masked:
              =     mask:
              =       from: out
              =       columns:
              =         c: { token: { keep_last: 4 } }
              = sinks:
              =   alerts:
              =     from: alerts_masked
              = or raise the clearance, so that fraud-desk may hold confidential data, for those who need it:
              = sinks:
              =   alerts:
              =     clearance: confidential
        "#]],
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
        expect![[r#"
            19:3 error[leak] sinks.alerts: `email` is confidential and would reach sink `alerts`, which is cleared for internal
              | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
              | step `safe` (mask): passes `email` on as it is
              | step `out` (sql): passes `email` on as it is
              | sink `alerts`: clearance internal
              = mask `email` at step `safe`:
              = steps:
              =   safe:
              =     mask:
              =       columns:
              =         email: { hash: {} }
              = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
              = sinks:
              =   alerts:
              =     clearance: confidential
            19:3 error[leak] sinks.alerts: `birth_date` is confidential and would reach sink `alerts`, which is cleared for internal
              | source `payments`: `birth_date` is confidential by contract `payments@1` (version 1.4.0), user.demographic.date_of_birth
              | step `safe` (mask): passes `birth_date` on as it is
              | step `out` (sql): passes `birth_date` on as it is
              | sink `alerts`: clearance internal
              = mask `birth_date` at step `safe`:
              = steps:
              =   safe:
              =     mask:
              =       columns:
              =         birth_date: { generalize: { to: year } }
              = or raise the clearance, as proposed for `email`
        "#]],
    );
}

#[test]
fn from_more_than_one_column() {
    expect![[r#"
        17:3 error[leak] sinks.out: `both` is restricted and would reach sink `out`, which is cleared for internal
          | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
          | step `q` (sql): (email || card) AS both, restricted
          | sink `out`: clearance internal
          | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
          | step `q` (sql): (email || card) AS both, restricted
          | sink `out`: clearance internal
          = mask `both` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         both: { token: { keep_last: 4 } }
          = sinks:
          =   out:
          =     from: out_masked
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]]
    .assert_eq(&query("SELECT email || card AS both FROM payments", "internal"));
}

#[test]
fn by_a_condition() {
    expect![[r#"
        17:3 error[leak] sinks.out: `state` is restricted and would reach sink `out`, which is cleared for internal
          | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical
          | step `q` (sql): CASE WHEN diagnosis IS NULL THEN 'healthy' ELSE 'ill' END AS state, restricted
          | sink `out`: clearance internal
          = mask `state` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         state: { hash: {} }
          = sinks:
          =   out:
          =     from: out_masked
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]]
    .assert_eq(&query("SELECT CASE WHEN diagnosis IS NULL THEN 'healthy' ELSE 'ill' END AS state FROM payments", "internal"));
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
    for expr in
        ["md5(card)", "sha224(card)", "sha256(card)", "sha384(card)", "sha512(card)", "digest(card, 'blake3')", "crc32(card)"]
    {
        let found = query(&format!("SELECT {expr} AS x FROM payments"), "confidential");
        let refused = found.contains("error[leak]") || found.contains("error[unknown-function]");
        assert!(refused, "{expr}: {found}");
    }
}

#[test]
fn through_one_arm_of_a_union() {
    expect![[r#"
        17:3 error[leak] sinks.out: `k` is restricted and would reach sink `out`, which is cleared for internal
          | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
          | step `q` (sql): kind AS k or card AS k, restricted
          | sink `out`: clearance internal
          = mask `k` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         k: { token: { keep_last: 4 } }
          = sinks:
          =   out:
          =     from: out_masked
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]]
    .assert_eq(&query("SELECT kind AS k FROM payments UNION ALL SELECT card FROM payments", "internal"));
}

#[test]
fn through_a_subquery() {
    expect![[r#"
        17:3 error[leak] sinks.out: `c` is restricted and would reach sink `out`, which is cleared for confidential
          | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
          | step `q` (sql): card AS c, restricted
          | sink `out`: clearance confidential
          = mask `c` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         c: { token: { keep_last: 4 } }
          = sinks:
          =   out:
          =     from: out_masked
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]]
    .assert_eq(&query("WITH a AS (SELECT card AS b FROM payments) SELECT c FROM (SELECT b AS c FROM a) d", "confidential"));
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
        expect![[r#"
            14:40 warning[weak-mask] steps.safe.mask.columns.card: this mask leaves so much of `card` readable that it stays restricted
              = keep fewer characters, or use hash or token
            19:3 error[leak] sinks.out: `card` is restricted and would reach sink `out`, which is cleared for internal
              | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
              | step `safe` (mask): masks `card` with partial: it stays restricted
              | step `q` (sql): passes `card` on as it is
              | sink `out`: clearance internal
              = mask `card` at step `safe`:
              = steps:
              =   safe:
              =     mask:
              =       columns:
              =         card: { token: { keep_last: 4 } }
              = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
              = sinks:
              =   out:
              =     clearance: restricted
        "#]],
    );
    check(
        "  safe:
    mask: { from: payments, columns: { card: { token: { keep_last: 16 } }, email: { generalize: { to: { prefix: 20 } } } } }
  q:
    sql: SELECT card, email FROM safe
",
        "  out: { from: q, stdout: {} }",
        expect![[r#"
            14:40 warning[weak-mask] steps.safe.mask.columns.card: this mask leaves so much of `card` readable that it stays restricted
              = keep fewer characters, or use hash or token
            14:76 warning[weak-mask] steps.safe.mask.columns.email: this mask leaves so much of `email` readable that it stays confidential
              = keep fewer characters, or use hash or token
            19:3 error[leak] sinks.out: `card` is restricted and would reach sink `out`, which is cleared for internal
              | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
              | step `safe` (mask): masks `card` with token: it stays restricted
              | step `q` (sql): passes `card` on as it is
              | sink `out`: clearance internal
              = mask `card` at step `safe`:
              = steps:
              =   safe:
              =     mask:
              =       columns:
              =         card: { token: { keep_last: 4 } }
              = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
              = sinks:
              =   out:
              =     clearance: restricted
            19:3 error[leak] sinks.out: `email` is confidential and would reach sink `out`, which is cleared for internal
              | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
              | step `safe` (mask): masks `email` with generalize: it stays confidential
              | step `q` (sql): passes `email` on as it is
              | sink `out`: clearance internal
              = mask `email` at step `safe`:
              = steps:
              =   safe:
              =     mask:
              =       columns:
              =         email: { hash: {} }
              = or raise the clearance, as proposed for `card`
        "#]],
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
        expect![[r#"
            19:3 error[leak] sinks.out: `card` is restricted and would reach sink `out`, which is cleared for confidential
              | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
              | step `safe` (mask): masks `card` with encrypt: it stays restricted
              | step `q` (sql): passes `card` on as it is
              | sink `out`: clearance confidential
              = mask `card` at step `safe`:
              = steps:
              =   safe:
              =     mask:
              =       columns:
              =         card: { token: { keep_last: 4 } }
              = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
              = sinks:
              =   out:
              =     clearance: restricted
        "#]],
    );
}

#[test]
fn to_a_public_sink() {
    expect![[r#"
        17:3 error[leak] sinks.out: `country` is internal and would reach sink `out`, which is cleared for public
          | source `payments`: `country` is internal by contract `payments@1` (version 1.4.0)
          | step `q` (sql): passes `country` on as it is
          | sink `out`: clearance public
          = mask `country`, `items`, `birth_date` and `flagged` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         country: { redact: {} }
          =         items: { null: {} }
          =         birth_date: { null: {} }
          =         flagged: { null: {} }
          = sinks:
          =   out:
          =     from: out_masked
          = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
          = sinks:
          =   out:
          =     clearance: confidential
        17:3 error[leak] sinks.out: `items` is internal and would reach sink `out`, which is cleared for public
          | source `payments`: `items` is internal by contract `payments@1` (version 1.4.0)
          | step `q` (sql): passes `items` on as it is
          | sink `out`: clearance public
          = `out_masked`, the step proposed for `country`, masks `items` too
          = or raise the clearance, as proposed for `country`
        17:3 error[leak] sinks.out: `birth_date` is confidential and would reach sink `out`, which is cleared for public
          | source `payments`: `birth_date` is confidential by contract `payments@1` (version 1.4.0), user.demographic.date_of_birth
          | step `q` (sql): passes `birth_date` on as it is
          | sink `out`: clearance public
          = `out_masked`, the step proposed for `country`, masks `birth_date` too
          = or raise the clearance, as proposed for `country`
        17:3 error[leak] sinks.out: `flagged` is internal and would reach sink `out`, which is cleared for public
          | source `payments`: `flagged` is internal by contract `payments@1` (version 1.4.0)
          | step `q` (sql): passes `flagged` on as it is
          | sink `out`: clearance public
          = `out_masked`, the step proposed for `country`, masks `flagged` too
          = or raise the clearance, as proposed for `country`
    "#]].assert_eq(&query("SELECT kind, country, items, birth_date, flagged FROM payments", "public"));
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
    expect![[r#"
        14:10 error[filter-leak] steps.q.sql: the filter on `diagnosis` (restricted) tells of every row that reaches `out` (internal) what it holds
          | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical
          | step `q` (sql): filters on `diagnosis`
          | sink `out`: clearance internal
          = mask `diagnosis` in a step before it, and write `payments_masked AS payments` for `payments` in the query of `q` (what it is compared with must be masked alike):
          = steps:
          =   payments_masked:
          =     mask:
          =       from: payments
          =       columns:
          =         diagnosis: { hash: {} }
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]].assert_eq(&query("SELECT kind FROM payments WHERE diagnosis = 'flu'", "internal"));
    expect![[r#"
        14:10 warning[filter-leak] steps.q.sql: the filter on `email` (confidential) tells of every row that reaches `out` (internal) what it holds
          | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
          | step `q` (sql): filters on `email`
          | sink `out`: clearance internal
          = mask `email` in a step before it, and write `payments_masked AS payments` for `payments` in the query of `q` (what it is compared with must be masked alike):
          = steps:
          =   payments_masked:
          =     mask:
          =       from: payments
          =       columns:
          =         email: { hash: {} }
          = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
          = sinks:
          =   out:
          =     clearance: confidential
    "#]].assert_eq(&query("SELECT kind FROM payments WHERE email LIKE '%.gov'", "internal"));
    expect![[r#"
        14:10 warning[filter-leak] steps.q.sql: the filter on `card` (restricted) tells of every row that reaches `out` (internal) whether it has a value
          | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
          | step `q` (sql): filters on `card`
          | sink `out`: clearance internal
          = if that is all it tells, nothing needs to be done; a quality rule `not_null` keeps it out of the filter
    "#]].assert_eq(&query("SELECT kind FROM payments WHERE card IS NOT NULL", "internal"));
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
        expect![[r#"
            14:10 error[filter-leak] steps.q.sql: the filter on `diagnosis` (restricted) tells of every row that reaches `open` (internal) what it holds
              | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical
              | step `q` (sql): filters on `diagnosis`
              | step `r` (sql): passes those rows on
              | sink `open`: clearance internal
              = mask `diagnosis` in a step before it, and write `payments_masked AS payments` for `payments` in the query of `q` (what it is compared with must be masked alike):
              = steps:
              =   payments_masked:
              =     mask:
              =       from: payments
              =       columns:
              =         diagnosis: { hash: {} }
              = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
              = sinks:
              =   open:
              =     clearance: restricted
        "#]],
    );
}

#[test]
fn purposes_allow_categories() {
    let text = document(
        "  q:\n    sql: SELECT diagnosis AS d, card FROM payments\n",
        "  out: { from: q, stdout: {}, clearance: restricted }",
    );
    expect![[r#"
        17:3 error[purpose] sinks.out: the purpose `marketing.advertising` does not allow user.health_and_medical, but `d` would carry it to sink `out`
          | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical
          | step `q` (sql): diagnosis AS d, restricted
          | sink `out`: clearance restricted
          | rule on user.health_and_medical: special category of personal data, GDPR Art. 9
          = mask `d` and `card` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         d: { hash: {} }
          =         card: { token: { keep_last: 4 } }
          = sinks:
          =   out:
          =     from: out_masked
          = or process it for a purpose that allows it, if that is the purpose: `essential`, `employment`
        17:3 error[purpose] sinks.out: the purpose `marketing.advertising` does not allow user.financial.credit_card, but `card` would carry it to sink `out`
          | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
          | step `q` (sql): passes `card` on as it is
          | sink `out`: clearance restricted
          | rule on user.financial: financial data of people, purpose limitation of GDPR Art. 5(1)(b)
          = `out_masked`, the step proposed for `d`, masks `card` too
          = or process it for a purpose that allows it, if that is the purpose: `essential`, `finance`, `analytics`, `employment`, `functional`, `sales`
    "#]].assert_eq(&findings(&text.replace("essential.fraud_detection", "marketing.advertising")));
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
    let partial =
        text.replace("hash: {}", "partial: { keep_first: 1 }").replace("essential.fraud_detection", "marketing.advertising");
    assert!(findings(&partial).contains("error[purpose]"));
}

#[test]
fn a_project_brings_its_own_policy() {
    let policy = PurposePolicy { rules: vec![CategoryRule::new("user.contact", &["newsletter"], "house rule 7")] };
    let registry = Registry { policy, ..Registry::default() };
    let text = document("  q:\n    sql: SELECT email FROM payments\n", "  out: { from: q, stdout: {}, clearance: restricted }");
    expect![[r#"
        17:3 error[purpose] sinks.out: the purpose `essential.fraud_detection` does not allow user.contact.email, but `email` would carry it to sink `out`
          | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
          | step `q` (sql): passes `email` on as it is
          | sink `out`: clearance restricted
          | rule on user.contact: house rule 7
          = mask `email` in a step before the sink:
          = steps:
          =   out_masked:
          =     mask:
          =       from: q
          =       columns:
          =         email: { hash: {} }
          = sinks:
          =   out:
          =     from: out_masked
          = or process it for a purpose that allows it, if that is the purpose: `newsletter`
    "#]].assert_eq(&report(&plan_with(&text, &registry).diagnostics));
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
        let mended =
            document(&format!("{steps}{step}"), &format!("  out: {{ from: out_masked, stdout: {{}}, clearance: {clearance} }}"));
        assert_eq!(findings(&mended), "", "{help}");
        let raised = help.lines().last().unwrap().trim();
        let raised = document(&steps, &format!("  out: {{ from: q, stdout: {{}}, {raised} }}"));
        assert_eq!(findings(&raised), "", "{help}");
    }
}

/// People whose columns are internal, and hold fields that are not.
const NESTED: &str = "
apiVersion: v3.0.2
kind: DataContract
id: urn:people
name: people
version: 1.0.0
status: active
schema:
  - name: people
    logicalType: object
    properties:
      - { name: id, logicalType: string }
      - name: home
        logicalType: object
        properties:
          - { name: street, logicalType: string, classification: restricted, tags: ['category:user.contact.address'] }
          - { name: city, logicalType: string }
          - { name: at, logicalType: object, properties: [{ name: lat, logicalType: number, classification: confidential }, { name: zone, logicalType: string }] }
      - { name: notes, logicalType: array, items: { logicalType: string, classification: confidential } }
      - name: visits
        logicalType: array
        items: { logicalType: object, properties: [{ name: doctor, logicalType: string, classification: restricted }] }
      - { name: open, logicalType: object, classification: public, properties: [{ name: shop, logicalType: string }] }
";

/// The class and the categories of each column of a query over [`NESTED`], and whether a sink for internal data may have them.
fn nested(sql: &str) -> String {
    let contract = weir_spec::parse_contract(NESTED).value.unwrap();
    let registry = Registry { contracts: vec![contract], policy: PurposePolicy::default() };
    let text = |clearance: &str| {
        format!(
            "
apiVersion: weir/v1
kind: Pipeline
name: nested
purpose: essential.service
basis: contract
sources: {{ people: {{ http: {{}}, contract: people@1 }} }}
steps: {{ q: {{ sql: \"{sql}\" }} }}
sinks: {{ out: {{ from: q, stdout: {{}}, clearance: {clearance} }} }}
"
        )
    };
    let planned = plan_with(&text("restricted"), &registry);
    let plan = planned.plan.unwrap_or_else(|| panic!("{}", report(&planned.diagnostics)));
    let node = plan.nodes.iter().find(|node| node.name == "q").unwrap();
    let column = |column: &weir_plan::ColumnFacts| {
        let categories: String = column.categories.iter().map(|category| format!(" {category}")).collect();
        format!("{} {}{categories}\n", column.name, column.classification)
    };
    let columns: String = node.columns.iter().map(column).collect();
    let refused = plan_with(&text("internal"), &registry).plan.is_none();
    columns + if refused { "refused" } else { "may pass" }
}

#[test]
fn a_column_is_as_sensitive_as_what_is_nested_in_it() {
    expect![[r#"
        id internal
        home restricted user.contact.address
        notes confidential
        visits restricted
        open public
        refused"#]]
    .assert_eq(&nested("SELECT * FROM people"));
}

#[test]
fn a_field_is_as_sensitive_as_itself() {
    expect![[r#"
        city internal
        street restricted user.contact.address
        lat confidential
        zone internal
        at confidential
        shop public
        refused"#]]
    .assert_eq(&nested(
        "SELECT home['city'] AS city, upper(home['street']) AS street, home['at']['lat'] AS lat, home['at']['zone'] AS zone, \
         home['at'] AS at, open['shop'] AS shop FROM people",
    ));
    expect![[r#"
        place internal
        may pass"#]]
    .assert_eq(&nested("SELECT place FROM (SELECT home['at'] AS at, home['city'] AS place FROM people) AS p"));
}

#[test]
fn a_filter_on_a_field_tells_of_that_field_only() {
    assert!(nested("SELECT id FROM people WHERE home['city'] = 'Bern'").ends_with("may pass"));
    assert!(nested("SELECT id FROM people WHERE home['street'] = 'Main'").ends_with("refused"));
    assert!(nested("SELECT id FROM people WHERE home['city'] = 'Bern' AND home['street'] = 'Main'").ends_with("refused"));
}

#[test]
fn fields_of_what_was_computed_are_as_sensitive_as_all_it_was_computed_from() {
    expect![[r#"
        c restricted user.contact.address
        refused"#]]
    .assert_eq(&nested("SELECT coalesce(home, home)['city'] AS c FROM people"));
    expect![[r#"
        c restricted user.contact.address
        refused"#]]
    .assert_eq(&nested("SELECT named_struct('city', home['street'])['city'] AS c FROM people"));
}

#[test]
fn narrow_intervals_of_floats_lower_a_class_only_in_a_range_that_rules_keep() {
    let found = |on_fail: &str, rule: &str, query: &str, width: &str| {
        let steps = format!(
            "  checked: {{ quality: {{ from: payments, on_fail: {on_fail}, rules: [{{ {rule} }}] }} }}
  chosen: {{ sql: {query} }}
  coarse: {{ mask: {{ from: chosen, columns: {{ s: {{ generalize: {{ to: {{ width: {width} }} }} }} }} }} }}
"
        );
        let text = document(&steps, "  out: { from: coarse, stdout: {}, clearance: public }");
        plan_with(&text, &Registry::default()).diagnostics.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    let (bounded, passed) = ("between: { column: score, min: 0, max: 1 }", "SELECT score AS s FROM checked");
    let leaks = ["weak-mask", "leak"];
    assert_eq!(found("drop", bounded, passed, "0.001"), [""; 0]);
    assert_eq!(found("stop", bounded, passed, "0.0001"), leaks, "too many intervals");
    assert_eq!(found("flag", bounded, passed, "0.001"), leaks, "rows outside go on");
    assert_eq!(found("drop", "between: { column: score, min: 0 }", passed, "0.001"), leaks, "one bound is none");
    assert_eq!(found("drop", bounded, "SELECT score * 1000 AS s FROM checked", "0.001"), leaks, "another value by now");
    assert_eq!(found("flag", bounded, passed, "1"), [""; 0], "no digit behind the point is left");
    assert_eq!(found("drop", bounded, passed, "1e-300"), ["mask-type"], "nothing changes");
}
