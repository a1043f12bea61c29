//! Queries with state that are outside the subset: what is said of them.

use std::fmt::Write;

use expect_test::expect;

use crate::{
    streaming::{document, step},
    support::{Registry, plan_with, report},
};

fn refused(queries: &[&str]) -> String {
    let mut text = String::new();
    for sql in queries {
        let planned = plan_with(&document(&step(sql)), &Registry::default());
        assert!(planned.plan.is_none(), "accepted: {sql}");
        writeln!(text, "{sql}").unwrap();
        for line in report(&planned.diagnostics).lines() {
            let line = line.split_once(" steps.q.sql: ").map_or(line.to_owned(), |(_, message)| format!("  {message}"));
            if !line.contains("supported are SELECT") && !line.contains("] sources.") && !line.contains("read it in a step") {
                writeln!(text, "  {line}").unwrap();
            }
        }
    }
    text
}

#[test]
fn windows() {
    expect![[r#"
        SELECT window_start, count(*) AS n FROM tumble(plain, INTERVAL '1 minute') GROUP BY window_start
            windows need a time, but `plain` has no event time
            | SELECT window_start, count(*) AS n FROM tumble(plain, INTERVAL '1 minute') GROUP BY window_start
            |                                         ^
            = add `event_time: { column: … }` to `sources.plain`, or write proctime() as the last argument
        SELECT window_start, count(*) AS n FROM tumbel(orders, INTERVAL '1 minute') GROUP BY window_start
            the table function tumbel(…) is not supported
            | SELECT window_start, count(*) AS n FROM tumbel(orders, INTERVAL '1 minute') GROUP BY window_start
            |                                         ^
            = did you mean tumble(…)?
        SELECT window_start, count(*) AS n FROM tumble(orders) GROUP BY window_start
            tumble(…) takes another number of intervals
            | SELECT window_start, count(*) AS n FROM tumble(orders) GROUP BY window_start
            |                                         ^
            = write tumble(input, INTERVAL '1 minute'), with an offset and proctime() behind it if need be
        SELECT window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 month') GROUP BY window_start
            INTERVAL '1 month' has no fixed length
            | …CT window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 month') GROUP BY window_start
            |                                                              ^
            = write days, hours, minutes, seconds or milliseconds
        SELECT window_start, count(*) AS n FROM tumble(orders, INTERVAL '0 seconds') GROUP BY window_start
            the intervals of tumble(…) must be longer than nothing
            | SELECT window_start, count(*) AS n FROM tumble(orders, INTERVAL '0 seconds') GROUP BY window_start
            |                                         ^
            = write tumble(input, INTERVAL '1 minute'), with an offset and proctime() behind it if need be
        SELECT window_end, count(*) AS n FROM cumulate(orders, INTERVAL '7 seconds', INTERVAL '1 minute') GROUP BY window_end
            the size of cumulate(…) must be a multiple of its step
            | SELECT window_end, count(*) AS n FROM cumulate(orders, INTERVAL '7 seconds', INTERVAL '1 minute')…
            |                                       ^
            = write cumulate(input, INTERVAL '1 hour', INTERVAL '1 day'): step, then size
        SELECT customer, count(*) AS n FROM session(orders, INTERVAL '1 minute', customr) GROUP BY customer, window_start
            unknown column `customr`
            | …er, count(*) AS n FROM session(orders, INTERVAL '1 minute', customr) GROUP BY customer, window_start
            |                                                              ^
            = did you mean `customer`?
        SELECT country, count(*) AS n FROM session(orders, INTERVAL '1 minute', customer) GROUP BY country, window_start
            rows of a session are grouped by exactly its keys and its window
            | SELECT country, count(*) AS n FROM session(orders, INTERVAL '1 minute', customer) GROUP BY coun…
            |                                    ^
            = write GROUP BY customer, window_start, window_end
        SELECT id, window_start FROM session(orders, INTERVAL '1 minute', customer)
            a session is only known once it is over, so its rows have to be grouped by it and by its keys
            | SELECT id, window_start FROM session(orders, INTERVAL '1 minute', customer)
            |                              ^
            = write SELECT …, count(*) AS n FROM session(…) GROUP BY customer, window_start, window_end; filter rows in a step or subquery before
        SELECT customer, count(*) AS n FROM session(orders, INTERVAL '1 minute', customer) WHERE id > 3 GROUP BY customer, window_start
            a filter behind session(…) would leave out rows that hold a session open
            | SELECT customer, count(*) AS n FROM session(orders, INTERVAL '1 minute', customer) WHERE id > 3…
            |                                     ^
            = filter in a step or a subquery before, and read that: session(filtered, …)
        WITH c AS (SELECT country, count(*) AS n FROM orders GROUP BY country) SELECT window_start, count(*) AS n FROM tumble(c, INTERVAL '1 minute') GROUP BY window_start
            `c` changes rows that it has put out; windows take only rows that stay
            | …s GROUP BY country) SELECT window_start, count(*) AS n FROM tumble(c, INTERVAL '1 minute') GROUP BY window_start
            |                                                              ^
            = let the step before be one that only adds rows: group by a window there, or leave the changes to a sink
    "#]].assert_eq(&refused(&[
        "SELECT window_start, count(*) AS n FROM tumble(plain, INTERVAL '1 minute') GROUP BY window_start",
        "SELECT window_start, count(*) AS n FROM tumbel(orders, INTERVAL '1 minute') GROUP BY window_start",
        "SELECT window_start, count(*) AS n FROM tumble(orders) GROUP BY window_start",
        "SELECT window_start, count(*) AS n FROM tumble(orders, INTERVAL '1 month') GROUP BY window_start",
        "SELECT window_start, count(*) AS n FROM tumble(orders, INTERVAL '0 seconds') GROUP BY window_start",
        "SELECT window_end, count(*) AS n FROM cumulate(orders, INTERVAL '7 seconds', INTERVAL '1 minute') GROUP BY window_end",
        "SELECT customer, count(*) AS n FROM session(orders, INTERVAL '1 minute', customr) GROUP BY customer, window_start",
        "SELECT country, count(*) AS n FROM session(orders, INTERVAL '1 minute', customer) GROUP BY country, window_start",
        "SELECT id, window_start FROM session(orders, INTERVAL '1 minute', customer)",
        "SELECT customer, count(*) AS n FROM session(orders, INTERVAL '1 minute', customer) WHERE id > 3 GROUP BY customer, window_start",
        "WITH c AS (SELECT country, count(*) AS n FROM orders GROUP BY country) SELECT window_start, count(*) AS n FROM tumble(c, INTERVAL '1 minute') GROUP BY window_start",
    ]));
}

