//! Whatever is put together from what the subset has: it is planned soundly or refused in words, never with a panic.

use weir_plan::{
    Node, NodeKind, Plan,
    operator::{Exchange, Grouping, JoinBound, Operator, RankBound, TimeBasis},
};

use crate::{
    streaming::{document, step},
    support::{Registry, plan_with},
};

const INPUTS: [&str; 14] = [
    "orders",
    "tumble(orders, INTERVAL '1 minute') AS orders",
    "hop(orders, INTERVAL '7 seconds', INTERVAL '1 minute', INTERVAL '-3 seconds') AS orders",
    "cumulate(orders, INTERVAL '1 minute', INTERVAL '1 hour') AS orders",
    "session(orders, INTERVAL '1 minute', customer) AS orders",
    "tumble(orders, INTERVAL '1 minute', proctime()) AS orders",
    "orders JOIN pays AS p ON orders.id = p.id",
    "orders LEFT JOIN pays AS p ON orders.id = p.id AND p.paid_at BETWEEN orders.at AND orders.at + INTERVAL '1 minute'",
    "orders JOIN countries AS c ON upper(orders.country) = c.code AND c.name <> orders.customer",
    "orders LEFT JOIN pays FOR SYSTEM_TIME AS OF orders.at AS p ON orders.id = p.id",
    "(SELECT * FROM orders UNION ALL SELECT * FROM orders WHERE id > 3) AS orders",
    "(SELECT *, ROW_NUMBER() OVER (PARTITION BY country ORDER BY amount DESC) AS rn FROM orders) AS orders",
    "(SELECT id, customer, amount, country, max(at) AS at FROM orders GROUP BY id, customer, amount, country) AS orders",
    "tumble(orders, INTERVAL '1 minute') AS orders JOIN tumble(pays, INTERVAL '1 minute') AS p ON orders.id = p.id AND orders.window_start = p.window_start AND orders.window_end = p.window_end",
];

const FILTERS: [&str; 4] = ["", "WHERE orders.amount > 3", "WHERE rn <= 2", "WHERE orders.window_start > '2024-01-01T00:00:00Z'"];

const SHAPES: [&str; 9] = [
    "SELECT orders.id, orders.at FROM",
    "SELECT DISTINCT orders.country FROM",
    "SELECT orders.country, count(*) AS n FROM … GROUP BY orders.country",
    "SELECT sum(orders.amount) AS n FROM",
    "SELECT orders.window_start, count(*) AS n FROM … GROUP BY orders.window_start",
    "SELECT orders.customer, orders.window_end, max(orders.amount) AS n FROM … GROUP BY orders.customer, orders.window_start, orders.window_end HAVING count(*) > 1",
    "SELECT orders.window_start, max(orders.window_end) AS w FROM … GROUP BY orders.window_start, orders.window_end, date_trunc('hour', orders.window_end)",
    "SELECT upper(orders.country) AS c, count(DISTINCT orders.id) FILTER (WHERE orders.amount > 1) AS n FROM … GROUP BY upper(orders.country)",
    "SELECT m.i FROM (SELECT orders.id, orders.customer, orders.at, orders.amount FROM …) MATCH_RECOGNIZE (PARTITION BY customer ORDER BY at MEASURES B.id AS i PATTERN (A+ B) DEFINE B AS B.amount > 3) AS m",
];

fn inside(columns: impl IntoIterator<Item = usize>, node: &Node) {
    for column in columns {
        assert!(column < node.columns.len(), "column {column} of {}", node.name);
    }
}

