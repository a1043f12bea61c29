//! Windows in any order of arrival, with late rows, on changing lanes: equal to DataFusion over rows with their windows spelt out.

use super::*;
use crate::stages::transform::window::assign;
use weir_plan::operator::{Grouping, TimeBasis, WindowKind};

/// The rows with their windows, and those that are late, by the definition.
fn expected(window: &WindowKind, steps: &[(Vec<(usize, Row)>, i64)]) -> (Vec<((usize, Row), i64, i64)>, Vec<usize>, u64) {
    let (mut within, mut late, mut outside, mut clock) = (Vec::new(), Vec::new(), 0, i64::MIN);
    // Sessions: the key, start, end, rows and whether it is closed.
    let mut sessions: Vec<(Option<u8>, i64, i64, Vec<(usize, Row)>, bool)> = Vec::new();
    for (rows, watermark) in steps {
        for (n, row) in rows {
            if let WindowKind::Session { gap } = window {
                let (mut start, mut end, mut members) = (row.at, row.at + gap, vec![(*n, row.clone())]);
                let touches = |s: &(Option<u8>, i64, i64, Vec<(usize, Row)>, bool)| {
                    !s.4 && s.0 == row.key && s.1 <= row.at + gap && row.at <= s.2
                };
                if row.at + gap < clock && !sessions.iter().any(touches) {
                    late.push(*n);
                    continue;
                }
                for session in sessions.extract_if(.., |session| touches(session)) {
                    (start, end) = (start.min(session.1), end.max(session.2));
                    members.extend(session.3);
                }
                sessions.push((row.key, start, end, members, false));
                continue;
            }
            let mut windows = Vec::new();
            assign(window, row.at, &mut windows);
            let open: Vec<_> = windows.iter().filter(|(_, end)| *end > clock).collect();
            match (windows.is_empty(), open.is_empty()) {
                (true, _) => outside += 1,
                (false, true) => late.push(*n),
                _ => within.extend(open.into_iter().map(|&(start, end)| ((*n, row.clone()), start, end))),
            }
        }
        clock = clock.max(*watermark);
        sessions.iter_mut().for_each(|session| session.4 |= session.2 < clock);
    }
    for (_, start, end, members, _) in sessions {
        within.extend(members.into_iter().map(|row| (row, start, end)));
    }
    (within, late, outside)
}

