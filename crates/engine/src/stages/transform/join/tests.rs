//! Joins against DataFusion and against nested loops, in any order of arrival, any batches, any lanes, with restarts.

use datafusion::logical_expr::{Expr, cast, col, lit};
use expect_test::expect;
use proptest::prelude::*;
use weir_plan::operator::{Change, JoinBound, JoinKind, JoinNode};

use super::testing::*;
use arrow::datatypes::DataType;

fn node(kind: JoinKind, bound: JoinBound, condition: Option<Expr>) -> JoinNode {
    JoinNode { kind, keys: vec![(0, 0)], condition: condition.map(Into::into), bound }
}

fn rig(kind: JoinKind, bound: JoinBound, condition: Option<Expr>, changes: [bool; 2]) -> Rig {
    let inputs = vec![keyed(), keyed()];
    let output = joined(&inputs[0], &inputs[1]);
    rig_of(inputs, output, node(kind, bound, condition), changes)
}

fn rig_of(
    inputs: Vec<arrow::datatypes::SchemaRef>,
    output: arrow::datatypes::SchemaRef,
    node: JoinNode,
    changes: [bool; 2],
) -> Rig {
    Rig::new(inputs, changes.to_vec(), output, vec![vec![0], vec![0]], move |context| super::compile(&node, context, None))
}

/// Rows of both inputs as they arrive: side, key, time, value.
#[derive(Clone, Debug)]
struct Arrivals {
    rows: Vec<(usize, Row)>,
    /// How many rows each ticket has.
    tickets: Vec<usize>,
    /// Before which ticket to restart, in how many lanes.
    restarts: Vec<(usize, usize)>,
    delay: i64,
}

impl Arrivals {
    fn of(&self, side: usize) -> Vec<Row> {
        self.rows.iter().filter(|(of, _)| *of == side).map(|(_, row)| row.clone()).collect()
    }

    /// Runs a rig to its end and hands it, with the watermark that stood before, to `each` after each ticket.
    fn run(&self, rig: &mut Rig, mut each: impl FnMut(&mut Rig, i64)) {
        let (mut next, mut newest, mut ticket) = (0, i64::MIN, 0);
        while next < self.rows.len() {
            for (_, lanes) in self.restarts.iter().filter(|(before, _)| *before == ticket) {
                rig.restart(*lanes);
            }
            let rows = &self.rows[next..][..self.tickets[ticket % self.tickets.len()].min(self.rows.len() - next)];
            for side in [0, 1] {
                rig.insert(side, &rows.iter().filter(|(of, _)| *of == side).map(|(_, row)| row.clone()).collect::<Vec<_>>());
            }
            newest = rows.iter().filter_map(|(_, row)| row[1]).fold(newest, i64::max);
            let before = rig.time.watermark;
            rig.watermark(newest - self.delay);
            each(rig, before);
            next += rows.len();
            ticket += 1;
        }
        let before = rig.time.watermark;
        rig.watermark(i64::MAX);
        each(rig, before);
    }
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    let delay = 6i64;
    let row = (0..2usize, prop_oneof![9 => (0..3i64).prop_map(Some), 1 => Just(None)], 0..=delay, 0..4i64, 0..3i64);
    let rows = prop::collection::vec(row, 0..60);
    let restarts = prop::collection::vec((0..20usize, 1..4usize), 0..3);
    (rows, prop::collection::vec(1..8usize, 1..5), restarts).prop_map(move |(rows, tickets, restarts)| {
        let mut clock = 0;
        let rows = rows.into_iter().map(|(side, key, back, on, value)| {
            clock += on;
            (side, vec![key, Some(clock - back), Some(value)])
        });
        Arrivals { rows: rows.collect(), tickets, restarts, delay }
    })
}

fn kind() -> impl Strategy<Value = JoinKind> {
    prop_oneof![Just(JoinKind::Inner), Just(JoinKind::Left)]
}

fn word(kind: JoinKind) -> &'static str {
    if kind == JoinKind::Left { "LEFT" } else { "INNER" }
}

