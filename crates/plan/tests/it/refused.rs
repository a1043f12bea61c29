//! SQL outside the subset.

use std::fmt::Write;

use expect_test::expect;

use crate::support::{findings, query};

fn refused(queries: &[&str]) -> String {
    let mut text = String::new();
    for sql in queries {
        writeln!(text, "{sql}").unwrap();
        let found = findings(&query(sql));
        assert!(!found.is_empty(), "accepted: {sql}");
        for line in found.lines() {
            let line = line.split_once(" steps.q.sql: ").map_or(line.to_owned(), |(_, message)| format!("  {message}"));
            if !line.starts_with("  | ") && !line.contains("supported are SELECT") {
                writeln!(text, "  {line}").unwrap();
            }
        }
    }
    text
}

#[test]
fn what_needs_more_than_one_row() {
    expect![[""]].assert_eq(&refused(&[
        "SELECT count(*) AS n FROM payments",
        "SELECT kind, sum(amount) AS total FROM payments GROUP BY kind",
        "SELECT kind FROM payments GROUP BY kind HAVING max(amount) > 3",
        "SELECT DISTINCT kind FROM payments",
        "SELECT kind FROM payments ORDER BY kind",
        "SELECT kind FROM payments LIMIT 3",
        "SELECT kind FROM payments OFFSET 3",
        "SELECT kind FROM payments FETCH FIRST 3 ROWS ONLY",
        "SELECT row_number() OVER (ORDER BY amount) AS n FROM payments",
        "SELECT sum(amount) OVER () AS n FROM payments",
        "SELECT kind FROM payments QUALIFY row_number() OVER (PARTITION BY card) = 1",
        "SELECT kind FROM payments UNION SELECT kind FROM payments",
        "SELECT kind FROM payments EXCEPT SELECT kind FROM payments",
        "SELECT kind FROM payments INTERSECT SELECT kind FROM payments",
        "SELECT kind FROM tumble(payments, INTERVAL '1 minute')",
        "SELECT a.kind FROM payments a JOIN payments b ON a.tx_id = b.tx_id",
        "SELECT a.kind FROM payments a, payments b",
        "SELECT a.kind FROM payments a CROSS JOIN LATERAL (SELECT 1 AS x FROM payments) b",
        "SELECT kind FROM payments WHERE amount > (SELECT max(amount) FROM payments)",
        "SELECT kind FROM payments WHERE tx_id IN (SELECT tx_id FROM payments)",
        "SELECT kind FROM payments p WHERE EXISTS (SELECT 1 FROM payments q WHERE q.tx_id = p.tx_id)",
        "WITH RECURSIVE r AS (SELECT kind FROM payments UNION ALL SELECT kind FROM r) SELECT kind FROM r",
        "SELECT kind FROM payments TABLESAMPLE (10 PERCENT)",
    ]));
}

#[test]
fn what_changes_or_defines_things() {
    expect![[""]].assert_eq(&refused(&[
        "INSERT INTO payments SELECT * FROM payments",
        "UPDATE payments SET kind = 'x'",
        "DELETE FROM payments",
        "DROP TABLE payments",
        "CREATE TABLE x AS SELECT * FROM payments",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY payments TO '/tmp/x'",
        "EXPLAIN SELECT kind FROM payments",
        "SET x = 1",
        "SELECT kind INTO x FROM payments",
        "SELECT kind FROM payments; SELECT kind FROM payments",
        "VALUES (1)",
        "SELECT 1 AS one",
        "",
    ]));
}

#[test]
fn what_differs_from_run_to_run() {
    expect![[""]].assert_eq(&refused(&[
        "SELECT random() AS r FROM payments",
        "SELECT uuid() AS r FROM payments",
        "SELECT now() AS r FROM payments",
        "SELECT current_timestamp AS r FROM payments",
        "SELECT kind FROM payments WHERE paid_at > current_date",
        "SELECT version() AS v FROM payments",
        "SELECT $1 AS p FROM payments",
        "SELECT @x AS v FROM payments",
    ]));
}

#[test]
fn names_that_are_missing_wrong_or_double() {
    expect![[""]].assert_eq(&refused(&[
        "SELECT amout FROM payments",
        "SELECT p.amout, kindd FROM payments p",
        "SELECT q.amount FROM payments p",
        "SELECT kind FROM payment",
        "SELECT kind FROM public.payments",
        "SELECT uper(kind) AS k FROM payments",
        "SELECT amount * 2 FROM payments",
        "SELECT upper(kind) FROM payments",
        "SELECT kind, country AS kind FROM payments",
        "SELECT *, kind FROM payments",
        "SELECT kind AS _weir_row FROM payments",
        "SELECT Kind AS \"Kind\", \"KIND\" AS k FROM payments",
        "SELECT k FROM (SELECT kind AS j FROM payments) x",
    ]));
}

#[test]
fn what_does_not_parse_or_type() {
    expect![[""]].assert_eq(&refused(&[
        "SELEC kind FROM payments",
        "SELECT kind FROM payments WHERE",
        "SELECT 'unclosed FROM payments",
        "SELECT kind + tags AS x FROM payments",
        "SELECT upper(kind, kind) AS x FROM payments",
        "SELECT kind FROM payments WHERE amount",
        "SELECT kind FROM payments UNION ALL SELECT kind, country FROM payments",
        "SELECT NULL AS nothing FROM payments",
        "SELECT paid_at - paid_at AS d FROM payments",
        "SELECT CAST(kind AS nonsense) AS x FROM payments",
        "SELECT CASE WHEN flagged THEN tags ELSE 1 END AS x FROM payments",
    ]));
}

#[test]
fn a_query_that_explodes_is_refused() {
    let mut sql = "SELECT items AS x FROM payments".to_owned();
    for _ in 0..20 {
        sql = format!("SELECT x + x * x AS x FROM ({sql}) t");
    }
    assert!(findings(&query(&sql)).contains("sql"), "accepted");
}

#[test]
fn steps_that_read_themselves_are_refused() {
    // The document's own check refuses circles as well; a pipeline that did not come from text meets this one.
    let text = crate::support::query("SELECT kind FROM payments");
    let mut pipeline = weir_spec::parse_pipeline(&text).value.unwrap();
    pipeline.steps.insert("a".into(), weir_spec::Step::Sql("SELECT kind FROM b".into()));
    pipeline.steps.insert("b".into(), weir_spec::Step::Sql("SELECT kind FROM a".into()));
    pipeline.steps.insert("c".into(), weir_spec::Step::Sql("SELECT kind FROM b".into()));
    pipeline.steps.insert("d".into(), weir_spec::Step::Sql("SELECT kind FROM d".into()));
    let planned = weir_plan::plan(&pipeline, &crate::support::Registry::default());
    expect![[""]].assert_eq(&crate::support::report(&planned.diagnostics));
}
