//! Each aggregate on a few values, nulls and NaN among them; and what they have in common.

use super::*;
use crate::stages::transform::aggregate::{
    accumulator::Accumulator,
    call::Call,
    fold::{Columns, Grouped},
};

/// The result of an aggregate over a column, once over rows that are added, once with rows that come and go.
fn over(call: AggregateCall, column: ArrayRef, output: DataType) -> String {
    let schema = Schema::new(vec![Field::new("x", column.data_type().clone(), true)]);
    let rows: Vec<u32> = (0..column.len() as u32).collect();
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![column]).unwrap();
    let fold = |call: &Call, into: &mut [Accumulator], changes: Option<&[Change]>, rows: &[u32]| {
        let arrivals: Vec<u64> = rows.iter().map(|&row| u64::from(row)).collect();
        let grouped = Grouped { batch: &batch, changes, rows, parts: &vec![0; rows.len()], arrivals: &arrivals };
        call.fold(&grouped, &mut Columns::default(), into).unwrap();
    };
    let text = |call: &Call, of: &Accumulator| {
        let column = call.finish(&[of]).unwrap();
        assert_eq!(*column.data_type(), output);
        let options = FormatOptions::default().with_null("null");
        ArrayFormatter::try_new(&column, &options).unwrap().value(0).to_string()
    };
    let plain = Call::new(&call, &schema, false, &output).unwrap();
    let mut whole = [Accumulator::Empty];
    fold(&plain, &mut whole, None, &rows);
    let result = text(&plain, &whole[0]);

    // Halves that are merged.
    let mut halves = [Accumulator::Empty, Accumulator::Empty];
    let (first, second) = rows.split_at(rows.len() / 2);
    fold(&plain, &mut halves[..1], None, first);
    fold(&plain, &mut halves[1..], None, second);
    let [mut merged, other] = halves;
    merged.merge(other, plain.kernel.greatest());
    assert_eq!(text(&plain, &merged), result, "merged");

    // All rows twice, then once taken back.
    let retracting = Call::new(&call, &schema, true, &output).unwrap();
    let mut changing = [Accumulator::Empty];
    fold(&retracting, &mut changing, None, &rows);
    fold(&retracting, &mut changing, None, &rows);
    fold(&retracting, &mut changing, Some(&vec![Change::Delete; rows.len()]), &rows);
    assert_eq!(text(&retracting, &changing[0]), result, "taken back");
    result
}

