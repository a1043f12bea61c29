//! What the decoder accepts and refuses, with serde_json and arrow-json as oracles.

use std::{io::Cursor, sync::Arc};

use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use weir_spec::{Column, DataType};

use super::JsonDecoder;
use crate::{
    format::json::encode::write_rows,
    schema::arrow_schema,
    source::{Chunk, Decoded, MalformedReason as Reason, Offset, Payload, RowDecoder},
};

fn column(name: &str, data_type: DataType, required: bool) -> Column {
    Column { required, ..Column::new(name, data_type) }
}

fn columns() -> Vec<Column> {
    vec![
        column("id", DataType::String, true),
        column("n", DataType::Int32, false),
        column("big", DataType::Int64, false),
        column("f", DataType::Float64, false),
        column("ok", DataType::Boolean, false),
        column("amount", DataType::Decimal { precision: 12, scale: 2 }, false),
        column("day", DataType::Date, false),
        column("at", DataType::Timestamp, false),
        column("raw", DataType::Bytes, false),
        column("tags", DataType::List(Box::new(DataType::String)), false),
        column(
            "home",
            DataType::Struct(vec![column("city", DataType::String, true), column("zip", DataType::Int32, false)]),
            false,
        ),
    ]
}

fn decode_with(columns: &[Column], text: &[u8]) -> Decoded {
    let mut decoder = JsonDecoder::new(arrow_schema(columns), columns).unwrap();
    let chunk = Chunk {
        partition: 0,
        start: Offset { byte: 1000, row: 100 },
        end: Offset::default(),
        payload: Payload::Bytes(Bytes::copy_from_slice(text)),
        malformed: Vec::new(),
        header: None,
    };
    decoder.decode(&chunk).unwrap()
}

fn decode(text: &str) -> Decoded {
    decode_with(&columns(), text.as_bytes())
}

fn encoded(rows: &RecordBatch) -> Vec<Value> {
    let mut out = Vec::new();
    write_rows(&mut out, rows).unwrap();
    out.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn reason(line: &str) -> Option<String> {
    let decoded = decode(&format!("{line}\n"));
    assert_eq!(decoded.rows.num_rows() + decoded.malformed.len(), 1, "{line}");
    decoded.malformed.first().map(|m| m.reason.to_string())
}

#[test]
fn a_whole_row_becomes_typed_values() {
    let line = r#"{"id":"a","n":-7,"big":9007199254740993,"f":1.5e3,"ok":true,"amount":12.30,"day":"2026-02-28",
        "at":"2026-02-28T10:00:00.5+01:00","raw":"aGk=","tags":["x",null,"y\u00e9"],"home":{"city":"Köln","zip":50667}}"#
        .replace('\n', " ");
    let decoded = decode(&line);
    assert_eq!(decoded.malformed, []);
    assert_eq!(
        encoded(&decoded.rows),
        [json!({"id": "a", "n": -7, "big": 9007199254740993_i64, "f": 1500.0, "ok": true, "amount": 12.30, "day": "2026-02-28",
            "at": "2026-02-28T09:00:00.500Z", "raw": "aGk=", "tags": ["x", null, "yé"], "home": {"city": "Köln", "zip": 50667}})]
    );
}

