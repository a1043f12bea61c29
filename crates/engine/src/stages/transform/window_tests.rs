//! Windows against their definition, taken literally.

use arrow::datatypes::{Field, Int64Type, Schema};
use proptest::prelude::*;

use super::*;

/// Every window that begins within reach of the time and holds it.
fn brute_force(window: &WindowKind, time: i64) -> Vec<(i64, i64)> {
    let mut all = Vec::new();
    match *window {
        WindowKind::Tumble { size, offset } => all.extend((-500..500).map(|k| (offset + k * size, offset + k * size + size))),
        WindowKind::Hop { size, slide, offset } => {
            all.extend((-2000..2000).map(|k| (offset + k * slide, offset + k * slide + size)))
        }
        WindowKind::Cumulate { size, step, offset } => {
            for k in -500..500 {
                let start = offset + k * size;
                all.extend((1..=size / step).map(|n| (start, start + n * step)));
            }
        }
        WindowKind::Session { gap } => all.push((time, time + gap)),
    }
    all.retain(|&(start, end)| start <= time && time < end);
    all
}

fn windows() -> impl Strategy<Value = WindowKind> {
    prop_oneof![
        (1i64..40, -100i64..100).prop_map(|(size, offset)| WindowKind::Tumble { size, offset }),
        (1i64..40, 1i64..40, -100i64..100).prop_map(|(size, slide, offset)| WindowKind::Hop { size, slide, offset }),
        (1i64..8, 1i64..8, -100i64..100).prop_map(|(step, n, offset)| WindowKind::Cumulate { size: step * n, step, offset }),
        (1i64..40).prop_map(|gap| WindowKind::Session { gap }),
    ]
}

proptest! {
    #[test]
    fn a_time_falls_into_the_windows_that_hold_it(window in windows(), time in -300i64..300) {
        let mut assigned = Vec::new();
        assign(&window, time, &mut assigned);
        prop_assert_eq!(assigned, brute_force(&window, time), "{:?} at {}", window, time);
    }

    #[test]
    fn rows_are_repeated_for_each_window_in_their_order(window in windows(), times in prop::collection::vec(prop::option::of(-300i64..300), 0..20)) {
        let (input, output) = schemas();
        let ids: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..times.len() as i64));
        let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.clone()));
        let batch = RecordBatch::try_new(input, vec![ids, column]).unwrap();
        let stage = WindowStage::new(WindowNode { window: window.clone(), time: TimeBasis::Event(1) }, output);
        let expanded = stage.expand(&batch, 0).unwrap();
        let column = |n: usize| expanded.rows.column(n).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        let ids = expanded.rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        let found: Vec<_> = ids.iter().zip(column(2)).zip(column(3)).zip(column(4)).map(|(((&id, s), e), t)| (id, s, e, t)).collect();
        let mut expected = Vec::new();
        for (id, time) in times.iter().enumerate().filter_map(|(id, time)| Some((id, (*time)?))) {
            expected.extend(brute_force(&window, time).into_iter().map(|(s, e)| (id as i64, s, e, e - 1)));
        }
        prop_assert_eq!(found, expected);
        let accounted = expanded.timeless.len() + expanded.outside.len() + expanded.from.iter().collect::<std::collections::BTreeSet<_>>().len();
        prop_assert_eq!(accounted, times.len());
    }
}

fn schemas() -> (SchemaRef, SchemaRef) {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let mut fields = vec![Field::new("id", DataType::Int64, false), Field::new("at", micros.clone(), true)];
    let input = Arc::new(Schema::new(fields.clone()));
    fields.extend(["window_start", "window_end", "window_time"].map(|name| Field::new(name, micros.clone(), false)));
    (input, Arc::new(Schema::new(fields)))
}

#[test]
fn times_at_the_limits_do_not_overflow() {
    for time in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
        for window in [
            WindowKind::Tumble { size: 1_000, offset: 7 },
            WindowKind::Hop { size: 1_000, slide: 300, offset: -7 },
            WindowKind::Cumulate { size: 1_000, step: 100, offset: 3 },
            WindowKind::Session { gap: 1_000 },
        ] {
            let mut windows = Vec::new();
            assign(&window, time, &mut windows);
            assert!(windows.iter().all(|&(start, end)| start <= time && time <= end), "{window:?} {time}: {windows:?}");
        }
    }
}

#[test]
fn finer_times_are_rounded_down_and_coarser_ones_are_scaled() {
    let nanos: ArrayRef = Arc::new(arrow::array::TimestampNanosecondArray::from(vec![-1, 999, 1_000]));
    assert_eq!(micros(&nanos).unwrap().values(), &[-1, 0, 1]);
    let millis: ArrayRef = Arc::new(arrow::array::TimestampMillisecondArray::from(vec![-1, 2]));
    assert_eq!(micros(&millis).unwrap().values(), &[-1_000, 2_000]);
}
