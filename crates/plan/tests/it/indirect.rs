//! What rows tell of columns that are not in them: by being there, by their order, by their groups, by what is null.

use expect_test::expect;
use weir_plan::Planned;
use weir_spec::Classification;

use crate::support::{Registry, plan_with, report};

/// Payments, those of another day, and lists of card numbers that anyone may see: one with a key, one without.
fn document(steps: &str, clearance: &str) -> String {
    let columns = "
      - { name: tx, type: string }
      - { name: person, type: string, classification: confidential }
      - { name: card, type: string, classification: restricted }
      - { name: salary, type: int64, classification: restricted }
      - { name: born, type: date, classification: restricted }
      - { name: email, type: string, classification: confidential }
      - { name: age, type: int32, classification: confidential }
      - { name: amount, type: int64 }
      - { name: at, type: timestamp }";
    let list =
        "schema: [{ name: number, type: string, classification: public }, { name: label, type: string, classification: public }]";
    format!(
        "apiVersion: weir/v1
kind: Pipeline
name: test
purpose: essential.fraud_detection
basis: contract
tables:
  known: {{ file: {{ path: known.csv }}, format: csv, key: number, {list} }}
  list: {{ file: {{ path: list.csv }}, format: csv, {list} }}
sources:
  pay:
    file: {{ path: pay.ndjson }}
    subject: person
    event_time: {{ column: at }}
    schema:{columns}
  later:
    file: {{ path: later.ndjson }}
    event_time: {{ column: at }}
    schema:{columns}
  again:
    file: {{ path: pay.ndjson }}
    event_time: {{ column: at }}
    schema:{columns}
steps:
{steps}
sinks:
  out: {{ from: x, file: {{ path: out }}, clearance: {clearance}, mode: changes }}
"
    )
}

fn planned(steps: &str, clearance: &str) -> Planned {
    plan_with(&document(steps, clearance), &Registry::default())
}

fn step(name: &str, sql: &str) -> String {
    format!("  {name}:\n    sql: |\n      {sql}\n")
}

/// Severity and code of what is found, in order; state without bound is another matter.
fn found(steps: &str, clearance: &str) -> String {
    let planned = planned(steps, clearance);
    let findings = planned.diagnostics.iter().filter(|finding| finding.code != "unbounded-state");
    let told = findings.map(|finding| format!("{} {}", finding.severity, finding.code));
    told.collect::<Vec<_>>().join(", ")
}

/// The same of one query, into a sink for internal data.
fn query(sql: &str) -> String {
    found(&step("x", sql), "internal")
}

/// The class of a column behind these steps.
fn class(steps: &str, column: &str) -> Classification {
    let planned = planned(steps, "restricted");
    let plan = planned.plan.unwrap_or_else(|| panic!("{steps}{}", report(&planned.diagnostics)));
    plan.node("x").unwrap().columns.iter().find(|facts| facts.name == column).unwrap().classification
}

