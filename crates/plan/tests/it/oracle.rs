//! DataFusion as the oracle: branches compute what it computes, and lineage names every column that matters.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray},
        compute::{cast, concat_batches, filter_record_batch},
        datatypes::SchemaRef,
    },
    common::DFSchema,
    datasource::MemTable,
    logical_expr::{execution_props::ExecutionProps, physical_planning_context::PhysicalPlanningContext},
    physical_expr::create_physical_expr,
    prelude::{SessionConfig, SessionContext},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use weir_plan::{Branch, LineageEdge, LineageKind, Node, NodeKind, Plan, schema::arrow_schema};
use weir_spec::{Column, DataType};

use crate::support::{Registry, report};

/// The columns of the table `t`, and of every subquery, so that queries nest.
const COLUMNS: [&str; 8] = ["a", "b", "x", "s", "u", "f", "d", "m"];

fn columns() -> Vec<Column> {
    use DataType::{Boolean, Date, Decimal, Float64, Int64, String};
    let types = [Int64, Int64, Float64, String, String, Boolean, Date, Decimal { precision: 12, scale: 2 }];
    COLUMNS.iter().zip(types).map(|(name, data_type)| Column::new(*name, data_type)).collect()
}

fn schema() -> SchemaRef {
    arrow_schema(&columns())
}

/// Random values of one column.
fn values(column: usize, rows: usize) -> BoxedStrategy<ArrayRef> {
    use prop::{collection::vec, option::weighted};
    let text = || prop_oneof![Just(""), Just("a"), Just("b"), Just("Ab"), Just("ba-7"), Just("ß%_")];
    match column {
        0 | 1 => vec(weighted(0.8, -3i64..4), rows).prop_map(|v| Arc::new(Int64Array::from(v)) as ArrayRef).boxed(),
        2 => vec(weighted(0.8, prop_oneof![Just(0.0), Just(-1.5), Just(2.25), Just(f64::NAN)]), rows)
            .prop_map(|v| Arc::new(Float64Array::from(v)) as ArrayRef)
            .boxed(),
        3 | 4 => vec(weighted(0.8, text()), rows).prop_map(|v| Arc::new(StringArray::from(v)) as ArrayRef).boxed(),
        5 => vec(weighted(0.8, any::<bool>()), rows).prop_map(|v| Arc::new(BooleanArray::from(v)) as ArrayRef).boxed(),
        6 => vec(weighted(0.8, 10_000i32..10_004), rows).prop_map(|v| Arc::new(Date32Array::from(v)) as ArrayRef).boxed(),
        _ => vec(weighted(0.8, -300i128..300), rows)
            .prop_map(|v| Arc::new(Decimal128Array::from(v).with_precision_and_scale(12, 2).unwrap()) as ArrayRef)
            .boxed(),
    }
}

fn batch(rows: usize) -> impl Strategy<Value = RecordBatch> {
    let arrays: Vec<_> = (0..COLUMNS.len()).map(|column| values(column, rows)).collect();
    arrays.prop_map(|arrays| RecordBatch::try_new(schema(), arrays).unwrap())
}

/// Expressions by type, none of which can fail on the values above.
#[derive(Clone, Copy)]
enum Type {
    Int,
    Float,
    Text,
    Bool,
    Date,
    Decimal,
}

