//! Lateness, refusals, what is let go of, and what stops a step.

use datafusion::logical_expr::lit;

use super::*;
use crate::stages::transform::pattern::{
    Limits, grows_without_bound,
    program::{Program, is_unbounded},
};

fn rising(after: AfterMatch) -> MatchNode {
    let beside = [last(B, PRICE), MatchPart::Last { variable: None, column: PRICE, offset: 1 }];
    let defines = vec![None, Some(over(beside, col("$0").gt(col("$1"))))];
    let pattern = Pattern::Sequence(vec![Pattern::Variable(A), repeat(B, 1, None, true)]);
    node(pattern, defines, vec![part(first(None, PRICE)), part(last(None, PRICE))], after)
}

fn ints(count: usize) -> Vec<DataType> {
    vec![DataType::Int64; count]
}

#[test]
fn rows_older_than_the_watermark_are_late_and_rows_without_time_rejected() {
    let mut bench = Bench::new(rising(AfterMatch::PastLastRow), ints(2)).unwrap();
    bench.advance(10).unwrap();
    let mut rows = batch(&[("x", 9, Some(1)), ("x", 10, Some(1)), ("x", 11, Some(2))], &[0; 3]);
    let mut columns = rows.rows.columns().to_vec();
    let times = TimestampMicrosecondArray::from(vec![Some(9), Some(10), None]).with_timezone("UTC");
    columns[TIME] = Arc::new(times);
    rows.rows = RecordBatch::try_new(schema(), columns).unwrap();
    let out = bench.push(&rows).unwrap();
    assert_eq!((out.absorbed, &out.late[0].rows[..], &out.rejected[0].0.rows[..]), (1, &[0][..], &[2][..]));
    assert_eq!(&*out.rejected[0].1[0][0].rule, "event_time");
}

#[test]
fn a_match_is_put_out_when_it_is_certain_and_the_watermark_waits_for_it() {
    let mut bench = Bench::new(rising(AfterMatch::PastLastRow), ints(2)).unwrap();
    bench.push(&batch(&[("x", 1, Some(1)), ("x", 2, Some(2)), ("x", 3, Some(3)), ("y", 3, Some(3))], &[0; 4])).unwrap();
    assert!(bench.advance(4).unwrap().is_empty(), "another rise could follow");
    assert_eq!(bench.operator.output_watermark(4), 1);
    bench.restart();
    assert_eq!(bench.operator.output_watermark(4), 1, "also after a restart");
    bench.advance(4).unwrap();
    bench.push(&batch(&[("x", 5, Some(0))], &[0])).unwrap();
    assert_eq!(bench.advance(6).unwrap(), ["x 1 3"]);
    assert_eq!(bench.operator.output_watermark(6), 3, "y's first row still waits");
    assert_eq!(bench.advance(i64::MAX).unwrap(), Vec::<String>::new());
    assert_eq!(bench.operator.state.len(), 0, "nothing is left behind");
}

#[test]
fn within_lets_go_of_rows_when_its_time_has_passed() {
    let mut node = rising(AfterMatch::PastLastRow);
    node.within = Some(10);
    assert!(!grows_without_bound(&node) && grows_without_bound(&rising(AfterMatch::PastLastRow)));
    let mut bench = Bench::new(node, ints(2)).unwrap();
    bench.push(&batch(&[("x", 0, Some(1)), ("x", 10, Some(2)), ("y", 0, Some(5))], &[0; 3])).unwrap();
    assert!(bench.advance(10).unwrap().is_empty(), "a row of time 10 may still come");
    assert_eq!(bench.advance(11).unwrap(), ["x 1 2"]);
    assert_eq!(bench.operator.state.len(), 0);
}

#[test]
fn matches_of_a_partition_come_in_the_order_of_their_first_rows() {
    // Row 0 takes all there is before it is certain; row 1 is certain at the same moment, and ends earlier.
    let small = over([last(B, PRICE), first(None, PRICE)], col("$0").gt(col("$1")));
    let pattern = Pattern::Sequence(vec![Pattern::Variable(A), repeat(B, 0, None, true)]);
    let node =
        node(pattern, vec![None, Some(small)], [first(None, PRICE), last(None, PRICE)].map(part).to_vec(), AfterMatch::ToNextRow);
    let mut bench = Bench::new(node, ints(2)).unwrap();
    bench.push(&batch(&[("x", 1, Some(1)), ("x", 2, Some(9)), ("x", 3, Some(5)), ("x", 4, Some(0))], &[0; 4])).unwrap();
    assert_eq!(bench.advance(5).unwrap(), ["x 1 5", "x 9 9", "x 5 5"]);
}

#[test]
fn further_order_decides_among_rows_of_equal_time() {
    let mut node = rising(AfterMatch::PastLastRow);
    node.order = vec![weir_plan::operator::SortKey { column: PRICE, descending: false, nulls_first: true }];
    let mut bench = Bench::new(node, ints(2)).unwrap();
    bench.push(&batch(&[("x", 1, Some(3)), ("x", 1, Some(1)), ("x", 1, Some(2))], &[0; 3])).unwrap();
    assert_eq!(bench.advance(i64::MAX).unwrap(), ["x 1 3"]);
}

