//! What a `sql` step makes of rows, and of rows that cannot be computed.

use arrow::{
    array::{Int64Array, StringArray},
    datatypes::Int64Type,
};
use proptest::prelude::*;
use weir_plan::{Lookup, NodeKind};
use weir_spec::{Column, Contract, connector::GeneratorKind, contract::ContractRef};

use super::*;
use crate::batch::Origin;

struct NoContracts;

impl Lookup for NoContracts {
    fn contract(&self, _: &ContractRef) -> Option<Contract> {
        None
    }
    fn contract_names(&self) -> Vec<String> {
        Vec::new()
    }
    fn generator_columns(&self, _: GeneratorKind) -> Vec<Column> {
        Vec::new()
    }
}

fn stage(sql: &str) -> SqlStage {
    let document = format!(
        "{{apiVersion: weir/v1, kind: Pipeline, name: test, purpose: analytics, basis: contract,
        sources: {{t: {{file: {{path: t}}, schema: [{{name: s, type: string}}, {{name: n, type: int64}}]}}}},
        steps: {{q: {{sql: {sql:?}}}}}, sinks: {{out: {{from: q, file: {{path: out}}}}}}}}"
    );
    let planned = weir_plan::plan(&weir_spec::parse_pipeline(&document).value.unwrap(), &NoContracts);
    let plan = planned.plan.unwrap_or_else(|| panic!("{:?}", planned.diagnostics));
    let node = plan.node("q").unwrap();
    let NodeKind::Sql(sql) = &node.kind else { panic!("a sql step") };
    SqlStage::compile("q", sql, &node.schema, |input| Arc::clone(&plan.nodes[input].schema)).unwrap()
}

