//! SQL outside the subset.

use std::fmt::Write;

use expect_test::expect;

use crate::support::query_findings;

fn refused(queries: &[&str]) -> String {
    let mut text = String::new();
    for sql in queries {
        writeln!(text, "{sql}").unwrap();
        let found = query_findings(sql);
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
    expect![[r#"
        SELECT kind FROM payments ORDER BY kind
            ORDER BY (a stream has no end) is not supported
        SELECT kind FROM payments LIMIT 3
            LIMIT or OFFSET (a stream has no end) is not supported
        SELECT kind FROM payments OFFSET 3
            LIMIT or OFFSET (a stream has no end) is not supported
        SELECT kind FROM payments FETCH FIRST 3 ROWS ONLY
            FETCH is not supported
        SELECT row_number() OVER (ORDER BY amount) AS n FROM payments
            ROW_NUMBER() numbers all rows of a stream, unless a filter on the number says how many to keep
            = write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) AS rn FROM input) WHERE rn <= 10
        SELECT sum(amount) OVER () AS n FROM payments
            the window function sum(…) is not supported
            = the one over rows is ROW_NUMBER() OVER (PARTITION BY … ORDER BY …), in a subquery whose number is filtered: WHERE rn <= 10
        SELECT kind FROM payments QUALIFY row_number() OVER (PARTITION BY card) = 1
            QUALIFY is not supported
        SELECT kind FROM payments UNION SELECT kind FROM payments
            UNION without ALL, which removes duplicates, is not supported
            = write UNION ALL
        SELECT kind FROM payments EXCEPT SELECT kind FROM payments
            EXCEPT is not supported
        SELECT kind FROM payments INTERSECT SELECT kind FROM payments
            INTERSECT is not supported
        SELECT a.kind FROM payments a, payments b
            a join without equal columns would compare every row with every other
            = say ON which columns of both sides are equal
        SELECT a.kind FROM payments a CROSS JOIN LATERAL (SELECT 1 AS x FROM payments) b
            CROSS JOIN is not supported
            LATERAL is not supported
        SELECT kind FROM payments WHERE amount > (SELECT max(amount) FROM payments)
            a subquery outside FROM is not supported
        SELECT kind FROM payments WHERE tx_id IN (SELECT tx_id FROM payments)
            a subquery outside FROM is not supported
        SELECT kind FROM payments p WHERE EXISTS (SELECT 1 FROM payments q WHERE q.tx_id = p.tx_id)
            a subquery outside FROM is not supported
        WITH RECURSIVE r AS (SELECT kind FROM payments UNION ALL SELECT kind FROM r) SELECT kind FROM r
            WITH RECURSIVE is not supported
        SELECT kind FROM payments TABLESAMPLE (10 PERCENT)
            TABLESAMPLE is not supported
    "#]]
    .assert_eq(&refused(&[
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
    expect![[r#"
        INSERT INTO payments SELECT * FROM payments
            INSERT INTO is not supported
            = a step is one SELECT
        UPDATE payments SET kind = 'x'
            UPDATE is not supported
            = a step is one SELECT
        DELETE FROM payments
            DELETE FROM is not supported
            = a step is one SELECT
        DROP TABLE payments
            DROP TABLE is not supported
            = a step is one SELECT
        CREATE TABLE x AS SELECT * FROM payments
            CREATE TABLE is not supported
            = a step is one SELECT
        CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'
            CREATE EXTERNAL TABLE is not supported
            = a step is one SELECT
        COPY payments TO '/tmp/x'
            COPY is not supported
            = a step is one SELECT
        EXPLAIN SELECT kind FROM payments
            EXPLAIN is not supported
            = a step is one SELECT
        SET x = 1
            SET is not supported
            = a step is one SELECT
        SELECT kind INTO x FROM payments
            SELECT INTO is not supported
        SELECT kind FROM payments; SELECT kind FROM payments
            more than one statement
            = write one SELECT a step
        VALUES (1)
            VALUES is not supported
        SELECT 1 AS one
            SELECT without FROM
            = name a source or a step in FROM

            the query is empty
            = write SELECT … FROM …
    "#]]
    .assert_eq(&refused(&[
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
    expect![[r#"
        SELECT random() AS r FROM payments
            the function random() is not supported: its result differs from run to run
            = a pipeline that resumes must compute the same rows again; take times and numbers from columns
        SELECT uuid() AS r FROM payments
            the function uuid() is not supported: its result differs from run to run
            = a pipeline that resumes must compute the same rows again; take times and numbers from columns
        SELECT now() AS r FROM payments
            the function now() is not supported: its result differs from run to run
            = a pipeline that resumes must compute the same rows again; take times and numbers from columns
        SELECT current_timestamp AS r FROM payments
            the function current_timestamp() is not supported: its result differs from run to run
            = a pipeline that resumes must compute the same rows again; take times and numbers from columns
        SELECT kind FROM payments WHERE paid_at > current_date
            the function current_date() is not supported: its result differs from run to run
            = a pipeline that resumes must compute the same rows again; take times and numbers from columns
        SELECT version() AS v FROM payments
            the function version() is not supported: its result differs from run to run
            = a pipeline that resumes must compute the same rows again; take times and numbers from columns
        SELECT $1 AS p FROM payments
            a placeholder is not supported
        SELECT @x AS v FROM payments
            a variable is not supported
    "#]]
    .assert_eq(&refused(&[
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
    expect![[r#"
        SELECT amout FROM payments
            unknown column `amout`
            = did you mean `amount`?
        SELECT p.amout, kindd FROM payments p
            unknown column `p.amout`
            = did you mean `amount`?
            unknown column `kindd`
            = did you mean `kind`?
        SELECT q.amount FROM payments p
            unknown column `q.amount`
            = did you mean `amount`?
        SELECT kind FROM payment
            `payment` is neither a source nor a step
            = did you mean `payments`?
        SELECT kind FROM public.payments
            unknown table `public.payments`
            = write the bare name of a source or a step
        SELECT uper(kind) AS k FROM payments
            unknown function uper(…)
            = did you mean upper(…)?
        SELECT amount * 2 FROM payments
            an expression needs a name
            = write amount * 2 AS some_name
        SELECT upper(kind) FROM payments
            an expression needs a name
            = write upper(kind) AS some_name
        SELECT kind, country AS kind FROM payments
            two columns are named `kind`
            = give one of them another name with AS
        SELECT *, kind FROM payments
            two columns are named `kind`
            = give one of them another name with AS
        SELECT kind AS _weir_row FROM payments
            the name `_weir_row` is reserved: names that begin with `_weir` belong to Weir
            = give it another name with AS
        SELECT Kind AS "Kind", "KIND" AS k FROM payments
            unknown column `KIND`
            = unquoted names are lower-cased; write "kind"
        SELECT k FROM (SELECT kind AS j FROM payments) x
            unknown column `k`
            = the only column is `j`
    "#]]
    .assert_eq(&refused(&[
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
    expect![[r#"
        SELEC kind FROM payments
            SQL syntax: expected: an SQL statement, found: SELEC
        SELECT kind FROM payments WHERE
            SQL syntax: expected: an expression, found: EOF
        SELECT 'unclosed FROM payments
            SQL syntax: unterminated string literal
        SELECT kind + tags AS x FROM payments
            cannot coerce arithmetic expression string + List(string) to valid types
        SELECT upper(kind, kind) AS x FROM payments
            no function matches the given name and argument types 'upper(string, string)'
        SELECT kind FROM payments WHERE amount
            cannot create filter with non-boolean predicate 'payments.amount' returning decimal(12, 2)
        SELECT kind FROM payments UNION ALL SELECT kind, country FROM payments
            UNION queries have different number of columns
        SELECT NULL AS nothing FROM payments
            the column `nothing` has no type: it is always null
            = write CAST(NULL AS string) or the type you mean
        SELECT paid_at - paid_at AS d FROM payments
            the column `d` has the type Duration(µs), which no document can name
            = cast it, for example to string, int64, double or timestamp
        SELECT CAST(kind AS nonsense) AS x FROM payments
            not supported: unsupported SQL type nonsense
        SELECT CASE WHEN flagged THEN tags ELSE 1 END AS x FROM payments
            failed to coerce then (List(string)) and else (int64) to common types in CASE WHEN expression
    "#]]
    .assert_eq(&refused(&[
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
    assert!(query_findings(&sql).contains("sql"), "accepted");
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
    expect![[r#"
        ? error[cycle] steps.a.sql: `a` depends on itself: a -> b -> a
          = read from a source or from a step that comes before it
        ? error[cycle] steps.d.sql: `d` depends on itself: d -> d
          = read from a source or from a step that comes before it
    "#]]
    .assert_eq(&crate::support::report(&planned.diagnostics));
}

/// A document is at most a mebibyte, which makes a deep tree; planning must refuse it rather than overflow its stack.
#[test]
fn deep_and_long_queries_are_refused() {
    let sum = format!("SELECT {} AS x FROM payments", vec!["items"; 3_000].join(" + "));
    let nested = format!("SELECT {}items{} AS x FROM payments", "(".repeat(3_000), ")".repeat(3_000));
    let long = format!("SELECT {} AS x FROM payments", vec!["items"; 100_000].join(" + "));
    let calls = format!("SELECT {}kind{} AS x FROM payments", "upper(".repeat(2_000), ")".repeat(2_000));
    for sql in [sum, nested, long, calls] {
        let found = query_findings(&sql);
        assert!(found.contains("error[sql-too-large]") || found.contains("nested too deeply"), "{found:.200}");
    }
}

#[test]
fn what_may_ask_for_more_memory_than_there_is() {
    expect![[r#"
        SELECT repeat('x', 2000000000) AS x FROM payments
            this may make values of 2000000000 bytes; at most 1048576 are allowed
            = ask for less
        SELECT repeat(kind, 100000) AS x FROM payments
            this may make values of 6400000 bytes; at most 1048576 are allowed
            = ask for less
        SELECT repeat(kind, items) AS x FROM payments
            how much repeat(…) makes must be written as a number
            = a number from the data could ask for more than there is memory
        SELECT lpad(kind, 300000) AS x FROM payments
            this may make values of 1200000 bytes; at most 1048576 are allowed
            = ask for less
        SELECT replace(replace(repeat('a', 1000), 'a', repeat('b', 1000)), 'b', 'cc') AS x FROM payments
            this may make values of 2002002 bytes; at most 1048576 are allowed
            = ask for less
        SELECT repeat(y, 1000) AS x FROM (SELECT repeat('x', 10000) AS y FROM payments)
            this may make values of 10000000 bytes; at most 1048576 are allowed
            = ask for less
        SELECT kind FROM payments WHERE repeat('x', 2000000000) = kind
            this may make values of 2000000000 bytes; at most 1048576 are allowed
            = ask for less
    "#]]
    .assert_eq(&refused(&[
        "SELECT repeat('x', 2000000000) AS x FROM payments",
        "SELECT repeat(kind, 100000) AS x FROM payments",
        "SELECT repeat(kind, items) AS x FROM payments",
        "SELECT lpad(kind, 300000) AS x FROM payments",
        "SELECT replace(replace(repeat('a', 1000), 'a', repeat('b', 1000)), 'b', 'cc') AS x FROM payments",
        "SELECT repeat(y, 1000) AS x FROM (SELECT repeat('x', 10000) AS y FROM payments)",
        "SELECT kind FROM payments WHERE repeat('x', 2000000000) = kind",
    ]));
}

#[test]
fn what_makes_values_of_a_sane_size_is_planned() {
    for sql in [
        "SELECT repeat(kind, 100) AS x, lpad(kind, 20, '0') AS y, rpad(kind, 20) AS z FROM payments",
        "SELECT replace(replace(replace(replace(card, '-', ''), ' ', ''), '.', ''), '/', ' / ') AS x FROM payments",
        "SELECT regexp_replace(regexp_replace(card, '[0-9]', '#', 'g'), '(a)', '\\\\1\\\\1') AS x FROM payments",
        "SELECT replace(a, 'x', 'yy') AS a, replace(b, 'x', 'yy') AS b FROM (SELECT replace(kind, 'x', 'yy') AS a, card AS b FROM payments)",
    ] {
        assert_eq!(query_findings(sql), "", "{sql}");
    }
}

#[test]
fn what_makes_too_many_rows_of_one() {
    let doubling = |steps: usize| {
        let with: Vec<_> =
            (1..=steps).map(|n| format!("t{n} AS (SELECT * FROM t{0} UNION ALL SELECT * FROM t{0})", n - 1)).collect();
        format!("WITH t0 AS (SELECT kind FROM payments), {} SELECT kind FROM t{steps}", with.join(", "))
    };
    let found = |steps: usize| query_findings(&doubling(steps)).lines().next().map(str::to_owned);
    assert_eq!(found(9), None);
    let message = |count: &str| {
        let text = "once what WITH defines is put in place; at most 1000 are allowed";
        format!("? error[sql-too-large] steps.q.sql: its tables are read {count} times {text}")
    };
    assert_eq!(found(10), Some(message("1024")));
    assert_eq!(found(200), Some(message("more than a billion")));
}

#[test]
fn steps_that_make_too_many_rows_of_one() {
    let step = |name: &str, from: &str, arms: usize| {
        let arms = vec![format!("SELECT kind FROM {from}"); arms];
        format!("  {name}: {{ sql: {} }}\n", arms.join(" UNION ALL "))
    };
    let steps = |arms| step("a", "payments", 40) + &step("b", "a", arms) + &step("c", "b", 40) + &step("d", "c", 40);
    let sink = "  out: { from: d, stdout: {} }";
    let found = |arms| crate::support::findings(&crate::support::document(&steps(arms), sink));
    assert_eq!(
        found(40),
        "14:13 error[too-many-copies] steps.b.sql: UNION ALL makes 1600 rows of one row of `payments` up to here; at most 1000 are \
         allowed\n  = read each source or step in one arm; what differs from arm to arm can be a CASE\n"
    );
    assert!(found(1).contains("steps.c.sql: UNION ALL makes 1600 rows"), "{}", found(1));
    let apart = step("a", "payments", 40) + &step("b", "payments", 40);
    let sinks = "  one: { from: a, stdout: {} }\n  two: { from: b, stdout: {} }";
    assert_eq!(crate::support::findings(&crate::support::document(&apart, sinks)), "");
}
