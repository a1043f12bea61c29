//! What every operator promises, and what each one does.

use std::sync::Arc;

use arrow::{array::*, datatypes::*};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use weir_spec::mask::Generalization;

use super::*;
use crate::{Key, MasterKey, SubjectKey, SubjectKeyId};

fn keys() -> ProjectKeys {
    // A fixed project key: the stored form of hashes and tokens is part of the contract.
    let master = MasterKey::from_key(Key::from_bytes(&[1; 32]));
    let sealed = master.key().seal(b"weir/project-key/v1/test", &[2; 32]).unwrap();
    ProjectKeys::open(&master, "test", &sealed).unwrap()
}

fn compiled(mask: &Mask, data_type: &DataType, purpose: &str) -> Box<dyn MaskOp> {
    compile(mask, data_type, MaskContext { keys: &keys(), purpose }).unwrap()
}

fn apply(mask: &Mask, array: &ArrayRef) -> ArrayRef {
    let op = compiled(mask, array.data_type(), "fraud");
    let masked = op.apply(array, Some(&row_keys(array.len()))).unwrap();
    assert_eq!(masked.data_type(), &op.output_type());
    assert_eq!(masked.data_type(), &supports(mask, array.data_type()).unwrap());
    masked
}

fn subject_key(n: u8) -> SubjectKey {
    SubjectKey::new(SubjectKeyId::from_bytes([n; 16]), Key::from_bytes(&[n; 32]))
}

/// Rows of three subjects in turn.
fn row_keys(rows: usize) -> RowKeys {
    RowKeys::new((0..3).map(|n| Some(subject_key(n))).collect(), (0..rows).map(|row| Some(row % 3)).collect())
}

fn open(encrypted: &str) -> Result<PlainValue, DecryptError> {
    decrypt(encrypted, |id| Some(subject_key(id.as_bytes()[0])))
}

fn shown(array: &ArrayRef) -> String {
    let options = arrow::util::display::FormatOptions::new().with_null("null");
    let formatter = arrow::util::display::ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len()).map(|row| formatter.value(row).to_string()).collect::<Vec<_>>().join("\n")
}

fn check(mask: &Mask, array: ArrayRef, expected: Expect) {
    expected.assert_eq(&shown(&apply(mask, &array)));
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn every_mask() -> Vec<Mask> {
    vec![
        Mask::Redact { with: None },
        Mask::Redact { with: Some("-".into()) },
        Mask::Null,
        Mask::Partial { keep_first: 1, keep_last: 2, with: '•' },
        Mask::Hash,
        Mask::Token { prefix: Some("tok_".into()), keep_last: 4 },
        Mask::Encrypt,
        Mask::Generalize { to: Generalization::Year },
        Mask::Generalize { to: Generalization::Hour },
        Mask::Generalize { to: Generalization::Width(10.0) },
        Mask::Generalize { to: Generalization::Prefix(2) },
    ]
}

/// One column of every type that a contract can name, and some that sources bring, each with nulls.
fn every_column() -> Vec<ArrayRef> {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None]), None]);
    let field = Arc::new(Field::new("zip", DataType::Utf8, true));
    let zip: ArrayRef = text(&[Some("10115"), None]);
    vec![
        text(&[Some("ada@example.com"), None, Some(""), Some("é")]),
        Arc::new(LargeStringArray::from(vec![Some("ada"), None])),
        Arc::new(StringViewArray::from(vec![Some("a text of more than twelve bytes"), None])),
        Arc::new(BinaryArray::from(vec![Some(b"\xff\x00".as_slice()), None])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(Int32Array::from(vec![Some(-17), None, Some(i32::MIN), Some(i32::MAX)])),
        Arc::new(Int64Array::from(vec![Some(1234), None, Some(i64::MIN), Some(i64::MAX)])),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
        Arc::new(Float32Array::from(vec![Some(1.5), None, Some(f32::NAN)])),
        Arc::new(Float64Array::from(vec![Some(-12.5), None, Some(f64::INFINITY)])),
        Arc::new(Decimal128Array::from(vec![Some(12_345), None]).with_precision_and_scale(12, 2).unwrap()),
        Arc::new(Date32Array::from(vec![Some(20_513), None, Some(i32::MAX), Some(i32::MIN)])),
        Arc::new(
            TimestampMicrosecondArray::from(vec![Some(1_772_369_999_999_999), None, Some(i64::MIN), Some(i64::MAX)])
                .with_timezone("UTC"),
        ),
        Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None])),
        Arc::new(list),
        Arc::new(StructArray::from(vec![(field, zip)])),
    ]
}