#[test]
fn the_optional_side_of_a_left_join_tells_by_its_nulls_which_keys_were_met() {
    let minute = "INTERVAL '1 minute'";
    let window = format!("tumble(pay, {minute})");
    for sql in [
        "SELECT a.tx, k.label FROM pay AS a LEFT JOIN known AS k ON a.card = k.number".to_owned(),
        "SELECT a.tx, k.label FROM pay AS a LEFT JOIN known AS k ON CAST(a.salary AS STRING) = k.number".to_owned(),
        "SELECT a.tx, k.label FROM known AS k RIGHT JOIN pay AS a ON a.card = k.number".to_owned(),
        "SELECT a.tx, b.tx AS other FROM pay AS a LEFT JOIN later AS b ON a.card = b.card".to_owned(),
        format!(
            "SELECT a.tx, b.tx AS other FROM pay AS a LEFT JOIN later AS b ON a.card = b.card AND a.at BETWEEN b.at - {minute} AND b.at"
        ),
        "SELECT a.tx, b.tx AS other FROM pay AS a LEFT JOIN later FOR SYSTEM_TIME AS OF a.at AS b ON a.card = b.card".to_owned(),
        format!(
            "SELECT a.tx, b.tx AS other FROM {window} AS a LEFT JOIN {window} AS b ON a.card = b.card AND a.window_start = b.window_start AND a.window_end = b.window_end"
        ),
        format!(
            "SELECT a.tx, b.tx AS other FROM pay AS a LEFT JOIN later AS b ON a.tx = b.tx AND a.card = '4111' AND a.at BETWEEN b.at - {minute} AND b.at"
        ),
    ] {
        assert!(query(&sql).contains("error leak"), "{sql}: {}", query(&sql));
    }
    // The key of the other side is told as well: that somebody has this number.
    assert_eq!(
        class(&step("x", "SELECT a.tx, b.tx AS other FROM pay AS a LEFT JOIN later AS b ON a.tx = b.card"), "other"),
        Classification::Restricted
    );
    assert_eq!(
        class(&step("x", "SELECT a.tx, b.tx AS other FROM pay AS a LEFT JOIN later AS b ON a.tx = b.card"), "tx"),
        Classification::Internal
    );
    assert_eq!(query("SELECT a.tx, k.label FROM pay AS a LEFT JOIN known AS k ON a.tx = k.number"), "");
    expect![[r#"
        56:3 error[leak] sinks.out: `label` is restricted and would reach sink `out`, which is cleared for internal
          | source `pay`: `card` is restricted by its schema
          | step `x` (sql): passes `card` on as it is
          | step `x` (join): `label`, null where `card` meets nothing, restricted
          | step `x` (sql): passes `label` on as it is
          | sink `out`: clearance internal
    "#]]
    .assert_eq(&without_help(&planned(
        &step("x", "SELECT a.tx, k.label FROM pay AS a LEFT JOIN known AS k ON a.card = k.number"),
        "internal",
    )));
}

fn without_help(planned: &Planned) -> String {
    let all = report(&planned.diagnostics);
    all.lines().filter(|line| !line.starts_with("  =")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_is_equal_to_a_restricted_column_is_as_restricted() {
    let inner = "SELECT k.number, k.label FROM pay AS a JOIN known AS k ON a.card = k.number";
    assert_eq!(class(&step("x", inner), "number"), Classification::Restricted);
    assert_eq!(class(&step("x", inner), "label"), Classification::Public);
    let left = "SELECT k.number, a.tx FROM pay AS a LEFT JOIN known AS k ON a.card = k.number";
    assert_eq!(class(&step("x", left), "number"), Classification::Restricted);
    let windows = "SELECT b.tx FROM tumble(pay, INTERVAL '1 minute') AS a JOIN tumble(later, INTERVAL '1 minute') AS b ON a.card = b.tx AND a.window_start = b.window_start AND a.window_end = b.window_end";
    assert_eq!(class(&step("x", windows), "tx"), Classification::Restricted);
    // The left side is there whatever it meets.
    let all = "SELECT a.tx, b.amount FROM pay AS a LEFT JOIN later AS b ON a.tx = b.card";
    assert_eq!(class(&step("x", all), "tx"), Classification::Internal);
}

#[test]
fn rows_that_come_twice_tell_that_they_have_met_two() {
    assert_eq!(query("SELECT a.tx FROM pay AS a LEFT JOIN list AS k ON a.card = k.number"), "error filter-leak");
    assert_eq!(query("SELECT a.tx FROM pay AS a LEFT JOIN known AS k ON a.card = k.number"), "");
    assert_eq!(query("SELECT a.tx FROM pay AS a LEFT JOIN later FOR SYSTEM_TIME AS OF a.at AS b ON a.card = b.card"), "");
}

#[test]
fn a_null_that_the_document_has_chosen_is_a_value_like_any_other() {
    let computed = step("c", "SELECT tx, CASE WHEN card = '4111' THEN 1 END AS c FROM pay");
    let joined = step("c", "SELECT a.tx, k.label AS c FROM pay AS a LEFT JOIN known AS k ON a.card = k.number");
    for before in [computed, joined] {
        let filtered = format!("{before}{}", step("x", "SELECT tx FROM c WHERE c IS NOT NULL"));
        assert_eq!(found(&filtered, "internal"), "error filter-leak", "{filtered}");
        let ruled =
            format!("{before}  q: {{ quality: {{ from: c, rules: [{{ not_null: c }}] }} }}\n{}", step("x", "SELECT tx FROM q"));
        assert_eq!(found(&ruled, "internal"), "error filter-leak", "{ruled}");
    }
    let own = format!("{}{}", step("c", "SELECT tx, card AS c FROM pay"), step("x", "SELECT tx FROM c WHERE c IS NOT NULL"));
    assert_eq!(found(&own, "internal"), "warning filter-leak");
}

/// The class of a column that is masked step by step.
fn masked(column: &str, masks: &[&str]) -> String {
    let mut steps = String::new();
    let mut from = "pay".to_owned();
    for (i, mask) in masks.iter().enumerate() {
        steps.push_str(&format!("  m{i}: {{ mask: {{ from: {from}, columns: {{ {column}: {{ {mask} }} }} }} }}\n"));
        from = format!("m{i}");
    }
    class(&format!("{steps}{}", step("x", &format!("SELECT {column} FROM {from}"))), column).to_string()
}

#[test]
fn a_mask_on_what_is_masked_is_worth_what_it_is_by_itself() {
    let mut table = String::new();
    for (column, masks) in [
        ("card", vec!["partial: { keep_first: 6, keep_last: 4 }"; 2]),
        ("card", vec!["token: { keep_last: 10 }"; 2]),
        ("card", vec!["partial: { keep_last: 4 }", "generalize: { to: { prefix: 4 } }"]),
        ("card", vec!["encrypt: {}", "partial: { keep_first: 6, keep_last: 4 }", "partial: { keep_last: 2 }"]),
        ("card", vec!["hash: {}", "partial: { keep_last: 4 }"]),
        ("card", vec!["partial: { keep_last: 4 }", "hash: {}"]),
        ("card", vec!["partial: { keep_last: 4 }", "token: { keep_last: 4 }"]),
        ("card", vec!["partial: { keep_last: 4 }", "redact: {}"]),
        ("born", vec!["generalize: { to: month }"; 2]),
        ("born", vec!["generalize: { to: month }", "generalize: { to: year }"]),
        ("born", vec!["generalize: { to: year }", "\"null\": {}"]),
        ("salary", vec!["generalize: { to: { width: 1000 } }"; 3]),
        ("email", vec!["partial: { keep_last: 4 }"; 2]),
    ] {
        table.push_str(&format!("{column} {}: {}\n", masks.join(", "), masked(column, &masks)));
    }
    expect![[r#"
        card partial: { keep_first: 6, keep_last: 4 }, partial: { keep_first: 6, keep_last: 4 }: confidential
        card token: { keep_last: 10 }, token: { keep_last: 10 }: confidential
        card partial: { keep_last: 4 }, generalize: { to: { prefix: 4 } }: confidential
        card encrypt: {}, partial: { keep_first: 6, keep_last: 4 }, partial: { keep_last: 2 }: confidential
        card hash: {}, partial: { keep_last: 4 }: internal
        card partial: { keep_last: 4 }, hash: {}: internal
        card partial: { keep_last: 4 }, token: { keep_last: 4 }: internal
        card partial: { keep_last: 4 }, redact: {}: public
        born generalize: { to: month }, generalize: { to: month }: confidential
        born generalize: { to: month }, generalize: { to: year }: confidential
        born generalize: { to: year }, "null": {}: public
        salary generalize: { to: { width: 1000 } }, generalize: { to: { width: 1000 } }, generalize: { to: { width: 1000 } }: confidential
        email partial: { keep_last: 4 }, partial: { keep_last: 4 }: internal
    "#]]
    .assert_eq(&table);
}

#[test]
fn computing_between_two_masks_does_not_make_them_two() {
    let partial = |from: &str, column: &str| {
        format!("{{ mask: {{ from: {from}, columns: {{ {column}: {{ partial: {{ keep_last: 4 }} }} }} }} }}\n")
    };
    let steps = format!(
        "  m: {}{}  n: {}{}",
        partial("pay", "card"),
        step("c", "SELECT upper(card) AS number FROM m WHERE amount > 3 UNION ALL SELECT card FROM m"),
        partial("c", "number"),
        step("x", "SELECT number FROM n")
    );
    assert_eq!(class(&steps, "number"), Classification::Confidential);
    // Parts that were masked well do not hold back what a mask makes of the others.
    let steps = format!(
        "  m: {{ mask: {{ from: pay, columns: {{ card: {{ hash: {{}} }} }} }} }}\n{}  n: {}{}",
        step("c", "SELECT card || email AS both FROM m"),
        partial("c", "both"),
        step("x", "SELECT both FROM n")
    );
    assert_eq!(class(&steps, "both"), Classification::Internal);
}

#[test]
fn a_second_mask_that_adds_nothing_is_a_warning_that_says_so() {
    let steps = format!(
        "  m: {{ mask: {{ from: pay, columns: {{ card: {{ partial: {{ keep_last: 4 }} }} }} }} }}\n  n: {{ mask: {{ from: m, columns: {{ card: {{ partial: {{ keep_last: 4 }} }} }} }} }}\n{}",
        step("x", "SELECT card FROM n")
    );
    expect![[r#"
        52:36 warning[weak-mask] steps.n.mask.columns.card: `card` was masked before, and this mask is worth no more by itself: it stays confidential
          = leave it out, or use hash or token, which are worth more
    "#]]
    .assert_eq(&report(&planned(&steps, "confidential").diagnostics));
}

/// What is said of a rule that takes rows away, where only `tx` goes on to a sink for internal data.
fn ruled(on_fail: &str, rule: &str) -> String {
    let steps = format!(
        "  q: {{ quality: {{ from: pay, on_fail: {on_fail}, rules: [{{ {rule} }}] }} }}\n{}",
        step("x", "SELECT tx FROM q")
    );
    found(&steps, "internal")
}

#[test]
fn rules_that_take_rows_away_tell_as_much_as_they_ask() {
    let mut table = String::new();
    for rule in [
        "not_null: [card, email]",
        "format: { column: card, is: card }",
        "format: { column: email, is: email }",
        "length: { column: card, min: 13, max: 19 }",
        "length: { column: email, max: 254 }",
        "unique: { columns: [card, email], within: 1h }",
        "between: { column: salary, min: 0, max: 1000000 }",
        "between: { column: salary, min: 0 }",
        "between: { column: salary, min: 5259, max: 5259 }",
        "between: { column: salary, min: 5000, max: 5001 }",
        "between: { column: age, min: 0, max: 150 }",
        "between: { column: age, min: 40, max: 41 }",
        "between: { column: born, min: \"1900-01-01\", max: \"2030-01-01\" }",
        "between: { column: born, min: \"1980-01-01\", max: \"1980-01-02\" }",
        "between: { column: card, min: \"0\", max: \"9\" }",
        "between: { column: card, min: \"4111\", max: \"4112\" }",
        "matches: { column: card, pattern: \"^[0-9]{13,19}$\" }",
        "matches: { column: card, pattern: \"^4111\" }",
        "matches: { column: email, pattern: \"^[^@]+@[^@]+$\" }",
        "matches: { column: email, pattern: \"[.]gov$\" }",
        "in_set: { column: card, values: [\"4111\"] }",
        "in_set: { column: email, values: [\"a@b.c\"] }",
        "references: { column: card, file: known.csv, key: number }",
        "references: { column: email, file: known.csv, key: number }",
        "expression: \"card = '4111'\"",
        "expression: \"card IS NOT NULL\"",
        "expression: \"email <> 'x' OR card IS NULL\"",
        "expression: \"amount > 0\"",
        "in_set: { column: amount, values: [1, 2] }",
    ] {
        for on_fail in ["drop", "quarantine"] {
            let told = ruled(on_fail, rule);
            assert_eq!(told, ruled("drop", rule), "{rule}");
            if on_fail == "drop" {
                table.push_str(&format!("{rule}: {told}\n"));
            }
        }
        assert_eq!(ruled("flag", rule), "", "{rule}");
        assert_eq!(ruled("stop", rule), "", "{rule}");
    }
    expect![[r#"
        not_null: [card, email]: 
        format: { column: card, is: card }: 
        format: { column: email, is: email }: 
        length: { column: card, min: 13, max: 19 }: warning filter-leak
        length: { column: email, max: 254 }: 
        unique: { columns: [card, email], within: 1h }: warning filter-leak
        between: { column: salary, min: 0, max: 1000000 }: warning filter-leak
        between: { column: salary, min: 0 }: warning filter-leak
        between: { column: salary, min: 5259, max: 5259 }: error filter-leak
        between: { column: salary, min: 5000, max: 5001 }: error filter-leak
        between: { column: age, min: 0, max: 150 }: 
        between: { column: age, min: 40, max: 41 }: warning filter-leak
        between: { column: born, min: "1900-01-01", max: "2030-01-01" }: warning filter-leak
        between: { column: born, min: "1980-01-01", max: "1980-01-02" }: error filter-leak
        between: { column: card, min: "0", max: "9" }: warning filter-leak
        between: { column: card, min: "4111", max: "4112" }: error filter-leak
        matches: { column: card, pattern: "^[0-9]{13,19}$" }: warning filter-leak
        matches: { column: card, pattern: "^4111" }: error filter-leak
        matches: { column: email, pattern: "^[^@]+@[^@]+$" }: 
        matches: { column: email, pattern: "[.]gov$" }: warning filter-leak
        in_set: { column: card, values: ["4111"] }: error filter-leak
        in_set: { column: email, values: ["a@b.c"] }: warning filter-leak
        references: { column: card, file: known.csv, key: number }: warning filter-leak
        references: { column: email, file: known.csv, key: number }: warning filter-leak
        expression: "card = '4111'": error filter-leak
        expression: "card IS NOT NULL": 
        expression: "email <> 'x' OR card IS NULL": warning filter-leak
        expression: "amount > 0": 
        in_set: { column: amount, values: [1, 2] }: 
    "#]]
    .assert_eq(&table);
}

#[test]
fn two_wide_ranges_may_be_a_narrow_one() {
    let low = "name: low, between: { column: salary, min: 5259 }";
    let high = "name: high, between: { column: salary, max: 5260 }";
    let steps = format!(
        "  p: {{ quality: {{ from: pay, rules: [{{ {low} }}] }} }}\n  q: {{ quality: {{ from: p, rules: [{{ {high} }}] }} }}\n{}",
        step("x", "SELECT tx FROM q")
    );
    assert_eq!(found(&steps, "internal"), "warning filter-leak, error filter-leak");
    assert_eq!(ruled("drop", &format!("{low} }}, {{ {high}")), "error filter-leak, error filter-leak");
}

#[test]
fn any_rule_on_what_the_document_computes_of_a_column_may_name_its_values() {
    let computed = step("c", "SELECT tx, CASE WHEN card = '4111' THEN 'NL' ELSE 'no' END AS c FROM pay");
    for rule in ["format: { column: c, is: country }", "length: { column: c, max: 1 }", "unique: { columns: c, within: 1h }"] {
        let steps =
            format!("{computed}  q: {{ quality: {{ from: c, rules: [{{ {rule} }}] }} }}\n{}", step("x", "SELECT tx FROM q"));
        assert_eq!(found(&steps, "internal"), "error filter-leak", "{rule}");
    }
    // A mask, consent and another name leave it the source's own.
    let passed = format!(
        "  a: {{ consent: {{ from: pay }} }}\n  m: {{ mask: {{ from: a, columns: {{ card: {{ partial: {{ keep_last: 4 }} }} }} }} }}\n{}  q: {{ quality: {{ from: c, rules: [{{ format: {{ column: c, is: card }} }}] }} }}\n{}",
        step("c", "SELECT tx, card AS c FROM m"),
        step("x", "SELECT tx FROM q")
    );
    assert_eq!(found(&passed, "internal"), "");
}

#[test]
fn rules_tell_those_who_watch_behind_them_and_not_those_who_watch_the_step() {
    let rule = "rules: [{ in_set: { column: card, values: ['4111'] } }]";
    let behind = format!(
        "  q: {{ quality: {{ from: pay, on_fail: drop, {rule} }} }}\n  told: {{ alert: {{ from: q, when: amount > 0, key: tx }} }}\n{}",
        step("x", "SELECT tx FROM pay")
    );
    expect![[r#"
        51:53 warning[alert-leak] steps.q.quality.rules[0]: the rule `in_set(card)` on `card` (restricted) tells everyone who sees what `told` observes what it holds
          | source `pay`: `card` is restricted by its schema
          | step `q` (quality): takes rows away by `in_set(card)` on `card`
          = watch rows before the rule, or let rows go on: `on_fail: flag`
    "#]]
    .assert_eq(&report(&planned(&behind, "internal").diagnostics));
    let itself = format!(
        "  q: {{ quality: {{ from: pay, on_fail: drop, {rule}, metrics: [{{ row_count: {{}} }}] }} }}\n{}",
        step("x", "SELECT tx FROM pay")
    );
    assert_eq!(found(&itself, "internal"), "");
}

#[test]
fn groups_and_orders_tell_what_they_go_by() {
    let window = "tumble(pay, INTERVAL '1 minute') GROUP BY";
    let mut table = String::new();
    for sql in [
        format!("SELECT min(tx) AS t, count(*) AS n FROM {window} CASE WHEN card = '4111' THEN tx ELSE 'o' END, window_start"),
        format!("SELECT min(tx) AS t, count(*) AS n FROM {window} card = '4111', window_start"),
        format!("SELECT min(tx) AS t, count(*) AS n FROM {window} substr(email, 1, 3), window_start"),
        format!("SELECT count(*) AS n FROM {window} card, window_start"),
        format!("SELECT count(*) AS n FROM {window} salary, email, window_start"),
        "SELECT tx FROM (SELECT DISTINCT tx, card = '4111' AS c FROM pay)".to_owned(),
        format!("SELECT array_agg(tx ORDER BY salary) AS t FROM {window} window_start"),
        format!("SELECT string_agg(tx, ',' ORDER BY age) AS t FROM {window} window_start"),
        format!("SELECT first_value(tx ORDER BY salary DESC) AS t FROM {window} window_start"),
        format!("SELECT first_value(tx ORDER BY at) AS t FROM {window} window_start"),
        "SELECT tx FROM (SELECT tx, at, ROW_NUMBER() OVER (PARTITION BY card = '4111' ORDER BY at) AS rn FROM pay) WHERE rn = 1"
            .to_owned(),
        "SELECT tx FROM (SELECT tx, at, ROW_NUMBER() OVER (PARTITION BY card ORDER BY at) AS rn FROM pay) WHERE rn = 1"
            .to_owned(),
        "SELECT tx FROM (SELECT tx, ROW_NUMBER() OVER (PARTITION BY amount ORDER BY salary) AS rn FROM pay) WHERE rn <= 9"
            .to_owned(),
    ] {
        table.push_str(&format!("{sql}: {}\n", query(&sql)));
    }
    let earlier = format!(
        "{}{}",
        step("c", "SELECT tx, at, card = '4111' AS c FROM pay"),
        step("x", "SELECT min(tx) AS t FROM tumble(c, INTERVAL '1 minute') GROUP BY c, window_start")
    );
    table.push_str(&format!("the same in two steps: {}\n", found(&earlier, "internal")));
    expect![[r#"
        SELECT min(tx) AS t, count(*) AS n FROM tumble(pay, INTERVAL '1 minute') GROUP BY CASE WHEN card = '4111' THEN tx ELSE 'o' END, window_start: error filter-leak
        SELECT min(tx) AS t, count(*) AS n FROM tumble(pay, INTERVAL '1 minute') GROUP BY card = '4111', window_start: error filter-leak
        SELECT min(tx) AS t, count(*) AS n FROM tumble(pay, INTERVAL '1 minute') GROUP BY substr(email, 1, 3), window_start: warning filter-leak
        SELECT count(*) AS n FROM tumble(pay, INTERVAL '1 minute') GROUP BY card, window_start: 
        SELECT count(*) AS n FROM tumble(pay, INTERVAL '1 minute') GROUP BY salary, email, window_start: 
        SELECT tx FROM (SELECT DISTINCT tx, card = '4111' AS c FROM pay): error filter-leak
        SELECT array_agg(tx ORDER BY salary) AS t FROM tumble(pay, INTERVAL '1 minute') GROUP BY window_start: error filter-leak
        SELECT string_agg(tx, ',' ORDER BY age) AS t FROM tumble(pay, INTERVAL '1 minute') GROUP BY window_start: warning filter-leak
        SELECT first_value(tx ORDER BY salary DESC) AS t FROM tumble(pay, INTERVAL '1 minute') GROUP BY window_start: error filter-leak
        SELECT first_value(tx ORDER BY at) AS t FROM tumble(pay, INTERVAL '1 minute') GROUP BY window_start: 
        SELECT tx FROM (SELECT tx, at, ROW_NUMBER() OVER (PARTITION BY card = '4111' ORDER BY at) AS rn FROM pay) WHERE rn = 1: error filter-leak
        SELECT tx FROM (SELECT tx, at, ROW_NUMBER() OVER (PARTITION BY card ORDER BY at) AS rn FROM pay) WHERE rn = 1: 
        SELECT tx FROM (SELECT tx, ROW_NUMBER() OVER (PARTITION BY amount ORDER BY salary) AS rn FROM pay) WHERE rn <= 9: error filter-leak
        the same in two steps: error filter-leak
    "#]]
    .assert_eq(&table);
}

/// The class of what a call makes of large groups, of these rows.
fn of_groups(before: &str, from: &str, call: &str) -> String {
    let sql = format!("SELECT window_start, {call} AS k FROM {from} GROUP BY window_start");
    class(&format!("{before}  x:\n    sql:\n      min_group: 20\n      query: |\n        {sql}\n"), "k").to_string()
}

#[test]
fn a_large_group_lowers_only_what_no_single_row_can_be_read_off() {
    let call = |call: &str| of_groups("", "tumble(pay, INTERVAL '1 minute')", call);
    for lowered in
        ["sum(salary)", "avg(salary)", "avg(CAST(salary AS double))", "stddev(salary)", "count(salary)", "approx_distinct(card)"]
    {
        assert_eq!(call(lowered), "confidential", "{lowered}");
    }
    for kept in [
        "sum(salary) FILTER (WHERE tx = 't7')",
        "sum(CASE WHEN tx = 't7' THEN salary END)",
        "sum(salary * amount)",
        "sum(DISTINCT salary)",
        "count(DISTINCT card)",
        "approx_percentile_cont(salary, 1.0)",
        "approx_percentile_cont(salary, 0.5)",
        "max(salary)",
        "min(salary)",
        "first_value(salary)",
        "array_agg(salary)",
        "string_agg(card, ',')",
    ] {
        assert_eq!(call(kept), "restricted", "{kept}");
    }
}

#[test]
fn a_large_group_of_copies_of_one_row_lowers_nothing() {
    let columns = "tx, salary, at, card";
    let of = |before: &str, from: &str, call: &str| of_groups(before, from, call);
    let tumble = "tumble(u, INTERVAL '1 minute')";
    let union = |sources: [&str; 2]| {
        step("u", &format!("SELECT {columns} FROM {} UNION ALL SELECT {columns} FROM {}", sources[0], sources[1]))
    };
    assert_eq!(of(&union(["pay", "pay"]), tumble, "avg(salary)"), "restricted");
    assert_eq!(of(&union(["pay", "again"]), tumble, "avg(salary)"), "restricted", "another name for the same file");
    assert_eq!(of(&union(["pay", "later"]), tumble, "avg(salary)"), "confidential");
    let choice = step("c", "SELECT tx, at, CASE WHEN tx = 't7' THEN salary END AS salary FROM pay");
    assert_eq!(of(&choice, "tumble(c, INTERVAL '1 minute')", "sum(salary)"), "restricted", "chosen a step before");
    let joined = |table: &str| {
        step("u", &format!("SELECT a.tx, a.salary, a.at, a.card FROM pay AS a JOIN {table} AS k ON a.tx = k.number"))
    };
    assert_eq!(of(&joined("list"), tumble, "avg(salary)"), "restricted", "a row may meet many of the list");
    assert_eq!(of(&joined("known"), tumble, "avg(salary)"), "confidential");
    let hopped = "  x:\n    sql:\n      min_group: 20\n      query: SELECT tx, avg(salary) AS k FROM hop(pay, INTERVAL '1 second', INTERVAL '1 minute') GROUP BY tx\n";
    assert_eq!(class(hopped, "k").to_string(), "restricted", "a row is in sixty windows");
    let twice = "  u:\n    sql:\n      min_group: 2\n      query: SELECT amount, window_start, window_time, avg(salary) AS k FROM tumble(pay, INTERVAL '1 minute') GROUP BY amount, window_start, window_time\n";
    assert_eq!(of(twice, tumble, "avg(k)"), "confidential", "groups of groups are lowered once");
}

#[test]
fn a_filter_leak_is_told_with_its_path_and_two_remedies() {
    let steps = format!(
        "{}{}{}",
        step("small", "SELECT tx, upper(card) AS number, amount FROM pay"),
        step("some", "SELECT tx, amount FROM small WHERE number = '4111'"),
        step("x", "SELECT tx FROM some WHERE amount > 3")
    );
    expect![[r#"
        56:7 error[filter-leak] steps.some.sql: the filter on `number` (restricted) tells of every row that reaches `out` (internal) what it holds
          | source `pay`: `card` is restricted by its schema
          | step `small` (sql): upper(card) AS number, restricted
          | step `some` (sql): filters on `number`
          | step `x` (sql): passes those rows on
          | sink `out`: clearance internal
          = mask `number` in a step before it, and write `small_masked AS small` for `small` in the query of `some` (what it is compared with must be masked alike):
          = steps:
          =   small_masked:
          =     mask:
          =       from: small
          =       columns:
          =         number: { hash: {} }
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]].assert_eq(&report(&planned(&steps, "internal").diagnostics));
    let ruled = format!(
        "  q: {{ quality: {{ from: pay, rules: [{{ in_set: {{ column: card, values: ['4111'] }} }}] }} }}\n{}",
        step("x", "SELECT tx FROM q")
    );
    expect![[r#"
        51:38 error[filter-leak] steps.q.quality.rules[0]: the rule `in_set(card)` on `card` (restricted) tells of every row that reaches `out` (internal) what it holds
          | source `pay`: `card` is restricted by its schema
          | step `q` (quality): takes rows away by `in_set(card)` on `card`
          | step `x` (sql): passes those rows on
          | sink `out`: clearance internal
          = let the rows go on and count those that fail:
          = steps:
          =   q:
          =     quality:
          =       on_fail: flag
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]].assert_eq(&report(&planned(&ruled, "internal").diagnostics));
}

#[test]
fn what_a_self_join_tells_by_both_sides_is_told_once() {
    let sql = "SELECT a.tx, b.tx AS other FROM pay AS a JOIN pay AS b ON a.card = b.card AND a.at BETWEEN b.at - INTERVAL '1 minute' AND b.at";
    expect![[r#"
        53:7 error[filter-leak] steps.x.sql: the join on `card` (restricted) tells of every row that reaches `out` (internal) what it holds
          | source `pay`: `card` is restricted by its schema
          | step `x` (sql): passes `card` on as it is
          | step `x` (join): joins on `card`
          | sink `out`: clearance internal
          = mask `card` in a step before it, and write `pay_masked AS pay` for `pay` in the query of `x` (what it is compared with must be masked alike):
          = steps:
          =   pay_masked:
          =     mask:
          =       from: pay
          =       columns:
          =         card: { token: { keep_last: 4 } }
          = or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
          = sinks:
          =   out:
          =     clearance: restricted
    "#]].assert_eq(&report(&planned(&step("x", sql), "internal").diagnostics));
}

#[test]
fn what_cannot_be_computed_for_every_value_of_a_restricted_column_is_a_warning() {
    let told = |expr: &str| {
        let steps = format!("{}{}", step("c", &format!("SELECT tx, {expr} AS c FROM pay")), step("x", "SELECT tx FROM c"));
        found(&steps, "internal")
    };
    for fails in [
        "1 / (salary - 5259)",
        "amount % salary",
        "CAST(card AS bigint)",
        "salary + 9223372036854770000",
        "CASE WHEN card = '4111' THEN 1 / amount END",
        "card = '4111' AND 1 / amount > 0",
    ] {
        assert_eq!(told(fails), "warning filter-leak", "{fails}");
    }
    for computes in [
        "salary / 12",
        "salary * 12 + 1",
        "salary + amount",
        "TRY_CAST(card AS bigint)",
        "CAST(salary AS double)",
        "CAST(salary AS string)",
        "1.5 / CAST(salary AS double)",
        "1 / (age - 40)",
        "CAST(email AS bigint)",
        "1 / amount",
    ] {
        assert_eq!(told(computes), "", "{computes}");
    }
}

/// Follows what is proposed for the first finding, to the letter.
#[test]
fn what_is_proposed_for_several_columns_is_written_once_and_mends_them_all() {
    let leaking = step("x", "SELECT tx, card, email, born FROM pay");
    let helps: Vec<String> = planned(&leaking, "internal").diagnostics.into_iter().map(|finding| finding.help.unwrap()).collect();
    assert_eq!(helps.len(), 3);
    let written = helps.iter().filter(|help| help.contains("steps:")).count();
    assert_eq!(written, 1, "{helps:#?}");
    expect![[r#"
        mask `card`, `email` and `born` in a step before the sink:
        steps:
          out_masked:
            mask:
              from: x
              columns:
                card: { token: { keep_last: 4 } }
                email: { hash: {} }
                born: { null: {} }
        sinks:
          out:
            from: out_masked
        or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
        sinks:
          out:
            clearance: restricted

        `out_masked`, the step proposed for `card`, masks `email` too
        or raise the clearance, as proposed for `card`

        `out_masked`, the step proposed for `card`, masks `born` too
        or raise the clearance, as proposed for `card`"#]]
    .assert_eq(&helps.join("\n\n"));
    let step_text: String = helps[0]
        .lines()
        .skip_while(|line| *line != "steps:")
        .skip(1)
        .take_while(|line| *line != "sinks:")
        .map(|line| format!("{line}\n"))
        .collect();
    let mended = document(&format!("{leaking}{step_text}"), "internal").replace("from: x,", "from: out_masked,");
    assert_eq!(report(&plan_with(&mended, &Registry::default()).diagnostics), "");
    assert_eq!(found(&leaking, "restricted"), "");

    let filtering = step("x", "SELECT tx FROM pay WHERE card = '4111' AND salary > 3");
    let helps: Vec<String> =
        planned(&filtering, "internal").diagnostics.into_iter().map(|finding| finding.help.unwrap()).collect();
    expect![[r#"
        mask `card` and `salary` in a step before it, and write `pay_masked AS pay` for `pay` in the query of `x` (what it is compared with must be masked alike):
        steps:
          pay_masked:
            mask:
              from: pay
              columns:
                card: { token: { keep_last: 4 } }
                salary: { null: {} }
        or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
        sinks:
          out:
            clearance: restricted

        let `pay_masked` mask it, as proposed for `card`, and write `pay_masked AS pay` for `pay` in the query of `x` (what it is compared with must be masked alike)
        or raise the clearance, as proposed for `card`"#]].assert_eq(&helps.join("\n\n"));
    let step_text: String = helps[0]
        .lines()
        .skip_while(|line| *line != "steps:")
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let mended =
        format!("{step_text}{}", filtering.replace("FROM pay", "FROM pay_masked AS pay").replace("salary > 3", "salary IS NULL"));
    assert_eq!(found(&mended, "internal"), "");

    let ruled = format!(
        "  q: {{ quality: {{ from: pay, rules: [{{ in_set: {{ column: card, values: ['4111'] }} }}, {{ length: {{ column: card, max: 4 }} }}] }} }}\n{}",
        step("x", "SELECT tx FROM q")
    );
    let helps: Vec<String> = planned(&ruled, "internal").diagnostics.into_iter().map(|finding| finding.help.unwrap()).collect();
    expect![[r#"
        let the rows go on and count those that fail:
        steps:
          q:
            quality:
              on_fail: flag
        or raise the clearance, so that whoever reads it may hold restricted data, which needs explicit permission:
        sinks:
          out:
            clearance: restricted

        let the rows go on and count those that fail, as proposed for `card`
        or raise the clearance, as proposed for `card`"#]]
    .assert_eq(&helps.join("\n\n"));
}
