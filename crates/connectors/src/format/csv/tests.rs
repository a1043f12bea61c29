//! CSV against the `csv` crate, against itself, and against arbitrary bytes.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use bytes::Bytes;
use proptest::prelude::*;
use weir_spec::{Column, DataType, connector::FileSource};

use super::{CsvDecoder, record_end, split_record, trim_line_end, write_header, write_rows};
use crate::{
    schema::arrow_schema,
    source::{Chunk, Decoded, Offset, Payload, RowDecoder},
};

fn config() -> FileSource {
    FileSource { path: String::new(), compression: None, max_line: 1 << 20, delimiter: ',', header: true, null: "NA".into() }
}

fn columns() -> Vec<Column> {
    vec![
        Column { required: true, ..Column::new("id", DataType::String) },
        Column::new("n", DataType::Int64),
        Column::new("x", DataType::Float64),
        Column::new("at", DataType::Timestamp),
        Column::new("ok", DataType::Boolean),
        Column::new("tags", DataType::List(Box::new(DataType::String))),
    ]
}

fn decode_with(columns: &[Column], header: &[&str], text: &[u8]) -> Decoded {
    let mut decoder = CsvDecoder::new(&config(), arrow_schema(columns), columns).unwrap();
    let header = (!header.is_empty()).then(|| header.iter().map(|h| (*h).to_owned()).collect());
    let chunk = Chunk {
        partition: 0,
        start: Offset::default(),
        end: Offset::default(),
        payload: Payload::Bytes(Bytes::copy_from_slice(text)),
        malformed: Vec::new(),
        header,
    };
    decoder.decode(&chunk).unwrap()
}

const HEADER: [&str; 6] = ["id", "n", "x", "at", "ok", "tags"];

#[test]
fn records_are_refused_for_their_reason() {
    for (record, expected) in [
        ("a,1,2.5,2026-01-01 00:00:00,true,\"[\"\"x\"\",null]\"", None),
        ("a,,,,,", None),
        ("\"\",NA,NA,NA,TRUE,NA\r", None),
        ("\"two\nlines, \"\"quoted\"\"\",,,,,", None),
        ("5\" pipe,,,,,", None),
        (",,,,,", Some("`id`: required, but absent or null")),
        ("NA,,,,,", Some("`id`: required, but absent or null")),
        ("a,,,,", Some("5 fields where 6 were expected")),
        ("a,,,,,,", Some("7 fields where 6 were expected")),
        ("", Some("1 fields where 6 were expected")),
        ("a,1.0,,,,", Some("`n`: expected int64, found a number with a fraction or an exponent")),
        ("a,\" 1\",,,,", Some("`n`: expected int64, found other text")),
        ("a,99999999999999999999,,,,", Some("`n`: does not fit int64")),
        ("a,,1e400,,,", Some("`x`: does not fit float64")),
        ("a,,nan,,,", Some("`x`: expected float64, found other text")),
        ("a,,,yesterday,,", Some("`at`: expected timestamp (RFC 3339; without a zone it is UTC), found other text")),
        ("a,,,,yes,", Some("`ok`: expected boolean, found other text")),
        ("x,y", Some("2 fields where 6 were expected")),
        ("x,y,z,too,many,fields,here", Some("7 fields where 6 were expected")),
        ("a,,,,,[1]", Some("`tags[]`: expected string, found a number")),
        ("\"a\"b,,,,,", Some("syntax: expected a delimiter after the closing quote at byte 3 of the row")),
        ("\"a,,,,,", Some("syntax: expected a closing quote at byte 7 of the row")),
    ] {
        let decoded = decode_with(&columns(), &HEADER, format!("{record}\n").as_bytes());
        assert_eq!(decoded.rows.num_rows() + decoded.malformed.len(), 1, "{record}");
        assert_eq!(decoded.malformed.first().map(|m| m.reason.to_string()).as_deref(), expected, "{record}");
    }
}

#[test]
fn fields_are_mapped_by_the_header() {
    let decoded = decode_with(&columns(), &["other", "n", "id"], b"z,7,a\n");
    assert_eq!(decoded.malformed, []);
    assert_eq!(decoded.rows.column(0).as_string::<i32>().value(0), "a");
    assert_eq!(decoded.rows.column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0), 7);
    assert!(decoded.rows.column(2).is_null(0));
}

#[test]
fn without_a_header_fields_are_in_schema_order() {
    let decoded = decode_with(&columns(), &[], b"a,7,,,,\n");
    assert_eq!(decoded.rows.column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0), 7);
}

