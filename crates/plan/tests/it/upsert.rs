//! Sinks that replace rows by their key: which keys fit what is written, and how changes are put together.

use std::fmt::Write;

use expect_test::expect;
use weir_plan::{NodeKind, Planned};

use crate::support::{Registry, plan_with, report};

/// Orders with a unique id, their last country each, and totals of countries; the step `q` is what is written.
fn planned(query: &str, key: &str) -> Planned {
    let text = format!(
        "apiVersion: weir/v1
kind: Pipeline
name: test
purpose: essential.fraud_detection
basis: legitimate_interest
tables:
  countries:
    sqlite: {{ path: reference.db, table: countries }}
    key: code
    schema: [{{ name: code, type: string }}, {{ name: name, type: string }}]
sources:
  orders:
    http: {{}}
    subject: id
    event_time: {{ column: at }}
    schema:
      - {{ name: id, type: int64, unique: true, required: true }}
      - {{ name: customer, type: string }}
      - {{ name: amount, type: float64 }}
      - {{ name: country, type: string }}
      - {{ name: at, type: timestamp }}
steps:
  latest:
    sql: {{ query: 'SELECT id, last_value(country) AS country, max(customer) AS customer FROM orders GROUP BY id', state_ttl: 1h }}
  totals:
    sql: {{ query: 'SELECT country, count(*) AS n FROM orders GROUP BY country', state_ttl: 1h }}
  hidden:
    mask: {{ from: latest, columns: {{ customer: {{ encrypt: {{}} }}, country: {{ hash: {{}} }} }} }}
  q:
    sql:
      state_ttl: 1h
      query: |
        {query}
sinks:
  out: {{ from: q, sqlite: {{ path: out.db, table: q, key: [{key}] }} }}
"
    );
    plan_with(&text, &Registry::default())
}

fn outcomes(cases: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (query, key) in cases {
        let planned = planned(query, key);
        writeln!(text, "{query} [{key}]").unwrap();
        if let Some(plan) = &planned.plan {
            let NodeKind::Sink(sink) = &plan.node("out").unwrap().kind else { panic!("a sink") };
            let upsert = sink.upsert.as_ref().unwrap();
            writeln!(text, "  {}", if upsert.in_order { "in order" } else { "counted" }).unwrap();
        }
        let of_sink = planned.diagnostics.into_iter().filter(|finding| finding.is_error() || finding.path.starts_with("sinks"));
        for line in report(&of_sink.collect::<Vec<_>>()).lines().filter(|line| !line.starts_with("  =")) {
            writeln!(text, "  {}", line.split_once(' ').map_or(line, |(_, line)| line)).unwrap();
        }
    }
    text
}

