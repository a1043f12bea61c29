//! JSON lines: every line is a row or malformed, and rows written as JSON read back as they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_connectors::{
    Chunk, Offset, Payload, RowDecoder, arrow_schema,
    format::json::{decode::JsonDecoder, encode},
};

fn decode(text: &[u8]) -> weir_connectors::Decoded {
    let columns = weir_fuzz::columns();
    let payload = Payload::Bytes(bytes::Bytes::copy_from_slice(text));
    let chunk =
        Chunk { partition: 0, start: Offset::default(), end: Offset::default(), payload, malformed: Vec::new(), header: None };
    JsonDecoder::new(arrow_schema(&columns), &columns)
        .expect("the schema is readable")
        .decode(&chunk)
        .expect("no bytes are an error")
}

fuzz_target!(|text: &[u8]| {
    let decoded = decode(text);
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').count();
    let expected = if text.is_empty() { 0 } else { lines };
    assert_eq!(decoded.rows.num_rows() + decoded.malformed.len(), expected, "every line is a row or malformed");
    let mut written = Vec::new();
    encode::write_rows(&mut written, &decoded.rows).expect("what was read can be written");
    let again = decode(&written);
    assert!(again.malformed.is_empty(), "what was written is malformed: {:?}", again.malformed);
    assert_eq!(again.rows, decoded.rows);
});
