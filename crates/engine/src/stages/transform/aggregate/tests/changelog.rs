//! Unwindowed groups: their changes, applied one after the other, are at every point what DataFusion says of the rows there are.

use super::*;
use weir_plan::operator::Grouping;

fn node(keys: Vec<usize>, calls: Vec<AggregateCall>, min_rows: Option<u64>) -> AggregateNode {
    AggregateNode { keys, grouping: Grouping::Updating { ttl: None }, calls, min_rows }
}

/// Applies changes to a table, as an upsert sink would.
fn apply(table: &mut Vec<String>, step: Step) {
    for (change, line) in step.rows {
        if change.is_retraction() {
            let at = table.iter().position(|known| *known == line).unwrap_or_else(|| panic!("{line} was never there: {table:?}"));
            table.remove(at);
        } else {
            table.push(line);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    #[test]
    fn changes_applied_are_the_result_so_far(
        rows in rows(1..40, 100),
        back in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        cuts in prop::collection::vec((1usize..9, prop::option::weighted(0.2, 1usize..4)), 1..8),
    ) {
        // Additions in order, each taken back at most once and some time later.
        let mut steps: Vec<(bool, (usize, Row))> = rows.into_iter().enumerate().map(|row| (true, row)).collect();
        let added = steps.len();
        for index in back {
            let at = index.index(added);
            let row = steps.iter().find(|(_, (n, _))| *n == at).unwrap().1.clone();
            if steps.iter().filter(|(_, (n, _))| *n == at).count() == 1 {
                let place = steps.iter().position(|(_, (n, _))| *n == at).unwrap() + 1 + index.index(added) % 7;
                steps.insert(place.min(steps.len()), (false, row));
            }
        }
        let (mut alive, mut shown): (Vec<(usize, Row)>, Vec<String>) = (Vec::new(), Vec::new());
        let (_, schema) = oracle(batch(&[]), &["k"]);
        let node = node(vec![K], calls().into_iter().map(|(call, _)| call).collect(), None);
        let mut run = Run::new(node, schema, true, 2);
        let (mut rest, mut cut) = (&steps[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let &(size, restore) = cut.next().unwrap();
            let (now, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            let changes: Vec<Change> = now.iter().map(|(add, _)| if *add { Change::Insert } else { Change::Delete }).collect();
            let step = run.process(&batch(&now.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>()), Some(&changes));
            apply(&mut shown, step);
            for (add, row) in now {
                if *add { alive.push(row.clone()) } else { alive.retain(|(n, _)| n != &row.0) }
            }
            alive.sort_by_key(|(n, _)| *n);
            let (expected, _) = oracle(batch(&alive), &["k"]);
            let mut sorted = shown.clone();
            sorted.sort();
            prop_assert_eq!(sorted, expected);
            if let Some(lanes) = restore {
                run.restore(lanes);
            }
        }
    }
}

fn counting(changes: bool, min_rows: Option<u64>, ttl: Option<i64>) -> Run {
    let mut node = node(vec![K], vec![call(AggregateFunction::Count, &[])], min_rows);
    node.grouping = Grouping::Updating { ttl };
    let output = Schema::new(vec![Field::new("k", DataType::Utf8, true), Field::new("count", DataType::Int64, false)]);
    Run::new(node, Arc::new(output), changes, 1)
}

fn of(key: u8, count: usize) -> RecordBatch {
    batch(&(0..count).map(|n| (n, Row { key: Some(key), at: 0, value: None })).collect::<Vec<_>>())
}

fn text(step: Step) -> Vec<String> {
    step.rows.into_iter().map(|(change, line)| format!("{} {line}", change.as_str())).collect()
}

#[test]
fn a_group_is_inserted_updated_and_deleted() {
    let mut run = counting(true, None, None);
    assert_eq!(text(run.process(&of(1, 2), None)), ["+I k1 2"]);
    assert_eq!(text(run.process(&of(1, 1), None)), ["-U k1 2", "+U k1 3"]);
    assert_eq!(text(run.process(&of(1, 2), Some(&[Change::Insert, Change::Delete]))), [""; 0]);
    assert_eq!(text(run.process(&of(1, 3), Some(&[Change::Delete; 3]))), ["-D k1 3"]);
}

#[test]
fn a_group_that_shrinks_below_the_least_number_of_rows_is_taken_back() {
    let mut run = counting(true, Some(2), None);
    assert_eq!(text(run.process(&of(1, 1), None)), [""; 0]);
    assert_eq!(text(run.process(&of(1, 1), None)), ["+I k1 2"]);
    assert_eq!(text(run.process(&of(1, 1), Some(&[Change::Delete]))), ["-D k1 2"]);
}

#[test]
fn a_group_not_touched_for_its_time_to_live_is_forgotten() {
    let mut run = counting(false, None, Some(10));
    run.advance(0, 100);
    run.process(&of(1, 1), None);
    run.advance(0, 105);
    assert_eq!(text(run.process(&of(1, 1), None)), ["-U k1 1", "+U k1 2"]);
    run.advance(0, 112);
    assert_eq!(text(run.process(&of(1, 1), None)), ["-U k1 2", "+U k1 3"]);
    run.restore(2);
    run.advance(0, 122);
    assert_eq!(text(run.process(&of(1, 1), None)), ["+I k1 1"]);
}

#[test]
fn distinct_rows_are_only_ever_added() {
    let output = Schema::new(vec![Field::new("k", DataType::Utf8, true)]);
    let mut run = Run::new(node(vec![K], Vec::new(), None), Arc::new(output), false, 1);
    assert_eq!(text(run.process(&of(1, 2), None)), ["+I k1"]);
    assert_eq!(text(run.process(&of(1, 1), None)), [""; 0]);
    assert_eq!(text(run.process(&of(2, 1), None)), ["+I k2"]);
}
