//! Every error of a document at once: what the grammar finds in one part and what planning finds in the others.

use expect_test::{Expect, expect};
use weir_plan::plan_parsed;
use weir_spec::parse_pipeline;

use crate::support::{Registry, document, report};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&report(&plan_parsed(&parse_pipeline(text), &Registry::default()).diagnostics));
}

/// A leak of `email`, behind a quality step, in a path of its own.
const LEAK: &str = "  leaky: { sql: SELECT email FROM payments }\n";
const LEAKS: &str = "  leaks: { from: leaky, file: { path: leaks } }\n";

#[test]
fn a_misspelt_key_in_one_step_does_not_hide_the_leak_beside_it() {
    check(
        &document(
            &format!(
                "  safe:\n    mask: {{ form: payments, columns: {{ card: {{ hash: {{}} }} }} }}\n  more: {{ sql: SELECT kind FROM safe }}\n{LEAK}"
            ),
            &format!("  out: {{ from: more, file: {{ path: out }} }}\n{LEAKS}"),
        ),
        expect![[r#"
            14:13 error[unknown-key] steps.safe.mask.form: unknown key `form` in a mask step
              = did you mean `from`?
            20:3 error[leak] sinks.leaks: `email` is confidential and would reach sink `leaks`, which is cleared for internal
              | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
              | step `leaky` (sql): passes `email` on as it is
              | sink `leaks`: clearance internal
              = mask `email` in a step before the sink:
              = steps:
              =   leaks_masked:
              =     mask:
              =       from: leaky
              =       columns:
              =         email: { hash: {} }
              = sinks:
              =   leaks:
              =     from: leaks_masked
              = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
              = sinks:
              =   leaks:
              =     clearance: confidential
        "#]],
    );
}

#[test]
fn a_misspelt_kind_hides_neither_what_is_wrong_in_the_step_nor_behind_it() {
    check(
        &document(
            "  checked: { qualty: { from: payments, rules: [{ between: { column: itmes, min: 1 } }] } }
  less: { maks: { from: checked, columns: { card: { tokn: {} }, emial: { redact: {} } } } }
  chosen: { slq: \"SELECT card, email, amuont FROM checked\" }
",
            "  out: { from: less, flie: { path: out } }\n  more: { from: chosen, stdot: {} }",
        ),
        expect![[r#"
            13:14 error[unknown-key] steps.checked.qualty: unknown key `qualty` in a step
              = did you mean `quality`?
            13:69 error[unknown-column] steps.checked.quality.rules[0].between.column: rule `between(itmes)`: unknown column `itmes`
              = did you mean `items`?
            14:11 error[unknown-key] steps.less.maks: unknown key `maks` in a step
              = did you mean `mask`?
            14:53 error[unknown-key] steps.less.mask.columns.card.tokn: unknown key `tokn` in a mask
              = did you mean `token`?
            14:65 error[unknown-column] steps.less.mask.columns.emial: unknown column `emial`
              = did you mean `email`?
            15:13 error[unknown-key] steps.chosen.slq: unknown key `slq` in a step
              = did you mean `sql`?
            15:18 error[unknown-column] steps.chosen.sql: unknown column `amuont`
              | SELECT card, email, amuont FROM checked
              |                     ^
              = did you mean `amount`?
            18:22 error[unknown-key] sinks.out.flie: unknown key `flie` in a sink
              = did you mean `file`?
            19:25 error[unknown-key] sinks.more.stdot: unknown key `stdot` in a sink
              = did you mean `stdout`?
        "#]],
    );
}

#[test]
fn a_broken_rule_hides_neither_its_neighbours_nor_what_comes_behind() {
    check(
        &document(
            "  checked:
    quality:
      from: payments
      on_fial: drop
      rules:
        - not_nul: card
        - between: { column: items, min: 9, max: 1 }
        - between: { column: itmes, min: 1 }
",
            "  out: { from: checked, file: { path: out }, format: jsn, delivery: twice }",
        ),
        expect![[r#"
            16:7 error[unknown-key] steps.checked.quality.on_fial: unknown key `on_fial` in a quality step
              = did you mean `on_fail`?
            18:11 error[unknown-key] steps.checked.quality.rules[0].not_nul: unknown key `not_nul` in a rule
              = did you mean `not_null`?
            19:11 error[bad-bounds] steps.checked.quality.rules[1].between: `min` is larger than `max`: no row could keep this rule
              = swap them
            20:30 error[unknown-column] steps.checked.quality.rules[2].between.column: rule `between(itmes)`: unknown column `itmes`
              = did you mean `items`?
            23:3 error[leak] sinks.out: `customer_id` is confidential and would reach sink `out`, which is cleared for internal
              | source `payments`: `customer_id` is confidential by contract `payments@1` (version 1.4.0), user.unique_id
              | step `checked` (quality): passes `customer_id` on as it is
              | sink `out`: clearance internal
              = mask `customer_id`, `card`, `email`, `birth_date`, `diagnosis` and `address` in a step before the sink:
              = steps:
              =   out_masked:
              =     mask:
              =       from: checked
              =       columns:
              =         customer_id: { hash: {} }
              =         card: { token: { keep_last: 4 } }
              =         email: { hash: {} }
              =         birth_date: { generalize: { to: year } }
              =         diagnosis: { hash: {} }
              =         address: { null: {} }
              = sinks:
              =   out:
              =     from: out_masked
              = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
              = sinks:
              =   out:
              =     clearance: restricted
            23:3 error[leak] sinks.out: `card` is restricted and would reach sink `out`, which is cleared for internal
              | source `payments`: `card` is restricted by contract `payments@1` (version 1.4.0), user.financial.credit_card
              | step `checked` (quality): passes `card` on as it is
              | sink `out`: clearance internal
              = `out_masked`, the step proposed for `customer_id`, masks `card` too
              = or raise the clearance, as proposed for `customer_id`
            23:3 error[leak] sinks.out: `email` is confidential and would reach sink `out`, which is cleared for internal
              | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
              | step `checked` (quality): passes `email` on as it is
              | sink `out`: clearance internal
              = `out_masked`, the step proposed for `customer_id`, masks `email` too
              = or raise the clearance, as proposed for `customer_id`
            23:3 error[leak] sinks.out: `birth_date` is confidential and would reach sink `out`, which is cleared for internal
              | source `payments`: `birth_date` is confidential by contract `payments@1` (version 1.4.0), user.demographic.date_of_birth
              | step `checked` (quality): passes `birth_date` on as it is
              | sink `out`: clearance internal
              = `out_masked`, the step proposed for `customer_id`, masks `birth_date` too
              = or raise the clearance, as proposed for `customer_id`
            23:3 error[leak] sinks.out: `diagnosis` is restricted and would reach sink `out`, which is cleared for internal
              | source `payments`: `diagnosis` is restricted by contract `payments@1` (version 1.4.0), user.health_and_medical
              | step `checked` (quality): passes `diagnosis` on as it is
              | sink `out`: clearance internal
              = `out_masked`, the step proposed for `customer_id`, masks `diagnosis` too
              = or raise the clearance, as proposed for `customer_id`
            23:3 error[leak] sinks.out: `address` is confidential and would reach sink `out`, which is cleared for internal
              | source `payments`: `address` is confidential by contract `payments@1` (version 1.4.0), user.contact.address
              | step `checked` (quality): passes `address` on as it is
              | sink `out`: clearance internal
              = `out_masked`, the step proposed for `customer_id`, masks `address` too
              = or raise the clearance, as proposed for `customer_id`
            23:54 error[bad-value] sinks.out.format: `format`: expected `csv`, `parquet` or `json`, found `jsn`
              = did you mean `json`?
            23:69 error[bad-value] sinks.out.delivery: `delivery`: expected `exactly_once` or `at_least_once`, found `twice`
        "#]],
    );
}

#[test]
fn a_source_in_doubt_silences_only_what_reads_it() {
    let text = document(LEAK, LEAKS)
        .replace("sources:\n", "sources:\n  others: { file: { path: x }, contract: payments, subject: customer_id }\n");
    let text = text.replace("steps:\n", "steps:\n  b: { consent: { from: others } }\n  c: { sql: SELECT nothing FROM b }\n");
    check(
        &text.replace("sinks:\n", "sinks:\n  d: { from: c, file: { path: d } }\n"),
        expect![[r#"
        7:42 error[bad-value] sources.others.contract: `contract`: `payments` does not name a contract
          = write the contract's name, `@` and its major version: `payments@1`
        20:3 error[leak] sinks.leaks: `email` is confidential and would reach sink `leaks`, which is cleared for internal
          | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
          | step `leaky` (sql): passes `email` on as it is
          | sink `leaks`: clearance internal
          = mask `email` in a step before the sink:
          = steps:
          =   leaks_masked:
          =     mask:
          =       from: leaky
          =       columns:
          =         email: { hash: {} }
          = sinks:
          =   leaks:
          =     from: leaks_masked
          = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
          = sinks:
          =   leaks:
          =     clearance: confidential
    "#]],
    );
}

#[test]
fn wrong_sql_and_a_wrong_key_are_told_together() {
    check(
        &document(
            "  a: { sql: SELECT emial FROM payments }\n  b: { sql: SELECT kind + 1 FROM payments }\n  c: { consent: { from: a, on_deni: drop } }\n",
            "  out: { from: c, stdout: {} }\n  more: { from: b, file: { path: more }, clearence: restricted }",
        ),
        expect![[r#"
            13:13 error[unknown-column] steps.a.sql: unknown column `emial`
              | SELECT emial FROM payments
              |        ^
              = did you mean `email`?
            14:13 error[unnamed-column] steps.b.sql: an expression needs a name
              | SELECT kind + 1 FROM payments
              |        ^
              = write kind + 1 AS some_name
            15:28 error[unknown-key] steps.c.consent.on_deni: unknown key `on_deni` in a consent step
              = did you mean `on_deny`?
            19:42 error[unknown-key] sinks.more.clearence: unknown key `clearence` in a sink
              = did you mean `clearance`?
        "#]],
    );
}

#[test]
fn without_a_readable_purpose_nothing_is_said_of_purposes_and_consent() {
    let text = document(LEAK, LEAKS).replace("basis: legitimate_interest", "basis: consent");
    check(
        &text.replace("purpose: essential.fraud_detection", "porpose: essential.fraud_detection"),
        expect![[r#"
        4:1 error[unknown-key] porpose: unknown key `porpose` in a pipeline
          = did you mean `purpose`?
        16:3 error[leak] sinks.leaks: `email` is confidential and would reach sink `leaks`, which is cleared for internal
          | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
          | step `leaky` (sql): passes `email` on as it is
          | sink `leaks`: clearance internal
          = mask `email` in a step before the sink:
          = steps:
          =   leaks_masked:
          =     mask:
          =       from: leaky
          =       columns:
          =         email: { hash: {} }
          = sinks:
          =   leaks:
          =     from: leaks_masked
          = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
          = sinks:
          =   leaks:
          =     clearance: confidential
    "#]],
    );
}

#[test]
fn a_section_that_cannot_be_read_is_one_error() {
    check(
        &document(LEAK, LEAKS).replace("\nsteps:", "\nstep:"),
        expect![[r#"
        12:1 error[unknown-key] step: unknown key `step` in a pipeline
          = did you mean `steps`?
    "#]],
    );
    check(
        &document(LEAK, LEAKS).replace("\nsources:", "\nsource:"),
        expect![[r#"
        6:1 error[unknown-key] source: unknown key `source` in a pipeline
          = did you mean `sources`?
    "#]],
    );
}

#[test]
fn a_step_given_twice_is_ambiguous_and_the_rest_is_not() {
    check(
        &document(
            &format!("  twice: {{ sql: SELECT email FROM payments }}\n  twice: {{ sql: SELECT kind FROM payments }}\n{LEAK}"),
            &format!("  out: {{ from: twice, file: {{ path: out }} }}\n{LEAKS}"),
        ),
        expect![[r#"
            14:3 error[duplicate-key] steps.twice: the key `twice` is given twice
              = it was first given on line 13; keep one
            19:3 error[leak] sinks.leaks: `email` is confidential and would reach sink `leaks`, which is cleared for internal
              | source `payments`: `email` is confidential by contract `payments@1` (version 1.4.0), user.contact.email
              | step `leaky` (sql): passes `email` on as it is
              | sink `leaks`: clearance internal
              = mask `email` in a step before the sink:
              = steps:
              =   leaks_masked:
              =     mask:
              =       from: leaky
              =       columns:
              =         email: { hash: {} }
              = sinks:
              =   leaks:
              =     from: leaks_masked
              = or raise the clearance, so that whoever reads it may hold confidential data, for those who need it:
              = sinks:
              =   leaks:
              =     clearance: confidential
        "#]],
    );
}
