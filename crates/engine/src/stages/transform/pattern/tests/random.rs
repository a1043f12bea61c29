//! Random small patterns over random short inputs, in all modes, against the naive matcher.

use std::collections::BTreeMap;

use datafusion::logical_expr::lit;
use proptest::prelude::*;

use super::{
    oracle::{Mapping, Point},
    *,
};
use crate::stages::transform::pattern::program::is_nullable;

/// A condition that both matchers understand.
#[derive(Clone, Debug)]
enum Condition {
    Always,
    Below(i64),
    AboveBefore,
    AtLeastLast { of: Option<usize>, offset: u32 },
    AboveFirst(usize),
    Sum { of: Option<usize>, below: i64 },
    Count { of: usize, at_most: i64 },
    AverageAbove(usize),
}

impl Condition {
    fn expr(&self, variable: usize) -> Option<MatchExpr> {
        let price = last(variable, PRICE);
        Some(match *self {
            Self::Always => return None,
            Self::Below(bound) => over([price], col("$0").lt(lit(bound))),
            Self::AboveBefore => over([price, MatchPart::Prev { column: PRICE, offset: 1 }], col("$0").gt(col("$1"))),
            Self::AtLeastLast { of, offset } => {
                let earlier = MatchPart::Last { variable: of, column: PRICE, offset };
                over([price, earlier], col("$1").is_null().or(col("$0").gt_eq(col("$1"))))
            }
            Self::AboveFirst(of) => over([price, first(of, PRICE)], col("$0").gt(col("$1"))),
            Self::Sum { of, below } => over([aggregate(AggregateFunction::Sum, of, PRICE)], col("$0").lt(lit(below))),
            Self::Count { of, at_most } => {
                let count = MatchPart::Aggregate { variable: Some(of), function: AggregateFunction::Count, column: None };
                over([count], col("$0").lt_eq(lit(at_most)))
            }
            Self::AverageAbove(of) => over(
                [price, aggregate(AggregateFunction::Avg, of, PRICE)],
                datafusion::logical_expr::cast(col("$0"), DataType::Float64).gt(col("$1")),
            ),
        })
    }

    /// From the standard's text: the row being judged counts as mapped to the variable it is judged for.
    fn holds(&self, rows: &[Point], row: usize, variable: usize, mapped: &Mapping) -> bool {
        let mut all = mapped.clone();
        all.push((row, variable));
        let of = |wanted: Option<usize>| -> Vec<Option<i64>> {
            all.iter().filter(|(_, of)| wanted.is_none_or(|wanted| wanted == *of)).map(|(row, _)| rows[*row].1).collect()
        };
        let price = rows[row].1;
        let above = |bound: Option<i64>| price.zip(bound).is_some_and(|(price, bound)| price > bound);
        match *self {
            Self::Always => true,
            Self::Below(bound) => price.is_some_and(|price| price < bound),
            Self::AboveBefore => above(row.checked_sub(1).and_then(|before| rows[before].1)),
            Self::AtLeastLast { of: variable, offset } => {
                let values = of(variable);
                let earlier = values.len().checked_sub(1 + offset as usize).and_then(|at| values[at]);
                earlier.is_none_or(|earlier| price.is_some_and(|price| price >= earlier))
            }
            Self::AboveFirst(variable) => above(of(Some(variable)).first().copied().flatten()),
            Self::Sum { of: variable, below } => {
                let values: Vec<i64> = of(variable).into_iter().flatten().collect();
                !values.is_empty() && values.iter().sum::<i64>() < below
            }
            Self::Count { of: variable, at_most } => of(Some(variable)).len() as i64 <= at_most,
            Self::AverageAbove(variable) => {
                let values: Vec<i64> = of(Some(variable)).into_iter().flatten().collect();
                let average = values.iter().sum::<i64>() as f64 / values.len() as f64;
                !values.is_empty() && price.is_some_and(|price| price as f64 > average)
            }
        }
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let variable = || 0usize..3;
    prop_oneof![
        2 => Just(Condition::Always),
        3 => (1i64..5).prop_map(Condition::Below),
        2 => Just(Condition::AboveBefore),
        2 => (proptest::option::of(variable()), 0u32..3).prop_map(|(of, offset)| Condition::AtLeastLast { of, offset }),
        1 => variable().prop_map(Condition::AboveFirst),
        1 => (proptest::option::of(variable()), 3i64..12).prop_map(|(of, below)| Condition::Sum { of, below }),
        1 => (variable(), 1i64..3).prop_map(|(of, at_most)| Condition::Count { of, at_most }),
        1 => variable().prop_map(Condition::AverageAbove),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let bounds = prop_oneof![
        Just((0, None)),
        Just((1, None)),
        Just((0, Some(1))),
        Just((2, Some(2))),
        Just((1, Some(3))),
        Just((0, Some(2))),
        Just((2, None)),
    ];
    (0usize..3).prop_map(Pattern::Variable).prop_recursive(3, 8, 3, move |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 1..4).prop_map(Pattern::Sequence),
            1 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Pattern::Alternation),
            3 => (inner, bounds.clone(), any::<bool>())
                .prop_map(|(pattern, (min, max), greedy)| Pattern::Repeat { pattern: Box::new(pattern), min, max, greedy }),
        ]
    })
}