#[test]
fn every_operator_keeps_rows_and_nulls_on_every_type_it_takes() {
    let mut combinations = 0;
    for mask in every_mask() {
        for array in every_column() {
            let Ok(output) = supports(&mask, array.data_type()) else {
                let context = MaskContext { keys: &keys(), purpose: "fraud" };
                assert!(matches!(compile(&mask, array.data_type(), context), Err(MaskError::Unsupported(_))));
                continue;
            };
            let masked = apply(&mask, &array);
            assert_eq!((masked.len(), masked.data_type()), (array.len(), &output), "{mask:?}");
            assert!((0..array.len()).all(|row| array.is_valid(row) || masked.is_null(row)), "{mask:?} of {}", array.data_type());
            let empty = apply(&mask, &array.slice(0, 0));
            assert_eq!((empty.len(), empty.data_type()), (0, &output), "{mask:?}");
            combinations += 1;
        }
    }
    assert_eq!(combinations, 110);
}

#[test]
fn a_slice_is_masked_as_the_rows_it_shows() {
    for mask in every_mask().iter().filter(|mask| **mask != Mask::Encrypt) {
        for array in every_column() {
            if supports(mask, array.data_type()).is_ok() {
                let (whole, slice) = (apply(mask, &array), apply(mask, &array.slice(1, 1)));
                assert_eq!(&whole.slice(1, 1).to_data(), &slice.to_data(), "{mask:?} of {}", array.data_type());
            }
        }
    }
}