fn expr(of: Type, depth: u32) -> BoxedStrategy<String> {
    use Type::{Bool, Date, Decimal, Float, Int, Text};
    let leaf: BoxedStrategy<String> = match of {
        Int => prop_oneof![Just("a"), Just("b"), Just("1"), Just("-2")].prop_map(str::to_owned).boxed(),
        Float => prop_oneof![Just("x"), Just("0.5"), Just("CAST(a AS double)")].prop_map(str::to_owned).boxed(),
        Text => prop_oneof![Just("s"), Just("u"), Just("'a'"), Just("''")].prop_map(str::to_owned).boxed(),
        Bool => prop_oneof![Just("f"), Just("true"), Just("a > b"), Just("s IS NULL"), Just("m >= 1.5")]
            .prop_map(str::to_owned)
            .boxed(),
        Date => prop_oneof![Just("d"), Just("DATE '1997-05-20'")].prop_map(str::to_owned).boxed(),
        Decimal => prop_oneof![Just("m"), Just("CAST(a AS decimal(12,2))")].prop_map(str::to_owned).boxed(),
    };
    if depth == 0 {
        return leaf;
    }
    let sub = move |of| expr(of, depth - 1);
    let choice = (sub(Bool), sub(of), sub(of)).prop_map(|(c, y, n)| format!("CASE WHEN {c} THEN {y} ELSE {n} END")).boxed();
    let either = (sub(of), sub(of)).prop_map(|(l, r)| format!("coalesce({l}, {r})")).boxed();
    let unless = (sub(of), sub(of)).prop_map(|(l, r)| format!("nullif({l}, {r})")).boxed();
    let own: BoxedStrategy<String> = match of {
        Int => prop_oneof![
            (sub(Int), prop_oneof![Just("+"), Just("-")], sub(Int)).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            sub(Text).prop_map(|e| format!("CAST(length({e}) AS bigint)")),
            sub(Date).prop_map(|e| format!("CAST(date_part('year', {e}) AS bigint)")),
            (sub(Int), sub(Int)).prop_map(|(c, e)| format!("nvl2({c}, {e}, a)")),
        ]
        .boxed(),
        Float => {
            (sub(Float), prop_oneof![Just("+"), Just("*")], sub(Float)).prop_map(|(l, op, r)| format!("({l} {op} {r})")).boxed()
        }
        Text => prop_oneof![
            sub(Text).prop_map(|e| format!("upper({e})")),
            sub(Text).prop_map(|e| format!("substr({e}, 2)")),
            (sub(Text), sub(Text)).prop_map(|(l, r)| format!("({l} || {r})")),
            (sub(Text), sub(Int)).prop_map(|(l, r)| format!("concat({l}, {r})")),
            sub(Int).prop_map(|e| format!("CAST({e} AS string)")),
        ]
        .boxed(),
        Bool => prop_oneof![
            (sub(Int), prop_oneof![Just("<"), Just("="), Just("<>"), Just("IS DISTINCT FROM")], sub(Int))
                .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            (sub(Text), sub(Text)).prop_map(|(l, r)| format!("({l} = {r})")),
            (sub(Text), prop_oneof![Just("LIKE 'a%'"), Just("NOT LIKE '_'"), Just("IN ('a', 'b')"), Just("~ '[ab]'")])
                .prop_map(|(e, test)| format!("({e} {test})")),
            (sub(Bool), prop_oneof![Just("AND"), Just("OR")], sub(Bool)).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            sub(Bool).prop_map(|e| format!("(NOT {e})")),
            (sub(Float), sub(Float)).prop_map(|(l, r)| format!("({l} <= {r})")),
            (sub(Decimal), sub(Int)).prop_map(|(l, r)| format!("({l} > {r})")),
            sub(Date).prop_map(|e| format!("({e} BETWEEN '1997-05-19' AND '1997-05-20')")),
            sub(Int).prop_map(|e| format!("({e} IS NOT NULL)")),
        ]
        .boxed(),
        Date => sub(Date).prop_map(|e| format!("CAST(date_trunc('month', {e}) AS date)")).boxed(),
        Decimal => sub(Decimal).prop_map(|e| format!("CAST({e} AS decimal(12,2))")).boxed(),
    };
    prop_oneof![1 => leaf, 1 => choice, 1 => either, 1 => unless, 3 => own].boxed()
}

