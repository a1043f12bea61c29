//! Tables as reference data, and the types of both directions.

use std::{fs, path::Path, sync::Arc};

use arrow::{
    array::*,
    compute::concat_batches,
    datatypes::{Int32Type, SchemaRef},
};
use expect_test::expect;
use rusqlite::Connection;
use weir_spec::{
    Column, DataType,
    connector::{SqliteSink, SqliteTable},
    pipeline::SinkMode,
};

use super::{TableEncoder, TableReader, TableWriter};
use crate::{
    context::SinkContext,
    error::ConnectorError,
    schema::arrow_schema,
    sink::{RowEncoder, SinkWriter},
};

fn columns() -> Vec<Column> {
    let types = [
        ("boolean", DataType::Boolean),
        ("int32", DataType::Int32),
        ("int64", DataType::Int64),
        ("float32", DataType::Float32),
        ("float64", DataType::Float64),
        ("decimal", DataType::Decimal { precision: 30, scale: 3 }),
        ("string", DataType::String),
        ("bytes", DataType::Bytes),
        ("date", DataType::Date),
        ("timestamp", DataType::Timestamp),
        ("list", DataType::List(Box::new(DataType::Int32))),
        ("struct", DataType::Struct(vec![Column::new("a", DataType::String), Column::new("b", DataType::Boolean)])),
    ];
    types.into_iter().map(|(name, data_type)| Column::new(name, data_type)).collect()
}

/// A row of usual values, one of extremes and one of nulls.
fn rows(schema: &SchemaRef) -> RecordBatch {
    let struct_fields = match schema.field(11).data_type() {
        arrow::datatypes::DataType::Struct(fields) => fields.clone(),
        other => panic!("{other}"),
    };
    let of_struct: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("x\"\n"), None, None])),
        Arc::new(BooleanArray::from(vec![Some(true), None, None])),
    ];
    let nulls = arrow::buffer::NullBuffer::from(vec![true, true, false]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), Some(vec![]), None]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(Int32Array::from(vec![Some(7), Some(i32::MIN), None])),
        Arc::new(Int64Array::from(vec![Some(-7), Some(i64::MAX), None])),
        Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::MAX), None])),
        Arc::new(Float64Array::from(vec![Some(3.0), Some(f64::MIN_POSITIVE), None])),
        Arc::new(
            Decimal128Array::from(vec![Some(12_500), Some(999_999_999_999_999_999_999_999_999_999), None])
                .with_precision_and_scale(30, 3)
                .unwrap(),
        ),
        Arc::new(StringArray::from(vec![Some("Zoë"), Some("a\0b"), None])),
        Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(&b""[..]), None])),
        Arc::new(Date32Array::from(vec![Some(20_000), Some(-1), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1_767_225_600_500_000), Some(-1), None]).with_timezone("UTC")),
        Arc::new(list),
        Arc::new(StructArray::new(struct_fields, of_struct, Some(nulls))),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

fn written(folder: &Path, schema: &SchemaRef, rows: &RecordBatch) {
    let sink = SqliteSink { path: "t.db".into(), table: "t".into(), key: Vec::new() };
    let context = SinkContext { base_dir: folder.into(), run_tag: "p-t".into(), changes_in_order: false };
    let mut writer = TableWriter::new(&sink, SinkMode::Append, schema, &context).unwrap();
    writer.recover(None).unwrap();
    writer.write(TableEncoder::new(&sink, SinkMode::Append, schema).unwrap().encode(rows).unwrap()).unwrap();
    let mut sealed = writer.seal(1).unwrap();
    let pre_commit = sealed.pre_commit().unwrap();
    sealed.commit(&pre_commit).unwrap();
}

fn reader(folder: &Path, columns: &[Column]) -> TableReader {
    let config = SqliteTable { path: "t.db".into(), table: "t".into() };
    TableReader::new(&config, columns, arrow_schema(columns), &folder.into())
}

fn read(folder: &Path, columns: &[Column]) -> Result<RecordBatch, ConnectorError> {
    let mut reader = reader(folder, columns);
    reader.version()?;
    let mut batches = Vec::new();
    reader.read(|rows| {
        batches.push(rows);
        Ok(())
    })?;
    Ok(concat_batches(&arrow_schema(columns), &batches).unwrap())
}

