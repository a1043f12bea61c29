//! Ranks against DataFusion's `row_number()`, in any batches and lanes, with restarts.

use expect_test::expect;
use proptest::prelude::*;
use weir_plan::operator::{Change, RankBound, RankNode, SortKey};

use super::super::join::testing::*;
use arrow::datatypes::DataType;

fn key(column: usize, descending: bool) -> SortKey {
    SortKey { column, descending, nulls_first: false }
}

fn rig(node: RankNode, fields: &[(&str, DataType)], changes: bool) -> Rig {
    let input = schema(fields);
    let number = node.number.then_some(("n", DataType::Int64));
    let output = schema(&fields.iter().cloned().chain(number).collect::<Vec<_>>());
    let keys = vec![node.partition.clone()];
    Rig::new(vec![input], vec![changes], output, keys, move |context| super::compile(&node, context))
}

fn fields() -> Vec<(&'static str, DataType)> {
    vec![("k", DataType::Int64), ("t", moment()), ("v", DataType::Utf8)]
}

fn node(limit: u64, number: bool, order: Vec<SortKey>, bound: RankBound) -> RankNode {
    RankNode { partition: vec![0], order, limit, number, bound }
}

fn row(key: i64, time: i64, value: i64) -> Row {
    vec![Some(key), Some(time), Some(value)]
}

/// What SQL says of rows whose last column is their number in order of arrival.
fn ranked(rows: &[Row], limit: u64, number: bool, order: &str) -> Vec<Row> {
    let place = if number { ", place" } else { "" };
    let query = format!(
        "SELECT k, t, v {place} FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY {order}, id) AS place FROM rows_in) AS ranked
        WHERE place <= {limit}"
    );
    sql(&[("rows_in", &["k", "t", "v", "id"], rows)], &query)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A row is inserted, or one that is there is taken back; the result must be right after each batch.
    #[test]
    fn the_first_rows_are_what_sql_says_at_every_moment(
        steps in prop::collection::vec((prop_oneof![9 => (0..3i64).prop_map(Some), 1 => Just(None)], 0..6i64, any::<prop::sample::Index>(), 0..3u8), 0..60),
        batches in prop::collection::vec(1..12usize, 1..5),
        restarts in prop::collection::vec((0..20usize, 1..4usize), 0..3),
        limit in 1..4u64,
        number: bool,
        descending: bool,
        changes: bool,
    ) {
        let order = vec![SortKey { column: 1, descending, nulls_first: false }];
        let mut rig = rig(node(limit, number, order, RankBound::Updating { ttl: None }), &fields(), changes);
        let (mut alive, mut result) = (Vec::<Row>::new(), Materialised::default());
        let (mut next, mut ticket) = (0, 0);
        while next < steps.len() {
            for (_, lanes) in restarts.iter().filter(|(before, _)| *before == ticket) {
                rig.restart(*lanes);
            }
            let some = &steps[next..][..batches[ticket % batches.len()].min(steps.len() - next)];
            let mut rows = Vec::new();
            for (n, (key, time, which, what)) in some.iter().enumerate() {
                if changes && *what == 0 && !alive.is_empty() {
                    let gone = alive.remove(which.index(alive.len()));
                    rows.push((gone[..3].to_vec(), Change::Delete));
                } else {
                    // Values tell rows apart, so that ties show who came first.
                    let id = (next + n) as i64;
                    alive.push(vec![*key, Some(*time), Some(id), Some(id)]);
                    rows.push((vec![*key, Some(*time), Some(id)], Change::Insert));
                }
            }
            rig.push(0, &rows);
            result.apply(rig.take());
            let direction = if descending { "t DESC" } else { "t" };
            prop_assert_eq!(result.rows(), ranked(&alive, limit, number, direction));
            next += some.len();
            ticket += 1;
        }
    }

    #[test]
    fn window_ranks_and_first_rows_are_what_sql_says(
        rows in prop::collection::vec((0..3i64, 0..5i64, 0..4i64, 0..9i64), 0..60),
        batches in prop::collection::vec(1..12usize, 1..5),
        restarts in prop::collection::vec((0..20usize, 1..4usize), 0..3),
        limit in 1..4u64,
        number: bool,
    ) {
        let mut clock = 0;
        let rows: Vec<Row> = rows.into_iter().enumerate().map(|(id, (key, back, on, value))| {
            clock += on;
            let start = (clock - back).div_euclid(5) * 5;
            vec![Some(key), Some(clock - back), Some(value), Some(start), Some(start + 5), Some(id as i64)]
        }).collect();
        let windowed = [fields(), vec![("s", moment()), ("e", moment()), ("id", DataType::Int64)]].concat();
        let window = node(limit, number, vec![key(2, true)], RankBound::Window { start: 3, end: 4 });
        let first = node(1, number, Vec::new(), RankBound::KeepFirst { time: Some(1), ttl: None });
        let arrived = node(1, number, Vec::new(), RankBound::KeepFirst { time: None, ttl: None });
        let place = if number { ", place" } else { "" };
        let query = |partition: &str, order: &str, limit: u64| format!(
            "SELECT k, t, v, s, e, id {place} FROM (
                SELECT *, row_number() OVER (PARTITION BY {partition} ORDER BY {order}) AS place FROM rows_in
            ) AS ranked WHERE place <= {limit}"
        );
        // The values of `v` are text to the operator; of one digit, so that text and numbers have one order.
        let queries = [query("k, s, e", "v DESC, id", limit), query("k", "t, id", 1), query("k", "id", 1)];
        for (node, query) in [window, first, arrived].into_iter().zip(queries) {
            let mut rig = rig(node, &windowed, false);
            let (mut next, mut ticket, mut newest) = (0, 0, i64::MIN);
            while next < rows.len() {
                for (_, lanes) in restarts.iter().filter(|(before, _)| *before == ticket) {
                    rig.restart(*lanes);
                }
                let some = &rows[next..][..batches[ticket % batches.len()].min(rows.len() - next)];
                rig.insert(0, some);
                newest = some.iter().map(|row| row[1].unwrap()).fold(newest, i64::max);
                rig.watermark(newest - 4);
                next += some.len();
                ticket += 1;
            }
            rig.watermark(i64::MAX);
            let mut results: Vec<Row> = rig.take().into_iter().map(|(change, row)| {
                assert_eq!(change, Change::Insert);
                row
            }).collect();
            results.sort();
            prop_assert!(rig.late.is_empty());
            prop_assert_eq!(results, sql(&[("rows_in", &["k", "t", "v", "s", "e", "id"], &rows)], &query));
        }
    }
}

