//! The generator's promises: the same rows whatever the chunking, valid people, faults and patterns at their rates.

use std::{collections::HashSet, time::Duration};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Decimal128Type, TimestampMicrosecondType},
};
use weir_spec::connector::{GeneratorKind, GeneratorSource};

use super::{GeneratorReader, columns, random, write_ndjson};
use crate::source::{PartitionPosition, Payload, Read, ReadLimit, SourceReader};

fn config(kind: GeneratorKind) -> GeneratorSource {
    GeneratorSource {
        kind,
        seed: 7,
        rate: None,
        rows: Some(20_000),
        subjects: 1000,
        faults: 0.0,
        late: 0.0,
        anomalies: 0.0,
        start: None,
    }
}

const KINDS: [GeneratorKind; 3] = [GeneratorKind::Payments, GeneratorKind::Sensors, GeneratorKind::Clicks];

fn read_all(config: &GeneratorSource, resume: &[PartitionPosition], rows: usize) -> RecordBatch {
    let mut reader = GeneratorReader::open(config, resume).unwrap();
    let mut batches = Vec::new();
    loop {
        match reader.read(ReadLimit { rows, wait: Duration::from_millis(1) }).unwrap() {
            Read::Chunk(chunk) => match chunk.payload {
                Payload::Rows(rows) => batches.push(rows),
                Payload::Bytes(_) | Payload::Unmade => panic!("the generator makes rows"),
            },
            Read::Idle => {}
            Read::End => break,
        }
    }
    concat_batches(&crate::arrow_schema(&columns(config.kind)), &batches).unwrap()
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Vec<Option<&'a str>> {
    rows.column_by_name(name).unwrap().as_string::<i32>().iter().collect()
}

/// Written from ISO/IEC 7812-1, not from the generator.
fn luhn(card: &str) -> bool {
    let mut sum = 0;
    for (i, c) in card.chars().rev().enumerate() {
        let mut digit = c.to_digit(10).unwrap();
        if i % 2 == 1 {
            digit *= 2;
            if digit > 9 {
                digit -= 9;
            }
        }
        sum += digit;
    }
    sum % 10 == 0
}

#[test]
fn rows_do_not_depend_on_how_they_are_read() {
    for kind in KINDS {
        let config = GeneratorSource { faults: 0.05, late: 0.1, anomalies: 0.01, ..config(kind) };
        let whole = read_all(&config, &[], 20_000);
        assert_eq!(whole.num_rows(), 20_000);
        assert_eq!(whole, read_all(&config, &[], 777));

        let mut reader = GeneratorReader::open(&config, &[]).unwrap();
        reader.read(ReadLimit { rows: 12_345, wait: Duration::ZERO }).unwrap();
        assert_eq!(whole.slice(12_345, 7_655), read_all(&config, &reader.positions(), 500));
        assert_ne!(whole, read_all(&GeneratorSource { seed: 8, ..config.clone() }, &[], 20_000));
    }
}