#[test]
fn nulls_are_left_out_and_nan_is_the_greatest() {
    use AggregateFunction::*;
    let floats = |values: &[Option<f64>]| Arc::new(values.iter().copied().collect::<Float64Array>()) as ArrayRef;
    let ints = |values: &[Option<i64>]| Arc::new(values.iter().copied().collect::<Int64Array>()) as ArrayRef;
    let texts = |values: &[Option<&str>]| Arc::new(values.iter().copied().collect::<StringArray>()) as ArrayRef;
    let bools = |values: &[Option<bool>]| Arc::new(values.iter().copied().collect::<BooleanArray>()) as ArrayRef;
    let (float, int) = (DataType::Float64, DataType::Int64);
    let distinct = |function| AggregateCall { distinct: true, ..call(function, &[0]) };
    let plain = |function| call(function, &[0]);
    let some = [Some(2), None, Some(-3), Some(2)];
    let wild = [Some(1.0), Some(f64::NAN), None, Some(f64::NEG_INFINITY)];
    let cases = [
        (plain(Count), ints(&some), int.clone(), "3"),
        (plain(Count), ints(&[None]), int.clone(), "0"),
        (call(Count, &[]), ints(&some), int.clone(), "4"),
        (distinct(Count), ints(&some), int.clone(), "2"),
        (distinct(Count), floats(&[Some(f64::NAN), Some(-f64::NAN), Some(0.0), Some(-0.0)]), int.clone(), "3"),
        (plain(Sum), ints(&some), int.clone(), "1"),
        (plain(Sum), ints(&[None, None]), int.clone(), "null"),
        (plain(Sum), ints(&[Some(i64::MAX), Some(1)]), int.clone(), "null"),
        (plain(Sum), ints(&[Some(i64::MAX), Some(1), Some(-1)]), int.clone(), "9223372036854775807"),
        (plain(Sum), floats(&wild), float.clone(), "NaN"),
        (distinct(Sum), ints(&some), int.clone(), "-1"),
        (plain(Avg), floats(&[Some(1.0), None, Some(2.0)]), float.clone(), "1.5"),
        (plain(Min), floats(&wild), float.clone(), "-inf"),
        (plain(Max), floats(&wild), float.clone(), "NaN"),
        (plain(Min), texts(&[Some("b"), None, Some("a")]), DataType::Utf8, "a"),
        (plain(Max), texts(&[None]), DataType::Utf8, "null"),
        (plain(Stddev), floats(&[Some(5.0)]), float.clone(), "null"),
        (plain(StddevPop), floats(&[Some(5.0)]), float.clone(), "0.0"),
        (plain(VariancePop), floats(&[Some(1.0), Some(3.0), None]), float.clone(), "1.0"),
        (plain(Variance), floats(&wild), float.clone(), "NaN"),
        (plain(FirstValue), ints(&[None, Some(7), Some(8)]), int.clone(), "7"),
        (plain(LastValue), texts(&[Some("x"), Some("y"), None]), DataType::Utf8, "y"),
        (plain(BoolAnd), bools(&[Some(true), None]), DataType::Boolean, "true"),
        (plain(BoolAnd), bools(&[Some(true), Some(false)]), DataType::Boolean, "false"),
        (plain(BoolOr), bools(&[Some(false), None]), DataType::Boolean, "false"),
        (plain(BoolOr), bools(&[None]), DataType::Boolean, "null"),
        (plain(ApproxDistinct), ints(&some), DataType::UInt64, "2"),
        (plain(ApproxPercentile(0.5)), floats(&[Some(3.0), Some(f64::NAN), None, Some(3.0)]), float.clone(), "3.0"),
        (plain(StringAgg { separator: ", ".into() }), texts(&[Some("b"), None, Some("a")]), DataType::LargeUtf8, "b, a"),
        (plain(StringAgg { separator: ", ".into() }), texts(&[None]), DataType::LargeUtf8, "null"),
        (distinct(ArrayAgg), ints(&some), DataType::new_list(int.clone(), true), "[2, null, -3]"),
    ];
    for (call, column, output, expected) in cases {
        let what = format!("{call:?} over {column:?}");
        assert_eq!(over(call, column, output), expected, "{what}");
    }
}

#[test]
fn decimals_keep_their_scale_and_overflow_to_null() {
    let of = |values: &[i128]| {
        let column = values.iter().map(|&value| Some(value)).collect::<Decimal128Array>();
        Arc::new(column.with_precision_and_scale(10, 2).unwrap()) as ArrayRef
    };
    let sum = |values: &[i128], output| over(call(AggregateFunction::Sum, &[0]), of(values), output);
    assert_eq!(sum(&[150, 275], DataType::Decimal128(20, 2)), "4.25");
    assert_eq!(sum(&[9_999, 1], DataType::Decimal128(4, 2)), "null");
    let avg = |values: &[i128]| over(call(AggregateFunction::Avg, &[0]), of(values), DataType::Decimal128(14, 6));
    assert_eq!(avg(&[100, 100, 101]), "1.003333");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let schema = Schema::new(vec![Field::new("x", DataType::Utf8, true)]);
    for function in
        [AggregateFunction::Sum, AggregateFunction::BoolAnd, AggregateFunction::ApproxPercentile(0.5), AggregateFunction::Stddev]
    {
        assert!(Call::new(&call(function.clone(), &[0]), &schema, false, &DataType::Float64).is_err(), "{function:?}");
    }
}
