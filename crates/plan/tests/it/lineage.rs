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
    expect![[r#"
        SELECT kind FROM payments
          kind: public [Utf8] <- kind Identity

        SELECT kind AS k FROM payments
          k: public [Utf8] <- kind Identity

        SELECT p.kind FROM payments AS p
          kind: public [Utf8] <- kind Identity

        SELECT amount + score AS x FROM payments
          x: internal [Float64] <- amount Transformation, score Transformation

        SELECT upper(country) AS c FROM payments
          c: internal [Utf8] <- country Transformation

        SELECT country || '-' || kind AS c FROM payments
          c: internal [Utf8] <- country Transformation, kind Transformation

        SELECT substr(card, 1, 6) AS bin FROM payments
          bin: restricted [Utf8] <- card Transformation

        SELECT left(email, 1) AS e FROM payments
          e: confidential [Utf8] <- email Transformation

        SELECT CAST(items AS string) AS s FROM payments
          s: internal [Utf8] <- items Transformation

        SELECT 1 AS one, 'x' AS x FROM payments
          one: public [Int64] <- 
          x: public [Utf8] <- 

        SELECT length(card) AS n FROM payments
          n: restricted [Int32] <- card Transformation

        SELECT date_part('year', birth_date) AS y FROM payments
          y: confidential [Int32] <- birth_date Transformation

        SELECT extract(month FROM birth_date) AS m FROM payments
          m: confidential [Int32] <- birth_date Transformation

        SELECT date_trunc('hour', paid_at) AS h FROM payments
          h: internal [Timestamp(µs, "UTC")] <- paid_at Transformation

        SELECT address['zip'] AS zip FROM payments
          zip: confidential [Utf8] <- address Transformation

        SELECT email LIKE '%@example.org' AS ours FROM payments
          ours: confidential [Boolean] <- email Transformation

        SELECT amount > 100 AND flagged AS big FROM payments
          big: internal [Boolean] <- amount Transformation, flagged Transformation

        SELECT birth_date IS NULL AS unknown FROM payments
          unknown: confidential [Boolean] <- birth_date Transformation

        SELECT items * 0 AS z, items - items AS y FROM payments
          z: internal [Int64] <- items Transformation
          y: internal [Int32] <- items Transformation

        SELECT concat(kind, card) AS c, encode(card, 'hex') AS h FROM payments
          c: restricted [Utf8] <- card Transformation, kind Transformation
          h: restricted [Utf8] <- card Transformation

        SELECT arrow_cast(kind, 'LargeUtf8') AS k, to_timestamp(items) AS t, ascii(kind) AS a FROM payments
          k: public [Utf8] <- kind Transformation
          t: internal [Timestamp(µs, "UTC")] <- items Transformation
          a: public [Int32] <- kind Transformation

    "#]]
    .assert_eq(&lineage(&[
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
    expect![[r#"
        SELECT CASE WHEN diagnosis = 'x' THEN kind ELSE country END AS c FROM payments
          c: restricted [Utf8] <- country Transformation, diagnosis Conditional, kind Transformation

        SELECT CASE kind WHEN 'a' THEN 1 ELSE 2 END AS c FROM payments
          c: public [Int64] <- kind Conditional

        SELECT CASE WHEN card IS NULL THEN 'no' ELSE 'yes' END AS has FROM payments
          has: restricted [Utf8] <- card Conditional

        SELECT coalesce(email, kind) AS c FROM payments
          c: confidential [Utf8] <- email Transformation, email Conditional, kind Transformation

        SELECT nullif(kind, country) AS c FROM payments
          c: internal [Utf8] <- country Conditional, kind Transformation, kind Conditional

        SELECT nvl(country, 'NL') AS c, nvl2(card, kind, country) AS d FROM payments
          c: internal [Utf8] <- country Transformation, country Conditional
          d: restricted [Utf8] <- card Conditional, country Transformation, kind Transformation

        SELECT upper(CASE WHEN flagged THEN kind END) AS c FROM payments
          c: internal [Utf8] <- flagged Conditional, kind Transformation

        SELECT kind IN ('a', country) AS c FROM payments
          c: internal [Boolean] <- country Transformation, kind Transformation

        SELECT greatest(amount, score) AS g FROM payments
          g: internal [Decimal128(30, 15)] <- amount Transformation, score Transformation

    "#]]
    .assert_eq(&lineage(&[
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
    expect![[r#"
        SELECT kind FROM payments WHERE amount > 10
          kind: public [Utf8] <- amount Filter, kind Identity

        SELECT kind FROM payments WHERE amount > 10 AND country = 'NL'
          kind: public [Utf8] <- amount Filter, country Filter, kind Identity

        SELECT kind FROM payments WHERE kind = 'sale'
          kind: public [Utf8] <- kind Identity, kind Filter

        SELECT 'x' AS x FROM payments WHERE flagged
          x: public [Utf8] <- flagged Filter

        SELECT k FROM (SELECT kind AS k, amount AS a FROM payments WHERE flagged) s WHERE a > 1
          k: public [Utf8] <- amount Filter, flagged Filter, kind Identity

        SELECT upper(k) AS k FROM (SELECT lower(kind) AS k FROM payments) s
          k: public [Utf8] <- kind Transformation

        WITH s AS (SELECT kind AS k, country FROM payments) SELECT k, country FROM s WHERE k <> country
          k: public [Utf8] <- country Filter, kind Identity, kind Filter
          country: internal [Utf8] <- country Identity, country Filter, kind Filter

        WITH s(a, b) AS (SELECT kind, country FROM payments) SELECT a, b FROM s
          a: public [Utf8] <- kind Identity
          b: internal [Utf8] <- country Identity

        SELECT kind AS k FROM payments UNION ALL SELECT country FROM payments
          k: internal [Utf8] <- country Identity, kind Identity

        SELECT kind AS k, 1 AS n FROM payments WHERE flagged UNION ALL SELECT upper(email), items FROM payments
          k: confidential [Utf8] <- email Transformation, flagged Filter, kind Identity
          n: internal [Int64] <- flagged Filter, items Transformation

        SELECT k FROM (SELECT kind AS k FROM payments UNION ALL SELECT country FROM payments) u WHERE k = 'x'
          k: internal [Utf8] <- country Identity, country Filter, kind Identity, kind Filter

        SELECT kind FROM payments WHERE true
          kind: public [Utf8] <- kind Identity

        SELECT kind FROM payments WHERE 1 = 0
          kind: public [Utf8] <- kind Identity

        SELECT * FROM (SELECT kind, card FROM payments) s
          kind: public [Utf8] <- kind Identity
          card: restricted [Utf8] <- card Identity

        SELECT * EXCEPT (card, tags, address, diagnosis) FROM payments
          tx_id: internal [Utf8] <- tx_id Identity
          customer_id: confidential [Utf8] <- customer_id Identity
          email: confidential [Utf8] <- email Identity
          birth_date: confidential [Date32] <- birth_date Identity
          amount: internal [Decimal128(12, 2)] <- amount Identity
          kind: public [Utf8] <- kind Identity
          country: internal [Utf8] <- country Identity
          items: internal [Int32] <- items Identity
          score: internal [Float64] <- score Identity
          flagged: internal [Boolean] <- flagged Identity
          paid_at: internal [Timestamp(µs, "UTC")] <- paid_at Identity

    "#]]
    .assert_eq(&lineage(&[
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
    expect![[r#"
        checked subject=Some(1) event_time=Some(11)
          tx_id: internal [Utf8] <- tx_id Identity
          customer_id: confidential [Utf8] <- customer_id Identity
          card: restricted [Utf8] <- card Identity
          email: confidential [Utf8] <- email Identity
          birth_date: confidential [Date32] <- birth_date Identity
          amount: internal [Decimal128(12, 2)] <- amount Identity
          kind: public [Utf8] <- kind Identity
          country: internal [Utf8] <- country Identity
          items: internal [Int32] <- items Identity
          score: internal [Float64] <- score Identity
          flagged: internal [Boolean] <- flagged Identity
          paid_at: internal [Timestamp(µs, "UTC")] <- paid_at Identity
          diagnosis: restricted [Utf8] <- diagnosis Identity
          tags: internal [List(Utf8)] <- tags Identity
          address: confidential [Struct("street": Utf8, "zip": Utf8)] <- address Identity

        allowed subject=Some(1) event_time=Some(11)
          tx_id: internal [Utf8] <- customer_id Filter, tx_id Identity
          customer_id: confidential [Utf8] <- customer_id Identity, customer_id Filter
          card: restricted [Utf8] <- card Identity, customer_id Filter
          email: confidential [Utf8] <- customer_id Filter, email Identity
          birth_date: confidential [Date32] <- birth_date Identity, customer_id Filter
          amount: internal [Decimal128(12, 2)] <- amount Identity, customer_id Filter
          kind: public [Utf8] <- customer_id Filter, kind Identity
          country: internal [Utf8] <- country Identity, customer_id Filter
          items: internal [Int32] <- customer_id Filter, items Identity
          score: internal [Float64] <- customer_id Filter, score Identity
          flagged: internal [Boolean] <- customer_id Filter, flagged Identity
          paid_at: internal [Timestamp(µs, "UTC")] <- customer_id Filter, paid_at Identity
          diagnosis: restricted [Utf8] <- customer_id Filter, diagnosis Identity
          tags: internal [List(Utf8)] <- customer_id Filter, tags Identity
          address: confidential [Struct("street": Utf8, "zip": Utf8)] <- address Identity, customer_id Filter

        safe subject=None event_time=Some(11)
          tx_id: public [Utf8] <- customer_id Filter, tx_id Transformation masked
          customer_id: confidential [Utf8] <- customer_id Transformation masked, customer_id Filter, customer_id Conditional masked
          card: internal [Utf8] <- card Transformation masked, customer_id Filter
          email: internal [Utf8] <- customer_id Filter, email Transformation masked
          birth_date: internal [Date32] <- birth_date Transformation masked, customer_id Filter
          amount: internal [Decimal128(12, 2)] <- amount Identity, customer_id Filter
          kind: public [Utf8] <- customer_id Filter, kind Identity
          country: internal [Utf8] <- country Identity, customer_id Filter
          items: internal [Int32] <- customer_id Filter, items Identity
          score: internal [Float64] <- customer_id Filter, score Identity
          flagged: internal [Boolean] <- customer_id Filter, flagged Identity
          paid_at: internal [Timestamp(µs, "UTC")] <- customer_id Filter, paid_at Identity
          diagnosis: public [Utf8] <- customer_id Filter, diagnosis Transformation masked
          tags: internal [List(Utf8)] <- customer_id Filter, tags Identity
          address: public [Struct("street": Utf8, "zip": Utf8)] <- address Transformation masked, customer_id Filter

        out subject=None event_time=None
          card: internal [Utf8] <- card Transformation masked, customer_id Filter, email Filter masked
          customer_id: confidential [Utf8] <- customer_id Transformation masked, customer_id Filter, customer_id Conditional masked, email Filter masked
          both: internal [Utf8] <- card Transformation masked, customer_id Filter, email Transformation masked, email Filter masked
          birth_date: internal [Date32] <- birth_date Transformation masked, customer_id Filter, email Filter masked
          diagnosis: public [Utf8] <- customer_id Filter, diagnosis Transformation masked, email Filter masked
          tx_id: public [Utf8] <- customer_id Filter, email Filter masked, tx_id Transformation masked
          kind: public [Utf8] <- customer_id Filter, email Filter masked, kind Identity
          n: internal [Int64] <- customer_id Filter, email Filter masked, email Conditional masked, items Transformation
          one: public [Int64] <- customer_id Filter, email Filter masked

    "#]].assert_eq(&text);
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
    assert_eq!(
        of("SELECT customer_id, paid_at FROM payments UNION ALL SELECT customer_id, paid_at FROM payments"),
        (Some(0), Some(1))
    );
    assert_eq!(of("SELECT customer_id, paid_at FROM payments UNION ALL SELECT kind, paid_at FROM payments"), (None, Some(1)));
}