#[test]
fn empty_bytes_are_not_null() {
    let columns = [Column::new("a", DataType::Bytes), Column::new("b", DataType::Bytes)];
    let schema = arrow_schema(&columns);
    let bytes = |values: [Option<&[u8]>; 3]| Arc::new(arrow::array::BinaryArray::from(values.to_vec()));
    let (a, b) = (bytes([Some(b""), None, Some(b"\xff")]), bytes([None, Some(b""), Some(b"a")]));
    let rows = RecordBatch::try_new(schema, vec![a, b]).unwrap();
    let mut text = Vec::new();
    write_rows(&mut text, &rows).unwrap();
    assert_eq!(String::from_utf8_lossy(&text), "\"\",\n,\"\"\n/w==,YQ==\n");
    assert_eq!(decode_with(&columns, &[], &text).rows, rows);
}

fn any_field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,5}",
        ".{0,8}",
        proptest::sample::select(vec!["\"", ",", "\n", "\r\n", "a\"b", "", " "]).prop_map(str::to_owned)
    ]
}

proptest! {
    #[test]
    fn splits_what_the_csv_crate_writes(records in proptest::collection::vec(proptest::collection::vec(any_field(), 3), 1..6)) {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        for record in &records {
            writer.write_record(record).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let mut rest = text.as_slice();
        let mut found = Vec::new();
        while let Some(end) = record_end(rest, b',') {
            let fields = split_record(trim_line_end(&rest[..end]), b',').unwrap();
            found.push(fields.into_iter().map(|f| String::from_utf8(f.value.into_owned()).unwrap()).collect::<Vec<_>>());
            rest = &rest[end..];
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(found, records);
    }

    #[test]
    fn what_is_written_reads_back_the_same(values in proptest::collection::vec((proptest::option::of(any_field()), proptest::option::of(any_field())), 1..8)) {
        let columns = [Column::new("a", DataType::String), Column::new("b,\"", DataType::String)];
        let schema = arrow_schema(&columns);
        let (a, b): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(StringArray::from(a)), Arc::new(StringArray::from(b))]).unwrap();
        let mut text = Vec::new();
        write_header(&mut text, &schema);
        let header = text.len();
        write_rows(&mut text, &rows).unwrap();
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_slice());
        prop_assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(vec!["a", "b,\""]));
        prop_assert_eq!(reader.records().count(), rows.num_rows());
        // "NA" is this source's null text, and fields of two letters may be it.
        let decoded = decode_with(&columns, &[], &text[header..]);
        if !String::from_utf8_lossy(&text).contains("NA") {
            prop_assert_eq!(decoded.rows, rows);
        }
    }

    #[test]
    fn never_panics_and_accounts_for_every_record(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::collection::vec(proptest::sample::select(b"a1\",\n\r[]{}".to_vec()), 0..200),
        ]
    ) {
        let mut records = 0;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            rest = &rest[record_end(rest, b',').unwrap_or(rest.len())..];
            records += 1;
        }
        let decoded = decode_with(&columns(), &HEADER, &bytes);
        prop_assert_eq!(decoded.rows.num_rows() + decoded.malformed.len(), records);
    }
}

#[test]
fn rows_with_columns_that_the_schema_does_not_name_are_counted() {
    let home = Column::new("home", DataType::Struct(vec![Column::new("city", DataType::String)]));
    let columns = [Column { required: true, ..Column::new("id", DataType::String) }, home];
    let unnamed = |header: &[&str], text: &str| {
        let decoded = decode_with(&columns, header, text.as_bytes());
        (decoded.rows.num_rows(), decoded.unnamed)
    };
    assert_eq!(unnamed(&["id", "home"], "a,\nb,\"{\"\"city\"\":\"\"x\"\"}\"\n"), (2, 0));
    assert_eq!(unnamed(&["id", "more", "home"], "a,1,\nb,,\n,1,\n"), (2, 2), "a malformed row is kept whole");
    assert_eq!(unnamed(&["id", "home"], "a,\nb,\"{\"\"zip\"\":1}\"\n"), (2, 1));
    assert_eq!(unnamed(&[], "a,\nb,\n"), (2, 0));
}

#[test]
fn floats_that_are_no_numbers_are_words_and_come_back() {
    let columns = [Column::new("x", DataType::Float64), Column::new("y", DataType::Float32)];
    let text = "NaN,Infinity\n-Infinity,NaN\n1.5,-Infinity\n,\n";
    let decoded = decode_with(&columns, &[], text.as_bytes());
    assert_eq!(decoded.malformed, []);
    let x = decoded.rows.column(0).as_primitive::<arrow::datatypes::Float64Type>();
    assert!(x.value(0).is_nan() && x.value(1) == f64::NEG_INFINITY && x.is_null(3));
    let mut written = Vec::new();
    write_rows(&mut written, &decoded.rows).unwrap();
    assert_eq!(String::from_utf8_lossy(&written), text);
}
