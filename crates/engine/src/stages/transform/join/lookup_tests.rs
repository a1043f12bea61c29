//! Lookup joins: what they find, and what becomes of a table whose file changes.

use std::{fs, path::Path, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::logical_expr::col;
use expect_test::expect;
use parquet::arrow::ArrowWriter;
use weir_plan::{
    TableNode,
    operator::{Change, JoinBound, JoinKind, JoinNode},
};
use weir_spec::{
    Column,
    connector::{FileSource, Format, SqliteTable, TableConnector},
    types::Timespan,
};

use super::{lookup_table::LookupTable, testing::*};

fn plan(path: &str, format: Format, key: Vec<usize>) -> TableNode {
    let file =
        FileSource { path: path.into(), compression: None, max_line: 1 << 20, delimiter: ',', header: true, null: String::new() };
    let mut id = Column::new("id", weir_spec::DataType::Int64);
    id.required = true;
    let declared = vec![id, Column::new("name", weir_spec::DataType::String)];
    let connector = TableConnector::File(file);
    TableNode { connector, format, declared, rules: Vec::new(), key, reload: Timespan::from_millis(3_600_000) }
}

fn rig(table: &Arc<LookupTable>, kind: JoinKind, conditional: bool, changes: bool) -> Rig {
    let inputs = vec![keyed(), table.schema().clone()];
    let output = joined(&inputs[0], &inputs[1]);
    let condition = conditional.then(|| Arc::new(col("$2").not_eq(col("$4"))));
    let node = JoinNode { kind, keys: vec![(0, 0)], condition, bound: JoinBound::Lookup };
    let table = Arc::clone(table);
    Rig::new(inputs, vec![changes, false], output, vec![vec![0], vec![0]], move |context| {
        super::compile(&node, context, Some(&table))
    })
}

fn row(key: Option<i64>, value: i64) -> Row {
    vec![key, Some(0), Some(value)]
}

fn write(folder: &Path, name: &str, rows: &[(i64, i64)]) {
    let path = folder.join(name);
    let lines = |head: &str, line: &dyn Fn(&(i64, i64)) -> String| {
        [head.to_owned()].into_iter().chain(rows.iter().map(line)).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => fs::write(path, lines("name,id", &|(id, name)| format!("{name},{id}"))).unwrap(),
        Some("parquet") => {
            let of = schema(&[("id", DataType::Int64), ("name", DataType::Utf8)]);
            let rows: Vec<Row> = rows.iter().map(|&(id, name)| vec![Some(id), Some(name)]).collect();
            let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), of.clone(), None).unwrap();
            writer.write(&batch(&of, &rows, None).rows).unwrap();
            writer.close().unwrap();
        }
        _ => fs::write(path, lines("", &|(id, name)| format!("{{\"id\":{id},\"name\":\"{name}\"}}"))).unwrap(),
    }
}

#[test]
fn rows_find_what_a_file_of_any_format_has_of_their_key() {
    for (name, format) in [("t.csv", Format::Csv), ("t.json", Format::Json), ("t.parquet", Format::Parquet)] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), name, &[(1, 10), (2, 20), (1, 11)]);
        let table = Arc::new(LookupTable::read("t", &plan(name, format, Vec::new()), &folder.path().into()).unwrap());
        let rows = [row(Some(1), 0), row(Some(3), 1), row(None, 2), row(Some(2), 20)];
        let mut inner = rig(&table, JoinKind::Inner, true, false);
        inner.insert(0, &rows);
        expect![[r#"
            [
                "+I 1 0 0 1 10",
                "+I 1 0 0 1 11",
            ]
        "#]]
        .assert_debug_eq(&inner.texts());
        let mut left = rig(&table, JoinKind::Left, true, false);
        left.insert(0, &rows);
        expect![[r#"
            [
                "+I 1 0 0 1 10",
                "+I 1 0 0 1 11",
                "+I 3 0 1 - -",
                "+I - 0 2 - -",
                "+I 2 0 20 - -",
            ]
        "#]]
        .assert_debug_eq(&left.texts());
    }
}

#[test]
fn of_rows_with_one_key_the_last_counts() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "t.csv", &[(1, 10), (2, 20), (1, 11)]);
    let table = Arc::new(LookupTable::read("t", &plan("t.csv", Format::Csv, vec![0]), &folder.path().into()).unwrap());
    let mut rig = rig(&table, JoinKind::Inner, false, false);
    rig.insert(0, &[row(Some(1), 0)]);
    assert_eq!(rig.texts(), ["+I 1 0 0 1 11"]);
}