#[test]
fn what_an_operator_does_not_take_is_refused_with_a_way_out() {
    let mut refusals = String::new();
    for mask in every_mask() {
        for array in every_column() {
            if let Err(refusal) = supports(&mask, array.data_type()) {
                refusals.push_str(&refusal);
                refusals.push('\n');
            }
        }
    }
    for width in [0.0, -1.0, f64::NAN, 1.0, 0.5] {
        refusals.push_str(&supports(&Mask::Generalize { to: Generalization::Width(width) }, &DataType::Int64).unwrap_err());
        refusals.push('\n');
    }
    for width in [0.01, 0.015] {
        let decimal = DataType::Decimal128(12, 2);
        refusals.push_str(&supports(&Mask::Generalize { to: Generalization::Width(width) }, &decimal).unwrap_err());
        refusals.push('\n');
    }
    refusals.push_str(&supports(&Mask::Generalize { to: Generalization::Prefix(0) }, &DataType::Utf8).unwrap_err());
    expect![[r#"
        `partial` cannot mask a column of type Binary; it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Boolean; it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Float32; it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Float64; it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Decimal128(12, 2); it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Date32; it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Timestamp(µs, "UTC"); it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Timestamp(ns); it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type List(Int32); it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `partial` cannot mask a column of type Struct("zip": Utf8); it takes text and whole numbers; use `redact`, `hash` or `generalize`
        `hash` cannot mask a column of type List(Int32); it takes single values; select the fields in a `sql` step first, or use `redact` or `null`
        `hash` cannot mask a column of type Struct("zip": Utf8); it takes single values; select the fields in a `sql` step first, or use `redact` or `null`
        `token` cannot mask a column of type List(Int32); it takes single values; select the fields in a `sql` step first, or use `redact` or `null`
        `token` cannot mask a column of type Struct("zip": Utf8); it takes single values; select the fields in a `sql` step first, or use `redact` or `null`
        `encrypt` cannot mask a column of type List(Int32); it takes single values; select the fields in a `sql` step first, or use `redact` or `null`
        `encrypt` cannot mask a column of type Struct("zip": Utf8); it takes single values; select the fields in a `sql` step first, or use `redact` or `null`
        only dates and timestamps have years, months, days and hours, but this column has type Utf8; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type LargeUtf8; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Utf8View; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Binary; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Boolean; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Int32; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Int64; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type UInt64; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Float32; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Float64; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Decimal128(12, 2); declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type List(Int32); declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Struct("zip": Utf8); declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Utf8; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type LargeUtf8; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Utf8View; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Binary; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Boolean; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Int32; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Int64; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type UInt64; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Float32; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Float64; declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Decimal128(12, 2); declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        a date knows its day already; generalize it to `month` or `year`
        only dates and timestamps have years, months, days and hours, but this column has type List(Int32); declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        only dates and timestamps have years, months, days and hours, but this column has type Struct("zip": Utf8); declare it as `date` or `timestamp` in its contract, or use `width` for numbers and `prefix` for text
        `width` is for numbers, but this column has type Utf8
        `width` is for numbers, but this column has type LargeUtf8
        `width` is for numbers, but this column has type Utf8View
        `width` is for numbers, but this column has type Binary
        `width` is for numbers, but this column has type Boolean
        `width` is for numbers, but this column has type Date32
        `width` is for numbers, but this column has type Timestamp(µs, "UTC")
        `width` is for numbers, but this column has type Timestamp(ns)
        `width` is for numbers, but this column has type List(Int32)
        `width` is for numbers, but this column has type Struct("zip": Utf8)
        `prefix` is for text, but this column has type Binary
        `prefix` is for text, but this column has type Boolean
        `prefix` is for text, but this column has type Int32
        `prefix` is for text, but this column has type Int64
        `prefix` is for text, but this column has type UInt64
        `prefix` is for text, but this column has type Float32
        `prefix` is for text, but this column has type Float64
        `prefix` is for text, but this column has type Decimal128(12, 2)
        `prefix` is for text, but this column has type Date32
        `prefix` is for text, but this column has type Timestamp(µs, "UTC")
        `prefix` is for text, but this column has type Timestamp(ns)
        `prefix` is for text, but this column has type List(Int32)
        `prefix` is for text, but this column has type Struct("zip": Utf8)
        a width of 0 makes no intervals; give a number above 0
        a width of -1 makes no intervals; give a number above 0
        a width of NaN makes no intervals; give a number above 0
        whole numbers need a whole width above 1, not 1
        whole numbers need a whole width above 1, not 0.5
        a width of 0.01 does not fit decimal(12,2), or changes nothing; give a multiple of its unit
        a width of 0.015 does not fit decimal(12,2), or changes nothing; give a multiple of its unit
        a prefix of 0 characters leaves nothing; use `redact`"#]].assert_eq(&refusals);
}

#[test]
fn a_column_of_another_type_is_an_error() {
    for mask in every_mask() {
        for data_type in [DataType::Utf8, DataType::Int64, DataType::Date32] {
            if supports(&mask, &data_type).is_ok() {
                let other: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
                let result = compiled(&mask, &data_type, "fraud").apply(&other, Some(&row_keys(1)));
                assert!(matches!(result, Err(MaskError::WrongType { .. })), "{mask:?}");
            }
        }
    }
}

#[test]
fn redact() {
    check(
        &Mask::Redact { with: None },
        text(&[Some("ada"), None, Some("")]),
        expect![[r#"
        [redacted]
        null
        [redacted]"#]],
    );
    check(&Mask::Redact { with: Some("XXX".into()) }, text(&[Some("ada")]), expect!["XXX"]);
    check(&Mask::Redact { with: None }, Arc::new(Int64Array::from(vec![42])), expect!["null"]);
}

#[test]
fn partial_hides_short_values_whole() {
    let mask = Mask::Partial { keep_first: 2, keep_last: 4, with: '*' };
    let values = [Some("4111111111111111"), Some("1234567"), Some("123456"), Some("1"), Some(""), None, Some("Zoë Müller")];
    check(
        &mask,
        text(&values),
        expect![[r#"
        41**********1111
        12*4567
        ******
        *

        null
        Zo****ller"#]],
    );
    check(&mask, Arc::new(Int64Array::from(vec![4_111_111_111_111_111])), expect!["41**********1111"]);
    check(&Mask::Partial { keep_first: 0, keep_last: 0, with: '•' }, text(&[Some("Zoë")]), expect!["•••"]);
    check(&Mask::Partial { keep_first: usize::MAX, keep_last: 1, with: '*' }, text(&[Some("Zoë")]), expect!["***"]);
}

#[test]
fn hash_is_the_hmac_of_the_text_under_the_derived_key() {
    let values = text(&[Some("ada@example.com"), None, Some("")]);
    check(
        &Mask::Hash,
        values,
        expect![[r#"
        3904dcddde8e772abf3adb1f1fc6664f6dc9a0c251fd04388398056d8b6c2a25
        null
        ed233ce28238ee8f176bb2a3805c5e237fca1c7acc0cf0358c75710e05fda899"#]],
    );
    // An independent computation of the whole path: derive the key, take the MAC.
    use hmac::{Hmac, KeyInit, Mac};
    let hmac = |key: &[u8], message: &[u8]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes()
    };
    let key = hmac(&[2; 32], b"weir/v1/hash:fraud\x01");
    let masked = apply(&Mask::Hash, &text(&[Some("ada@example.com")]));
    assert_eq!(masked.as_string::<i32>().value(0), hex::encode(hmac(&key, b"ada@example.com")));
}

#[test]
fn token_keeps_last_characters_of_long_values_only() {
    let values = [Some("4111111111111111"), Some("12345678"), Some("1234567"), Some(""), None, Some("Zoë Müller-Lüd")];
    check(
        &Mask::Token { prefix: None, keep_last: 0 },
        text(&values),
        expect![[r#"
        q1cmO8lxrrnq6I5BGEE1MQ
        ardMQx4xwBFxdlc5GYVTnQ
        dzGNkf_lD-6fgSfAPBXQOQ
        hhz1DUkUauAQsITaWpKPmQ
        null
        hKVAbWjCRR81MNDt9ssahQ"#]],
    );
    check(
        &Mask::Token { prefix: Some("tok_".into()), keep_last: 4 },
        text(&values),
        expect![[r#"
        tok_q1cmO8lxrrnq6I5BGEE1MQ.1111
        tok_ardMQx4xwBFxdlc5GYVTnQ.5678
        tok_dzGNkf_lD-6fgSfAPBXQOQ.
        tok_hhz1DUkUauAQsITaWpKPmQ.
        null
        tok_hKVAbWjCRR81MNDt9ssahQ.-Lüd"#]],
    );
}

#[test]
fn the_same_value_masks_the_same_in_every_column_and_differs_by_purpose_and_operator() {
    let columns: [ArrayRef; 5] = [
        text(&[Some("42")]),
        Arc::new(LargeStringArray::from(vec!["42"])),
        Arc::new(StringViewArray::from(vec!["42"])),
        Arc::new(Int32Array::from(vec![42])),
        Arc::new(Int64Array::from(vec![42])),
    ];
    for mask in [Mask::Hash, Mask::Token { prefix: None, keep_last: 0 }] {
        let expected = shown(&apply(&mask, &columns[0]));
        for column in &columns {
            assert_eq!(shown(&apply(&mask, column)), expected);
        }
        let elsewhere = compiled(&mask, &DataType::Utf8, "marketing");
        assert_ne!(shown(&elsewhere.apply(&columns[0], None).unwrap()), expected);
        assert_ne!(elsewhere.key_id(), compiled(&mask, &DataType::Utf8, "fraud").key_id());
    }
    let [hash, token] =
        [Mask::Hash, Mask::Token { prefix: None, keep_last: 0 }].map(|mask| compiled(&mask, &DataType::Utf8, "fraud").key_id());
    assert_ne!(hash, token);
}

#[test]
fn generalize_times() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(20_513), Some(-1), Some(0), None, Some(i32::MAX)]));
    check(
        &Mask::Generalize { to: Generalization::Year },
        dates.clone(),
        expect![[r#"
        2026-01-01
        1969-01-01
        1970-01-01
        null
        null"#]],
    );
    check(
        &Mask::Generalize { to: Generalization::Month },
        dates,
        expect![[r#"
        2026-03-01
        1969-12-01
        1970-01-01
        null
        null"#]],
    );
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        Some(1_772_369_999_999_999),
        Some(-1),
        Some(0),
        None,
        Some(i64::MAX),
        Some(i64::MIN),
    ]));
    for (to, expected) in [
        (
            Generalization::Year,
            expect![[r#"
            2026-01-01T00:00:00
            1969-01-01T00:00:00
            1970-01-01T00:00:00
            null
            null
            null"#]],
        ),
        (
            Generalization::Month,
            expect![[r#"
            2026-03-01T00:00:00
            1969-12-01T00:00:00
            1970-01-01T00:00:00
            null
            null
            null"#]],
        ),
        (
            Generalization::Day,
            expect![[r#"
                2026-03-01T00:00:00
                1969-12-31T00:00:00
                1970-01-01T00:00:00
                null
                null
                null"#]],
        ),
        (
            Generalization::Hour,
            expect![[r#"
                2026-03-01T12:00:00
                1969-12-31T23:00:00
                1970-01-01T00:00:00
                null
                null
                null"#]],
        ),
    ] {
        check(&Mask::Generalize { to }, times.clone(), expected);
    }
}

#[test]
fn generalize_numbers_and_text() {
    let width = |width| Mask::Generalize { to: Generalization::Width(width) };
    check(
        &width(10.0),
        Arc::new(Int64Array::from(vec![37, 40, -1, 0, i64::MAX, i64::MIN])),
        expect![[r#"
        30
        40
        -10
        0
        9223372036854775800
        null"#]],
    );
    check(
        &width(100.0),
        Arc::new(UInt8Array::from(vec![0, 99, 100, 255])),
        expect![[r#"
        0
        0
        100
        200"#]],
    );
    check(
        &width(0.5),
        Arc::new(Float64Array::from(vec![1.3, -1.3, 0.0, f64::NAN])),
        expect![[r#"
        1.0
        -1.5
        0.0
        NaN"#]],
    );
    let tiny = Decimal128Array::from(vec![-99, 99, -90]).with_precision_and_scale(2, 0).unwrap();
    check(
        &width(10.0),
        Arc::new(tiny),
        expect![[r#"
        null
        90
        -90"#]],
    );
    let decimals = Decimal128Array::from(vec![1_999, -1, 0]).with_precision_and_scale(12, 2).unwrap();
    check(
        &width(0.1),
        Arc::new(decimals),
        expect![[r#"
        19.90
        -0.10
        0.00"#]],
    );
    check(
        &Mask::Generalize { to: Generalization::Prefix(2) },
        text(&[Some("10115"), Some("é"), Some("Zoë"), Some(""), None]),
        expect![[r#"
            10
            é
            Zo

            null"#]],
    );
}

#[test]
fn encrypt_gives_every_typed_value_back() {
    let mut plain = String::new();
    for array in every_column() {
        if supports(&Mask::Encrypt, array.data_type()).is_err() {
            continue;
        }
        let masked = apply(&Mask::Encrypt, &array);
        for (row, encrypted) in masked.as_string::<i32>().iter().enumerate() {
            let Some(encrypted) = encrypted else { continue };
            assert_eq!(key_of(encrypted), Ok(subject_key((row % 3) as u8).id()));
            plain.push_str(&format!("{}: {}\n", array.data_type(), open(encrypted).unwrap()));
        }
    }
    expect![[r#"
        Utf8: ada@example.com
        Utf8: 
        Utf8: é
        LargeUtf8: ada
        Utf8View: a text of more than twelve bytes
        Binary: ff00
        Boolean: true
        Boolean: false
        Int32: -17
        Int32: -2147483648
        Int32: 2147483647
        Int64: 1234
        Int64: -9223372036854775808
        Int64: 9223372036854775807
        UInt64: 18446744073709551615
        Float32: 1.5
        Float32: NaN
        Float64: -12.5
        Float64: inf
        Decimal128(12, 2): 123.45
        Date32: 2026-03-01
        Date32: 2147483647
        Date32: -2147483648
        Timestamp(µs, "UTC"): 2026-03-01T12:59:59.999999Z
        Timestamp(µs, "UTC"): -9223372036854775808
        Timestamp(µs, "UTC"): 9223372036854775807
        Timestamp(ns): 1969-12-31T23:59:59.999999999Z
    "#]]
    .assert_eq(&plain);
}

#[test]
fn an_encrypted_value_opens_with_its_own_key_only_and_unchanged_only() {
    let masked = apply(&Mask::Encrypt, &text(&[Some("ada@example.com")]));
    let encrypted = masked.as_string::<i32>().value(0);
    assert!(open(encrypted) == Ok(PlainValue::Text("ada@example.com".into())));
    assert!(matches!(decrypt(encrypted, |_| None), Err(DecryptError::NoKey(id)) if id == subject_key(0).id()));
    assert!(matches!(decrypt(encrypted, |_| Some(subject_key(9))), Err(DecryptError::Unauthentic)));
    for position in 0..encrypted.len() {
        let mut changed = encrypted.as_bytes().to_vec();
        changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
        assert!(open(std::str::from_utf8(&changed).unwrap()).is_err(), "character {position}");
        assert!(open(&encrypted[..position]).is_err(), "cut at {position}");
    }
    for other in ["", "w1.", "w1.!", "ada@example.com", "w2.AAAA"] {
        assert!(matches!(open(other), Err(DecryptError::NotEncrypted)), "{other}");
    }
    assert!(!format!("{:?}", open(encrypted)).contains("ada"), "Debug shows a decrypted value");
}

#[test]
fn encrypting_twice_gives_different_texts() {
    let values = text(&[Some("ada"), Some("ada"), Some("ada"), Some("ada")]);
    let masked = [apply(&Mask::Encrypt, &values), apply(&Mask::Encrypt, &values)];
    let mut all: Vec<&str> = masked.iter().flat_map(|array| array.as_string::<i32>().iter().flatten()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 8);
}

#[test]
fn a_value_without_a_key_is_never_passed_on() {
    let op = compiled(&Mask::Encrypt, &DataType::Utf8, "fraud");
    let values = text(&[Some("a"), None, Some("b")]);
    assert!(matches!(op.apply(&values, None), Err(MaskError::NoSubjects)));
    assert!(matches!(op.apply(&values, Some(&row_keys(2))), Err(MaskError::RowCount { rows: 3, keys: 2 })));
    // The first subject is unknown in row 2, erased in row 0.
    let no_subject = RowKeys::new(vec![Some(subject_key(0))], vec![Some(0), None, None]);
    assert!(matches!(op.apply(&values, Some(&no_subject)), Err(MaskError::NoSubjectKey { row: 2 })));
    let erased = RowKeys::new(vec![None, Some(subject_key(0))], vec![Some(0), Some(0), Some(1)]);
    assert!(matches!(op.apply(&values, Some(&erased)), Err(MaskError::NoSubjectKey { row: 0 })));
    assert_eq!(erased.missing().collect::<Vec<_>>(), [0, 1]);
    // A null needs no key.
    let kept = erased.filter([false, true, true]);
    assert_eq!(kept.missing().collect::<Vec<_>>(), [0]);
    assert_eq!(op.apply(&values.slice(1, 2), Some(&kept)).unwrap().null_count(), 1);
}

proptest! {
    #[test]
    fn nothing_of_a_value_shows_in_its_hash_token_or_encryption(values in prop::collection::vec(prop::option::of("[a-zA-Z0-9 @.é]{5,40}"), 1..20)) {
        let array: ArrayRef = Arc::new(StringArray::from(values.clone()));
        for mask in [Mask::Hash, Mask::Token { prefix: None, keep_last: 0 }, Mask::Encrypt] {
            let masked = apply(&mask, &array);
            for (value, masked) in values.iter().zip(masked.as_string::<i32>()) {
                prop_assert_eq!(value.is_none(), masked.is_none());
                if let (Some(value), Some(masked)) = (value, masked) {
                    prop_assert!(!masked.contains(value.as_str()));
                }
            }
        }
    }

    #[test]
    fn decryption_gives_back_what_was_encrypted(texts in prop::collection::vec(prop::option::of(".{0,60}"), 1..20), ints in prop::collection::vec(any::<i64>(), 1..20)) {
        let masked = apply(&Mask::Encrypt, &(Arc::new(StringArray::from(texts.clone())) as ArrayRef));
        for (text, encrypted) in texts.into_iter().zip(masked.as_string::<i32>()) {
            prop_assert!(encrypted.map(|encrypted| open(encrypted).unwrap()) == text.map(PlainValue::Text));
        }
        let masked = apply(&Mask::Encrypt, &(Arc::new(Int64Array::from(ints.clone())) as ArrayRef));
        for (int, encrypted) in ints.into_iter().zip(masked.as_string::<i32>()) {
            prop_assert!(open(encrypted.unwrap()).unwrap() == PlainValue::Int(int));
        }
    }

    #[test]
    fn partial_never_shows_more_than_it_says(value in ".{0,30}", keep_first in 0usize..6, keep_last in 0usize..6) {
        let masked = apply(&Mask::Partial { keep_first, keep_last, with: '\u{1F}' }, &text(&[Some(&value)]));
        let masked = masked.as_string::<i32>().value(0);
        prop_assert_eq!(masked.chars().count(), value.chars().count());
        let shown = masked.chars().filter(|c| *c != '\u{1F}').count();
        prop_assert!(shown <= keep_first + keep_last);
        prop_assert!(shown == 0 || shown < value.chars().count());
    }

    #[test]
    fn an_interval_holds_its_values(value in any::<i64>(), width in 2u32..1_000_000) {
        let masked = apply(&Mask::Generalize { to: Generalization::Width(width.into()) }, &(Arc::new(Int64Array::from(vec![value])) as ArrayRef));
        let masked = masked.as_primitive::<Int64Type>();
        if masked.is_valid(0) {
            let lower = masked.value(0);
            prop_assert_eq!(lower % i64::from(width), 0);
            prop_assert!(lower <= value && value - lower < i64::from(width));
        } else {
            prop_assert!(value < i64::MIN + i64::from(width));
        }
    }
}