const COLUMNS: &[&str] = &["k", "t", "v"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_interval_join_is_what_sql_says(arrivals in arrivals(), kind in kind(), lower in -5..3i64, span in 0..6i64, condition: bool) {
        let (left_time, right_time, upper) = (1, 1, lower + span);
        let bound = JoinBound::Interval { left_time, right_time, lower, upper };
        let mut rig = rig(kind, bound, condition.then(|| col("$2").not_eq(col("$5"))), [false; 2]);
        let mut results = Vec::new();
        arrivals.run(&mut rig, |rig, before| {
            let valid_from = rig.lanes[0].output_watermark(before);
            for (change, row) in rig.take() {
                assert_eq!(change, Change::Insert);
                let oldest = [row[1], row[4]].into_iter().flatten().min().unwrap();
                assert!(oldest >= valid_from || row[0].is_none(), "{row:?} is older than the watermark of the output, {valid_from}");
                results.push(row);
            }
        });
        results.sort();
        let further = if condition { "AND l.v <> r.v" } else { "" };
        let query = format!(
            "SELECT l.*, r.* FROM l {} JOIN r ON l.k = r.k AND l.t BETWEEN r.t + ({lower}) AND r.t + ({upper}) {further}", word(kind)
        );
        let (left, right) = (arrivals.of(0), arrivals.of(1));
        prop_assert_eq!(results, sql(&[("l", COLUMNS, &left), ("r", COLUMNS, &right)], &query));
        prop_assert!(rig.late.is_empty());
    }

    #[test]
    fn an_as_of_join_is_what_sql_says(arrivals in arrivals(), kind in kind(), condition: bool) {
        let bound = JoinBound::AsOf { left_time: 1, right_time: 1 };
        let mut rig = rig(kind, bound, condition.then(|| col("$2").not_eq(col("$5"))), [false; 2]);
        let mut results = Vec::new();
        arrivals.run(&mut rig, |rig, _| results.extend(rig.take().into_iter().map(|(_, row)| row)));
        results.sort();
        // Versions of one time: the last to come counts, so rows are numbered as they come.
        let numbered = |rows: Vec<Row>| -> Vec<Row> {
            let by_ticket = rows.into_iter().enumerate();
            by_ticket.map(|(n, row)| row.into_iter().chain([Some(n as i64)]).collect()).collect()
        };
        let (left, right) = (numbered(arrivals.of(0)), numbered(arrivals.of(1)));
        let columns: &[&str] = &["k", "t", "v", "n"];
        let further = if condition { "AND m.v <> m.rv" } else { "" };
        let query = format!(
            "SELECT l.k, l.t, l.v, m.rk, m.rt, m.rv FROM l {} JOIN (
                SELECT * FROM (
                    SELECT l.n, l.v, r.k AS rk, r.t AS rt, r.v AS rv,
                        row_number() OVER (PARTITION BY l.n ORDER BY r.t DESC, r.n DESC) AS place
                    FROM l JOIN r ON l.k = r.k AND r.t <= l.t
                ) AS all_versions WHERE place = 1
            ) AS m ON l.n = m.n {further}", word(kind)
        );
        prop_assert_eq!(results, sql(&[("l", columns, &left), ("r", columns, &right)], &query));
        prop_assert!(rig.late.is_empty());
    }

    #[test]
    fn a_window_join_is_what_sql_says(arrivals in arrivals(), kind in kind(), condition: bool) {
        let windowed = schema(&[("k", DataType::Int64), ("t", moment()), ("v", DataType::Utf8), ("s", moment()), ("e", moment())]);
        let bound = JoinBound::Window { left: (3, 4), right: (3, 4) };
        let node = node(kind, bound, condition.then(|| col("$2").not_eq(col("$7"))));
        let mut rig = rig_of(vec![windowed.clone(), windowed.clone()], joined(&windowed, &windowed), node, [false; 2]);
        let mut windowed = arrivals.clone();
        for (_, row) in &mut windowed.rows {
            let start = row[1].unwrap().div_euclid(4) * 4;
            row.extend([Some(start), Some(start + 4)]);
        }
        let mut results = Vec::new();
        windowed.run(&mut rig, |rig, before| {
            for (_, row) in rig.take() {
                assert!(row[4].unwrap() > before || row[0].is_none());
                results.push(row);
            }
        });
        results.sort();
        let further = if condition { "AND l.v <> r.v" } else { "" };
        let query = format!("SELECT l.*, r.* FROM l {} JOIN r ON l.k = r.k AND l.s = r.s AND l.e = r.e {further}", word(kind));
        let columns: &[&str] = &["k", "t", "v", "s", "e"];
        prop_assert_eq!(results, sql(&[("l", columns, &windowed.of(0)), ("r", columns, &windowed.of(1))], &query));
        prop_assert!(rig.late.is_empty());
    }

    /// A row is inserted, or one that is there is taken back; the result must be right after each ticket.
    #[test]
    fn a_regular_join_is_what_sql_says_at_every_moment(
        steps in prop::collection::vec((0..2usize, 0..4i64, 0..3i64, any::<prop::sample::Index>(), 0..3u8), 0..60),
        tickets in prop::collection::vec(1..8usize, 1..5),
        restarts in prop::collection::vec((0..20usize, 1..4usize), 0..3),
        kind in kind(),
        condition: bool,
        changes: bool,
    ) {
        let bound = JoinBound::Updating { ttl: None };
        let mut rig = rig(kind, bound, condition.then(|| col("$2").not_eq(col("$5"))), [changes; 2]);
        let (mut alive, mut result) = ([Vec::<Row>::new(), Vec::new()], Materialised::default());
        let (mut next, mut ticket) = (0, 0);
        while next < steps.len() {
            for (_, lanes) in restarts.iter().filter(|(before, _)| *before == ticket) {
                rig.restart(*lanes);
            }
            let some = &steps[next..][..tickets[ticket % tickets.len()].min(steps.len() - next)];
            for (side, alive) in alive.iter_mut().enumerate() {
                let mut rows = Vec::new();
                for (_, key, value, which, what) in some.iter().filter(|(of, ..)| *of == side) {
                    if changes && *what == 0 && !alive.is_empty() {
                        rows.push((alive.remove(which.index(alive.len())), Change::Delete));
                    } else {
                        let row = vec![(*key > 0).then_some(*key), Some(0), Some(*value)];
                        alive.push(row.clone());
                        rows.push((row, if *what == 1 && changes { Change::UpdateAfter } else { Change::Insert }));
                    }
                }
                rig.push(side, &rows);
            }
            result.apply(rig.take());
            let mut expected = Vec::new();
            for left in &alive[0] {
                let before = expected.len();
                for right in &alive[1] {
                    if left[0].is_some() && left[0] == right[0] && (!condition || left[2] != right[2]) {
                        expected.push([&left[..], &right[..]].concat());
                    }
                }
                if kind == JoinKind::Left && expected.len() == before {
                    expected.push([&left[..], &[None, None, None]].concat());
                }
            }
            expected.sort();
            prop_assert_eq!(result.rows(), expected);
            next += some.len();
            ticket += 1;
        }
        let further = if condition { "AND l.v <> r.v" } else { "" };
        let query = format!("SELECT l.*, r.* FROM l {} JOIN r ON l.k = r.k {further}", word(kind));
        prop_assert_eq!(result.rows(), sql(&[("l", COLUMNS, &alive[0]), ("r", COLUMNS, &alive[1])], &query));
    }
}