#[test]
fn a_row_that_is_pushed_out_is_taken_back() {
    let order = vec![key(1, true)];
    let batches = [vec![row(1, 5, 0), row(1, 7, 1)], vec![row(1, 6, 2)], vec![row(1, 1, 3)]];
    let mut plain = rig(node(2, false, order.clone(), RankBound::Updating { ttl: None }), &fields(), false);
    let mut numbered = rig(node(2, true, order.clone(), RankBound::Updating { ttl: None }), &fields(), false);
    let mut last = rig(node(1, false, order, RankBound::Updating { ttl: None }), &fields(), false);
    for rows in batches {
        [&mut plain, &mut numbered, &mut last].into_iter().for_each(|rig| rig.insert(0, &rows));
    }
    expect![[r#"
        [
            "+I 1 7 1",
            "+I 1 5 0",
            "-D 1 5 0",
            "+I 1 6 2",
        ]
    "#]]
    .assert_debug_eq(&plain.texts());
    expect![[r#"
        [
            "+I 1 7 1 1",
            "+I 1 5 0 2",
            "-U 1 5 0 2",
            "+U 1 6 2 2",
        ]
    "#]]
    .assert_debug_eq(&numbered.texts());
    expect![[r#"
        [
            "+I 1 7 1",
        ]
    "#]]
    .assert_debug_eq(&last.texts());
    last.insert(0, &[row(1, 7, 8), row(1, 8, 9)]);
    expect![[r#"
        [
            "-U 1 7 1",
            "+U 1 8 9",
        ]
    "#]]
    .assert_debug_eq(&last.texts());
}

#[test]
fn partitions_are_forgotten_after_their_time_to_live() {
    let bounds = [RankBound::Updating { ttl: Some(10) }, RankBound::KeepFirst { time: None, ttl: Some(10) }];
    for (bound, touches) in bounds.into_iter().zip([true, false]) {
        for restart in [false, true] {
            let mut rig = rig(node(1, false, vec![key(1, false)], bound.clone()), &fields(), false);
            rig.insert(0, &[row(1, 0, 0), row(2, 0, 0)]);
            rig.clock(100);
            rig.clock(105);
            if restart {
                rig.restart(3);
            }
            rig.insert(0, &[row(1, 9, 1)]);
            rig.clock(110);
            rig.take();
            rig.insert(0, &[row(1, 9, 2), row(2, 9, 2)]);
            // An updating partition lives on from its last row, one that had its first row does not.
            let expected = if touches { vec!["+I 2 9 2"] } else { vec!["+I 1 9 2", "+I 2 9 2"] };
            let mut texts = rig.texts();
            texts.sort();
            assert_eq!(texts, expected, "{bound:?}, restarted: {restart}");
        }
    }
}

#[test]
fn rows_behind_the_watermark_are_late() {
    let mut first = rig(node(1, false, Vec::new(), RankBound::KeepFirst { time: Some(1), ttl: None }), &fields(), false);
    first.insert(0, &[row(1, 5, 0)]);
    first.watermark(10);
    first.insert(0, &[row(1, 6, 1), row(2, 9, 2), row(2, 10, 3), vec![Some(3), None, Some(4)]]);
    first.watermark(11);
    assert_eq!(first.texts(), ["+I 1 5 0", "+I 2 10 3"]);
    assert_eq!(first.late, [row(2, 9, 2)]);
    assert_eq!(first.rejected.len(), 1);
}