#[test]
fn groups_are_told_apart_by_what_they_are_grouped_by() {
    expect![[r#"
        SELECT country, count(*) AS n FROM orders GROUP BY country [country]
          in order
        SELECT country, count(*) AS n FROM orders GROUP BY country [n]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `n`: they would replace each other, and whichever changes last would be left
        SELECT country AS land, n + 1 AS m FROM totals WHERE n > 3 [land]
          in order
        SELECT country, customer, count(*) AS n FROM orders GROUP BY country, customer [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
        SELECT country, customer, count(*) AS n FROM orders GROUP BY country, customer [customer, country]
          in order
        SELECT country, customer, count(*) AS n FROM orders GROUP BY country, customer [customer, country, n]
          in order
        SELECT upper(country) AS c, count(*) AS n FROM orders GROUP BY country [c]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `c`: they would replace each other, and whichever changes last would be left
        SELECT upper(country) AS c, count(*) AS n FROM orders GROUP BY upper(country) [c]
          in order
        SELECT 'all' AS k, count(*) AS n FROM orders [k]
          in order
        SELECT country FROM totals UNION ALL SELECT country FROM latest [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
        SELECT country, amount, count(*) AS n FROM orders GROUP BY country, amount [amount]
          error[column-type] sinks.out.sqlite.key: a key is made of plain values that are equal or not: no float, list or struct, but `amount` is float64
        SELECT country, n FROM totals [countri]
          error[unknown-column] sinks.out.sqlite.key: unknown column `countri`
        SELECT country, n, n + 1 AS "N" FROM totals [country]
          error[duplicate-column] sinks.out.sqlite: a table cannot have two columns `N`: SQLite does not tell upper and lower case apart
    "#]].assert_eq(&outcomes(&[
        ("SELECT country, count(*) AS n FROM orders GROUP BY country", "country"),
        ("SELECT country, count(*) AS n FROM orders GROUP BY country", "n"),
        ("SELECT country AS land, n + 1 AS m FROM totals WHERE n > 3", "land"),
        ("SELECT country, customer, count(*) AS n FROM orders GROUP BY country, customer", "country"),
        ("SELECT country, customer, count(*) AS n FROM orders GROUP BY country, customer", "customer, country"),
        ("SELECT country, customer, count(*) AS n FROM orders GROUP BY country, customer", "customer, country, n"),
        ("SELECT upper(country) AS c, count(*) AS n FROM orders GROUP BY country", "c"),
        ("SELECT upper(country) AS c, count(*) AS n FROM orders GROUP BY upper(country)", "c"),
        ("SELECT 'all' AS k, count(*) AS n FROM orders", "k"),
        ("SELECT country FROM totals UNION ALL SELECT country FROM latest", "country"),
        ("SELECT country, amount, count(*) AS n FROM orders GROUP BY country, amount", "amount"),
        ("SELECT country, n FROM totals", "countri"),
        ("SELECT country, n, n + 1 AS \"N\" FROM totals", "country"),
    ]));
}

#[test]
fn joined_rows_are_told_apart_by_the_keys_of_both_sides() {
    expect![[r#"
        SELECT t.country, t.n, l.id FROM latest AS l JOIN totals AS t ON l.country = t.country [id, country]
          in order
        SELECT l.country, t.n, l.id FROM latest AS l JOIN totals AS t ON l.country = t.country [id]
          counted
        SELECT l.country, t.n, l.id FROM latest AS l LEFT JOIN totals AS t ON l.country = t.country [id]
          counted
        SELECT l.country, t.n, l.id FROM latest AS l LEFT JOIN totals AS t ON l.country = t.country [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
        SELECT o.id, t.n FROM orders AS o JOIN totals AS t ON o.country = t.country [id]
          in order
        SELECT a.country, a.n, b.n AS m FROM totals AS a JOIN totals AS b ON a.country = b.country [country]
          in order
        SELECT b.country, a.n, b.n AS m FROM totals AS a LEFT JOIN totals AS b ON a.country = b.country [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
        SELECT t.country, c.name, t.n FROM totals AS t JOIN countries AS c ON t.country = c.code [country]
          in order
        SELECT t.country, c.name, t.n FROM totals AS t JOIN countries AS c ON t.country = c.name [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
    "#]].assert_eq(&outcomes(&[
        ("SELECT t.country, t.n, l.id FROM latest AS l JOIN totals AS t ON l.country = t.country", "id, country"),
        ("SELECT l.country, t.n, l.id FROM latest AS l JOIN totals AS t ON l.country = t.country", "id"),
        ("SELECT l.country, t.n, l.id FROM latest AS l LEFT JOIN totals AS t ON l.country = t.country", "id"),
        ("SELECT l.country, t.n, l.id FROM latest AS l LEFT JOIN totals AS t ON l.country = t.country", "country"),
        ("SELECT o.id, t.n FROM orders AS o JOIN totals AS t ON o.country = t.country", "id"),
        ("SELECT a.country, a.n, b.n AS m FROM totals AS a JOIN totals AS b ON a.country = b.country", "country"),
        ("SELECT b.country, a.n, b.n AS m FROM totals AS a LEFT JOIN totals AS b ON a.country = b.country", "country"),
        ("SELECT t.country, c.name, t.n FROM totals AS t JOIN countries AS c ON t.country = c.code", "country"),
        ("SELECT t.country, c.name, t.n FROM totals AS t JOIN countries AS c ON t.country = c.name", "country"),
    ]));
}

#[test]
fn ranked_rows_are_told_apart_by_partition_and_number() {
    let top = |from: &str, condition: &str, columns: &str| {
        format!(
            "SELECT {columns} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM {from}) AS r WHERE {condition}"
        )
    };
    let queries = [
        (top("orders", "rn <= 3", "country, rn, id"), "country, rn"),
        (top("orders", "rn <= 3", "country, rn, id"), "country"),
        (top("orders", "rn <= 3", "country, id"), "id"),
        (top("latest", "rn <= 3", "country, id"), "id"),
        (top("latest", "rn <= 3", "country, id"), "id, country"),
        (top("latest", "rn = 1", "country, id"), "country"),
    ];
    let cases: Vec<(&str, &str)> = queries.iter().map(|(query, key)| (query.as_str(), *key)).collect();
    expect![[r#"
        SELECT country, rn, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM orders) AS r WHERE rn <= 3 [country, rn]
          in order
        SELECT country, rn, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM orders) AS r WHERE rn <= 3 [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
        SELECT country, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM orders) AS r WHERE rn <= 3 [id]
          in order
        SELECT country, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM latest) AS r WHERE rn <= 3 [id]
          counted
        SELECT country, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM latest) AS r WHERE rn <= 3 [id, country]
          in order
        SELECT country, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id DESC) AS rn FROM latest) AS r WHERE rn = 1 [country]
          in order
    "#]].assert_eq(&outcomes(&cases));
}