fn select(depth: u32) -> BoxedStrategy<String> {
    use Type::{Bool, Date, Decimal, Float, Int, Text};
    let types = [Int, Int, Float, Text, Text, Bool, Date, Decimal];
    let projection: Vec<_> =
        types.iter().map(|of| prop_oneof![2 => expr(*of, 0), 2 => expr(*of, 1), 1 => expr(*of, 2)]).collect();
    let from = if depth == 0 { Just("t".to_owned()).boxed() } else { table(depth - 1) };
    let filter = prop_oneof![Just(None), expr(Bool, 2).prop_map(Some)];
    let star = prop::bool::weighted(0.2);
    (projection, from, filter, star)
        .prop_map(|(projection, from, filter, star)| {
            let named: Vec<_> = projection.iter().zip(COLUMNS).map(|(e, name)| format!("{e} AS {name}")).collect();
            let list = if star { "*".to_owned() } else { named.join(", ") };
            let filter = filter.map_or(String::new(), |filter| format!(" WHERE {filter}"));
            format!("SELECT {list} FROM {from}{filter}")
        })
        .boxed()
}

/// Without a filter, whose columns would be in every lineage.
fn projection() -> BoxedStrategy<String> {
    use Type::{Bool, Date, Decimal, Float, Int, Text};
    let columns: Vec<_> = [Int, Int, Float, Text, Text, Bool, Date, Decimal].iter().map(|of| expr(*of, 2)).collect();
    let named = |columns: Vec<String>| columns.iter().zip(COLUMNS).map(|(e, name)| format!("{e} AS {name}")).collect::<Vec<_>>();
    columns.prop_map(move |columns| format!("SELECT {} FROM t", named(columns).join(", "))).boxed()
}

fn table(depth: u32) -> BoxedStrategy<String> {
    prop_oneof![Just("t".to_owned()), sql(depth).prop_map(|query| format!("({query}) AS t"))].boxed()
}

fn sql(depth: u32) -> BoxedStrategy<String> {
    prop_oneof![
        3 => select(depth),
        1 => (select(depth), select(depth)).prop_map(|(l, r)| format!("{l} UNION ALL {r}")),
        1 => (select(depth), select(0)).prop_map(|(inner, outer)| format!("WITH w AS ({inner}) {}", outer.replace("FROM t", "FROM w"))),
    ]
    .boxed()
}

fn pipeline(query: &str) -> weir_spec::Pipeline {
    let text = "apiVersion: weir/v1
kind: Pipeline
name: test
purpose: analytics
basis: contract
sources:
  t:
    file: { path: t.ndjson }
    schema: [ { name: a, type: int64 } ]
steps:
  q: { sql: SELECT a FROM t }
sinks:
  out: { from: q, file: { path: out } }
";
    let mut pipeline = weir_spec::parse_pipeline(text).value.unwrap();
    pipeline.sources["t"].schema = Some(columns());
    pipeline.steps["q"] = weir_spec::Step::Sql(query.into());
    pipeline
}

/// None for the few queries that are too large once they are put together.
fn plan(query: &str) -> Option<Plan> {
    let planned = weir_plan::plan(&pipeline(query), &Registry::default());
    if planned.diagnostics.iter().any(|d| d.code == "sql-too-large") {
        return None;
    }
    Some(planned.plan.unwrap_or_else(|| panic!("{}\n{query}", report(&planned.diagnostics))))
}

/// Rows by DataFusion's own planning and execution of the text.
fn executed(query: &str, batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        let context = SessionContext::new_with_config(config);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
        context.register_table("t", Arc::new(table)).unwrap();
        let partitions = context.sql(query).await.unwrap().collect_partitioned().await.unwrap();
        let batches = partitions.into_iter().flatten().map(|batch| aligned(&batch, schema));
        concat_batches(schema, &batches.collect::<Vec<_>>()).unwrap()
    })
}

fn aligned(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let arrays = batch.columns().iter().zip(schema.fields()).map(|(array, field)| cast(array, field.data_type()).unwrap());
    RecordBatch::try_new(Arc::clone(schema), arrays.collect()).unwrap()
}