fn after() -> impl Strategy<Value = AfterMatch> {
    prop_oneof![
        Just(AfterMatch::PastLastRow),
        Just(AfterMatch::ToNextRow),
        (0usize..3).prop_map(AfterMatch::ToFirst),
        (0usize..3).prop_map(AfterMatch::ToLast),
    ]
}

/// Rows in the order of their arrival, and how many come with each ticket.
fn input() -> impl Strategy<Value = (Vec<Tick>, Vec<usize>)> {
    let row = (prop_oneof![Just("x"), Just("y")], 0i64..9, proptest::option::weighted(0.9, 0i64..5));
    (proptest::collection::vec(row, 0usize..12), proptest::collection::vec(1usize..5, 12usize))
}

fn expected(
    rows: &[Tick],
    pattern: &Pattern,
    after: AfterMatch,
    within: Option<i64>,
    conditions: &[Condition],
) -> Result<BTreeMap<&'static str, Vec<String>>, &'static str> {
    let mut all = BTreeMap::new();
    for symbol in ["x", "y"] {
        let mut points: Vec<Point> = rows.iter().filter(|row| row.0 == symbol).map(|row| (row.1, row.2)).collect();
        points.sort_by_key(|point| point.0);
        let holds = |row: usize, variable: usize, mapped: &Mapping| conditions[variable].holds(&points, row, variable, mapped);
        let found = oracle::matches(pattern, after, within, &points, &holds)?;
        let text = |mapped: &Mapping| {
            let rows_of = |variable: usize| {
                mapped.iter().filter(|(_, of)| *of == variable).map(|(row, _)| 1i64 << row).reduce(|a, b| a | b)
            };
            let texts = [A, B, C].map(|variable| rows_of(variable).map_or("null".to_owned(), |rows| rows.to_string()));
            format!("{symbol} {}", texts.join(" "))
        };
        all.insert(symbol, found.iter().map(text).collect::<Vec<_>>());
    }
    Ok(all)
}

/// The matches that the operator finds, by symbol, and all of them in their order.
fn found(
    node: MatchNode,
    rows: &[Tick],
    chunks: &[usize],
    restart: bool,
) -> Result<(BTreeMap<String, Vec<String>>, Vec<String>), EngineError> {
    let mut bench = Bench::new(node, vec![DataType::Int64; 3])?;
    // A row's bit is its place in its partition.
    let bits: Vec<i64> = (0..rows.len())
        .map(|n| {
            let before = |(m, row): &(usize, &Tick)| row.0 == rows[n].0 && (row.1, *m) < (rows[n].1, n);
            1 << rows.iter().enumerate().filter(before).count()
        })
        .collect();
    let mut all = Vec::new();
    let mut at = 0;
    for chunk in chunks {
        let end = (at + chunk).min(rows.len());
        if at == end {
            break;
        }
        let taken = bench.push(&batch(&rows[at..end], &bits[at..end]))?;
        assert_eq!(taken.absorbed as usize, end - at, "no row is late");
        at = end;
        // As far as the rows to come allow.
        if let Some(watermark) = rows[at..].iter().map(|row| row.1).min() {
            all.extend(bench.advance(watermark)?);
            if restart {
                bench.restart();
                bench.advance(watermark)?;
            }
        }
    }
    all.extend(bench.advance(i64::MAX)?);
    let mut by_symbol = BTreeMap::from([("x".to_owned(), Vec::new()), ("y".to_owned(), Vec::new())]);
    for text in &all {
        by_symbol.get_mut(&text[..1]).unwrap().push(text.clone());
    }
    Ok((by_symbol, all))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_the_standard_says(
        (rows, chunks) in input(),
        pattern in pattern(),
        after in after(),
        within in proptest::option::weighted(0.3, 0i64..6),
        conditions in proptest::collection::vec(condition(), 3),
        restart in proptest::bool::weighted(0.1),
    ) {
        let defines = conditions.iter().enumerate().map(|(variable, condition)| condition.expr(variable)).collect();
        let measures = [A, B, C].map(|variable| part(aggregate(AggregateFunction::Sum, variable, BIT))).to_vec();
        let mut node = node(pattern.clone(), defines, measures, after);
        node.within = within;
        if is_nullable(&pattern) {
            prop_assert!(Bench::new(node, vec![DataType::Int64; 3]).is_err());
            return Ok(());
        }
        let expected = expected(&rows, &pattern, after, within, &conditions);
        if Bench::new(node.clone(), vec![DataType::Int64; 3]).is_err() {
            // Every match would skip to its own beginning.
            prop_assert!(expected.map_or(true, |expected| expected.values().all(Vec::is_empty)));
            return Ok(());
        }
        let at_once = found(node.clone(), &rows, &[rows.len()], false);
        let in_parts = found(node, &rows, &chunks, restart);
        match expected {
            Ok(expected) => {
                let expected: BTreeMap<String, Vec<String>> = expected.into_iter().map(|(symbol, found)| (symbol.to_owned(), found)).collect();
                let (by_symbol, order) = at_once.unwrap();
                prop_assert_eq!(&by_symbol, &expected);
                prop_assert_eq!(in_parts.unwrap(), (by_symbol, order), "the order does not depend on how the input is cut");
            }
            Err(why) => {
                prop_assert!(at_once.is_err(), "{}", why);
                prop_assert!(in_parts.is_err(), "{}", why);
            }
        }
    }
}
