//! Column lineage through queries and steps.

use std::fmt::Write;

use expect_test::expect;
use weir_plan::{ColumnFacts, Node};

use crate::support::{document, planned, query};

fn edges(facts: &ColumnFacts) -> String {
    let edge = |edge: &weir_plan::LineageEdge| {
        let masked = if edge.masking { " masked" } else { "" };
        format!("{} {:?}{masked}", edge.column, edge.kind)
    };
    facts.lineage.iter().map(edge).collect::<Vec<_>>().join(", ")
}

fn columns(node: &Node) -> String {
    let mut text = String::new();
    for (facts, field) in node.columns.iter().zip(node.schema.fields()) {
        let field = field.data_type().to_string();
        writeln!(text, "  {}: {} [{field}] <- {}", facts.name, facts.classification, edges(facts)).unwrap();
    }
    text
}

fn lineage(queries: &[&str]) -> String {
    let mut text = String::new();
    for sql in queries {
        let plan = planned(&query(sql));
        writeln!(text, "{sql}\n{}", columns(plan.node("q").unwrap())).unwrap();
    }
    text
}

#[test]
fn of_projections() {
    expect![[""]].assert_eq(&lineage(&[
        "SELECT kind FROM payments",
        "SELECT kind AS k FROM payments",
        "SELECT p.kind FROM payments AS p",
        "SELECT amount + score AS x FROM payments",
        "SELECT upper(country) AS c FROM payments",
        "SELECT country || '-' || kind AS c FROM payments",
        "SELECT substr(card, 1, 6) AS bin FROM payments",
        "SELECT left(email, 1) AS e FROM payments",
        "SELECT CAST(items AS string) AS s FROM payments",
        "SELECT 1 AS one, 'x' AS x FROM payments",
        "SELECT length(card) AS n FROM payments",
        "SELECT date_part('year', birth_date) AS y FROM payments",
        "SELECT extract(month FROM birth_date) AS m FROM payments",
        "SELECT date_trunc('hour', paid_at) AS h FROM payments",
        "SELECT address['zip'] AS zip FROM payments",
        "SELECT email LIKE '%@example.org' AS ours FROM payments",
        "SELECT amount > 100 AND flagged AS big FROM payments",
        "SELECT birth_date IS NULL AS unknown FROM payments",
        "SELECT items * 0 AS z, items - items AS y FROM payments",
        "SELECT concat(kind, card) AS c, encode(card, 'hex') AS h FROM payments",
        "SELECT arrow_cast(kind, 'LargeUtf8') AS k, to_timestamp(items) AS t, ascii(kind) AS a FROM payments",
    ]));
}

#[test]
fn of_conditions() {
    expect![[""]].assert_eq(&lineage(&[
        "SELECT CASE WHEN diagnosis = 'x' THEN kind ELSE country END AS c FROM payments",
        "SELECT CASE kind WHEN 'a' THEN 1 ELSE 2 END AS c FROM payments",
        "SELECT CASE WHEN card IS NULL THEN 'no' ELSE 'yes' END AS has FROM payments",
        "SELECT coalesce(email, kind) AS c FROM payments",
        "SELECT nullif(kind, country) AS c FROM payments",
        "SELECT nvl(country, 'NL') AS c, nvl2(card, kind, country) AS d FROM payments",
        "SELECT upper(CASE WHEN flagged THEN kind END) AS c FROM payments",
        "SELECT kind IN ('a', country) AS c FROM payments",
        "SELECT greatest(amount, score) AS g FROM payments",
    ]));
}

#[test]
fn of_filters_subqueries_and_unions() {
    expect![[""]].assert_eq(&lineage(&[
        "SELECT kind FROM payments WHERE amount > 10",
        "SELECT kind FROM payments WHERE amount > 10 AND country = 'NL'",
        "SELECT kind FROM payments WHERE kind = 'sale'",
        "SELECT 'x' AS x FROM payments WHERE flagged",
        "SELECT k FROM (SELECT kind AS k, amount AS a FROM payments WHERE flagged) s WHERE a > 1",
        "SELECT upper(k) AS k FROM (SELECT lower(kind) AS k FROM payments) s",
        "WITH s AS (SELECT kind AS k, country FROM payments) SELECT k, country FROM s WHERE k <> country",
        "WITH s(a, b) AS (SELECT kind, country FROM payments) SELECT a, b FROM s",
        "SELECT kind AS k FROM payments UNION ALL SELECT country FROM payments",
        "SELECT kind AS k, 1 AS n FROM payments WHERE flagged UNION ALL SELECT upper(email), items FROM payments",
        "SELECT k FROM (SELECT kind AS k FROM payments UNION ALL SELECT country FROM payments) u WHERE k = 'x'",
        "SELECT kind FROM payments WHERE true",
        "SELECT kind FROM payments WHERE 1 = 0",
        "SELECT * FROM (SELECT kind, card FROM payments) s",
        "SELECT * EXCEPT (card, tags, address, diagnosis) FROM payments",
    ]));
}

#[test]
fn of_masks_and_consent() {
    let plan = planned(&document(
        "  checked:
    quality: { from: payments, rules: [ { not_null: [email] } ] }
  allowed:
    consent: { from: checked }
  safe:
    mask:
      from: allowed
      columns:
        card: { token: { keep_last: 4 } }
        email: { hash: {} }
        customer_id: { encrypt: {} }
        birth_date: { generalize: { to: year } }
        diagnosis: { null: {} }
        tx_id: { partial: { keep_last: 2 } }
        address: { redact: {} }
  out:
    sql: |
      SELECT card, customer_id, email || card AS both, birth_date, diagnosis, tx_id, kind,
             CASE WHEN email IS NULL THEN 0 ELSE items END AS n, 1 AS one
      FROM safe WHERE email <> 'x'
",
        "  alerts: { from: out, stdout: {}, clearance: confidential }",
    ));
    let mut text = String::new();
    for name in ["checked", "allowed", "safe", "out"] {
        let node = plan.node(name).unwrap();
        writeln!(text, "{name} subject={:?} event_time={:?}\n{}", node.subject, node.event_time, columns(node)).unwrap();
    }
    expect![[""]].assert_eq(&text);
}

#[test]
fn subject_and_event_time_survive_while_they_are_passed_on() {
    let of = |sql: &str| {
        let plan = planned(&query(sql));
        let node = plan.node("q").unwrap();
        (node.subject, node.event_time)
    };
    assert_eq!(of("SELECT kind, customer_id, paid_at FROM payments"), (Some(1), Some(2)));
    assert_eq!(of("SELECT customer_id AS who, paid_at AS at FROM payments WHERE flagged"), (Some(0), Some(1)));
    assert_eq!(of("SELECT upper(customer_id) AS customer_id, date_trunc('day', paid_at) AS paid_at FROM payments"), (None, None));
    assert_eq!(of("SELECT kind AS customer_id, birth_date AS paid_at FROM payments"), (None, None));
    assert_eq!(of("SELECT customer_id, paid_at FROM payments UNION ALL SELECT customer_id, paid_at FROM payments"), (Some(0), Some(1)));
    assert_eq!(of("SELECT customer_id, paid_at FROM payments UNION ALL SELECT kind, paid_at FROM payments"), (None, Some(1)));
}