#[test]
fn skips_that_lead_nowhere_stop_the_run_and_name_the_step() {
    let pattern = |parts: Vec<Pattern>| Pattern::Sequence(parts);
    let cases = [
        (pattern(vec![Pattern::Variable(A), repeat(B, 0, None, true)]), AfterMatch::ToFirst(B), "no row mapped"),
        (pattern(vec![repeat(A, 1, None, true)]), AfterMatch::ToLast(A), "for ever"),
    ];
    for (pattern, after, message) in cases {
        let never = over([last(B, PRICE)], col("$0").gt(lit(99i64)));
        let node = node(pattern, vec![None, Some(never)], vec![part(first(None, PRICE))], after);
        let mut bench = Bench::new(node, ints(1)).unwrap();
        bench.push(&batch(&[("x", 1, Some(3))], &[0])).unwrap();
        let error = bench.advance(i64::MAX).unwrap_err().to_string();
        assert!(error.starts_with("spikes: ") && error.contains(message), "{error}");
    }
    let error = Bench::new(rising(AfterMatch::ToFirst(A)), ints(2)).err().unwrap().to_string();
    assert!(error.contains("SKIP TO FIRST A"), "{error}");
}

#[test]
fn a_partition_over_its_limits_stops_the_run() {
    let mut bench = Bench::new(rising(AfterMatch::PastLastRow), ints(2)).unwrap();
    bench.operator.matcher.limits = Limits { rows: 2, ..Limits::default() };
    let error = bench.push(&batch(&[("x", 1, Some(1)), ("x", 2, Some(2)), ("x", 3, Some(3))], &[0; 3])).err().unwrap();
    assert!(error.to_string().contains("more than 2 rows"), "{error}");

    // (A | B)*, told apart by their sums: each row doubles the futures.
    let sum = |of| over([aggregate(AggregateFunction::Sum, of, BIT)], col("$0").gt(lit(-1i64)));
    let either = Pattern::Alternation(vec![Pattern::Variable(A), Pattern::Variable(B)]);
    let pattern = Pattern::Sequence(vec![
        Pattern::Repeat { pattern: Box::new(either), min: 1, max: None, greedy: true },
        Pattern::Variable(C),
    ]);
    let never = over([last(C, PRICE)], col("$0").gt(lit(99i64)));
    let node =
        node(pattern, vec![Some(sum(A)), Some(sum(B)), Some(never)], vec![part(first(None, PRICE))], AfterMatch::PastLastRow);
    let mut bench = Bench::new(node, ints(1)).unwrap();
    let rows: Vec<Tick> = (0..20).map(|n| ("x", n, Some(1))).collect();
    bench.push(&batch(&rows, &(0..20).map(|n| 1 << n).collect::<Vec<_>>())).unwrap();
    let error = bench.advance(i64::MAX).unwrap_err().to_string();
    assert!(error.contains("4096 partial matches"), "{error}");
}

#[test]
fn conditions_on_rows_alone_keep_one_partial_match_a_position() {
    let either = Pattern::Alternation(vec![Pattern::Variable(A), Pattern::Variable(B)]);
    let pattern = Pattern::Sequence(vec![
        Pattern::Repeat { pattern: Box::new(either), min: 1, max: None, greedy: true },
        Pattern::Variable(C),
    ]);
    let never = over([last(C, PRICE)], col("$0").gt(lit(99i64)));
    let measures = vec![part(MatchPart::Aggregate { variable: None, function: AggregateFunction::Count, column: None })];
    let node = node(pattern, vec![None, None, Some(never)], measures, AfterMatch::PastLastRow);
    let mut bench = Bench::new(node, ints(1)).unwrap();
    let mut rows: Vec<Tick> = (0..500).map(|n| ("x", n, Some(1))).collect();
    rows.push(("x", 500, Some(100)));
    bench.push(&batch(&rows, &vec![0; rows.len()])).unwrap();
    assert_eq!(bench.advance(i64::MAX).unwrap(), ["x 501"]);
}

#[test]
fn a_condition_that_cannot_be_computed_does_not_hold_and_such_a_measure_is_null() {
    let inverse = |parts: Vec<MatchPart>| over(parts, lit(10i64) / col("$0"));
    let condition = over([last(A, PRICE), first(A, PRICE)], (lit(10i64) / col("$0")).gt(col("$1") - lit(9i64)));
    let node = node(
        Pattern::Variable(A),
        vec![Some(condition), None],
        vec![part(last(A, PRICE)), inverse(vec![MatchPart::Prev { column: PRICE, offset: 1 }])],
        AfterMatch::PastLastRow,
    );
    let mut bench = Bench::new(node, ints(2)).unwrap();
    bench.push(&batch(&[("x", 1, Some(0)), ("x", 2, Some(2)), ("x", 3, Some(5))], &[0; 3])).unwrap();
    assert_eq!(bench.advance(i64::MAX).unwrap(), ["x 2 null", "x 5 5"]);
}

#[test]
fn patterns_that_are_too_large_are_refused() {
    let inner = repeat(A, 1_000, Some(1_000), true);
    let pattern = Pattern::Repeat { pattern: Box::new(inner), min: 1_000, max: Some(1_000), greedy: true };
    assert!(Program::compile(&pattern).unwrap_err().contains("20,000"));
    assert!(!is_unbounded(&pattern) && is_unbounded(&repeat(A, 1, None, false)));
}
