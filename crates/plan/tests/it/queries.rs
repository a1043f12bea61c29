//! Queries of the subset and the branches they become.

use std::fmt::Write;

use expect_test::expect;
use weir_plan::NodeKind;

use crate::support::{planned, query};

fn branches(queries: &[&str]) -> String {
    let mut text = String::new();
    for sql in queries {
        let plan = planned(&query(sql));
        let NodeKind::Sql(node) = &plan.node("q").unwrap().kind else { unreachable!() };
        writeln!(text, "{sql}").unwrap();
        for branch in &node.branches {
            let filter: Vec<_> = branch.filter.iter().map(ToString::to_string).collect();
            let projection: Vec<_> = branch.projection.iter().map(|(expr, name)| format!("{name} = {expr}")).collect();
            writeln!(text, "  {} | {} | {}", plan.nodes[branch.input].name, filter.join(" ; "), projection.join(", ")).unwrap();
        }
    }
    text
}

#[test]
fn are_flattened() {
    expect![[r#"
        SELECT kind, amount AS a FROM payments
          payments |  | kind = kind, a = amount
        SELECT kind FROM payments WHERE amount > 10
          payments | amount > Decimal128(10.00,12,2) | kind = kind
        SELECT k2 FROM (SELECT upper(kind) AS k2, amount AS a FROM payments WHERE flagged) s WHERE a > 1 AND k2 <> 'X'
          payments | flagged ; amount > Decimal128(1.00,12,2) AND upper(kind) != Utf8("X") | k2 = upper(kind)
        WITH s AS (SELECT items + 1 AS n FROM payments) SELECT n * 2 AS m FROM s WHERE n > 3
          payments | CAST(items AS Int64) + Int64(1) > Int64(3) | m = (CAST(items AS Int64) + Int64(1)) * Int64(2)
        SELECT kind AS k, items AS n FROM payments UNION ALL SELECT country, 1.5 FROM payments WHERE flagged UNION ALL SELECT 'x', NULL FROM payments
          payments |  | k = kind, n = CAST(items AS Float64)
          payments | flagged | k = country, n = Float64(1.5)
          payments |  | k = Utf8("x"), n = Float64(NULL)
        SELECT k FROM (SELECT kind AS k FROM payments UNION ALL SELECT country FROM payments WHERE flagged) u WHERE k = 'x'
          payments | kind = Utf8("x") | k = kind
          payments | flagged ; country = Utf8("x") | k = country
        SELECT kind FROM payments WHERE true AND 1 = 1
          payments |  | kind = kind
        SELECT kind FROM payments WHERE 1 = 0
          payments | Boolean(false) | kind = kind
        SELECT "kind" FROM "payments"
          payments |  | kind = kind
        SELECT coalesce(country, 'NL') AS c FROM payments
          payments |  | c = CASE WHEN country IS NOT NULL THEN country ELSE Utf8("NL") END
        FROM payments SELECT kind
          payments |  | kind = kind
        SELECT amount, score FROM payments WHERE paid_at >= '2026-01-01' AND birth_date < DATE '2000-01-01'
          payments | paid_at >= TimestampMicrosecond(1767225600000000, Some("UTC")) AND birth_date < Date32("2000-01-01") | amount = amount, score = score
    "#]].assert_eq(&branches(&[
        "SELECT kind, amount AS a FROM payments",
        "SELECT kind FROM payments WHERE amount > 10",
        "SELECT k2 FROM (SELECT upper(kind) AS k2, amount AS a FROM payments WHERE flagged) s WHERE a > 1 AND k2 <> 'X'",
        "WITH s AS (SELECT items + 1 AS n FROM payments) SELECT n * 2 AS m FROM s WHERE n > 3",
        "SELECT kind AS k, items AS n FROM payments UNION ALL SELECT country, 1.5 FROM payments WHERE flagged UNION ALL SELECT 'x', NULL FROM payments",
        "SELECT k FROM (SELECT kind AS k FROM payments UNION ALL SELECT country FROM payments WHERE flagged) u WHERE k = 'x'",
        "SELECT kind FROM payments WHERE true AND 1 = 1",
        "SELECT kind FROM payments WHERE 1 = 0",
        "SELECT \"kind\" FROM \"payments\"",
        "SELECT coalesce(country, 'NL') AS c FROM payments",
        "FROM payments SELECT kind",
        "SELECT amount, score FROM payments WHERE paid_at >= '2026-01-01' AND birth_date < DATE '2000-01-01'",
    ]));
}

#[test]
fn bring_types_that_documents_can_name() {
    let plan = planned(&query(
        "SELECT arrow_cast(kind, 'Utf8View') AS text, arrow_cast(items, 'UInt8') AS small, arrow_cast(items, 'UInt64') AS large,
                to_timestamp(items) AS at, arrow_cast(kind, 'LargeBinary') AS bytes, ascii(kind) AS code, amount * 2 AS twice,
                amount / items AS each, date_part('year', birth_date) AS year, tags, address
         FROM payments",
    ));
    let node = plan.node("q").unwrap();
    let types: Vec<_> =
        weir_plan::describe(&plan).nodes[1].columns.iter().map(|c| format!("{} {}", c.facts.name, c.data_type)).collect();
    assert!(node.schema.fields().iter().all(|field| field.is_nullable()));
    expect![[r#"
        text string
        small int32
        large decimal(20,0)
        at timestamp
        bytes bytes
        code int32
        twice decimal(33,2)
        each decimal(16,6)
        year int32
        tags list<string>
        address struct<street: string, zip: string>"#]]
    .assert_eq(&types.join("\n"));
}

/// All of a table is planned in a way of its own, and must come to the same.
#[test]
fn everything_of_a_table_is_what_its_columns_are() {
    let plan = |sql: &str| crate::support::planned(&crate::support::query(sql));
    let expected = plan("SELECT * FROM payments WHERE true");
    for sql in
        ["SELECT * FROM payments", "select * from PAYMENTS as p", "SELECT * FROM \"payments\"", "SELECT p.* FROM payments p"]
    {
        let found = plan(sql);
        assert_eq!(found.fingerprint, expected.fingerprint, "{sql}");
        let facts = |plan: &weir_plan::Plan| plan.node("q").unwrap().columns.clone();
        assert_eq!(facts(&found), facts(&expected), "{sql}");
    }
}