type Row = (Option<&'static str>, Option<i64>);

fn batch(first_row: u64, rows: &[Row]) -> Batch {
    let texts: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
    let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
    let origin = Arc::new(Origin { source: 0, partition: "p".into(), first_row });
    Batch::new(RecordBatch::try_from_iter([("s", texts), ("n", numbers)]).unwrap(), origin, None)
}

/// Rows that go on with their offsets, rows held with their offsets and reasons, and how many are dropped.
#[derive(Debug, Default, PartialEq)]
struct Fate {
    out: Vec<(u64, Option<i64>)>,
    held: Vec<(u64, String)>,
    dropped: u64,
}

fn run(stage: &mut SqlStage, batches: &[Batch]) -> Fate {
    let mut fate = Fate::default();
    for batch in batches {
        let rows = batch.num_rows() as u64;
        let processed = stage.process(batch.clone(), Turn { ticket: 0, source: 0, from: 0, now: 0 }).unwrap();
        assert_eq!(processed.out.len(), 1, "one batch for each input");
        assert_eq!(processed.rows_out() + processed.quarantined + processed.dropped, rows * stage.branches.len() as u64);
        fate.dropped += processed.dropped;
        for out in processed.out {
            let values = out.rows.column(0).as_primitive::<Int64Type>();
            fate.out.extend(values.iter().enumerate().map(|(row, value)| (out.offset(row), value)));
        }
        for held in processed.rejected {
            assert_eq!((held.stage, &*held.partition), (StageKind::Transform, "p"));
            let RejectedContent::Rows { rows, offsets, reasons } = held.content else { panic!("rows") };
            assert_eq!(rows.num_rows(), offsets.len());
            for (offset, reasons) in offsets.into_iter().zip(reasons) {
                assert_eq!((reasons.len(), &*reasons[0].rule), (1, "sql.error"));
                fate.held.push((offset, reasons[0].detail.to_string()));
            }
        }
    }
    fate
}

#[test]
fn a_row_that_cannot_be_computed_is_held_and_the_others_go_on() {
    let rows = [(Some("1"), Some(1)), (Some("secret"), Some(2)), (None, Some(3)), (Some("4"), Some(0)), (Some("5"), Some(5))];
    let fate = run(&mut stage("SELECT CAST(s AS bigint) + 10 / n AS v FROM t WHERE n < 5"), &[batch(100, &rows)]);
    assert_eq!(fate.out, [(100, Some(11)), (102, None)]);
    assert_eq!(fate.dropped, 1);
    assert_eq!(
        fate.held,
        [
            (101, "the column `v` cannot be computed: a value does not fit the type of its CAST".to_owned()),
            (103, "the column `v` cannot be computed: a division by zero".to_owned()),
        ]
    );
}

#[test]
fn arithmetic_that_does_not_fit_its_type_holds_the_row_rather_than_wrap() {
    let rows = [(None, Some(1)), (None, Some(i64::MAX)), (None, Some(i64::MIN))];
    for (sql, held) in [
        ("SELECT n + 1 AS v FROM t", 1),
        ("SELECT n - 1 AS v FROM t", 2),
        ("SELECT n * 2 AS v FROM t WHERE n <> -9223372036854775808", 1),
    ] {
        let fate = run(&mut stage(sql), &[batch(0, &rows)]);
        let expected = vec![(held, "the column `v` cannot be computed: a number is out of range".to_owned())];
        assert_eq!(fate.held, expected, "{sql}");
    }
}

#[test]
fn a_condition_that_cannot_be_computed_holds_the_row() {
    let rows = [(Some("7"), None), (Some("x"), None), (Some("-7"), None)];
    let fate = run(&mut stage("SELECT n AS v FROM t WHERE CAST(s AS bigint) > 0"), &[batch(0, &rows)]);
    assert_eq!((fate.out, fate.dropped), (vec![(0, None)], 1));
    assert_eq!(fate.held[0].1, "the condition cannot be computed: a value does not fit the type of its CAST");
}

#[test]
fn a_row_that_an_earlier_filter_removes_cannot_fail_in_a_later_one() {
    let mut stage = stage("SELECT CAST(s AS bigint) AS v FROM (SELECT * FROM t WHERE n = 1) AS u WHERE CAST(s AS bigint) > 0");
    let fate = run(&mut stage, &[batch(0, &[(Some("x"), Some(2)), (Some("3"), Some(1)), (Some("y"), Some(1))])]);
    assert_eq!((fate.out, fate.dropped), (vec![(1, Some(3))], 1));
    assert_eq!(fate.held.iter().map(|held| held.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn each_arm_of_a_union_holds_its_own_failures_and_keeps_the_order() {
    let mut stage = stage("SELECT CAST(s AS bigint) AS v FROM t UNION ALL SELECT n AS v FROM t");
    let fate = run(&mut stage, &[batch(0, &[(Some("x"), Some(1)), (Some("2"), Some(3))])]);
    assert_eq!(fate.out, [(0, Some(1)), (1, Some(2)), (1, Some(3))]);
    assert_eq!(fate.held.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// What becomes of a row does not depend on its neighbours.
    #[test]
    fn batches_do_not_matter(
        rows in prop::collection::vec(
            (prop::option::of(prop_oneof![Just("1"), Just("-2"), Just("x"), Just("")]), prop::option::of(-2i64..3)),
            0..24,
        ),
        cuts in prop::collection::vec(0usize..24, 0..4),
        query in prop_oneof![
            Just("SELECT CAST(s AS bigint) AS v FROM t"),
            Just("SELECT 6 / n AS v FROM t WHERE s IS NOT NULL"),
            Just("SELECT CASE WHEN n > 0 THEN CAST(s AS bigint) ELSE 0 END AS v FROM t"),
            Just("SELECT n AS v FROM t WHERE n > 0 AND CAST(s AS bigint) > 0"),
            Just("SELECT n AS v FROM t UNION ALL SELECT CAST(s AS bigint) FROM t WHERE n <> 1 UNION ALL SELECT 2 FROM t"),
            Just("SELECT coalesce(n, CAST(s AS bigint)) AS v FROM t WHERE n <> 0 OR 1 / n > 0"),
        ],
    ) {
        let mut stage = stage(query);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).chain([0, rows.len()]).collect();
        cuts.sort_unstable();
        let single: Vec<Batch> = (0..rows.len()).map(|row| batch(row as u64, &rows[row..=row])).collect();
        let some: Vec<Batch> = cuts.windows(2).map(|cut| batch(cut[0] as u64, &rows[cut[0]..cut[1]])).collect();
        let expected = run(&mut stage, &single);
        prop_assert_eq!(&run(&mut stage, &some), &expected);
        prop_assert_eq!(&run(&mut stage, &[batch(0, &rows)]), &expected);
    }
}