#[test]
fn aggregates_and_ranks() {
    expect![[r#"
        SELECT countr, count(*) AS n FROM orders GROUP BY countr
            unknown column `countr`
            | SELECT countr, count(*) AS n FROM orders GROUP BY countr
            |        ^
            = did you mean `country`?
        SELECT country, median(amount) AS m FROM orders GROUP BY country
            the aggregate function median(…) is not supported
            | SELECT country, median(amount) AS m FROM orders GROUP BY country
            |                 ^
            = write approx_percentile_cont(x, 0.5)
        SELECT country, id FROM orders GROUP BY country
            `orders.id` is neither grouped by nor inside an aggregate
            | SELECT country, id FROM orders GROUP BY country
            |                 ^
            = add it to GROUP BY, or say which of its values is meant: min(…), max(…), first_value(…)
        SELECT country, count(*) AS n FROM orders GROUP BY ROLLUP(country)
            GROUP BY ALL, ROLLUP, CUBE or GROUPING SETS is not supported
            | SELECT country, count(*) AS n FROM orders GROUP BY ROLLUP(country)
            |                                                           ^
        SELECT country, approx_percentile_cont(amount, 2) AS n FROM orders GROUP BY country
            approx_percentile_cont(…) needs a fraction between 0 and 1
            | …approx_percentile_cont(amount, 2) AS n FROM orders GROUP BY country
            |                                                              ^
            = write approx_percentile_cont(amount, 0.95)
        SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders
            ROW_NUMBER() numbers all rows of a stream, unless a filter on the number says how many to keep
            | SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM o…
            |            ^
            = write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) AS rn FROM input) WHERE rn <= 10
        SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders) AS r WHERE rn > 3
            a condition on ROW_NUMBER() must keep the first rows
            | SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM o…
            |                            ^
            = write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) AS rn FROM input) WHERE rn <= 10
        SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY id) AS rn FROM orders) AS r WHERE rn = 1
            ROW_NUMBER() without ORDER BY numbers rows by chance
            | SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY id) AS rn FROM orders) AS r…
            |                            ^
            = write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) AS rn FROM input) WHERE rn <= 10
        SELECT id, rank() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders
            the window function rank(…) is not supported
            | SELECT id, rank() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders
            |            ^
            = the one over rows is ROW_NUMBER() OVER (PARTITION BY … ORDER BY …), in a subquery whose number is filtered: WHERE rn <= 10
        SELECT id FROM orders WHERE id IN (SELECT id FROM pays)
            a subquery outside FROM is not supported
            | SELECT id FROM orders WHERE id IN (SELECT id FROM pays)
            |                                    ^
    "#]].assert_eq(&refused(&[
        "SELECT countr, count(*) AS n FROM orders GROUP BY countr",
        "SELECT country, median(amount) AS m FROM orders GROUP BY country",
        "SELECT country, id FROM orders GROUP BY country",
        "SELECT country, count(*) AS n FROM orders GROUP BY ROLLUP(country)",
        "SELECT country, approx_percentile_cont(amount, 2) AS n FROM orders GROUP BY country",
        "SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders",
        "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders) AS r WHERE rn > 3",
        "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY id) AS rn FROM orders) AS r WHERE rn = 1",
        "SELECT id, rank() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders",
        "SELECT id FROM orders WHERE id IN (SELECT id FROM pays)",
    ]));
}