#[test]
fn without_faults_every_row_keeps_its_contract() {
    for kind in KINDS {
        let rows = read_all(&config(kind), &[], 4096);
        for (column, array) in columns(kind).iter().zip(rows.columns()) {
            assert!(!column.required || array.null_count() == 0, "{}", column.name);
            assert_eq!(array.len(), 20_000);
        }
    }
    let rows = read_all(&config(GeneratorKind::Payments), &[], 4096);
    assert!(texts(&rows, "card").into_iter().all(|card| luhn(card.unwrap())));
    for email in texts(&rows, "email") {
        let (local, domain) = email.unwrap().split_once('@').unwrap();
        assert!(local.len() > 3 && local.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.'), "{local}");
        assert!(["example.com", "example.org", "example.net"].contains(&domain));
    }
    let amounts = rows.column_by_name("amount").unwrap().as_primitive::<Decimal128Type>();
    assert!(amounts.values().iter().all(|&cents| (1..=10_000_000).contains(&cents)));
    assert_eq!(texts(&rows, "tx_id").into_iter().collect::<HashSet<_>>().len(), 20_000);
    let people: HashSet<_> =
        texts(&rows, "customer_id").into_iter().zip(texts(&rows, "email")).zip(texts(&rows, "card")).collect();
    assert_eq!(
        people.len(),
        texts(&rows, "customer_id").into_iter().collect::<HashSet<_>>().len(),
        "one person, one card, one address"
    );
}

#[test]
fn faults_late_rows_and_bursts_come_at_their_rates() {
    let config =
        GeneratorSource { faults: 0.06, late: 0.1, anomalies: 0.02, rows: Some(100_000), ..config(GeneratorKind::Payments) };
    let rows = read_all(&config, &[], 8192);
    let near = |found: usize, share: f64| {
        let expected = share * 100_000.0;
        assert!((found as f64 - expected).abs() < expected * 0.25, "{found} where about {expected} were expected");
    };
    near(rows.column_by_name("customer_id").unwrap().null_count(), 0.01);
    near(texts(&rows, "card").into_iter().filter(|card| !luhn(card.unwrap())).count(), 0.01);
    near(texts(&rows, "email").into_iter().filter(|email| !email.unwrap().contains('@')).count(), 0.01);
    let times = rows.column_by_name("paid_at").unwrap().as_primitive::<TimestampMicrosecondType>();
    let late = (0..100_000).filter(|&i| times.value(i) < super::DEFAULT_START + i as i64 * super::DEFAULT_STEP).count();
    near(late, 0.1);
    near((0..100_000).filter(|&row| random::burst(7, row, 0.02).is_some()).count(), 0.02);
    near((0..100_000).filter(|&row| random::burst(7, row, 0.9).is_some()).count(), 0.9);
    assert_eq!((0..100_000).filter(|&row| random::burst(7, row, 1.0).is_some()).count(), 100_000);
}

#[test]
fn a_burst_is_one_card() {
    let config = GeneratorSource { anomalies: 0.05, ..config(GeneratorKind::Payments) };
    let rows = read_all(&config, &[], 8192);
    let cards = texts(&rows, "card");
    let first = (0..20_000).find_map(|row| random::burst(7, row, 0.05)).unwrap();
    let members: Vec<_> = (0..20_000).filter(|&row| random::burst(7, row, 0.05).is_some_and(|b| b.id == first.id)).collect();
    assert_eq!(members.len() as u64, first.length);
    assert_eq!(members.iter().map(|&row| cards[row as usize]).collect::<HashSet<_>>().len(), 1);
}

#[test]
fn under_another_rate_time_goes_on_from_where_it_was() {
    let times = |config: &GeneratorSource, resume: &[PartitionPosition]| {
        let mut reader = GeneratorReader::open(config, resume).unwrap();
        let rows = loop {
            match reader.read(ReadLimit { rows: 3, wait: Duration::from_millis(20) }).unwrap() {
                Read::Chunk(chunk) => match chunk.payload {
                    Payload::Rows(rows) => break rows,
                    Payload::Bytes(_) | Payload::Unmade => panic!("the generator makes rows"),
                },
                Read::Idle => {}
                Read::End => panic!("rows are left"),
            }
        };
        let at = rows.column_by_name("paid_at").unwrap().as_primitive::<TimestampMicrosecondType>().clone();
        (at.value(0), at.value(at.len() - 1), at.len() as i64, reader.positions())
    };
    let slow = GeneratorSource { rate: Some(100), ..config(GeneratorKind::Payments) };
    let (first, last, rows, positions) = times(&slow, &[]);
    assert_eq!(last - first, (rows - 1) * 10_000);
    let fast = GeneratorSource { rate: Some(1000), ..slow.clone() };
    let (next, .., positions) = times(&fast, &positions);
    assert_eq!(next - last, 10_000, "the row after comes where it would have come");
    let row = positions[0].offset.row;
    let (again, ..) = times(&slow, &positions);
    assert_eq!(again - next, (row as i64 - rows) * 1_000, "and so back again");
}

#[test]
fn a_rate_paces_and_a_resumed_run_keeps_its_start() {
    let config = GeneratorSource { rate: Some(1000), rows: Some(20), ..config(GeneratorKind::Clicks) };
    let mut reader = GeneratorReader::open(&config, &[]).unwrap();
    let limit = ReadLimit { rows: 5, wait: Duration::from_millis(50) };
    let Read::Chunk(first) = reader.read(limit).unwrap() else { panic!("five rows are due within 50 ms") };
    assert!(first.end.row <= 5);
    let resumed = GeneratorReader::open(&config, &reader.positions()).unwrap();
    assert_eq!(resumed.positions(), reader.positions());
}

#[test]
fn a_written_file_decodes_to_the_same_rows_and_its_broken_lines_are_malformed() {
    use crate::{
        format::json::decode::JsonDecoder,
        source::{Chunk, Offset, RowDecoder},
    };
    for kind in KINDS {
        let config = GeneratorSource { late: 0.1, anomalies: 0.01, ..config(kind) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.ndjson");
        let written = write_ndjson(&path, &config, 0.05).unwrap();
        assert_eq!(written.rows, 20_000);
        assert!((800..1200).contains(&written.malformed), "{}", written.malformed);
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text.len() as u64, written.bytes);
        let columns: Vec<_> = columns(kind).into_iter().filter(|c| c.name != "name").collect();
        let chunk = Chunk {
            partition: 0,
            start: Offset::default(),
            end: Offset::default(),
            payload: Payload::Bytes(text.into()),
            malformed: Vec::new(),
            header: None,
        };
        let decoded = JsonDecoder::new(crate::arrow_schema(&columns), &columns).unwrap().decode(&chunk).unwrap();
        assert_eq!(decoded.malformed.len() as u64, written.malformed);
        let whole = read_all(&config, &[], 20_000);
        let kept: Vec<usize> = (0..whole.num_columns()).filter(|&i| whole.schema().field(i).name() != "name").collect();
        let offsets = arrow::array::UInt32Array::from(decoded.row_offsets.unwrap());
        let expected = arrow::compute::take_record_batch(&whole.project(&kept).unwrap(), &offsets).unwrap();
        assert_eq!(decoded.rows, expected);
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for bad in [
        GeneratorSource { faults: 1.5, ..config(GeneratorKind::Payments) },
        GeneratorSource { rate: Some(0), ..config(GeneratorKind::Payments) },
        GeneratorSource { start: Some("yesterday".into()), ..config(GeneratorKind::Payments) },
    ] {
        assert!(GeneratorReader::open(&bad, &[]).is_err());
    }
}