#[test]
fn what_is_not_taken_back_as_it_was_added_has_to_come_in_order() {
    expect![[r#"
        SELECT id, customer FROM hidden [id]
          in order
        SELECT country, customer FROM hidden [country]
          error[upsert-key] sinks.out.sqlite.key: rows of `q` may have equal values in `country`: they would replace each other, and whichever changes last would be left
        SELECT h.id, h.customer, b.id AS other FROM hidden AS h JOIN latest AS b ON h.country = b.country [id, other]
          error[upsert-order] sinks.out.sqlite.key: changes of one row of `q` may come in any order, and what is taken back need not be what was added, so nobody can tell which row is left
        SELECT h.id, b.id AS other FROM latest AS h JOIN latest AS b ON h.country = b.country [id, other]
          counted
    "#]].assert_eq(&outcomes(&[
        ("SELECT id, customer FROM hidden", "id"),
        ("SELECT country, customer FROM hidden", "country"),
        ("SELECT h.id, h.customer, b.id AS other FROM hidden AS h JOIN latest AS b ON h.country = b.country", "id, other"),
        ("SELECT h.id, b.id AS other FROM latest AS h JOIN latest AS b ON h.country = b.country", "id, other"),
    ]));
}

#[test]
fn of_rows_that_are_only_added_the_last_is_left() {
    expect![[r#"
        SELECT country, amount FROM orders [country]
          in order
        SELECT country, window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start [country, window_start]
          in order
        SELECT country, window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start [country]
          in order
          warning[upsert-order] sinks.out.sqlite.key: rows of `q` may have equal values in `country` and come in any order, so which of them is left is not defined
        SELECT country, window_start, count(*) AS n FROM cumulate(orders, INTERVAL '1 minute', INTERVAL '1 hour') GROUP BY country, window_start, window_end [country, window_start]
          in order
          warning[upsert-order] sinks.out.sqlite.key: rows of `q` may have equal values in `country`, `window_start` and come in any order, so which of them is left is not defined
    "#]].assert_eq(&outcomes(&[
        ("SELECT country, amount FROM orders", "country"),
        ("SELECT country, window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start", "country, window_start"),
        ("SELECT country, window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start", "country"),
        ("SELECT country, window_start, count(*) AS n FROM cumulate(orders, INTERVAL '1 minute', INTERVAL '1 hour') GROUP BY country, window_start, window_end", "country, window_start"),
    ]));
}
