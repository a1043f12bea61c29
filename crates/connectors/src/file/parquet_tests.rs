//! Reading Parquet: any batch size, any place to resume, only the columns asked for, and damaged files as data.

use std::{fs, path::Path, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Int32Array, RecordBatch, StringArray},
    compute::concat_batches,
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use weir_spec::{
    Column, DataType,
    connector::{FileSource, Format},
};

use super::{FileReader, FileReaderOptions};
use crate::{
    error::ConnectorError,
    format::rows::RowsDecoder,
    schema::arrow_schema,
    source::{MalformedReason as Reason, Offset, PartitionPosition, Read, ReadLimit, RowDecoder, SourceReader},
};

const ROWS: i32 = 1000;

fn columns() -> Vec<Column> {
    vec![Column { required: true, ..Column::new("id", DataType::Int64) }, Column::new("absent", DataType::String)]
}

/// `id` is an int32 in the file, every tenth is null; `other` is not asked for.
fn store(path: &Path) {
    let id: ArrayRef = Arc::new((0..ROWS).map(|i| (i % 10 != 9).then_some(i)).collect::<Int32Array>());
    let other: ArrayRef = Arc::new((0..ROWS).map(|i| Some(format!("row {i}"))).collect::<StringArray>());
    let rows = RecordBatch::try_from_iter_with_nullable([("other", other, true), ("id", id, true)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(300)).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

fn open(folder: &Path, columns: &[Column], resume: &[PartitionPosition]) -> Result<FileReader, ConnectorError> {
    let config =
        FileSource { path: "in".into(), compression: None, max_line: 100, delimiter: ',', header: true, null: String::new() };
    let schema = arrow_schema(columns);
    let base_dir = folder.into();
    FileReader::open(FileReaderOptions { config: &config, format: Format::Parquet, schema, columns, base_dir }, resume)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    store(&folder.path().join("in/a.parquet"));
    folder
}

#[test]
fn any_batch_size_and_any_resume_give_the_same_rows() {
    let folder = folder();
    let schema = arrow_schema(&columns());
    for step in [1_usize, 7, 300, 999, 5000] {
        let mut decoder = RowsDecoder::new(schema.clone(), &columns());
        let (mut batches, mut positions, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        // Every chunk by a reader of its own, for all but the smallest steps.
        let mut reader = open(folder.path(), &columns(), &[]).unwrap();
        loop {
            if step > 1 {
                reader = open(folder.path(), &columns(), &positions).unwrap();
            }
            let Read::Chunk(chunk) = reader.read(ReadLimit { rows: step, wait: Duration::ZERO }).unwrap() else {
                break;
            };
            positions = reader.positions();
            let decoded = decoder.decode(&chunk).unwrap();
            assert_eq!((decoded.rows.num_rows() + decoded.malformed.len()) as u64, chunk.end.row - chunk.start.row);
            if let Some(offsets) = &decoded.row_offsets {
                assert_eq!(offsets.len(), decoded.rows.num_rows());
            }
            missing.extend(decoded.malformed);
            batches.push(decoded.rows);
        }
        let rows = concat_batches(&schema, &batches).unwrap();
        let expected: arrow::array::Int64Array = (0..i64::from(ROWS)).filter(|i| i % 10 != 9).map(Some).collect();
        assert_eq!(rows.column(0).as_ref(), &expected as &dyn arrow::array::Array);
        assert_eq!(rows.column(1).null_count(), rows.num_rows());
        assert_eq!(missing.len(), 100);
        assert_eq!(missing[0].reason, Reason::MissingRequired { column: "id".into() });
        assert_eq!(missing[1].at, Offset { byte: 0, row: 19 });
    }
}

#[test]
fn a_damaged_file_is_one_malformed_row_and_the_next_is_read() {
    let folder = folder();
    fs::write(folder.path().join("in/0.parquet"), b"PAR1 nothing of the kind PAR1").unwrap();
    let mut reader = open(folder.path(), &columns(), &[]).unwrap();
    let limit = ReadLimit { rows: 10_000, wait: Duration::ZERO };
    let Read::Chunk(chunk) = reader.read(limit).unwrap() else { panic!("a chunk") };
    assert_eq!(chunk.malformed[0].reason, Reason::Damaged { format: "Parquet".to_owned() });
    let decoded = RowsDecoder::new(arrow_schema(&columns()), &columns()).decode(&chunk).unwrap();
    assert_eq!((decoded.rows.num_rows(), decoded.malformed.len()), (0, 1));
    let mut resumed = open(folder.path(), &columns(), &reader.positions()).unwrap();
    let Read::Chunk(next) = resumed.read(limit).unwrap() else { panic!("the rows of the other file") };
    assert_eq!(next.end.row - next.start.row, ROWS as u64);
}

#[test]
fn a_footer_with_any_byte_changed_is_read_or_refused_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    let path = folder.path().join("in/a.parquet");
    let id: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let rows = RecordBatch::try_from_iter([("id", id)]).unwrap();
    let mut whole = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut whole, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let footer = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
    for at in whole.len() - 8 - footer..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x01;
        fs::write(&path, damaged).unwrap();
        // A changed name may leave no required column, which is an error and no panic either.
        let Ok(mut reader) = open(folder.path(), &columns(), &[]) else { continue };
        while let Ok(Read::Chunk(_)) = reader.read(ReadLimit { rows: 10, wait: Duration::ZERO }) {}
    }
}

#[test]
fn a_file_with_other_columns_is_one_malformed_row_that_names_them_all_and_the_next_is_read() {
    let folder = folder();
    let own: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let number: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    let columns = [
        Column { required: true, ..Column::new("absent", DataType::Int64) },
        Column::new("id", DataType::String),
        Column::new("other", DataType::Decimal { precision: 10, scale: 2 }),
    ];
    let fitting = RecordBatch::try_from_iter([("absent", number), ("id", own)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(folder.path().join("in/b.parquet")).unwrap(), fitting.schema(), None).unwrap();
    writer.write(&fitting).unwrap();
    writer.close().unwrap();
    let mut reader = open(folder.path(), &columns, &[]).unwrap();
    let limit = ReadLimit { rows: 10, wait: Duration::ZERO };
    let Read::Chunk(refused) = reader.read(limit).unwrap() else { panic!("a chunk") };
    assert_eq!((refused.start.row, refused.end.row), (0, 1));
    let expected = Reason::WrongColumns {
        column: "absent, id, other".to_owned(),
        detail: "the file's columns cannot be used: `absent`, which is required, is missing; `id` is int32, which does not become string \
                 without loss; `other` is string, which does not become decimal(10,2) without loss"
            .to_owned(),
    };
    assert_eq!(refused.malformed[0].reason, expected);
    let Read::Chunk(next) = reader.read(limit).unwrap() else { panic!("the other file's row") };
    let decoded = RowsDecoder::new(arrow_schema(&columns), &columns).decode(&next).unwrap();
    assert_eq!((decoded.rows.num_rows(), decoded.malformed.len()), (1, 0));
}

#[test]
fn what_is_no_parquet_is_told_from_what_is_empty_and_what_is_damaged() {
    let folder = folder();
    let whole = fs::read(folder.path().join("in/a.parquet")).unwrap();
    for (content, expected) in [
        (&b""[..], Reason::EmptyFile),
        (b"id,n\n1,2\n", Reason::WrongFormat { expected: "Parquet".to_owned() }),
        (&whole[..whole.len() / 2], Reason::Damaged { format: "Parquet".to_owned() }),
    ] {
        fs::write(folder.path().join("in/a.parquet"), content).unwrap();
        let mut reader = open(folder.path(), &columns(), &[]).unwrap();
        let Read::Chunk(chunk) = reader.read(ReadLimit { rows: 10, wait: Duration::ZERO }).unwrap() else { panic!("a chunk") };
        assert_eq!(chunk.malformed[0].reason, expected);
        assert!(!expected.to_string().contains("compressed"), "{expected}");
    }
}

#[test]
fn a_file_that_changed_since_it_was_read_is_refused() {
    let folder = folder();
    let path = folder.path().join("in/a.parquet");
    let limit = ReadLimit { rows: 400, wait: Duration::ZERO };
    let mut reader = open(folder.path(), &columns(), &[]).unwrap();
    reader.read(limit).unwrap();
    let halfway = reader.positions();
    while let Read::Chunk(_) = reader.read(limit).unwrap() {}
    let done = reader.positions();
    let id: ArrayRef = Arc::new(Int32Array::from(vec![1; 2000]));
    let rows = RecordBatch::try_from_iter([("id", id)]).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    for positions in [halfway, done] {
        let message = match open(folder.path(), &columns(), &positions) {
            Err(ConnectorError::Resume(message)) => message,
            other => panic!("not refused: {:?}", other.err()),
        };
        assert!(message.contains("a.parquet") && message.contains("weir run --fresh"), "{message}");
    }
}