/// Rows by the branches, evaluated as an engine would.
fn branched(branches: &[Branch], batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let types = DFSchema::try_from(batch.schema().as_ref().clone()).unwrap();
    let evaluate = |expr: &datafusion::logical_expr::Expr, rows: &RecordBatch| {
        let expr = create_physical_expr(expr, &types, &ExecutionProps::new(), &PhysicalPlanningContext::default()).unwrap();
        expr.evaluate(rows).unwrap().into_array(rows.num_rows()).unwrap()
    };
    let arms = branches.iter().map(|branch| {
        let mut rows = batch.clone();
        for filter in &branch.filter {
            let mask = evaluate(filter, &rows);
            rows = filter_record_batch(&rows, mask.as_any().downcast_ref::<BooleanArray>().unwrap()).unwrap();
        }
        let arrays = branch.projection.iter().map(|(expr, _)| evaluate(expr, &rows)).collect();
        // Fails when a type is not the one that the plan promises.
        RecordBatch::try_new(Arc::clone(schema), arrays).unwrap()
    });
    concat_batches(schema, &arms.collect::<Vec<_>>()).unwrap()
}

fn query_node(plan: &Plan) -> (&Node, &[Branch]) {
    let node = plan.node("q").unwrap();
    match &node.kind {
        NodeKind::Sql(sql) => (node, &sql.branches),
        _ => unreachable!(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn branches_compute_what_datafusion_computes(query in sql(2), batch in batch(12)) {
        let Some(plan) = plan(&query) else { return Err(TestCaseError::reject("too large")) };
        let (node, branches) = query_node(&plan);
        let (ours, theirs) = (branched(branches, &batch, &node.schema), executed(&query, &batch, &node.schema));
        prop_assert_eq!(ours.num_rows(), theirs.num_rows(), "{}", query);
        for (i, name) in COLUMNS.iter().enumerate() {
            prop_assert_eq!(ours.column(i), theirs.column(i), "{} in {}", name, query);
        }
    }
}

proptest! {
    // Each case runs nine queries, and half of the cases alone would notice that a kind of edge is missing.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::default() })]

    /// Whatever changes when one column of the source changes has that column in its lineage.
    #[test]
    fn lineage_names_every_column_that_matters(
        query in prop_oneof![3 => projection(), 1 => sql(1)],
        batch in batch(12),
        other in batch(12),
    ) {
        let Some(plan) = plan(&query) else { return Err(TestCaseError::reject("too large")) };
        let unnamed = unnamed_influence(&query, query_node(&plan).0, &batch, &other, |_| true);
        prop_assert!(unnamed.is_none(), "{} in {query}", unnamed.unwrap_or_default());
    }
}

/// An oracle that notices nothing proves nothing: were CONDITIONAL edges left out, many of its queries would tell.
#[test]
fn the_oracle_notices_when_conditions_are_missing_from_lineage() {
    let mut runner = TestRunner::deterministic();
    let queries = (projection(), batch(12), batch(12));
    let cases = 16;
    let noticed = (0..cases).filter(|_| {
        let (query, batch, other) = queries.new_tree(&mut runner).unwrap().current();
        plan(&query).is_some_and(|plan| {
            let node = query_node(&plan).0;
            unnamed_influence(&query, node, &batch, &other, |edge| edge.kind != LineageKind::Conditional).is_some()
        })
    });
    let noticed = noticed.count();
    assert!(noticed >= cases / 2, "{noticed} of {cases} queries");
}

/// Changes one column of the source after the other. Tells of a column of the result that changes with it although none of the
/// edges that count names it.
fn unnamed_influence(
    query: &str,
    node: &Node,
    batch: &RecordBatch,
    other: &RecordBatch,
    counts: impl Fn(&LineageEdge) -> bool,
) -> Option<String> {
    let before = executed(query, batch, &node.schema);
    for (column, changed) in COLUMNS.iter().enumerate() {
        let mut arrays = batch.columns().to_vec();
        arrays[column] = Arc::clone(other.column(column));
        let perturbed = RecordBatch::try_new(schema(), arrays).unwrap();
        let after = executed(query, &perturbed, &node.schema);
        for (i, facts) in node.columns.iter().enumerate() {
            let named = facts.lineage.iter().any(|edge| edge.column == *changed && counts(edge));
            if !named && before.column(i) != after.column(i) {
                return Some(format!("{} depends on {changed}, but its lineage is {:?}", facts.name, facts.lineage));
            }
        }
    }
    None
}