#[test]
fn joins() {
    expect![[r#"
        SELECT o.id FROM orders AS o JOIN pays AS p ON o.amount > p.price
            a join without equal columns would compare every row with every other
            | SELECT o.id FROM orders AS o JOIN pays AS p ON o.amount > p.price
            |                                   ^
            = say ON which columns of both sides are equal
        SELECT o.id FROM orders AS o FULL JOIN pays AS p ON o.id = p.id
            FULL JOIN is not supported
            | SELECT o.id FROM orders AS o FULL JOIN pays AS p ON o.id = p.id
            |                                        ^
        SELECT o.id FROM orders AS o CROSS JOIN pays AS p
            CROSS JOIN is not supported
            | SELECT o.id FROM orders AS o CROSS JOIN pays AS p
            |                                         ^
        SELECT o.id FROM orders AS o JOIN pays FOR SYSTEM_TIME AS OF proctime() AS p ON o.id = p.id
            FOR SYSTEM_TIME AS OF proctime() is for reference data
            | SELECT o.id FROM orders AS o JOIN pays FOR SYSTEM_TIME AS OF proctime() AS p ON o.id = p.id
            |                                        ^
            = declare the file under `tables:`, or write FOR SYSTEM_TIME AS OF with the event time of the other side
        SELECT o.id FROM orders AS o JOIN plain FOR SYSTEM_TIME AS OF o.at AS p ON o.id = p.id
            a versioned table needs an event time, which says from when on each version holds
            | SELECT o.id FROM orders AS o JOIN plain FOR SYSTEM_TIME AS OF o.at AS p ON o.id = p.id
            |                                         ^
            = add `event_time: { column: … }` to its source, and select that column in the steps before
        SELECT o.id FROM orders AS o JOIN pays FOR SYSTEM_TIME AS OF o.id AS p ON o.id = p.id
            FOR SYSTEM_TIME AS OF needs the event time of the left side
            | SELECT o.id FROM orders AS o JOIN pays FOR SYSTEM_TIME AS OF o.id AS p ON o.id = p.id
            |                                        ^
            = write the column that its source declares as `event_time:`, passed on as it is by the steps before
        SELECT c.code FROM countries AS c LEFT JOIN orders AS o ON o.country = c.code
            `countries` is reference data; rows can only be looked up in it
            | SELECT c.code FROM countries AS c LEFT JOIN orders AS o ON o.country = c.code
            |                    ^
            = join it: FROM rows AS r JOIN countries ON r.key = countries.key
        SELECT id AS code FROM orders UNION ALL SELECT DISTINCT length(code) AS code FROM countries
            `countries` is reference data; rows can only be looked up in it
            | … orders UNION ALL SELECT DISTINCT length(code) AS code FROM countries
            |                                                              ^
            = join it: FROM rows AS r JOIN countries ON r.key = countries.key
        SELECT o.id FROM orders AS o JOIN countries AS c ON o.country < c.code
            a join with reference data needs a column of the table that is equal to something
            | SELECT o.id FROM orders AS o JOIN countries AS c ON o.country < c.code
            |                                   ^
            = write ON r.key = table.key
    "#]]
    .assert_eq(&refused(&[
        "SELECT o.id FROM orders AS o JOIN pays AS p ON o.amount > p.price",
        "SELECT o.id FROM orders AS o FULL JOIN pays AS p ON o.id = p.id",
        "SELECT o.id FROM orders AS o CROSS JOIN pays AS p",
        "SELECT o.id FROM orders AS o JOIN pays FOR SYSTEM_TIME AS OF proctime() AS p ON o.id = p.id",
        "SELECT o.id FROM orders AS o JOIN plain FOR SYSTEM_TIME AS OF o.at AS p ON o.id = p.id",
        "SELECT o.id FROM orders AS o JOIN pays FOR SYSTEM_TIME AS OF o.id AS p ON o.id = p.id",
        "SELECT c.code FROM countries AS c LEFT JOIN orders AS o ON o.country = c.code",
        "SELECT id AS code FROM orders UNION ALL SELECT DISTINCT length(code) AS code FROM countries",
        "SELECT o.id FROM orders AS o JOIN countries AS c ON o.country < c.code",
    ]));
}

#[test]
fn patterns() {
    let with = |rest: &str| format!("SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer {rest}) AS m");
    let texts = [
        with("ORDER BY id MEASURES A.id AS i PATTERN (A B) DEFINE B AS B.id > 3"),
        with("ORDER BY at MEASURES C.id AS i PATTERN (A B) DEFINE B AS B.id > 3"),
        with("ORDER BY at MEASURES A.idd AS i PATTERN (A B) DEFINE B AS B.id > 3"),
        with("ORDER BY at MEASURES A.id AS i PATTERN (A*) DEFINE A AS A.id > 3"),
        with("ORDER BY at MEASURES A.id AS i ALL ROWS PER MATCH PATTERN (A B) DEFINE B AS B.id > 3"),
        with("ORDER BY at MEASURES A.id AS i PATTERN (A B) DEFINE B AS B.id + 3"),
        with("ORDER BY at MEASURES A.id AS i AFTER MATCH SKIP TO FIRST C PATTERN (A B) DEFINE B AS B.id > 3"),
        with("ORDER BY at MEASURES A.id AS i PATTERN (^ A B) DEFINE B AS B.id > 3"),
    ];
    expect![[r#"
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY id MEASURES A.id AS i PATTERN (A B) DEFINE B AS B.id > 3) AS m
            the rows of a pattern are ordered by their event time, ascending
            | SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY id ME…
            |               ^
            = add `event_time:` to the source, select that column in the steps before, and write ORDER BY with it
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES C.id AS i PATTERN (A B) DEFINE B AS B.id > 3) AS m
            the pattern has no variable `c`
            | …MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES C.id AS i PATTERN (A B) DEFINE B AS B.id > 3) AS m
            |                                                              ^
            = variables here: `a`, `b`
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.idd AS i PATTERN (A B) DEFINE B AS B.id > 3) AS m
            unknown column `idd`
            | …TCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.idd AS i PATTERN (A B) DEFINE B AS B.id > 3) AS m
            |                                                              ^
            = did you mean `id`?
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.id AS i PATTERN (A*) DEFINE A AS A.id > 3) AS m
            the pattern would match no row at all
            | SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at ME…
            |               ^
            = let one of its parts be needed: A+ in the place of A*
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.id AS i ALL ROWS PER MATCH PATTERN (A B) DEFINE B AS B.id > 3) AS m
            ALL ROWS PER MATCH is not supported
            | SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at ME…
            |               ^
            = write ONE ROW PER MATCH and name what you need in MEASURES
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.id AS i PATTERN (A B) DEFINE B AS B.id + 3) AS m
            the definition of `b` is int64, not a condition
            | …er ORDER BY at MEASURES A.id AS i PATTERN (A B) DEFINE B AS B.id + 3) AS m
            |                                                              ^
            = compare it with something, such as price > 10
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.id AS i AFTER MATCH SKIP TO FIRST C PATTERN (A B) DEFINE B AS B.id > 3) AS m
            the pattern has no variable `c`
            | …er ORDER BY at MEASURES A.id AS i AFTER MATCH SKIP TO FIRST C PATTERN (A B) DEFINE B AS B.id > 3) AS m
            |                                                              ^
            = variables here: `a`, `b`
        SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES A.id AS i PATTERN (^ A B) DEFINE B AS B.id > 3) AS m
            ^ and $ are not supported: a stream has no first and no last row
            | SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at ME…
            |               ^
            = leave them out
    "#]].assert_eq(&refused(&texts.each_ref().map(String::as_str)));
}

#[test]
fn state_without_bound_is_an_error_where_the_document_is_strict() {
    let text =
        document(&step("SELECT country, count(*) AS n FROM orders GROUP BY country")).replace("tables:", "strict: true\ntables:");
    let planned = plan_with(&text, &Registry::default());
    assert!(planned.plan.is_none());
    assert!(planned.diagnostics.iter().any(|finding| finding.is_error() && finding.code == "unbounded-state"));
}

#[test]
fn a_sink_that_only_adds_rows_takes_no_changes() {
    let text = document(&step("SELECT country, count(*) AS n FROM orders GROUP BY country")).replace(", mode: changes", "");
    let planned = plan_with(&text, &Registry::default());
    let found: Vec<_> = planned.diagnostics.iter().filter(|finding| finding.is_error()).collect();
    assert_eq!(found.len(), 1, "{}", report(&planned.diagnostics));
    assert_eq!(found[0].path, "sinks.out.mode");
}