fn row(key: i64, time: i64, value: i64) -> Row {
    vec![Some(key), Some(time), Some(value)]
}

#[test]
fn a_left_row_of_an_interval_join_waits_as_long_as_a_match_can_come() {
    let bound = JoinBound::Interval { left_time: 1, right_time: 1, lower: -2, upper: 3 };
    let mut rig = rig(JoinKind::Left, bound, None, [false; 2]);
    rig.insert(0, &[row(1, 10, 7)]);
    rig.watermark(12);
    expect![[r#"
        []
    "#]]
    .assert_debug_eq(&rig.texts());
    rig.watermark(13);
    expect![[r#"
        [
            "+I 1 10 7 - - -",
        ]
    "#]]
    .assert_debug_eq(&rig.texts());
    assert_eq!(rig.lanes[0].output_watermark(13), 10);
}

#[test]
fn a_row_of_an_interval_join_is_late_when_nothing_can_meet_it_any_more() {
    let bound = JoinBound::Interval { left_time: 1, right_time: 1, lower: -2, upper: 3 };
    let mut rig = rig(JoinKind::Inner, bound, None, [false; 2]);
    rig.insert(1, &[row(1, 96, 0), row(1, 97, 1), row(1, 102, 2)]);
    rig.watermark(100);
    // 97 + 3 is not passed, 96 + 3 is; left rows from 95 on can still meet something.
    rig.insert(0, &[row(1, 99, 3), row(1, 94, 4), row(1, 95, 5)]);
    expect![[r#"
        [
            "+I 1 99 3 1 97 1",
            "+I 1 95 5 1 97 1",
        ]
    "#]]
    .assert_debug_eq(&rig.texts());
    assert_eq!(rig.late, [row(1, 94, 4)]);
}

#[test]
fn rows_of_windows_and_versions_that_are_decided_are_late() {
    let windowed = schema(&[("k", DataType::Int64), ("s", moment()), ("e", moment())]);
    let node = node(JoinKind::Inner, JoinBound::Window { left: (1, 2), right: (1, 2) }, None);
    let mut windows = rig_of(vec![windowed.clone(), windowed.clone()], joined(&windowed, &windowed), node, [false; 2]);
    windows.watermark(10);
    windows.insert(0, &[row(1, 0, 10), row(1, 5, 11), vec![Some(1), None, Some(5)]]);
    assert_eq!(windows.late, [row(1, 0, 10)]);
    assert_eq!(windows.rejected.len(), 1);

    let mut versions = rig(JoinKind::Inner, JoinBound::AsOf { left_time: 1, right_time: 1 }, None, [false, true]);
    versions.push(1, &[(row(1, 5, 0), Change::Insert), (row(1, 8, 1), Change::UpdateAfter), (row(2, 8, 1), Change::Insert)]);
    versions.push(1, &[(row(2, 9, 1), Change::Delete)]);
    versions.watermark(10);
    versions.insert(0, &[row(1, 9, 2), row(1, 10, 3), row(2, 10, 4)]);
    // Newer than what is known although behind the watermark: it counts from now on.
    versions.push(1, &[(row(1, 7, 5), Change::Insert), (row(1, 9, 6), Change::Insert)]);
    versions.watermark(11);
    assert_eq!(versions.late, [row(1, 9, 2), row(1, 7, 5)]);
    expect![[r#"
        [
            "+I 1 10 3 1 9 6",
        ]
    "#]]
    .assert_debug_eq(&versions.texts());
}

#[test]
fn a_regular_left_join_takes_padded_rows_back_and_puts_them_out_again() {
    let mut rig = rig(JoinKind::Left, JoinBound::Updating { ttl: None }, None, [true; 2]);
    rig.insert(0, &[row(1, 0, 1)]);
    rig.insert(1, &[row(1, 0, 2), row(1, 0, 3)]);
    rig.push(1, &[(row(1, 0, 2), Change::UpdateBefore), (row(1, 0, 3), Change::Delete), (row(1, 0, 9), Change::Delete)]);
    rig.push(0, &[(row(1, 0, 1), Change::Delete)]);
    expect![[r#"
        [
            "+I 1 0 1 - - -",
            "-D 1 0 1 - - -",
            "+I 1 0 1 1 0 2",
            "+I 1 0 1 1 0 3",
            "-D 1 0 1 1 0 2",
            "-D 1 0 1 1 0 3",
            "+I 1 0 1 - - -",
            "-D 1 0 1 - - -",
        ]
    "#]]
    .assert_debug_eq(&rig.texts());
}

#[test]
fn a_regular_join_forgets_rows_after_their_time_to_live() {
    for restart in [false, true] {
        let mut rig = rig(JoinKind::Inner, JoinBound::Updating { ttl: Some(10) }, None, [false; 2]);
        rig.insert(0, &[row(1, 0, 1)]);
        rig.clock(100);
        rig.insert(0, &[row(1, 0, 2)]);
        rig.clock(105);
        if restart {
            rig.restart(2);
        }
        rig.insert(0, &[row(1, 0, 3)]);
        rig.clock(109);
        rig.insert(1, &[row(1, 0, 4)]);
        assert_eq!(rig.take().len(), 3);
        rig.clock(110);
        rig.insert(1, &[row(1, 0, 5)]);
        let left: Vec<_> = rig.take().into_iter().map(|(_, row)| row[2]).collect();
        // The first two came at 100 as the clock goes, the third at 105.
        assert_eq!(left, [Some(3)], "restarted: {restart}");
        rig.clock(200);
        rig.insert(1, &[row(1, 0, 6)]);
        assert!(rig.take().is_empty());
    }
}

#[test]
fn a_row_whose_condition_cannot_be_computed_is_rejected_without_its_value() {
    let bounds = [JoinBound::Updating { ttl: None }, JoinBound::Interval { left_time: 1, right_time: 1, lower: -9, upper: 9 }];
    for bound in bounds {
        let quotient = lit(100i64) / cast(col("$5"), DataType::Int64);
        let mut rig = rig(JoinKind::Left, bound, Some(quotient.gt(lit(10i64))), [false; 2]);
        rig.insert(0, &[row(1, 0, 1)]);
        rig.insert(1, &[row(1, 0, 5), row(1, 0, 0), row(1, 0, 50), row(2, 0, 0)]);
        let (rejected, reason) = rig.rejected.pop().unwrap();
        assert_eq!(
            (rejected, reason.as_str()),
            (row(1, 0, 0), "sql.error: the join condition cannot be computed: a division by zero")
        );
        assert!(rig.rejected.is_empty());
        let pairs: Vec<_> =
            rig.take().into_iter().filter(|(change, row)| *change == Change::Insert && row[5].is_some()).collect();
        assert_eq!(pairs.len(), 1);
    }
}

#[test]
fn a_left_row_of_an_as_of_join_whose_condition_cannot_be_computed_is_rejected_when_it_is_decided() {
    for kind in [JoinKind::Inner, JoinKind::Left] {
        let quotient = lit(100i64) / cast(col("$5"), DataType::Int64);
        let bound = JoinBound::AsOf { left_time: 1, right_time: 1 };
        let mut rig = rig(kind, bound, Some(quotient.gt(lit(10i64))), [false; 2]);
        rig.insert(1, &[row(1, 0, 5), row(1, 10, 0), row(1, 20, 50)]);
        rig.insert(0, &[row(1, 1, 7), row(1, 11, 8), row(1, 12, 9), row(1, 21, 10)]);
        rig.restart(2);
        assert!(rig.rejected.is_empty(), "nothing is decided yet");
        rig.watermark(100);
        let reason = "sql.error: the join condition cannot be computed: a division by zero".to_owned();
        assert_eq!(rig.rejected, [(row(1, 11, 8), reason.clone()), (row(1, 12, 9), reason)]);
        let matched: Vec<_> = rig.take().into_iter().map(|(_, row)| (row[2], row[5])).collect();
        let unmatched = (kind == JoinKind::Left).then_some((Some(10), None));
        assert_eq!(matched, [Some((Some(7), Some(5))), unmatched].into_iter().flatten().collect::<Vec<_>>());
    }
}

#[test]
fn a_row_without_time_is_rejected() {
    let bound = JoinBound::Interval { left_time: 1, right_time: 1, lower: 0, upper: 1 };
    let mut rig = rig(JoinKind::Left, bound, None, [false; 2]);
    rig.insert(0, &[vec![Some(1), None, Some(3)]]);
    assert_eq!(rig.rejected[0].1, "event_time.missing: `t` is null, so the row has no place in time");
}
