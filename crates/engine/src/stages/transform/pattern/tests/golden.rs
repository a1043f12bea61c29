//! Examples with the results that their documentation publishes.

use datafusion::logical_expr::lit;

use super::*;

const START: usize = A;
const DOWN: usize = B;
const UP: usize = C;

/// Runs a query over prices of one symbol, one `step` apart, first as one batch and then row by row with a restart after each. The
/// stream goes on after them, so what is not certain yet is not put out.
fn check(node: MatchNode, types: Vec<DataType>, prices: &[i64], step: i64, expected: &[&str]) {
    let rows: Vec<Tick> = prices.iter().enumerate().map(|(n, price)| ("ACME", n as i64 * step, Some(*price))).collect();
    let mut at_once = Bench::new(node.clone(), types.clone()).unwrap();
    let taken = at_once.push(&batch(&rows, &vec![0; rows.len()])).unwrap();
    assert_eq!(taken.absorbed, rows.len() as u64);
    let end = rows[rows.len() - 1].1 + 1;
    assert_eq!(at_once.advance(end).unwrap(), expected);

    let mut one_by_one = Bench::new(node, types).unwrap();
    let mut found = Vec::new();
    for row in rows {
        one_by_one.push(&batch(&[row], &[0])).unwrap();
        found.extend(one_by_one.advance(row.1 + 1).unwrap());
        one_by_one.restart();
    }
    assert_eq!(found, expected);
}

/// Flink's documentation, "Pattern Recognition", Examples: a period of constantly decreasing price.
#[test]
fn flink_falling_prices() {
    let earlier = |offset| MatchPart::Last { variable: Some(DOWN), column: PRICE, offset };
    let down = over(
        [earlier(1), last(DOWN, PRICE), last(START, PRICE)],
        col("$0").is_null().and(col("$1").lt(col("$2"))).or(col("$1").lt(col("$0"))),
    );
    let up = over([last(UP, PRICE), earlier(1)], col("$0").gt(col("$1")));
    let pattern = Pattern::Sequence(vec![Pattern::Variable(START), repeat(DOWN, 1, None, true), Pattern::Variable(UP)]);
    let measures = [last(START, TIME), last(DOWN, TIME), last(UP, TIME)].map(part).to_vec();
    let node = node(pattern, vec![None, Some(down), Some(up)], measures, AfterMatch::ToLast(UP));
    check(node, vec![moment(); 3], &[12, 17, 19, 21, 25, 18, 15, 14, 24, 25, 19], 1, &["ACME 4 7 8"]);
}

/// Flink's documentation, "Aggregations": as long as the average stays below 15.
#[test]
fn flink_average_below() {
    let average = over([aggregate(AggregateFunction::Avg, A, PRICE)], col("$0").lt(lit(15.0)));
    let pattern = Pattern::Sequence(vec![repeat(A, 1, None, true), Pattern::Variable(B)]);
    let measures = [first(A, TIME), last(A, TIME), aggregate(AggregateFunction::Avg, A, PRICE)].map(part).to_vec();
    let node = node(pattern, vec![Some(average), None], measures, AfterMatch::PastLastRow);
    let prices = [12, 17, 13, 16, 25, 2, 4, 10, 15, 25, 25, 30];
    check(node, vec![moment(), moment(), DataType::Float64], &prices, 1, &["ACME 0 3 14.5", "ACME 5 10 13.5"]);
}

/// Flink's documentation, "Greedy & Reluctant Quantifiers".
#[test]
fn flink_greedy_and_reluctant() {
    for (greedy, expected) in [(true, &["ACME 16"][..]), (false, &["ACME 13", "ACME 16"])] {
        let defines = vec![
            Some(over([last(A, PRICE)], col("$0").gt(lit(10i64)))),
            Some(over([last(B, PRICE)], col("$0").lt(lit(15i64)))),
            Some(over([last(C, PRICE)], col("$0").gt(lit(12i64)))),
        ];
        let pattern = Pattern::Sequence(vec![Pattern::Variable(A), repeat(B, 0, None, greedy), Pattern::Variable(C)]);
        let node = node(pattern, defines, vec![part(last(C, PRICE))], AfterMatch::PastLastRow);
        check(node, vec![DataType::Int64], &[10, 11, 12, 13, 14, 16], 1, expected);
    }
}