fn sound(plan: &Plan, sql: &str) {
    for (id, node) in plan.nodes.iter().enumerate() {
        assert_eq!(node.columns.len(), node.schema.fields().len(), "{sql}");
        assert!(node.inputs.iter().all(|&input| input < id), "{sql}");
        assert_eq!(plan.nodes.iter().filter(|other| other.name == node.name).count(), 1, "{sql}");
        let mut names: Vec<&String> = node.schema.fields().iter().map(|field| field.name()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), node.columns.len(), "{sql}: {}", node.name);
        inside(node.event_time.into_iter().chain(node.subject), node);
        for (facts, field) in node.columns.iter().zip(node.schema.fields()) {
            assert_eq!(facts.name, *field.name(), "{sql}");
            assert!(weir_plan::schema::logical_type(field.data_type()).is_some(), "{sql}: {}", field.data_type());
        }
        match &node.kind {
            NodeKind::Sql(sql_node) => {
                for branch in &sql_node.branches {
                    assert!(node.inputs.contains(&branch.input), "{sql}");
                    let input = &plan.nodes[branch.input].schema;
                    let exprs = branch.filter.iter().chain(branch.projection.iter().map(|(expr, _)| expr));
                    for column in exprs.flat_map(|expr| expr.column_refs()) {
                        assert!(input.index_of(&column.name).is_ok(), "{sql}: {column} of {}", node.name);
                    }
                }
            }
            NodeKind::Window(window) => {
                assert!(!plan.nodes[node.inputs[0]].changes, "{sql}");
                if let TimeBasis::Event(time) = window.time {
                    inside([time], &plan.nodes[node.inputs[0]]);
                }
            }
            NodeKind::Operator(operator) => {
                assert_eq!(operator.exchange.len(), node.inputs.len(), "{sql}");
                let input = &plan.nodes[node.inputs[0]];
                for (exchange, &input) in operator.exchange.iter().zip(&node.inputs) {
                    if let Exchange::Hash(columns) = exchange {
                        inside(columns.iter().copied(), &plan.nodes[input]);
                    }
                }
                match &operator.operator {
                    Operator::Aggregate(aggregate) => {
                        inside(aggregate.keys.iter().copied(), input);
                        for call in &aggregate.calls {
                            inside(call.args.iter().copied().chain(call.filter), input);
                        }
                        let windows = match aggregate.grouping {
                            Grouping::Updating { .. } => 0,
                            Grouping::Window { .. } | Grouping::Windowed { .. } => {
                                assert!(!input.changes && !node.changes, "{sql}");
                                3
                            }
                        };
                        assert_eq!(node.columns.len(), aggregate.keys.len() + windows + aggregate.calls.len(), "{sql}");
                    }
                    Operator::Join(join) => {
                        let right = &plan.nodes[node.inputs[1]];
                        inside(join.keys.iter().map(|key| key.0), input);
                        inside(join.keys.iter().map(|key| key.1), right);
                        assert_eq!(node.columns.len(), input.columns.len() + right.columns.len(), "{sql}");
                        assert_eq!(matches!(right.kind, NodeKind::Table(_)), join.bound == JoinBound::Lookup, "{sql}");
                    }
                    Operator::Rank(rank) => {
                        inside(rank.partition.iter().copied().chain(rank.order.iter().map(|key| key.column)), input);
                        assert_eq!(node.columns.len(), input.columns.len() + usize::from(rank.number), "{sql}");
                        assert_eq!(node.changes, matches!(rank.bound, RankBound::Updating { .. }), "{sql}");
                    }
                    Operator::Match(found) => {
                        inside(found.partition.iter().copied().chain([found.time]), input);
                        assert_eq!(node.columns.len(), found.partition.len() + found.measures.len(), "{sql}");
                    }
                    Operator::Measure(_) | Operator::Alert(_) => unreachable!("no query becomes one"),
                }
            }
            _ => {}
        }
    }
}

#[test]
fn every_combination_is_planned_soundly_or_refused() {
    let (mut planned, mut refused) = (0, 0);
    for input in INPUTS {
        for filter in FILTERS {
            for shape in SHAPES {
                let from = format!("{input} {filter}");
                let sql = if shape.contains('…') { shape.replace('…', &from) } else { format!("{shape} {from}") };
                let found = plan_with(&document(&step(&sql)), &Registry::default());
                match found.plan {
                    Some(plan) => {
                        sound(&plan, &sql);
                        planned += 1;
                    }
                    None => {
                        assert!(
                            found.diagnostics.iter().any(|finding| finding.is_error() && !finding.message.is_empty()),
                            "{sql}"
                        );
                        refused += 1;
                    }
                }
            }
        }
    }
    // Most of what is refused asks for a column that is not there: a row number, a window.
    assert!(planned > 120 && refused > 120, "{planned} planned, {refused} refused");
}

#[test]
fn what_documents_say_of_state_and_tables_is_written_as_it_is_read() {
    let text = document("  q:\n    sql: { query: SELECT count(*) AS n FROM orders, state_ttl: 1h, min_group: 5 }\n")
        .replace("tables:", "strict: true\ntables:");
    let pipeline = weir_spec::parse_pipeline(&text).value.unwrap();
    assert!(pipeline.strict);
    assert_eq!(pipeline.tables["countries"].key, ["code"]);
    let again = weir_spec::parse_pipeline(&weir_spec::to_yaml(&pipeline)).value.unwrap();
    assert_eq!(pipeline, again);
}