#[test]
fn rows_are_refused_for_their_reason() {
    let cases: [(&str, Option<&str>); 38] = [
        (r#"{"id":"a"}"#, None),
        (r#"{"id":"a","n":null,"home":null,"tags":[]}"#, None),
        (r#" { "id" : "a" , "n" : 1 } "#, None),
        ("{\"id\":\"a\"}\r", None),
        (r#"{"\u0069d":"escaped key"}"#, None),
        (r#"{"id":"a","unknown":{"deep":[1,2.5,{"x":null}]},"unknown":1}"#, None),
        (r#"{"id":"😀 \ud83d\ude00 \/\b\f\n\r\t\"\\"}"#, None),
        (r#"{"id":"a","amount":"12.34"}"#, None),
        (r#"{"id":"a","at":"2026-01-01 00:00:00"}"#, None),
        ("", Some("syntax: expected a JSON object at byte 0 of the row")),
        ("[1]", Some("syntax: expected a JSON object at byte 0 of the row")),
        (r#"{"id":"a""#, Some("syntax: expected `,` or `}` at byte 9 of the row")),
        (r#"{"id":"a"} x"#, Some("syntax: expected the end of the line at byte 11 of the row")),
        (r#"{"id":"a",}"#, Some("syntax: expected a key at byte 10 of the row")),
        (r#"{"id" "a"}"#, Some("syntax: expected `:` at byte 6 of the row")),
        (r#"{"id":"a"#, Some("syntax: expected a closing quote at byte 8 of the row")),
        ("{\"id\":\"a\tb\"}", Some("syntax: expected no control character in a string at byte 8 of the row")),
        (r#"{"id":"\x"}"#, Some("syntax: expected an escape at byte 8 of the row")),
        (r#"{"id":"\ud83d"}"#, Some("syntax: expected a whole surrogate pair at byte 9 of the row")),
        (r#"{"id":"a","unknown":[1,}"#, Some("syntax: expected a JSON value at byte 23 of the row")),
        (r#"{"id":"a","n":nul}"#, Some("syntax: expected a JSON value at byte 14 of the row")),
        (r#"{"id":"a","n":01}"#, Some("syntax: expected a digit at byte 15 of the row")),
        (r#"{"n":1}"#, Some("`id`: required, but absent or null")),
        (r#"{"id":null}"#, Some("`id`: required, but absent or null")),
        (r#"{"id":"a","home":{"zip":1}}"#, Some("`home.city`: required, but absent or null")),
        (r#"{"id":"a","id":"a"}"#, Some("`id`: given twice")),
        (r#"{"id":"a","home":{"city":"x","city":"x"}}"#, Some("`home.city`: given twice")),
        (r#"{"id":7}"#, Some("`id`: expected string, found a number")),
        (r#"{"id":"a","n":"7"}"#, Some("`n`: expected int32, found a string")),
        (r#"{"id":"a","n":7.0}"#, Some("`n`: expected int32, found a number with a fraction or an exponent")),
        (r#"{"id":"a","n":2147483648}"#, Some("`n`: does not fit int32")),
        (r#"{"id":"a","f":1e999}"#, Some("`f`: does not fit float64")),
        (r#"{"id":"a","amount":1.234}"#, Some("`amount`: does not fit decimal(12,2)")),
        (r#"{"id":"a","amount":"x"}"#, Some("`amount`: expected decimal(12,2), found a string of another form")),
        (r#"{"id":"a","day":"2026-02-30"}"#, Some("`day`: expected date (YYYY-MM-DD), found a string of another form")),
        (r#"{"id":"a","at":1767225600}"#, Some("`at`: expected timestamp (RFC 3339; without a zone it is UTC), found a number")),
        (r#"{"id":"a","raw":"?"}"#, Some("`raw`: expected bytes (base64), found a string of another form")),
        (r#"{"id":"a","tags":["x",1]}"#, Some("`tags[]`: expected string, found a number")),
    ];
    for (line, expected) in cases {
        assert_eq!(reason(line).as_deref(), expected, "{line}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| format!("{{\"id\":\"a\",\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(reason(&deep(120)), None);
    assert!(reason(&deep(100_000)).unwrap().contains("no deeper nesting"));
}

#[test]
fn a_refused_row_leaves_no_trace_and_keeps_its_place() {
    let good = r#"{"id":"a","tags":["x"],"home":{"city":"c"},"raw":"aGk="}"#;
    let bad = r#"{"id":"b","tags":["y","z"],"home":{"city":"d"},"raw":"aGk=","n":"no"}"#;
    let decoded = decode(&format!("{good}\n{bad}\n{good}\n"));
    assert_eq!(encoded(&decoded.rows), encoded(&decode(&format!("{good}\n{good}")).rows));
    assert_eq!(decoded.row_offsets, Some(vec![0, 2]));
    let malformed = &decoded.malformed[0];
    assert_eq!(malformed.at, Offset { byte: 1000 + good.len() as u64 + 1, row: 101 });
    assert_eq!(malformed.raw, bad.as_bytes());
}

#[test]
fn only_the_row_that_is_not_utf8_is_refused() {
    let decoded = decode_with(&columns(), b"{\"id\":\"a\"}\n{\"id\":\"\xff\"}\n{\"id\":\"b\"}\n");
    assert_eq!(decoded.rows.num_rows(), 2);
    assert_eq!(decoded.malformed[0].reason, Reason::NotUtf8 { at: 7 });
}

#[test]
fn key_order_may_change_from_row_to_row() {
    let decoded = decode("{\"n\":1,\"id\":\"a\"}\n{\"id\":\"b\",\"x\":0,\"n\":2}\n{\"x\":0,\"n\":3,\"id\":\"c\"}\n");
    let ids: Vec<_> = decoded.rows.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(decoded.malformed.is_empty());
}

/// What the decoder should say of a row, told by serde_json.
fn oracle(line: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let object = value.as_object()?;
    let mut row = Map::new();
    for c in oracle_columns() {
        let value = object.get(&c.name).cloned().unwrap_or(Value::Null);
        let fits = match &c.data_type {
            DataType::String => value.is_string(),
            DataType::Int64 => value.is_i64(),
            DataType::Int32 => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            DataType::Float64 => value.is_number(),
            DataType::Boolean => value.is_boolean(),
            DataType::List(_) => value.as_array().is_some_and(|a| a.iter().all(|v| v.is_string() || v.is_null())),
            _ => false,
        };
        if !(fits || value.is_null() && !c.required) {
            return None;
        }
        let value =
            if matches!(c.data_type, DataType::Float64) { value.as_f64().map_or(Value::Null, Value::from) } else { value };
        row.insert(c.name, value);
    }
    Some(Value::Object(row))
}

fn oracle_columns() -> Vec<Column> {
    columns().into_iter().filter(|c| matches!(c.name.as_str(), "id" | "n" | "big" | "f" | "ok" | "tags")).collect()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,3}", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A row that mostly fits, with some members of any kind.
fn any_row() -> impl Strategy<Value = Value> {
    (
        ".{0,16}",
        proptest::option::of(any::<i32>()),
        proptest::option::of(any::<i64>()),
        proptest::option::of(-1e12..1e12_f64),
        proptest::option::of(any::<bool>()),
        proptest::collection::vec(proptest::option::of(".{0,5}"), 0..3),
        proptest::collection::hash_map(prop_oneof![Just("n"), Just("tags"), Just("x"), Just("y")], any_json(), 0..2),
    )
        .prop_map(|(id, n, big, f, ok, tags, more)| {
            let mut row = json!({"id": id, "n": n, "big": big, "f": f, "ok": ok, "tags": tags});
            row.as_object_mut().unwrap().extend(more.into_iter().map(|(k, v)| (k.to_owned(), v)));
            row
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_serde_json(
        rows in proptest::collection::vec((any_row(), proptest::option::weighted(0.3, (any::<proptest::sample::Index>(), any::<u8>()))), 1..8)
    ) {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for (row, mutation) in rows {
            let mut line = serde_json::to_vec(&row).unwrap();
            if let Some((at, byte)) = mutation {
                let at = at.index(line.len());
                line[at] = if byte == b'\n' { b' ' } else { byte };
            }
            // A duplicate key and a surrogate are where the oracle is laxer or stricter; mutations seldom make one.
            let parsed = oracle(&line);
            expected.push(parsed);
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let columns = oracle_columns();
        let decoded = decode_with(&columns, &text);
        prop_assert_eq!(decoded.rows.num_rows() + decoded.malformed.len(), expected.len());
        let duplicates = decoded.malformed.iter().filter(|m| matches!(m.reason, Reason::DuplicateKey { .. })).count();
        if duplicates == 0 {
            prop_assert_eq!(encoded(&decoded.rows), expected.into_iter().flatten().collect::<Vec<_>>());
        }
    }

    #[test]
    fn agrees_with_arrow_json_on_valid_rows(rows in proptest::collection::vec(any_row().prop_filter("typed", |r| oracle(r.to_string().as_bytes()).is_some()), 1..20)) {
        let columns = oracle_columns();
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let ours = decode_with(&columns, text.as_bytes());
        let mut reader = arrow::json::ReaderBuilder::new(arrow_schema(&columns)).build(Cursor::new(text)).unwrap();
        let theirs = reader.next().unwrap().unwrap();
        prop_assert_eq!(ours.rows, theirs);
    }

    #[test]
    fn never_panics_and_accounts_for_every_line(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::collection::vec(proptest::sample::select(b"{}[]\":,\\u0dntrfe-+.19 \n\xc3\xa9".to_vec()), 0..200),
        ]
    ) {
        let lines = bytes.split_inclusive(|&b| b == b'\n').count();
        let decoded = decode_with(&columns(), &bytes);
        prop_assert_eq!(decoded.rows.num_rows() + decoded.malformed.len(), lines);
        prop_assert_eq!(decoded.row_offsets.map_or(decoded.rows.num_rows(), |o| o.len()), decoded.rows.num_rows());
    }

    #[test]
    fn what_is_written_reads_back_the_same(rows in proptest::collection::vec(any_row(), 1..8), days in -700_000_i32..2_000_000, micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000, cents in -999_999_999_999_i64..999_999_999_999) {
        let mut text = String::new();
        for (i, row) in rows.iter().enumerate() {
            let mut row = row.clone();
            let object = row.as_object_mut().unwrap();
            let (mut day, mut at, mut amount) = (Vec::new(), Vec::new(), Vec::new());
            crate::format::time::write_date(&mut day, i64::from(days) + i as i64);
            crate::format::time::write_timestamp(&mut at, micros + i as i64);
            crate::format::number::write_decimal(&mut amount, i128::from(cents), 2);
            object.insert("day".into(), String::from_utf8(day).unwrap().into());
            object.insert("at".into(), String::from_utf8(at).unwrap().into());
            object.insert("amount".into(), String::from_utf8(amount).unwrap().into());
            object.insert("home".into(), json!({"city": "x"}));
            text += &format!("{row}\n");
        }
        let first = decode(&text);
        let mut out = Vec::new();
        write_rows(&mut out, &first.rows).unwrap();
        let second = decode_with(&columns(), &out);
        prop_assert_eq!(first.rows, second.rows);
        prop_assert!(second.malformed.is_empty());
    }
}

#[test]
fn text_is_escaped_as_serde_json_reads_it() {
    let text: String = (0..0x300_u32).filter_map(char::from_u32).chain("\u{2028}😀\u{10FFFF}".chars()).collect();
    let schema = arrow_schema(&[Column::new("t\"\n", DataType::String)]);
    let rows = RecordBatch::try_new(schema, vec![Arc::new(arrow::array::StringArray::from(vec![text.as_str()]))]).unwrap();
    assert_eq!(encoded(&rows), [json!({ "t\"\n": text })]);
}

#[test]
fn rows_with_fields_that_the_schema_does_not_name_are_counted_once_each() {
    let columns = [
        column("id", DataType::String, true),
        column("home", DataType::Struct(vec![column("city", DataType::String, false)]), false),
        column("all", DataType::List(Box::new(DataType::Struct(vec![column("n", DataType::Int64, false)]))), false),
    ];
    let decoded = |text: &str| {
        let decoded = decode_with(&columns, text.as_bytes());
        (decoded.rows.num_rows(), decoded.unnamed)
    };
    assert_eq!(decoded("{\"id\":\"a\",\"home\":{\"city\":\"x\"},\"all\":[{\"n\":1}]}\n{\"id\":\"b\"}\n"), (2, 0));
    assert_eq!(decoded("{\"id\":\"a\",\"x\":1,\"y\":{\"id\":2}}\n{\"id\":\"b\"}\n{\"x\":null,\"id\":\"c\"}\n"), (3, 2));
    assert_eq!(decoded("{\"id\":\"a\",\"home\":{\"zip\":1}}\n{\"id\":\"b\",\"all\":[{\"n\":1},{\"m\":1}]}\n"), (2, 2));
    assert_eq!(decoded("{\"x\":1}\n{\"id\":\"a\"}\n"), (1, 0), "a malformed row is kept whole");
}

#[test]
fn floats_that_are_no_numbers_are_strings_and_come_back() {
    let list = DataType::List(Box::new(DataType::Float64));
    let columns = [column("x", DataType::Float64, false), column("y", DataType::Float32, false), column("all", list, false)];
    let text = "{\"x\":\"NaN\",\"y\":\"Infinity\",\"all\":[\"-Infinity\",1.5,\"NaN\"]}\n{\"x\":\"-Infinity\",\"y\":\"NaN\",\"all\":null}\n";
    let decoded = decode_with(&columns, text.as_bytes());
    assert_eq!(decoded.malformed, []);
    let x = decoded.rows.column(0).as_primitive::<arrow::datatypes::Float64Type>();
    assert!(x.value(0).is_nan() && x.value(1) == f64::NEG_INFINITY);
    let mut written = Vec::new();
    write_rows(&mut written, &decoded.rows).unwrap();
    assert_eq!(String::from_utf8_lossy(&written), text);
    for other in ["\"nan\"", "\"1.5\"", "NaN", "\"\""] {
        assert_eq!(decode_with(&columns, format!("{{\"x\":{other}}}\n").as_bytes()).malformed.len(), 1, "{other}");
    }
}