/// A database made by somebody else.
fn made(sql: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Connection::open(folder.path().join("t.db")).unwrap().execute_batch(sql).unwrap();
    folder
}

#[test]
fn every_type_reads_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let columns = columns();
    let schema = arrow_schema(&columns);
    let rows = rows(&schema);
    written(folder.path(), &schema, &rows);
    assert_eq!(read(folder.path(), &columns).unwrap(), rows);
}

#[test]
fn what_each_type_is_in_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let columns = columns();
    let schema = arrow_schema(&columns);
    written(folder.path(), &schema, &rows(&schema).slice(0, 1));
    let connection = Connection::open(folder.path().join("t.db")).unwrap();
    let shown: Vec<String> = columns
        .iter()
        .map(|column| {
            let value = "CASE typeof(\"{0}\") WHEN 'real' THEN CAST(\"{0}\" AS TEXT) ELSE quote(\"{0}\") END";
            let sql = format!("SELECT typeof(\"{{0}}\") || ' ' || {value} FROM t").replace("{0}", &column.name);
            let value: String = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            format!("{}: {value}", column.name)
        })
        .collect();
    expect![[r#"
        boolean: integer 1
        int32: integer 7
        int64: integer -7
        float32: real 0.100000001490116
        float64: real 3.0
        decimal: text '12.500'
        string: text 'Zoë'
        bytes: blob X'00FF'
        date: text '2024-10-04'
        timestamp: text '2026-01-01T00:00:00.500000Z'
        list: text '[1,null]'
        struct: text '{"a":"x\"\n","b":true}'"#]]
    .assert_eq(&shown.join("\n"));
    let known: String =
        connection.query_row("SELECT strftime('%Y-%m-%d %H:%M:%f', timestamp) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(known, "2026-01-01 00:00:00.500", "SQLite's date functions read it");
}

#[test]
fn nan_is_null_and_infinity_is_itself() {
    let folder = tempfile::tempdir().unwrap();
    let schema = arrow_schema(&[Column::new("x", DataType::Float64)]);
    let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY]));
    written(folder.path(), &schema, &RecordBatch::try_new(Arc::clone(&schema), vec![values]).unwrap());
    let connection = Connection::open(folder.path().join("t.db")).unwrap();
    let mut found = connection.prepare("SELECT x FROM t ORDER BY rowid").unwrap();
    let found: Vec<Option<f64>> = found.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(found, [None, Some(f64::INFINITY)]);
}

#[test]
fn columns_are_found_by_name_in_tables_and_views() {
    let columns = [Column::new("name", DataType::String), Column::new("code", DataType::Int64)];
    let folder = made(
        "CREATE TABLE raw (code INTEGER, more BLOB, name TEXT); INSERT INTO raw VALUES (1, x'00', 'one'), (2, NULL, 'two'); CREATE VIEW t AS SELECT code, name FROM raw",
    );
    let found = read(folder.path(), &columns).unwrap();
    assert_eq!(found.column(0).as_string::<i32>(), &StringArray::from(vec!["one", "two"]));
    assert_eq!(found.column(1).as_primitive::<arrow::datatypes::Int64Type>(), &Int64Array::from(vec![1, 2]));
}

