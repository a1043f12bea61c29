//! What queries with state become: the chain of nodes, and what is known of its rows.

use std::fmt::Write;

use expect_test::{Expect, expect};
use weir_plan::{NodeKind, Plan, operator::Operator};

use crate::support::{Registry, plan_with, report};

/// Orders and payments with event times, rates without one, and a table.
pub fn document(steps: &str) -> String {
    format!(
        "apiVersion: weir/v1
kind: Pipeline
name: test
purpose: essential.fraud_detection
basis: legitimate_interest
tables:
  countries:
    file: {{ path: countries.csv }}
    format: csv
    key: code
    schema:
      - {{ name: code, type: string }}
      - {{ name: name, type: string }}
sources:
  orders:
    http: {{}}
    subject: customer
    event_time: {{ column: at }}
    schema:
      - {{ name: id, type: int64 }}
      - {{ name: customer, type: string, classification: confidential }}
      - {{ name: amount, type: \"decimal(12,2)\", classification: restricted }}
      - {{ name: country, type: string }}
      - {{ name: at, type: timestamp }}
  pays:
    http: {{}}
    event_time: {{ column: paid_at }}
    schema:
      - {{ name: id, type: int64 }}
      - {{ name: price, type: float64 }}
      - {{ name: paid_at, type: timestamp }}
  plain:
    http: {{}}
    schema:
      - {{ name: id, type: int64 }}
      - {{ name: n, type: int32 }}
steps:
{steps}
sinks:
  out: {{ from: q, stdout: {{}}, clearance: restricted, mode: changes }}
"
    )
}

pub fn step(sql: &str) -> String {
    format!("  q:\n    sql: |\n      {}\n", sql.trim().replace('\n', "\n      "))
}

/// The nodes of the steps, one a paragraph.
pub fn chain(plan: &Plan) -> String {
    let mut text = String::new();
    for node in &plan.nodes {
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| plan.nodes[input].name.as_str()).collect();
        let does = match &node.kind {
            NodeKind::Sql(sql) => sql
                .branches
                .iter()
                .map(|branch| {
                    let columns: Vec<_> = branch.projection.iter().map(|(expr, name)| format!("{expr} AS {name}")).collect();
                    let filter: Vec<_> = branch.filter.iter().map(ToString::to_string).collect();
                    let filter = if filter.is_empty() { String::new() } else { format!(" where {}", filter.join(" and ")) };
                    format!("{}{filter}", columns.join(", "))
                })
                .collect::<Vec<_>>()
                .join(" | "),
            NodeKind::Window(window) => format!("{window:?}"),
            NodeKind::Operator(operator) => {
                let what = match &operator.operator {
                    Operator::Join(join) => format!(
                        "{:?} on {:?} if {} {:?}",
                        join.kind,
                        join.keys,
                        join.condition.as_ref().map_or("-".to_owned(), ToString::to_string),
                        join.bound
                    ),
                    Operator::Aggregate(aggregate) => {
                        let calls: Vec<_> = aggregate
                            .calls
                            .iter()
                            .map(|call| {
                                let distinct = if call.distinct { " distinct" } else { "" };
                                let filter = call.filter.map_or(String::new(), |filter| format!(" filter {filter}"));
                                let order =
                                    if call.order.is_empty() { String::new() } else { format!(" order {:?}", call.order) };
                                format!("{:?}{:?}{distinct}{filter}{order}", call.function, call.args)
                            })
                            .collect();
                        let least = aggregate.min_rows.map_or(String::new(), |rows| format!(" at least {rows} rows"));
                        format!("by {:?} {:?}: {}{least}", aggregate.keys, aggregate.grouping, calls.join(", "))
                    }
                    Operator::Rank(rank) => format!("{rank:?}"),
                    Operator::Match(found) => format!("{found:?}"),
                    Operator::Measure(_) | Operator::Alert(_) => unreachable!("no query becomes one"),
                };
                format!("{what}\n    via {:?}", operator.exchange)
            }
            _ => continue,
        };
        let types = node.schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        let types = types.collect::<Vec<_>>().join(", ").replace("Timestamp(µs, \"UTC\")", "Time");
        let name = |column: Option<usize>| column.map_or("-", |column| node.columns[column].name.as_str());
        let changes = if node.changes { ", changes" } else { "" };
        writeln!(text, "{} = {} <- {}\n    {does}\n    gives {types}", node.name, node.kind.as_str(), inputs.join(", ")).unwrap();
        writeln!(text, "    time {}, subject {}{changes}", name(node.event_time), name(node.subject)).unwrap();
    }
    text
}

pub fn check(steps: &str, expected: Expect) {
    let text = document(steps);
    let planned = plan_with(&text, &Registry::default());
    let warnings = report(&planned.diagnostics);
    let plan = planned.plan.unwrap_or_else(|| panic!("{text}\n{warnings}"));
    let warnings: String = warnings
        .lines()
        .filter(|line| line.contains("unbounded"))
        .map(|line| format!("{}\n", line.split_once(' ').map_or(line, |(_, rest)| rest)))
        .collect();
    expected.assert_eq(&format!("{}{warnings}", chain(&plan)));
}

#[test]
fn a_window_is_part_of_the_aggregate_behind_it() {
    check(
        &step(
            "SELECT country, window_start, count(*) AS n, sum(amount) AS total\nFROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start",
        ),
        expect![[r#"
            q#1 = aggregate <- orders
                by [3] Window { window: Tumble { size: 60000000, offset: 0 }, time: Event(4) }: Count[], Sum[2]
                via [Hash([3])]
                gives country Utf8, window_start Time, window_end Time, window_time Time, count(1) Int64, sum(amount) Decimal128(22, 2)
                time window_time, subject -
            q = sql <- q#1
                country AS country, window_start AS window_start, count(1) AS n, sum(amount) AS total
                gives country Utf8, window_start Time, n Int64, total Decimal128(22, 2)
                time -, subject -
        "#]],
    );
}

#[test]
fn a_filter_before_and_one_behind_the_aggregate() {
    check(
        &step(
            "SELECT country, window_end, avg(amount) AS mean FROM hop(orders, INTERVAL '20 seconds', INTERVAL '1 minute', INTERVAL '5 seconds')\nWHERE amount > 3 GROUP BY country, window_start, window_end HAVING count(*) > 2",
        ),
        expect![[r#"
            q#1 = sql <- orders
                country AS country, amount AS amount, at AS at where amount > Decimal128(3.00,12,2)
                gives country Utf8, amount Decimal128(12, 2), at Time
                time at, subject -
            q#2 = aggregate <- q#1
                by [0] Window { window: Hop { size: 60000000, slide: 20000000, offset: 5000000 }, time: Event(2) }: Avg[1], Count[]
                via [Hash([0])]
                gives country Utf8, window_start Time, window_end Time, window_time Time, avg(amount) Decimal128(16, 6), count(1) Int64
                time window_time, subject -
            q = sql <- q#2
                country AS country, window_end AS window_end, avg(amount) AS mean where count(1) > Int64(2)
                gives country Utf8, window_end Time, mean Decimal128(16, 6)
                time -, subject -
        "#]],
    );
}

#[test]
fn sessions_and_cumulating_windows() {
    check(
        &step(
            "SELECT customer, window_start, window_end, count(*) AS n FROM session(orders, INTERVAL '10 minutes', customer) GROUP BY customer, window_start, window_end",
        ),
        expect![[r#"
            q#1 = aggregate <- orders
                by [1] Window { window: Session { gap: 600000000 }, time: Event(4) }: Count[]
                via [Hash([1])]
                gives customer Utf8, window_start Time, window_end Time, window_time Time, count(1) Int64
                time window_time, subject customer
            q = sql <- q#1
                customer AS customer, window_start AS window_start, window_end AS window_end, count(1) AS n
                gives customer Utf8, window_start Time, window_end Time, n Int64
                time -, subject customer
        "#]],
    );
    check(
        &step(
            "SELECT window_end, count(DISTINCT customer) AS people FROM cumulate(orders, INTERVAL '1 hour', INTERVAL '1 day') GROUP BY window_start, window_end",
        ),
        expect![[r#"
            q#1 = aggregate <- orders
                by [] Window { window: Cumulate { size: 86400000000, step: 3600000000, offset: 0 }, time: Event(4) }: Count[1] distinct
                via [Single]
                gives window_start Time, window_end Time, window_time Time, count(DISTINCT customer) Int64
                time window_time, subject -
            q = sql <- q#1
                window_end AS window_end, count(DISTINCT customer) AS people
                gives window_end Time, people Int64
                time -, subject -
        "#]],
    );
}

#[test]
fn windows_by_the_clock_need_no_event_time() {
    check(
        &step(
            "SELECT id, count(*) AS n, window_start FROM tumble(plain, INTERVAL '10 seconds', proctime()) GROUP BY id, window_start",
        ),
        expect![[r#"
            q#1 = aggregate <- plain
                by [0] Window { window: Tumble { size: 10000000, offset: 0 }, time: Processing }: Count[]
                via [Hash([0])]
                gives id Int64, window_start Time, window_end Time, window_time Time, count(1) Int64
                time -, subject -
            q = sql <- q#1
                id AS id, count(1) AS n, window_start AS window_start
                gives id Int64, n Int64, window_start Time
                time -, subject -
        "#]],
    );
}

#[test]
fn windows_of_windows() {
    check(
        "  counts:
    sql: SELECT country, count(*) AS n, window_start, window_end, window_time FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start, window_end, window_time
  most:
    sql: SELECT max(n) AS n, window_start, window_end FROM counts GROUP BY window_start, window_end
  hourly:
    sql: SELECT sum(n) AS n, outer_start.window_start FROM (SELECT n, window_time FROM counts) AS c JOIN (SELECT window_start, n AS m FROM most) AS outer_start ON c.n = outer_start.m GROUP BY outer_start.window_start
  q:
    sql: SELECT c.country, c.n FROM counts AS c JOIN most AS m ON c.window_start = m.window_start AND c.window_end = m.window_end WHERE c.n >= m.n
",
        expect![[r#"
            counts#1 = aggregate <- orders
                by [3] Window { window: Tumble { size: 60000000, offset: 0 }, time: Event(4) }: Count[]
                via [Hash([3])]
                gives country Utf8, window_start Time, window_end Time, window_time Time, count(1) Int64
                time window_time, subject -
            counts = sql <- counts#1
                country AS country, count(1) AS n, window_start AS window_start, window_end AS window_end, window_time AS window_time
                gives country Utf8, n Int64, window_start Time, window_end Time, window_time Time
                time window_time, subject -
            most#1 = aggregate <- counts
                by [] Windowed { start: 2, end: 3 }: Max[1]
                via [Hash([2, 3])]
                gives window_start Time, window_end Time, window_time Time, max(n) Int64
                time window_time, subject -
            most = sql <- most#1
                max(n) AS n, window_start AS window_start, window_end AS window_end
                gives n Int64, window_start Time, window_end Time
                time -, subject -
            hourly#1 = sql <- counts
                n AS n
                gives n Int64
                time -, subject -
            hourly#2 = sql <- most
                window_start AS window_start, n AS n
                gives window_start Time, n Int64
                time -, subject -
            hourly#3 = join <- hourly#1, hourly#2
                Inner on [(0, 1)] if - Updating { ttl: None }
                via [Hash([0]), Hash([1])]
                gives n Int64, window_start Time, n_2 Int64
                time -, subject -
            hourly#4 = aggregate <- hourly#3
                by [1] Updating { ttl: None }: Sum[0]
                via [Hash([1])]
                gives window_start Time, sum(n) Int64
                time -, subject -, changes
            hourly = sql <- hourly#4
                sum(n) AS n, window_start AS window_start
                gives n Int64, window_start Time
                time -, subject -, changes
            q#1 = sql <- counts
                country AS country, n AS n, window_start AS window_start, window_end AS window_end
                gives country Utf8, n Int64, window_start Time, window_end Time
                time -, subject -
            q#2 = join <- q#1, most
                Inner on [] if $4 <= $1 Window { left: (2, 3), right: (1, 2) }
                via [Hash([2, 3]), Hash([1, 2])]
                gives country Utf8, n Int64, window_start Time, window_end Time, n_2 Int64, window_start_2 Time, window_end_2 Time
                time -, subject -
            q = sql <- q#2
                country AS country, n AS n
                gives country Utf8, n Int64
                time -, subject -
            warning[unbounded-state] steps.hourly.sql: every row of both sides is remembered for ever, because nothing bounds the join in time
            warning[unbounded-state] steps.hourly.sql: every group is remembered for ever, because no window closes the groups
        "#]],
    );
}

#[test]
fn a_window_over_a_step_of_windows_goes_by_the_time_of_the_window() {
    check(
        "  counts:
    sql: SELECT country, count(*) AS n, window_time FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start, window_end, window_time
  q:
    sql: SELECT country, sum(n) AS n, window_start FROM tumble(counts, INTERVAL '1 hour') GROUP BY country, window_start
",
        expect![[r#"
            counts#1 = aggregate <- orders
                by [3] Window { window: Tumble { size: 60000000, offset: 0 }, time: Event(4) }: Count[]
                via [Hash([3])]
                gives country Utf8, window_start Time, window_end Time, window_time Time, count(1) Int64
                time window_time, subject -
            counts = sql <- counts#1
                country AS country, count(1) AS n, window_time AS window_time
                gives country Utf8, n Int64, window_time Time
                time window_time, subject -
            q#1 = aggregate <- counts
                by [0] Window { window: Tumble { size: 3600000000, offset: 0 }, time: Event(2) }: Sum[1]
                via [Hash([0])]
                gives country Utf8, window_start Time, window_end Time, window_time Time, sum(n) Int64
                time window_time, subject -
            q = sql <- q#1
                country AS country, sum(n) AS n, window_start AS window_start
                gives country Utf8, n Int64, window_start Time
                time -, subject -
        "#]],
    );
}

#[test]
fn groups_that_no_window_closes_change() {
    check(
        &step("SELECT country, count(*) AS n, min(amount) AS least FROM orders GROUP BY country"),
        expect![[r#"
        q = aggregate <- orders
            by [3] Updating { ttl: None }: Count[], Min[2]
            via [Hash([3])]
            gives country Utf8, n Int64, least Decimal128(12, 2)
            time -, subject -, changes
        warning[unbounded-state] steps.q.sql: every group is remembered for ever, because no window closes the groups
    "#]],
    );
    check(
        "  q:\n    sql: { query: \"SELECT upper(country) AS c, count(*) FILTER (WHERE amount > 10) AS n FROM orders GROUP BY upper(country)\", state_ttl: 1h }\n",
        expect![[r#"
            q#1 = sql <- orders
                upper(country) AS upper(country), amount > Decimal128(10.00,12,2) AS (amount > 10.00)
                gives upper(country) Utf8, (amount > 10.00) Boolean
                time -, subject -
            q = aggregate <- q#1
                by [0] Updating { ttl: Some(3600000000) }: Count[] filter 1
                via [Hash([0])]
                gives c Utf8, n Int64
                time -, subject -, changes
        "#]],
    );
    check(
        &step("SELECT count(*) AS n FROM orders"),
        expect![[r#"
        q = aggregate <- orders
            by [] Updating { ttl: None }: Count[]
            via [Single]
            gives n Int64
            time -, subject -, changes
    "#]],
    );
    check(
        &step("SELECT DISTINCT country FROM orders"),
        expect![[r#"
        q = aggregate <- orders
            by [3] Updating { ttl: None }: 
            via [Hash([3])]
            gives country Utf8
            time -, subject -
        warning[unbounded-state] steps.q.sql: every group is remembered for ever, because no window closes the groups
    "#]],
    );
}

#[test]
fn all_aggregates() {
    check(
        &step(
            "SELECT window_start, sum(id) AS a, avg(id) AS b, stddev(amount) AS c, stddev_pop(amount) AS d, variance(amount) AS e, var_pop(amount) AS f,
first_value(customer ORDER BY at) AS g, last_value(customer ORDER BY at DESC) AS h, count(DISTINCT customer) AS i, approx_distinct(customer) AS j,
approx_percentile_cont(amount, 0.95) AS k, string_agg(country, ', ') AS l, array_agg(country) AS m, bool_and(amount > 1) AS n, bool_or(amount > 1) AS o
FROM tumble(orders, INTERVAL '1 minute') GROUP BY window_start",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, CAST(id AS Float64) AS CAST(id AS DOUBLE), CAST(amount AS Float64) AS CAST(amount AS DOUBLE), customer AS customer, at AS at, country AS country, amount > Decimal128(1.00,12,2) AS (amount > 1.00)
                gives id Int64, CAST(id AS DOUBLE) Float64, CAST(amount AS DOUBLE) Float64, customer Utf8, at Time, country Utf8, (amount > 1.00) Boolean
                time at, subject customer
            q#2 = aggregate <- q#1
                by [] Window { window: Tumble { size: 60000000, offset: 0 }, time: Event(4) }: Sum[0], Avg[1], Stddev[2], StddevPop[2], Variance[2], VariancePop[2], FirstValue[3] order [SortKey { column: 4, descending: false, nulls_first: true }], LastValue[3] order [SortKey { column: 4, descending: true, nulls_first: false }], Count[3] distinct, ApproxDistinct[3], ApproxPercentile(0.95)[2], StringAgg { separator: ", " }[5], ArrayAgg[5], BoolAnd[6], BoolOr[6]
                via [Single]
                gives window_start Time, window_end Time, window_time Time, sum(id) Int64, avg(CAST(id AS DOUBLE)) Float64, stddev(CAST(amount AS DOUBLE)) Float64, stddev_pop(CAST(amount AS DOUBLE)) Float64, var(CAST(amount AS DOUBLE)) Float64, var_pop(CAST(amount AS DOUBLE)) Float64, first_value(customer) Utf8, last_value(customer) Utf8, count(DISTINCT customer) Int64, approx_distinct(customer) Int64, approx_percentile_cont(CAST(amount AS DOUBLE), 0.95) Float64, string_agg(country, ', ') Utf8, array_agg(country) List(Utf8), bool_and((amount > 1.00)) Boolean, bool_or((amount > 1.00)) Boolean
                time window_time, subject -
            q = sql <- q#2
                window_start AS window_start, sum(id) AS a, avg(CAST(id AS DOUBLE)) AS b, stddev(CAST(amount AS DOUBLE)) AS c, stddev_pop(CAST(amount AS DOUBLE)) AS d, var(CAST(amount AS DOUBLE)) AS e, var_pop(CAST(amount AS DOUBLE)) AS f, first_value(customer) AS g, last_value(customer) AS h, count(DISTINCT customer) AS i, approx_distinct(customer) AS j, approx_percentile_cont(CAST(amount AS DOUBLE), 0.95) AS k, string_agg(country, ', ') AS l, array_agg(country) AS m, bool_and((amount > 1.00)) AS n, bool_or((amount > 1.00)) AS o
                gives window_start Time, a Int64, b Float64, c Float64, d Float64, e Float64, f Float64, g Utf8, h Utf8, i Int64, j Int64, k Float64, l Utf8, m List(Utf8), n Boolean, o Boolean
                time -, subject -
        "#]],
    );
}

#[test]
fn interval_joins() {
    check(
        &step(
            "SELECT o.id, o.customer, p.price, o.at FROM orders AS o JOIN pays AS p ON o.id = p.id AND p.paid_at BETWEEN o.at - INTERVAL '5 minutes' AND o.at + INTERVAL '1 hour'",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, customer AS customer, at AS at
                gives id Int64, customer Utf8, at Time
                time at, subject customer
            q#2 = join <- q#1, pays
                Inner on [(0, 0)] if - Interval { left_time: 2, right_time: 2, lower: -3600000000, upper: 300000000 }
                via [Hash([0]), Hash([0])]
                gives id Int64, customer Utf8, at Time, id_2 Int64, price Float64, paid_at Time
                time at, subject customer
            q = sql <- q#2
                id AS id, customer AS customer, price AS price, at AS at
                gives id Int64, customer Utf8, price Float64, at Time
                time at, subject customer
        "#]],
    );
    check(
        &step(
            "SELECT o.id, p.price, p.paid_at FROM orders AS o LEFT JOIN pays AS p ON o.id = p.id AND o.at >= p.paid_at AND o.at < p.paid_at + INTERVAL '1 minute'",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, at AS at
                gives id Int64, at Time
                time at, subject -
            q#2 = join <- q#1, pays
                Left on [(0, 0)] if - Interval { left_time: 1, right_time: 2, lower: 0, upper: 59999999 }
                via [Hash([0]), Hash([0])]
                gives id Int64, at Time, id_2 Int64, price Float64, paid_at Time
                time at, subject -
            q = sql <- q#2
                id AS id, price AS price, paid_at AS paid_at
                gives id Int64, price Float64, paid_at Time
                time -, subject -
        "#]],
    );
}

#[test]
fn window_joins() {
    check(
        &step(
            "SELECT o.customer, p.price, o.window_start FROM tumble(orders, INTERVAL '1 minute') AS o LEFT JOIN tumble(pays, INTERVAL '1 minute') AS p\nON o.id = p.id AND o.window_start = p.window_start AND o.window_end = p.window_end",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, customer AS customer, at AS at
                gives id Int64, customer Utf8, at Time
                time at, subject customer
            q#2 = window <- q#1
                WindowNode { window: Tumble { size: 60000000, offset: 0 }, time: Event(2) }
                gives id Int64, customer Utf8, at Time, window_start Time, window_end Time, window_time Time
                time at, subject customer
            q#3 = window <- pays
                WindowNode { window: Tumble { size: 60000000, offset: 0 }, time: Event(2) }
                gives id Int64, price Float64, paid_at Time, window_start Time, window_end Time, window_time Time
                time paid_at, subject -
            q#4 = sql <- q#2
                id AS id, customer AS customer, window_start AS window_start, window_end AS window_end
                gives id Int64, customer Utf8, window_start Time, window_end Time
                time -, subject customer
            q#5 = sql <- q#3
                id AS id, price AS price, window_start AS window_start, window_end AS window_end
                gives id Int64, price Float64, window_start Time, window_end Time
                time -, subject -
            q#6 = join <- q#4, q#5
                Left on [(0, 0)] if - Window { left: (2, 3), right: (2, 3) }
                via [Hash([0]), Hash([0])]
                gives id Int64, customer Utf8, window_start Time, window_end Time, id_2 Int64, price Float64, window_start_2 Time, window_end_2 Time
                time -, subject customer
            q = sql <- q#6
                customer AS customer, price AS price, window_start AS window_start
                gives customer Utf8, price Float64, window_start Time
                time -, subject customer
        "#]],
    );
}

#[test]
fn joins_without_a_bound_keep_everything() {
    check(
        &step(
            "SELECT o.id, p.price FROM orders AS o JOIN pays AS p ON o.id = p.id WHERE o.country = 'NL' AND p.price > o.amount",
        ),
        expect![[r#"
        q#1 = sql <- orders
            id AS id, amount AS amount where country = Utf8("NL")
            gives id Int64, amount Decimal128(12, 2)
            time -, subject -
        q#2 = sql <- pays
            id AS id, price AS price
            gives id Int64, price Float64
            time -, subject -
        q#3 = join <- q#1, q#2
            Inner on [(0, 0)] if CAST($3 AS Decimal128(30, 15)) > CAST($1 AS Decimal128(30, 15)) Updating { ttl: None }
            via [Hash([0]), Hash([0])]
            gives id Int64, amount Decimal128(12, 2), id_2 Int64, price Float64
            time -, subject -
        q = sql <- q#3
            id AS id, price AS price
            gives id Int64, price Float64
            time -, subject -
        warning[unbounded-state] steps.q.sql: every row of both sides is remembered for ever, because nothing bounds the join in time
    "#]],
    );
    check(
        &step("SELECT o.id, p.price FROM pays AS p RIGHT JOIN orders AS o ON o.id = p.id"),
        expect![[r#"
        q#1 = sql <- orders
            id AS id
            gives id Int64
            time -, subject -
        q#2 = sql <- pays
            id AS id, price AS price
            gives id Int64, price Float64
            time -, subject -
        q#3 = join <- q#1, q#2
            Left on [(0, 0)] if - Updating { ttl: None }
            via [Hash([0]), Hash([0])]
            gives id Int64, id_2 Int64, price Float64
            time -, subject -, changes
        q = sql <- q#3
            id AS id, price AS price
            gives id Int64, price Float64
            time -, subject -, changes
        warning[unbounded-state] steps.q.sql: every row of both sides is remembered for ever, because nothing bounds the join in time
    "#]],
    );
}

#[test]
fn joins_with_versions_and_tables() {
    check(
        &step("SELECT o.id, p.price FROM orders AS o LEFT JOIN pays FOR SYSTEM_TIME AS OF o.at AS p ON o.id = p.id"),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, at AS at
                gives id Int64, at Time
                time at, subject -
            q#2 = join <- q#1, pays
                Left on [(0, 0)] if - AsOf { left_time: 1, right_time: 2 }
                via [Hash([0]), Hash([0])]
                gives id Int64, at Time, id_2 Int64, price Float64, paid_at Time
                time at, subject -
            q = sql <- q#2
                id AS id, price AS price
                gives id Int64, price Float64
                time -, subject -
        "#]],
    );
    check(
        &step(
            "SELECT o.id, c.name, o.at FROM orders AS o JOIN countries FOR SYSTEM_TIME AS OF proctime() AS c ON upper(o.country) = c.code WHERE c.name <> 'x'",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, country AS country, at AS at, upper(country) AS upper(country)
                gives id Int64, country Utf8, at Time, upper(country) Utf8
                time at, subject -
            q#2 = join <- q#1, countries
                Inner on [(3, 0)] if $5 != Utf8("x") Lookup
                via [Any, Any]
                gives id Int64, country Utf8, at Time, upper(country) Utf8, code Utf8, name Utf8
                time at, subject -
            q = sql <- q#2
                id AS id, name AS name, at AS at
                gives id Int64, name Utf8, at Time
                time at, subject -
        "#]],
    );
}

#[test]
fn ranks() {
    check(
        &step(
            "SELECT id, customer, at FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY at) AS rn FROM orders) AS r WHERE rn = 1",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, customer AS customer, at AS at
                gives id Int64, customer Utf8, at Time
                time at, subject customer
            q = rank <- q#1
                RankNode { partition: [0], order: [SortKey { column: 2, descending: false, nulls_first: true }], limit: 1, number: false, bound: KeepFirst { time: Some(2), ttl: None } }
                via [Hash([0])]
                gives id Int64, customer Utf8, at Time
                time at, subject customer
            warning[unbounded-state] steps.q.sql: the first rows of every partition are remembered for ever
        "#]],
    );
    check(
        &step(
            "SELECT id, customer, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount DESC, at) AS rn FROM orders) AS r WHERE rn <= 3 AND country = 'NL'",
        ),
        expect![[r#"
            q#1 = rank <- orders
                RankNode { partition: [1], order: [SortKey { column: 2, descending: true, nulls_first: false }, SortKey { column: 4, descending: false, nulls_first: true }], limit: 3, number: true, bound: Updating { ttl: None } }
                via [Hash([1])]
                gives id Int64, customer Utf8, amount Decimal128(12, 2), country Utf8, at Time, row_number Int64
                time -, subject customer, changes
            q = sql <- q#1
                id AS id, customer AS customer, row_number AS rn where country = Utf8("NL")
                gives id Int64, customer Utf8, rn Int64
                time -, subject customer, changes
            warning[unbounded-state] steps.q.sql: the first rows of every partition are remembered for ever
        "#]],
    );
    check(
        &step(
            "SELECT country, n, window_end FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) AS rn FROM\n(SELECT country, window_start, window_end, count(*) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start, window_end) AS c) AS r WHERE rn < 3",
        ),
        expect![[r#"
            q#1 = aggregate <- orders
                by [3] Window { window: Tumble { size: 60000000, offset: 0 }, time: Event(4) }: Count[]
                via [Hash([3])]
                gives country Utf8, window_start Time, window_end Time, window_time Time, count(1) Int64
                time window_time, subject -
            q#2 = sql <- q#1
                country AS country, window_start AS window_start, window_end AS window_end, count(1) AS count(1)
                gives country Utf8, window_start Time, window_end Time, count(1) Int64
                time -, subject -
            q#3 = rank <- q#2
                RankNode { partition: [], order: [SortKey { column: 3, descending: true, nulls_first: false }], limit: 2, number: false, bound: Window { start: 1, end: 2 } }
                via [Hash([1, 2])]
                gives country Utf8, window_start Time, window_end Time, count(1) Int64
                time -, subject -
            q = sql <- q#3
                country AS country, count(1) AS n, window_end AS window_end
                gives country Utf8, n Int64, window_end Time
                time -, subject -
        "#]],
    );
}

#[test]
fn patterns() {
    check(
        &step(
            "SELECT m.customer, m.last_amount * 2 AS twice, m.n
FROM orders MATCH_RECOGNIZE (
  PARTITION BY customer ORDER BY at
  MEASURES LAST(B.amount) AS last_amount, count(B.id) AS n, FIRST(A.at) AS began, match_rowtime() AS seen
  ONE ROW PER MATCH
  AFTER MATCH SKIP TO LAST B
  PATTERN (A B+? (C | D{2,3})) WITHIN INTERVAL '1' HOUR
  DEFINE A AS amount < 10, B AS B.amount > PREV(B.amount) AND B.amount > LAST(A.amount), C AS C.amount > avg(B.amount)
) AS m",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, customer AS customer, amount AS amount, at AS at
                gives id Int64, customer Utf8, amount Decimal128(12, 2), at Time
                time at, subject customer
            q#2 = match <- q#1
                MatchNode { partition: [1], time: 3, order: [], variables: ["a", "b", "c", "d"], pattern: Sequence([Variable(0), Repeat { pattern: Variable(1), min: 1, max: None, greedy: false }, Alternation([Variable(2), Repeat { pattern: Variable(3), min: 2, max: Some(3), greedy: true }])]), defines: [Some(MatchExpr { expr: BinaryExpr(BinaryExpr { left: Column(Column { relation: None, name: "$0" }), op: Lt, right: Literal(Decimal128(10.00,12,2), None) }), parts: [Last { variable: None, column: 2, offset: 0 }] }), Some(MatchExpr { expr: BinaryExpr(BinaryExpr { left: BinaryExpr(BinaryExpr { left: Column(Column { relation: None, name: "$1" }), op: Lt, right: Column(Column { relation: None, name: "$0" }) }), op: And, right: BinaryExpr(BinaryExpr { left: Column(Column { relation: None, name: "$2" }), op: Lt, right: Column(Column { relation: None, name: "$0" }) }) }), parts: [Last { variable: Some(1), column: 2, offset: 0 }, Prev { column: 2, offset: 1 }, Last { variable: Some(0), column: 2, offset: 0 }] }), Some(MatchExpr { expr: BinaryExpr(BinaryExpr { left: Cast(Cast { expr: Column(Column { relation: None, name: "$0" }), field: Field { name: "", data_type: Decimal128(16, 6), nullable: true } }), op: Gt, right: Column(Column { relation: None, name: "$1" }) }), parts: [Last { variable: Some(2), column: 2, offset: 0 }, Aggregate { variable: Some(1), function: Avg, column: Some(2) }] }), None], measures: [(MatchExpr { expr: Column(Column { relation: None, name: "$0" }), parts: [Last { variable: Some(1), column: 2, offset: 0 }] }, "last_amount"), (MatchExpr { expr: Column(Column { relation: None, name: "$0" }), parts: [Aggregate { variable: Some(1), function: Count, column: Some(0) }] }, "n"), (MatchExpr { expr: Column(Column { relation: None, name: "$0" }), parts: [First { variable: Some(0), column: 3, offset: 0 }] }, "began"), (MatchExpr { expr: Column(Column { relation: None, name: "$0" }), parts: [Last { variable: None, column: 3, offset: 0 }] }, "seen")], after: ToLast(1), within: Some(3600000000) }
                via [Hash([1])]
                gives customer Utf8, last_amount Decimal128(12, 2), n Int64, began Time, seen Time
                time seen, subject customer
            q = sql <- q#2
                customer AS customer, last_amount * Decimal128(2,20,0) AS twice, n AS n
                gives customer Utf8, twice Decimal128(33, 2), n Int64
                time -, subject customer
        "#]],
    );
}

#[test]
fn a_with_table_can_be_windowed() {
    check(
        &step(
            "WITH dutch AS (SELECT id, at FROM orders WHERE country = 'NL')\nSELECT window_start, count(*) AS n FROM session(dutch, INTERVAL '1 minute') GROUP BY window_start, window_end",
        ),
        expect![[r#"
            q#1 = sql <- orders
                id AS id, at AS at where country = Utf8("NL")
                gives id Int64, at Time
                time at, subject -
            q#2 = aggregate <- q#1
                by [] Window { window: Session { gap: 60000000 }, time: Event(1) }: Count[]
                via [Single]
                gives window_start Time, window_end Time, window_time Time, count(1) Int64
                time window_time, subject -
            q = sql <- q#2
                window_start AS window_start, count(1) AS n
                gives window_start Time, n Int64
                time -, subject -
        "#]],
    );
}

#[test]
fn large_groups_lower_the_class_of_what_is_computed_over_them() {
    let steps = "  q:\n    sql: { query: \"SELECT country, window_start, avg(amount) AS mean, max(amount) AS most FROM tumble(orders, INTERVAL '1 hour') GROUP BY country, window_start\", min_group: 20 }\n";
    let plan = plan_with(&document(steps), &Registry::default()).plan.unwrap();
    let classes: Vec<String> =
        plan.node("q").unwrap().columns.iter().map(|facts| format!("{} {}", facts.name, facts.classification)).collect();
    assert_eq!(classes, ["country internal", "window_start internal", "mean confidential", "most restricted"]);
}

#[test]
fn lineage_goes_through_operators() {
    let plan = plan_with(
        &document(&step(
            "SELECT o.country, sum(p.price) FILTER (WHERE o.amount > 3) AS total, o.window_start\nFROM tumble(orders, INTERVAL '1 minute') AS o JOIN tumble(pays, INTERVAL '1 minute') AS p ON o.id = p.id AND o.window_start = p.window_start AND o.window_end = p.window_end\nGROUP BY o.country, o.window_start, o.window_end",
        )),
        &Registry::default(),
    );
    let plan = plan.plan.unwrap_or_else(|| panic!("{}", report(&plan.diagnostics)));
    let mut text = String::new();
    for facts in &plan.node("q").unwrap().columns {
        let edges: Vec<String> =
            facts.lineage.iter().map(|edge| format!("{}.{} {:?}", edge.source, edge.column, edge.kind)).collect();
        writeln!(text, "{} ({}): {}", facts.name, facts.classification, edges.join(", ")).unwrap();
    }
    expect![[r#"
        country (internal): orders.at Join, orders.country Identity, orders.id Join, pays.id Join, pays.paid_at Join
        total (restricted): orders.amount Conditional, orders.at Join, orders.at GroupBy, orders.at Window, orders.at Conditional, orders.country GroupBy, orders.id Join, orders.id GroupBy, orders.id Window, orders.id Conditional, pays.id Join, pays.id GroupBy, pays.id Window, pays.id Conditional, pays.paid_at Join, pays.paid_at GroupBy, pays.paid_at Window, pays.paid_at Conditional, pays.price Aggregation
        window_start (internal): orders.at Transformation, orders.at Join, orders.id Join, pays.id Join, pays.paid_at Transformation, pays.paid_at Join
    "#]].assert_eq(&text);
}

/// Lineage by hand, from the text of each query: column, source column, kind.
#[test]
fn lineage_of_each_operator() {
    let cases: [(&str, &str, &[&str]); 8] = [
        (
            "SELECT country, sum(amount) AS x FROM orders GROUP BY country",
            "x",
            &["orders.amount Aggregation", "orders.country GroupBy"],
        ),
        ("SELECT country, count(*) AS x FROM orders GROUP BY country", "x", &["orders.country GroupBy"]),
        (
            "SELECT upper(country) AS x, count(*) AS n FROM orders GROUP BY upper(country)",
            "x",
            &["orders.country Transformation"],
        ),
        (
            "SELECT window_end AS x, count(*) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY window_start, window_end",
            "x",
            &["orders.at Transformation"],
        ),
        (
            "SELECT window_end AS w, max(id) AS x FROM tumble(orders, INTERVAL '1 minute') GROUP BY window_start, window_end HAVING sum(amount) > 3",
            "x",
            &["orders.amount Filter", "orders.at Filter", "orders.at Window", "orders.id Aggregation"],
        ),
        (
            "SELECT p.price AS x FROM orders AS o JOIN pays AS p ON o.id = p.id",
            "x",
            &["orders.id Join", "pays.id Join", "pays.price Identity"],
        ),
        (
            "SELECT id AS x FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY amount) AS rn FROM orders) AS r WHERE rn <= 2",
            "x",
            &["orders.amount Sort", "orders.customer Window", "orders.id Identity"],
        ),
        (
            "SELECT m.x FROM orders MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES sum(B.id) AS x PATTERN (A B) WITHIN INTERVAL '1' HOUR DEFINE B AS B.amount > 3) AS m",
            "x",
            &["orders.amount Filter", "orders.at Sort", "orders.customer Window", "orders.id Aggregation"],
        ),
    ];
    for (sql, column, expected) in cases {
        let planned = plan_with(&document(&step(sql)), &Registry::default());
        let plan = planned.plan.unwrap_or_else(|| panic!("{sql}\n{}", report(&planned.diagnostics)));
        let node = plan.node("q").unwrap();
        let facts = node.columns.iter().find(|facts| facts.name == column).unwrap();
        let found: Vec<String> =
            facts.lineage.iter().map(|edge| format!("{}.{} {:?}", edge.source, edge.column, edge.kind)).collect();
        assert_eq!(found, expected, "{sql}");
    }
}

#[test]
fn the_definition_of_an_operator_changes_with_what_it_does() {
    let definition = |sql: &str| {
        let planned = plan_with(&document(&step(sql)), &Registry::default());
        let plan = planned.plan.unwrap_or_else(|| panic!("{sql}\n{}", report(&planned.diagnostics)));
        let found = plan.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Operator(operator) => Some(operator.definition.clone()),
            _ => None,
        });
        (found.unwrap(), plan.fingerprint)
    };
    let base = definition("SELECT country, sum(id) AS n FROM orders GROUP BY country");
    assert_eq!(base, definition("SELECT  country,  sum(id) AS n  FROM orders GROUP BY country"));
    // Another name is not another state, but another plan.
    let renamed = definition("SELECT country, sum(id) AS m FROM orders GROUP BY country");
    assert_eq!(base.0, renamed.0);
    assert_ne!(base.1, renamed.1);
    for other in [
        "SELECT customer, sum(id) AS n FROM orders GROUP BY customer",
        "SELECT country, max(id) AS n FROM orders GROUP BY country",
        "SELECT country, sum(amount) AS n FROM orders GROUP BY country",
        "SELECT country, sum(id) AS n FROM tumble(orders, INTERVAL '1 minute') GROUP BY country, window_start",
    ] {
        assert_ne!(base.0, definition(other).0, "{other}");
    }
}

#[test]
fn a_restricted_column_does_not_leak_through_operators() {
    let leaks = |sql: &str| {
        let text = document(&step(sql)).replace("clearance: restricted", "clearance: internal");
        let planned = plan_with(&text, &Registry::default());
        let codes: Vec<String> =
            planned.diagnostics.iter().filter(|finding| finding.is_error()).map(|finding| finding.code.clone()).collect();
        codes.join(" ")
    };
    assert_eq!(leaks("SELECT country, avg(amount) AS x FROM orders GROUP BY country"), "leak");
    assert_eq!(leaks("SELECT country, count(*) FILTER (WHERE amount > 100) AS x FROM orders GROUP BY country"), "leak");
    assert_eq!(leaks("SELECT country, count(*) AS x FROM orders GROUP BY country"), "");
    assert_eq!(leaks("SELECT country, count(*) AS x FROM orders GROUP BY country HAVING sum(amount) > 1000"), "filter-leak");
    assert_eq!(leaks("SELECT p.price AS x FROM orders AS o JOIN pays AS p ON o.id = p.id AND p.price > o.amount"), "filter-leak");
    // A join and a rank are filters too.
    assert_eq!(
        leaks("SELECT c.name AS x FROM orders AS o JOIN countries AS c ON CAST(o.amount AS string) = c.code"),
        "filter-leak"
    );
    assert_eq!(leaks("SELECT c.name AS x FROM orders AS o LEFT JOIN countries AS c ON o.country = c.code"), "");
    assert_eq!(
        leaks(
            "SELECT id AS x FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY amount DESC) AS rn FROM orders) AS r WHERE rn <= 3"
        ),
        "filter-leak"
    );
}