fn table(within: &[((usize, Row), i64, i64)]) -> RecordBatch {
    let rows: Vec<_> = within.iter().map(|(row, _, _)| row.clone()).collect();
    let plain = batch(&rows);
    let mut fields = plain.schema().fields().to_vec();
    let mut columns = plain.columns().to_vec();
    for (name, of) in [("ws", 0), ("we", 1), ("wt", 2)] {
        let times = within.iter().map(|&(_, start, end)| [start, end, end - 1][of]);
        fields.push(Arc::new(Field::new(name, micros(), false)));
        columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(times)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn kinds() -> impl Strategy<Value = WindowKind> {
    prop_oneof![
        (1i64..30, 0i64..30).prop_map(|(size, offset)| WindowKind::Tumble { size, offset }),
        (1i64..30, 1i64..30, 0i64..30).prop_map(|(size, slide, offset)| WindowKind::Hop { size, slide, offset }),
        (1i64..8, 1i64..6, 0i64..30).prop_map(|(step, n, offset)| WindowKind::Cumulate { size: step * n, step, offset }),
        (1i64..12).prop_map(|gap| WindowKind::Session { gap }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn windows_are_those_of_the_definition(
        window in kinds(),
        rows in rows(0..60, 60),
        cuts in prop::collection::vec((1usize..12, -8i64..8, prop::option::weighted(0.2, 1usize..4)), 1..20),
        one_by_one: bool,
        sorted: bool,
    ) {
        let mut rows: Vec<(usize, Row)> = rows.into_iter().enumerate().collect();
        if sorted {
            rows.sort_by_key(|(_, row)| row.at);
        }
        // The number of a row is its place in arrival.
        let rows: Vec<_> = rows.into_iter().enumerate().map(|(n, (_, row))| (n, row)).collect();
        let (mut steps, mut rest, mut watermark) = (Vec::new(), &rows[..], i64::MIN);
        let mut cut = cuts.iter().cycle();
        while !rest.is_empty() {
            let &(size, ahead, restore) = cut.next().unwrap();
            let (now, later) = rest.split_at(size.min(rest.len()));
            let newest = now.iter().map(|(_, row)| row.at).max().unwrap();
            watermark = watermark.max(newest + ahead);
            steps.push(((now.to_vec(), watermark), restore));
            rest = later;
        }
        let plain: Vec<_> = steps.iter().map(|(step, _)| step.clone()).collect();
        let (within, late, outside) = expected(&window, &plain);
        let (lines, schema) = oracle(table(&within), &["k", "ws", "we", "wt"]);
        let mut fields = schema.fields().to_vec();
        for (n, name) in [(0, "k"), (1, "window_start"), (2, "window_end"), (3, "window_time")] {
            fields[n] = Arc::new(Field::new(name, fields[n].data_type().clone(), n == 0));
        }
        let output = Arc::new(Schema::new(fields));
        let node = AggregateNode {
            keys: vec![K],
            grouping: Grouping::Window { window: window.clone(), time: TimeBasis::Event(AT) },
            calls: calls().into_iter().map(|(call, _)| call).collect(),
            min_rows: None,
        };
        let mut run = Run::new(node, output, false, 1);
        let (mut found, mut found_late, mut dropped) = (Vec::new(), Vec::new(), 0);
        for ((rows, watermark), restore) in steps {
            for rows in rows.chunks(if one_by_one { 1 } else { rows.len() }) {
                let step = run.process(&batch(rows), None);
                prop_assert!(step.rows.is_empty());
                found_late.extend(step.late);
                dropped += step.dropped;
            }
            if let Some(lanes) = restore {
                run.restore(lanes);
            }
            found.extend(run.advance(watermark, 0).rows.into_iter().map(|(_, line)| line));
        }
        found.extend(run.advance(i64::MAX, 0).rows.into_iter().map(|(_, line)| line));
        found.sort();
        found_late.sort();
        prop_assert_eq!(&found, &lines, "{:?}", window);
        prop_assert_eq!(found_late, { let mut late = late; late.sort(); late });
        prop_assert_eq!(dropped, outside);
    }
}

fn count_of(window: WindowKind, min_rows: Option<u64>) -> Run {
    let node = AggregateNode {
        keys: vec![K],
        grouping: Grouping::Window { window, time: TimeBasis::Event(AT) },
        calls: vec![call(AggregateFunction::Count, &[])],
        min_rows,
    };
    let times = ["window_start", "window_end", "window_time"].map(|name| Field::new(name, micros(), false));
    let mut fields = vec![Field::new("k", DataType::Utf8, true)];
    fields.extend(times);
    fields.push(Field::new("count", DataType::Int64, false));
    Run::new(node, Arc::new(Schema::new(fields)), false, 1)
}

fn at(key: u8, times: &[i64]) -> RecordBatch {
    let rows: Vec<_> = times.iter().enumerate().map(|(n, &at)| (n, Row { key: Some(key), at, value: None })).collect();
    batch(&rows)
}

fn texts(step: Step) -> Vec<String> {
    step.rows
        .into_iter()
        .map(|(_, line)| line.replace("1970-01-01T00:00:00.0000", "").replace("1970-01-01T00:00:00", "0"))
        .collect()
}

#[test]
fn a_window_is_put_out_when_the_watermark_reaches_its_end_by_key() {
    let mut run = count_of(WindowKind::Tumble { size: 10, offset: 0 }, None);
    run.process(&at(2, &[0, 9, 10]), None);
    run.process(&at(1, &[5]), None);
    assert!(run.advance(9, 0).rows.is_empty());
    assert_eq!(texts(run.advance(10, 0)), ["k1 0 10 09 1", "k2 0 10 09 2"]);
    assert_eq!(run.process(&at(1, &[9, 10]), None).late, [0]);
    assert_eq!(texts(run.advance(i64::MAX, 0)), ["k1 10 20 19 1", "k2 10 20 19 1"]);
}

#[test]
fn a_row_too_late_for_one_window_counts_in_another() {
    let mut run = count_of(WindowKind::Hop { size: 10, slide: 5, offset: 0 }, None);
    run.process(&at(1, &[7]), None);
    assert_eq!(texts(run.advance(12, 0)).len(), 1);
    assert_eq!(run.process(&at(1, &[6, 4]), None).late, [1], "6 lies in 0..10, which is closed, and in 5..15");
    assert_eq!(texts(run.advance(15, 0)), ["k1 05 15 14 2"]);
}

#[test]
fn a_session_holds_rows_exactly_a_gap_apart_and_closes_beyond_its_end() {
    let mut run = count_of(WindowKind::Session { gap: 10 }, None);
    run.process(&at(1, &[0, 20]), None);
    run.process(&at(1, &[10]), None);
    assert!(run.advance(30, 0).rows.is_empty());
    run.process(&at(1, &[30]), None);
    assert_eq!(texts(run.advance(41, 0)), ["k1 0 40 39 4"]);
}

#[test]
fn groups_of_too_few_rows_are_not_put_out() {
    let mut run = count_of(WindowKind::Tumble { size: 10, offset: 0 }, Some(2));
    run.process(&at(1, &[1]), None);
    run.process(&at(2, &[1, 2]), None);
    assert_eq!(texts(run.advance(10, 0)), ["k2 0 10 09 2"]);
}

#[test]
fn a_row_without_time_is_rejected() {
    let mut run = count_of(WindowKind::Tumble { size: 10, offset: 0 }, None);
    let rows = at(1, &[1]);
    let mut columns = rows.columns().to_vec();
    columns[AT] = arrow::array::new_null_array(&micros(), 1);
    assert_eq!(run.process(&RecordBatch::try_new(input(), columns).unwrap(), None).rejected, 1);
    assert!(run.advance(i64::MAX, 0).rows.is_empty());
}