#[test]
fn changes_pass_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "t.csv", &[(1, 10)]);
    let table = Arc::new(LookupTable::read("t", &plan("t.csv", Format::Csv, Vec::new()), &folder.path().into()).unwrap());
    let mut rig = rig(&table, JoinKind::Inner, false, true);
    rig.push(
        0,
        &[(row(Some(1), 0), Change::UpdateBefore), (row(Some(9), 0), Change::Insert), (row(Some(1), 1), Change::UpdateAfter)],
    );
    assert_eq!(rig.texts(), ["-U 1 0 0 1 10", "+U 1 0 1 1 10"]);
}

#[test]
fn a_file_that_changes_is_read_again_and_one_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "t.csv", &[(1, 10)]);
    let table = Arc::new(LookupTable::read("t", &plan("t.csv", Format::Csv, Vec::new()), &folder.path().into()).unwrap());
    let mut rig = rig(&table, JoinKind::Inner, false, false);
    let mut found = |table: &LookupTable, reloaded: bool| {
        assert_eq!(table.reload().unwrap(), reloaded);
        rig.insert(0, &[row(Some(1), 0)]);
        rig.texts()
    };
    assert_eq!(found(&table, false), ["+I 1 0 0 1 10"]);
    let held = table.current();
    write(folder.path(), "t.csv", &[(1, 11), (2, 20)]);
    assert_eq!(found(&table, true), ["+I 1 0 0 1 11"]);
    assert_eq!(held.rows.num_rows(), 1, "whoever has the old version keeps it");

    fs::write(folder.path().join("t.csv"), "name,id\nsecret,none\n").unwrap();
    let error = table.reload().unwrap_err().to_string();
    assert!(error.contains("t.csv") && error.contains("row 1 is malformed"), "{error}");
    assert!(!error.contains("secret") && !error.contains("none"), "{error}");
    assert_eq!(found(&table, false), ["+I 1 0 0 1 11"], "it is not read again before it changes");
    fs::remove_file(folder.path().join("t.csv")).unwrap();
    assert!(table.reload().is_err());
    write(folder.path(), "t.csv", &[(1, 12), (1, 13)]);
    assert_eq!(found(&table, true), ["+I 1 0 0 1 12", "+I 1 0 0 1 13"]);
}

#[test]
fn a_databases_table_is_read_again_when_somebody_has_committed_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(folder.path().join("t.db")).unwrap();
    database.execute_batch("CREATE TABLE t (name TEXT, id INTEGER); INSERT INTO t VALUES ('10', 1)").unwrap();
    let connector = TableConnector::Sqlite(SqliteTable { path: "t.db".into(), table: "t".into() });
    let plan = TableNode { connector, ..plan("", Format::Json, vec![0]) };
    let table = Arc::new(LookupTable::read("t", &plan, &folder.path().into()).unwrap());
    let mut rig = rig(&table, JoinKind::Inner, false, false);
    let mut found = |reloaded: bool| {
        assert_eq!(table.reload().unwrap(), reloaded);
        rig.insert(0, &[row(Some(1), 0)]);
        rig.texts()
    };
    assert_eq!(found(false), ["+I 1 0 0 1 10"]);
    database.execute_batch("BEGIN; UPDATE t SET name = '11'; INSERT INTO t VALUES ('20', 2)").unwrap();
    assert_eq!(found(false), ["+I 1 0 0 1 10"], "what is not committed is not there");
    database.execute_batch("COMMIT").unwrap();
    assert_eq!(found(true), ["+I 1 0 0 1 11"]);

    database.execute_batch("INSERT INTO t VALUES ('secret', 'none')").unwrap();
    let error = table.reload().unwrap_err().to_string();
    assert!(error.contains("t.db: row 3 of the table `t` is malformed: `id`: expected int64"), "{error}");
    assert_eq!(found(false), ["+I 1 0 0 1 11"], "the rows as they were stay in use");
    database.execute_batch("DELETE FROM t WHERE name = 'secret'; UPDATE t SET name = '12' WHERE id = 1").unwrap();
    assert_eq!(found(true), ["+I 1 0 0 1 12"]);
}

#[test]
fn a_table_that_cannot_be_read_at_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = LookupTable::read("rates", &plan("absent.csv", Format::Csv, Vec::new()), &folder.path().into()).unwrap_err();
    assert!(error.to_string().contains("rates") && error.to_string().contains("absent.csv"), "{error}");
}