#[test]
fn what_cannot_be_read_is_told_with_path_table_and_column_but_never_the_value() {
    let of = |sql: &str, columns: &[Column]| {
        let folder = made(sql);
        let error = read(folder.path(), columns).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        error.replace(&folder.path().join("t.db").display().to_string(), "T")
    };
    let id = || Column::new("id", DataType::Int64);
    let column = |data_type: DataType| [Column::new("x", data_type)];
    let list = || DataType::List(Box::new(DataType::Int32));
    let messages = [
        of("CREATE TABLE tt (id)", &[id()]),
        of("CREATE TABLE t (ident)", &[id()]),
        of("CREATE TABLE t (id); INSERT INTO t VALUES (1), ('secret')", &[id()]),
        of("CREATE TABLE t (id); INSERT INTO t VALUES (1.5)", &[id()]),
        of("CREATE TABLE t (id); INSERT INTO t VALUES (NULL)", &[Column { required: true, ..id() }]),
        of("CREATE TABLE t (x); INSERT INTO t VALUES (2)", &column(DataType::Boolean)),
        of("CREATE TABLE t (x); INSERT INTO t VALUES ('secret')", &column(DataType::Bytes)),
        of("CREATE TABLE t (x); INSERT INTO t VALUES (CAST('secret' AS BLOB))", &column(DataType::String)),
        of("CREATE TABLE t (x); INSERT INTO t VALUES (9e999)", &column(DataType::Float64)),
        of("CREATE TABLE t (x); INSERT INTO t VALUES ('[1], \"y\": [2]')", &column(list())),
        of("CREATE TABLE t (x); INSERT INTO t VALUES (3000000000)", &column(DataType::Int32)),
    ];
    expect![[r#"
        T: there is no table `t`; did you mean `tt`?
        T: the table `t` has no column `id`; there are: ident
        T: row 2 of the table `t` is malformed: `id`: expected int64, found a string
        T: row 1 of the table `t` is malformed: `id`: expected int64, found a number with a fraction or an exponent
        T: row 1 of the table `t` is malformed: `id`: required, but absent or null
        T: row 1 of the table `t` is malformed: `x`: expected boolean, found a number
        T: row 1 of the table `t` is malformed: `x`: expected bytes (base64), found a TEXT
        T: row 1 of the table `t` is malformed: `x`: expected string, found a BLOB
        T: row 1 of the table `t` is malformed: `x`: expected float64, found infinity
        T: row 1 of the table `t` is malformed: `x`: expected list<int32>, found a text that is not JSON
        T: row 1 of the table `t` is malformed: `x`: does not fit int32"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn a_database_that_is_absent_or_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [Column::new("id", DataType::Int64)];
    let error = read(folder.path(), &columns).unwrap_err().to_string();
    assert!(error.contains("t.db"), "{error}");
    assert!(!folder.path().join("t.db").exists(), "reading makes nothing");
    fs::write(folder.path().join("t.db"), "id\n1\n".repeat(1000)).unwrap();
    let error = read(folder.path(), &columns).unwrap_err().to_string();
    assert!(error.contains("no SQLite database"), "{error}");
}

#[test]
fn the_version_changes_with_each_commit_and_with_another_file() {
    let folder = made("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)");
    let columns = [Column::new("id", DataType::Int64)];
    let mut reader = reader(folder.path(), &columns);
    let count = |reader: &TableReader| {
        let mut rows = 0;
        reader
            .read(|batch| {
                rows += batch.num_rows();
                Ok(())
            })
            .unwrap();
        rows
    };
    let first = reader.version().unwrap();
    assert_eq!(count(&reader), 1);
    assert_eq!(reader.version().unwrap(), first);
    let other = Connection::open(folder.path().join("t.db")).unwrap();
    other.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    let second = reader.version().unwrap();
    assert_ne!(second, first);
    assert_eq!(count(&reader), 2);
    drop(other);

    let another = made("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1), (2), (3)");
    fs::rename(another.path().join("t.db"), folder.path().join("t.db")).unwrap();
    assert_ne!(reader.version().unwrap(), second);
    assert_eq!(count(&reader), 3);
}

#[cfg(unix)]
#[test]
fn a_confined_reader_refuses_a_database_behind_a_link_that_leads_out() {
    let elsewhere = made("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)");
    let base = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("t.db"), base.path().join("t.db")).unwrap();
    let columns = [Column::new("id", DataType::Int64)];
    let config = SqliteTable { path: "t.db".into(), table: "t".into() };
    let confined = crate::BaseDir::confined(base.path(), &[]).unwrap();
    let error = TableReader::new(&config, &columns, arrow_schema(&columns), &confined).version().unwrap_err();
    assert!(matches!(&error, ConnectorError::Outside { .. }), "{error}");
    assert_eq!(read(base.path(), &columns).unwrap().num_rows(), 1, "whoever is not confined follows it");
}
