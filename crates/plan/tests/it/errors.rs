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
    check(
        &document("", SINK).replace("payments@1", "payment@1"),
        expect![[r#"
        9:15 error[unknown-contract] sources.payments.contract: unknown contract `payment@1`
          = did you mean `payments@1`?
    "#]],
    );
    let none = Registry { contracts: Vec::new(), ..Registry::default() };
    expect![[r#"
        9:15 error[unknown-contract] sources.payments.contract: unknown contract `payments@1`
          = no contract is registered; register it first, or declare the columns with `schema:`
    "#]]
    .assert_eq(&report(&plan_with(&document("", SINK), &none).diagnostics));
}

#[test]
fn a_generator_must_deliver_what_the_contract_wants() {
    check(
        &document("", SINK).replace("file: { path: payments.ndjson }", "generator: { kind: payments }"),
        expect![[r#"
        9:15 error[undeliverable-column] sources.payments.contract: contract `payments@1` wants the column `diagnosis`, which the generator does not deliver
          = columns here: `tx_id`, `customer_id`, `card`, `email`, `birth_date`, `amount`, `kind`, `country`, `items`, `score`, `flagged`, `paid_at`, …
    "#]],
    );
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
  out: { from: machines, file: { path: out } }
";
    check(
        sensors,
        expect![[r#"
        9:5 error[undeliverable-column] sources.machines.schema: the schema wants the column `temprature`, which the generator does not deliver
          = did you mean `temperature`?
        9:5 error[undeliverable-column] sources.machines.schema: the schema wants `temperature` as float32, but the generator delivers float64
          = declare it as float64
    "#]],
    );
}

#[test]
fn csv_cannot_deliver_nested_columns() {
    let text = document("", SINK).replace("    contract:", "    format: csv\n    contract:");
    check(
        &text,
        expect![[r#"
        10:15 error[undeliverable-column] sources.payments.contract: contract `payments@1` wants `tags` as list<string>, which csv cannot deliver
          = use json or parquet, or a flat type
        10:15 error[undeliverable-column] sources.payments.contract: contract `payments@1` wants `address` as struct<street: string, zip: string>, which csv cannot deliver
          = use json or parquet, or a flat type
    "#]],
    );
}

#[test]
fn subject_and_event_time_must_exist_and_fit() {
    let text = document("", SINK)
        .replace("subject: customer_id", "subject: costumer_id")
        .replace("column: paid_at", "column: birth_date");
    check(
        &text,
        expect![[r#"
        10:14 error[unknown-column] sources.payments.subject: unknown column `costumer_id`
          = did you mean `customer_id`?
        11:27 error[column-type] sources.payments.event_time.column: the event time column must be a timestamp, but `birth_date` is date
          = fitting columns: `paid_at`
    "#]],
    );
    check(
        &document("", SINK).replace("subject: customer_id", "subject: score"),
        expect![[r#"
        10:14 error[column-type] sources.payments.subject: the subject column must be a string or an integer, but `score` is float64
          = fitting columns: `tx_id`, `customer_id`, `card`, `email`, `kind`, `country`, `items`, `diagnosis`
    "#]],
    );
}

#[test]
fn rules_are_bound_to_columns_and_types() {
    let text = rules(
        "        - not_null: [tx_id, emial]
        - between: { column: flagged, min: 0, max: 1 }
        - between: { column: amount, min: '1' }
        - between: { column: items, min: 0, max: 3000000000 }
        - between: { column: birth_date, min: '1900-01-01', max: '2026-13-01' }
        - between: { column: paid_at, min: '2026-01-01T00:00:00Z', max: '2026-01-01T02:00:00+07:00' }
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
    check(
        &text,
        expect![[r#"
        17:29 error[unknown-column] steps.checked.quality.rules[0].not_null[1]: rule `not_null(tx_id, emial)`: unknown column `emial`
          = did you mean `email`?
        18:30 error[column-type] steps.checked.quality.rules[1].between.column: rule `between(flagged)`: between needs numbers, dates, timestamps or strings, but `flagged` is boolean
          = choose another column or another check
        19:43 error[rule-constant] steps.checked.quality.rules[2].between.min: rule `between(amount)`: "1" does not fit `amount`, which is decimal(12,2)
          = write a number
        20:50 error[rule-constant] steps.checked.quality.rules[3].between.max: rule `between(items)`: 3000000000 does not fit `items`, which is int32
          = write a whole number in its range
        21:66 error[rule-constant] steps.checked.quality.rules[4].between.max: rule `between(birth_date)`: "2026-13-01" does not fit `birth_date`, which is date
          = write a date such as "2026-01-31"
        22:44 error[rule-range] steps.checked.quality.rules[5].between.min: rule `between(paid_at)`: min is greater than max, so no value can pass
          = swap them
        23:50 error[rule-constant] steps.checked.quality.rules[6].in_set.values[1]: rule `in_set(kind)`: 3 does not fit `kind`, which is string
          = write a text
        24:29 error[column-type] steps.checked.quality.rules[7].in_set.column: rule `in_set(tags)`: in_set cannot compare lists and structs, but `tags` is list<string>
          = choose another column or another check
        25:46 error[rule-pattern] steps.checked.quality.rules[8].matches.pattern: rule `matches(email)`: not a regular expression: unclosed group
          = see docs.rs/regex for the syntax
        26:30 error[column-type] steps.checked.quality.rules[9].matches.column: rule `matches(amount)`: matches needs a string, but `amount` is decimal(12,2)
          = choose another column or another check
        27:29 error[column-type] steps.checked.quality.rules[10].length.column: rule `length(score)`: length needs a string or a list, but `score` is float64
          = choose another column or another check
        28:29 error[column-type] steps.checked.quality.rules[11].format.column: rule `format(items)`: format needs a string, but `items` is int32
          = choose another column or another check
        29:38 error[column-type] steps.checked.quality.rules[12].unique.columns[1]: rule `unique(tx_id, address)`: unique cannot compare lists and structs, but `address` is struct<street: string, zip: string>
          = choose another column or another check
        30:22 error[rule-nested] steps.checked.quality.rules[13].not_null[0]: rule `not_null(address.zip)`: rules on fields inside a column, such as `address.zip`, are not supported
          = use an `expression`, or project the field in a sql step first
    "#]],
    );
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
    check(&text, expect![""]);
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
    check(
        &text,
        expect![[r#"
            17:23 error[rule-type] steps.checked.quality.rules[0].expression: a rule needs a boolean, but this is decimal(23,2)
              = compare it with something, such as amount > 0
            18:34 error[unknown-column] steps.checked.quality.rules[1].expression: unknown column `amout`
              | amout > 0
              | ^
              = did you mean `amount`?
            19:34 error[sql-syntax] steps.checked.quality.rules[2].expression: SQL syntax: expected: an expression, found: EOF
            20:34 error[sql-unsupported] steps.checked.quality.rules[3].expression: the aggregate function sum(…) is not supported
              | sum(amount) > 0
              | ^
              = a rule is an expression over the columns of one row: scalar functions, CASE, CAST, comparisons
            21:34 error[sql-unsupported] steps.checked.quality.rules[4].expression: the function random() is not supported: its result differs from run to run
              | random() > 0.5
              | ^
              = a pipeline that resumes must compute the same rows again; take times and numbers from columns
            22:34 error[sql-unsupported] steps.checked.quality.rules[5].expression: a subquery outside FROM is not supported
              | amount IN (SELECT 1)
              |            ^
              = a rule is an expression over the columns of one row: scalar functions, CASE, CAST, comparisons
            23:34 error[unknown-function] steps.checked.quality.rules[6].expression: unknown function lenght(…)
              | lenght(kind) > 0
              | ^
              = did you mean length(…)?
            24:34 error[sql] steps.checked.quality.rules[7].expression: cannot coerce arithmetic expression date + List(string) to valid types
            25:34 error[sql-syntax] steps.checked.quality.rules[8].expression: SQL syntax: expected the end of the expression, found: ;
              | amount > 0; DROP TABLE x
              |           ^
        "#]],
    );
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
    check(
        &text,
        expect![[r#"
            17:9 error[unknown-column] steps.safe.mask.columns.crad: unknown column `crad`
              = did you mean `card`?
            18:9 error[mask-type] steps.safe.mask.columns.amount: partial cannot mask `amount`, which is decimal(12,2)
              = fitting operators: redact, null, hash, token, encrypt, generalize to a width of more than one unit; partial for integers
            19:9 error[mask-type] steps.safe.mask.columns.birth_date: generalize to hour cannot mask `birth_date`, which is date
              = fitting operators: redact, null, hash, token, encrypt, generalize to year or month
            20:9 error[mask-type] steps.safe.mask.columns.tags: hash cannot mask `tags`, which is list<string>
              = fitting operators: redact, null
            21:9 error[mask-type] steps.safe.mask.columns.kind: generalize to year cannot mask `kind`, which is string
              = fitting operators: redact, null, partial, hash, token, encrypt, generalize to prefix
            22:9 warning[weak-mask] steps.safe.mask.columns.email: this mask leaves so much of `email` readable that it stays confidential
              = keep fewer characters, or use hash or token
        "#]],
    );
}

#[test]
fn sinks_must_be_able_to_hold_the_columns() {
    let text = document(
        "",
        "  a: { from: payments, file: { path: a, partition_by: [contry, amount], partition_time: { column: kind, by: day } }, clearance: restricted }
  b: { from: payments, file: { path: b }, format: csv, clearance: restricted }",
    );
    check(
        &text,
        expect![[r#"
        14:56 error[unknown-column] sinks.a.file.partition_by[0]: unknown column `contry`
          = did you mean `country`?
        14:64 error[column-type] sinks.a.file.partition_by[1]: a folder can be named after strings, integers, booleans and dates, but `amount` is decimal(12,2)
          = choose another column
        14:99 error[column-type] sinks.a.file.partition_time.column: partition_time needs a date or a timestamp, but `kind` is string
          = choose another column
        15:51 error[column-type] sinks.b.format: csv cannot hold `tags`, which is list<string>
          = use json or parquet, or project its fields in a sql step
        15:51 error[column-type] sinks.b.format: csv cannot hold `address`, which is struct<street: string, zip: string>
          = use json or parquet, or project its fields in a sql step
    "#]],
    );
}

#[test]
fn folders_are_not_named_after_what_must_not_be_on_record() {
    let sink = |steps: &str, from: &str, column: &str| {
        document(steps, &format!("  a: {{ from: {from}, file: {{ path: a, partition_by: {column} }}, clearance: restricted }}"))
    };
    check(
        &sink("", "payments", "[country, card]"),
        expect![[r#"
            14:65 error[partition-class] sinks.a.file.partition_by[1]: folders cannot be named after `card`, which is restricted
              | the names of files are on record in checkpoints and in the audit log, in the clear
              = partition by a column that is public or internal, such as a hash or a token of this one
        "#]],
    );
    let masked = "  safe:\n    mask: { from: payments, columns: { email: { hash: {} } } }\n";
    assert_eq!(findings(&sink(masked, "safe", "[email]")), "", "a hash is internal");
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
    check(
        &text,
        expect![[r#"
        14:10 error[unknown-column] steps.a.sql: unknown column `nothing`
          | SELECT nothing FROM payments
          |        ^
          = columns here: `tx_id`, `customer_id`, `card`, `email`, `birth_date`, `amount`, `kind`, `country`, `items`, `score`, `flagged`, `paid_at`, …
        18:40 error[unknown-column] steps.c.mask.columns.nowhere: unknown column `nowhere`
          = columns here: `tx_id`, `customer_id`, `card`, `email`, `birth_date`, `amount`, `kind`, `country`, `items`, `score`, `flagged`, `paid_at`, …
        22:56 error[unknown-column] sinks.y.file.partition_by[0]: unknown column `nowhere`
          = columns here: `tx_id`, `customer_id`, `card`, `email`, `birth_date`, `amount`, `kind`, `country`, `items`, `score`, `flagged`, `paid_at`, …
    "#]],
    );
}