/// Flink's documentation, "Time constraint": a drop of 10 within an hour, both ends included.
#[test]
fn flink_within() {
    const MINUTE: i64 = 60_000_000;
    let defines = vec![
        None,
        Some(over([last(B, PRICE), last(A, PRICE)], col("$0").gt(col("$1") - lit(10i64)))),
        Some(over([last(C, PRICE), last(A, PRICE)], col("$0").lt(col("$1") - lit(10i64)))),
    ];
    let pattern = Pattern::Sequence(vec![Pattern::Variable(A), repeat(B, 0, None, true), Pattern::Variable(C)]);
    let measures = vec![part(last(C, TIME)), over([last(A, PRICE), last(C, PRICE)], col("$0") - col("$1"))];
    let mut node = node(pattern, defines, measures, AfterMatch::PastLastRow);
    node.within = Some(60 * MINUTE);
    let prices = [20, 17, 18, 11, 14, 9, 15, 14, 24, 1, 19];
    // The tenth row is that of 13:00.
    check(node, vec![moment(), DataType::Int64], &prices, 20 * MINUTE, &[&format!("ACME {} 14", 9 * 20 * MINUTE)]);
}

/// Flink's documentation, "Output Mode".
#[test]
fn flink_one_row_per_match() {
    let earlier = MatchPart::Last { variable: Some(A), column: PRICE, offset: 1 };
    let rising = over([earlier, last(A, PRICE)], col("$0").is_null().or(col("$1").gt(col("$0"))));
    let lower = over([last(B, PRICE), last(A, PRICE)], col("$0").lt(col("$1")));
    let pattern = Pattern::Sequence(vec![repeat(A, 1, None, true), Pattern::Variable(B)]);
    let measures = [first(A, PRICE), last(A, PRICE), last(B, PRICE)].map(part).to_vec();
    let node = node(pattern, vec![Some(rising), Some(lower)], measures, AfterMatch::PastLastRow);
    check(node, vec![DataType::Int64; 3], &[10, 12, 13, 11], 1, &["ACME 10 13 11"]);
}

/// Flink's documentation, "After Match Strategy"; times count from 0 here.
#[test]
fn flink_after_match() {
    let cases: [(AfterMatch, &[&str]); 3] = [
        (AfterMatch::PastLastRow, &["ACME 26 0 3", "ACME 17 4 6"]),
        (AfterMatch::ToNextRow, &["ACME 26 0 3", "ACME 24 1 4", "ACME 25 2 5", "ACME 22 3 6", "ACME 17 4 6"]),
        (AfterMatch::ToLast(A), &["ACME 26 0 3", "ACME 25 2 5", "ACME 17 4 6"]),
    ];
    for (after, expected) in cases {
        let defines = vec![Some(over([aggregate(AggregateFunction::Sum, A, PRICE)], col("$0").lt(lit(30i64)))), None];
        let pattern = Pattern::Sequence(vec![repeat(A, 1, None, true), Pattern::Variable(B)]);
        let measures = [aggregate(AggregateFunction::Sum, A, PRICE), first(None, TIME), last(None, TIME)].map(part).to_vec();
        let node = node(pattern, defines, measures, after);
        check(node, vec![DataType::Int64, moment(), moment()], &[7, 9, 10, 5, 10, 7, 14], 1, expected);
    }
}

/// Oracle's Data Warehousing Guide, "SQL for Pattern Matching": V shapes of one stock, by `PREV`. Days count from 1.
#[test]
fn oracle_v_shape() {
    let beside = |variable| [last(variable, PRICE), MatchPart::Prev { column: PRICE, offset: 1 }];
    let defines = vec![None, Some(over(beside(DOWN), col("$0").lt(col("$1")))), Some(over(beside(UP), col("$0").gt(col("$1"))))];
    let pattern = Pattern::Sequence(vec![Pattern::Variable(START), repeat(DOWN, 1, None, true), repeat(UP, 1, None, true)]);
    let measures = [last(START, TIME), last(DOWN, TIME), last(UP, TIME)].map(part).to_vec();
    let node = node(pattern, defines, measures, AfterMatch::ToLast(UP));
    let prices = [0, 12, 17, 19, 21, 25, 12, 15, 20, 24, 25, 19, 15, 25, 25, 14, 12, 14, 24, 23, 22];
    check(node, vec![moment(); 3], &prices, 1, &["ACME 5 6 10", "ACME 10 12 13", "ACME 14 16 18"]);
}
