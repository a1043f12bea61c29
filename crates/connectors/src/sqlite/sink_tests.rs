//! The sink of a table: what its table holds, through deaths anywhere.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType as Arrow, Field, Schema, SchemaRef},
};
use expect_test::expect;
use proptest::{collection::vec, option, prelude::*, sample::select};
use rusqlite::{Connection, types::Value};
use weir_spec::{connector::SqliteSink, pipeline::SinkMode};

use super::{TableEncoder, TableWriter};
use crate::{
    context::SinkContext,
    error::ConnectorError,
    sink::{PreCommit, RowEncoder, SinkWriter},
};

const DATABASE: &str = "out.db";

/// What happened, the key, the value.
type Change = (&'static str, Option<String>, Option<i64>);

fn config(table: &str, key: &[&str]) -> SqliteSink {
    SqliteSink { path: DATABASE.into(), table: table.into(), key: key.iter().map(|&name| name.to_owned()).collect() }
}

fn context(folder: &Path, in_order: bool) -> SinkContext {
    SinkContext { base_dir: folder.into(), run_tag: "p1-totals".into(), changes_in_order: in_order }
}

fn schema() -> SchemaRef {
    let fields = [("op", Arrow::Utf8), ("country", Arrow::Utf8), ("n", Arrow::Int64)];
    Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

fn rows(changes: &[Change]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(changes.iter().map(|change| change.0))),
        Arc::new(StringArray::from_iter(changes.iter().map(|change| change.1.as_deref()))),
        Arc::new(Int64Array::from_iter(changes.iter().map(|change| change.2))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn open(folder: &Path, in_order: bool) -> TableWriter {
    TableWriter::new(&config("totals", &["country"]), SinkMode::Upsert, &schema(), &context(folder, in_order)).unwrap()
}

fn started(folder: &Path, in_order: bool, last: Option<&PreCommit>) -> TableWriter {
    let mut writer = open(folder, in_order);
    writer.recover(last).unwrap();
    writer
}

fn write(writer: &mut TableWriter, changes: &[Change]) {
    let mut encoder = TableEncoder::new(&config("totals", &["country"]), SinkMode::Upsert, &schema()).unwrap();
    writer.write(encoder.encode(&rows(changes)).unwrap()).unwrap();
}

/// An epoch from its first row to its transaction.
fn epoch(writer: &mut TableWriter, number: u64, changes: &[Change]) -> PreCommit {
    write(writer, changes);
    let mut sealed = writer.seal(number).unwrap();
    let pre_commit = sealed.pre_commit().unwrap();
    sealed.commit(&pre_commit).unwrap();
    pre_commit
}

fn change(op: &'static str, key: &str, value: i64) -> Change {
    (op, Some(key.to_owned()), Some(value))
}

fn query(folder: &Path, sql: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open(folder.join(DATABASE)).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column)).collect()).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn table(folder: &Path) -> BTreeMap<Option<String>, Option<i64>> {
    let connection = Connection::open(folder.join(DATABASE)).unwrap();
    let mut statement = connection.prepare("SELECT country, n FROM totals").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut there = BTreeMap::new();
    for row in rows {
        let (key, value) = row.unwrap();
        assert!(there.insert(key, value).is_none(), "a key is there twice");
    }
    there
}

fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn rows_are_replaced_by_their_key_and_deleted_when_they_are_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), true, None);
    epoch(&mut writer, 1, &[change("+I", "NL", 1), change("+I", "DE", 1), change("-U", "NL", 1), change("+U", "NL", 2)]);
    epoch(&mut writer, 2, &[change("-D", "DE", 1), change("+I", "FR", 5)]);
    let there = table(folder.path());
    assert_eq!(there, BTreeMap::from([(Some("FR".into()), Some(5)), (Some("NL".into()), Some(2))]));
    assert!(leftovers(folder.path()).is_empty());
}

#[test]
fn null_is_a_key_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), true, None);
    epoch(&mut writer, 1, &[("+I", None, Some(1)), change("+I", "NL", 1)]);
    epoch(&mut writer, 2, &[("-U", None, Some(1)), ("+U", None, Some(2))]);
    assert_eq!(table(folder.path()), BTreeMap::from([(None, Some(2)), (Some("NL".into()), Some(1))]));
    epoch(&mut writer, 3, &[("-D", None, Some(2))]);
    assert_eq!(table(folder.path()), BTreeMap::from([(Some("NL".into()), Some(1))]));
}

#[test]
fn changes_in_any_order_leave_the_row_that_was_added_more_often() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), false, None);
    epoch(&mut writer, 1, &[change("+I", "NL", 1), change("+I", "DE", 7)]);
    // Behind two lanes: 1 -> 2 -> 3, and a row that went and came back as it was.
    epoch(
        &mut writer,
        2,
        &[
            change("-U", "NL", 1),
            change("+U", "NL", 3),
            change("+U", "NL", 2),
            change("-U", "NL", 2),
            change("+I", "DE", 7),
            change("-D", "DE", 7),
        ],
    );
    assert_eq!(table(folder.path()), BTreeMap::from([(Some("DE".into()), Some(7)), (Some("NL".into()), Some(3))]));
    epoch(&mut writer, 3, &[change("-D", "DE", 7)]);
    assert_eq!(table(folder.path()), BTreeMap::from([(Some("NL".into()), Some(3))]));
}

#[test]
fn an_epoch_is_visible_with_its_commit_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), true, None);
    write(&mut writer, &[change("+I", "NL", 1)]);
    let mut sealed = writer.seal(1).unwrap();
    let pre_commit = sealed.pre_commit().unwrap();
    assert!(table(folder.path()).is_empty());
    let [name] = &leftovers(folder.path())[..] else { panic!("one staging file") };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let staged = fs::read(folder.path().join(name)).unwrap();
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&staged));
    let [file] = &pre_commit.files[..] else { panic!("one file") };
    assert_eq!((file.temporary.as_str(), file.path.as_str()), (name.as_str(), "out.db/totals"));
    assert_eq!((file.rows, file.bytes, file.sha256.as_str()), (1, staged.len() as u64, hash.as_str()));
    sealed.commit(&pre_commit).unwrap();
    sealed.commit(&pre_commit).unwrap();
    assert_eq!(table(folder.path()).len(), 1);
    assert!(leftovers(folder.path()).is_empty());
}

#[test]
fn rows_without_a_key_are_only_added_each_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let sink = config("log", &[]);
    let mut encoder = TableEncoder::new(&sink, SinkMode::Changes, &schema()).unwrap();
    let mut last = None;
    for number in 1..=3 {
        let mut writer = TableWriter::new(&sink, SinkMode::Changes, &schema(), &context(folder.path(), false))
            .unwrap()
            .with_most_in_memory(if number == 2 { 1 } else { usize::MAX });
        writer.recover(last.as_ref()).unwrap();
        for value in 0..3 {
            writer.write(encoder.encode(&rows(&[change("+I", "NL", number * 10 + value)])).unwrap()).unwrap();
        }
        let mut sealed = writer.seal(number as u64).unwrap();
        let pre_commit = sealed.pre_commit().unwrap();
        if number != 2 {
            sealed.commit(&pre_commit).unwrap();
        }
        last = Some(pre_commit);
    }
    let n: Vec<Value> = query(folder.path(), "SELECT n FROM log ORDER BY rowid").concat();
    assert_eq!(n, [10, 11, 12, 20, 21, 22, 30, 31, 32].map(Value::Integer));
}

#[test]
fn a_writer_that_was_thought_dead_applies_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut dead = started(folder.path(), true, None);
    write(&mut dead, &[change("+I", "NL", 1)]);
    let mut sealed = dead.seal(1).unwrap();
    let pre_commit = sealed.pre_commit().unwrap();
    let mut next = started(folder.path(), true, Some(&pre_commit));
    epoch(&mut next, 2, &[change("-U", "NL", 1), change("+U", "NL", 2)]);
    sealed.commit(&pre_commit).unwrap();
    assert_eq!(table(folder.path()), BTreeMap::from([(Some("NL".into()), Some(2))]));
}

fn message(result: Result<(), ConnectorError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_database_that_was_removed_or_replaced_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let mut writer = started(folder.path(), true, None);
    let first = epoch(&mut writer, 1, &[change("+I", "NL", 1)]);
    drop(writer);
    let older = fs::read(&path).unwrap();
    let mut writer = started(folder.path(), true, Some(&first));
    let second = epoch(&mut writer, 2, &[change("+I", "DE", 1)]);
    drop(writer);
    let newer = fs::read(&path).unwrap();

    fs::write(&path, older).unwrap();
    let error = message(open(folder.path(), true).recover(Some(&second)));
    assert!(error.contains("up to epoch 2, but the last one there is 1"), "{error}");
    fs::remove_file(&path).unwrap();
    let error = message(open(folder.path(), true).recover(Some(&second)));
    assert!(error.contains("up to epoch 2, but the last one there is none"), "{error}");
    assert!(!path.exists(), "nothing is made in its place");
    fs::write(&path, newer).unwrap();
    let error = message(open(folder.path(), true).recover(Some(&first)));
    assert!(error.contains("up to epoch 1, but the last one there is 2"), "{error}");
    started(folder.path(), true, Some(&second));
}

#[test]
fn a_staging_file_that_was_changed_is_not_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), true, None);
    write(&mut writer, &[change("+I", "NL", 1)]);
    let pre_commit = writer.seal(1).unwrap().pre_commit().unwrap();
    let staged = folder.path().join(&pre_commit.files[0].temporary);
    let mut bytes = fs::read(&staged).unwrap();
    bytes[20] ^= 1;
    fs::write(&staged, bytes).unwrap();
    let error = message(open(folder.path(), true).recover(Some(&pre_commit)));
    assert!(error.contains("not what this sink wrote any more"), "{error}");
    assert!(table(folder.path()).is_empty());
}

#[test]
fn only_what_the_table_has_not_taken_yet_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), true, None);
    let first = epoch(&mut writer, 1, &[change("+I", "NL", 1)]);
    write(&mut writer, &[change("+I", "DE", 1)]);
    let second = writer.seal(2).unwrap().pre_commit().unwrap();
    drop(writer);
    let mut writer = open(folder.path(), true);
    writer.can_take_back(&second).unwrap();
    writer.take_back(&second).unwrap();
    let error = message(writer.take_back(&first));
    assert!(error.contains("has taken 1 changes after the checkpoint") && error.contains("weir run --fresh"), "{error}");
    writer.can_take_back(&PreCommit { epoch: 1, ..PreCommit::default() }).unwrap();
    writer.recover(Some(&first)).unwrap();
    assert!(leftovers(folder.path()).is_empty());
    assert_eq!(table(folder.path()).len(), 1);
}

#[test]
fn a_sink_of_the_same_name_that_begins_anew_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    epoch(&mut started(folder.path(), true, None), 9, &[change("+I", "NL", 1)]);
    epoch(&mut started(folder.path(), true, None), 1, &[change("+I", "NL", 5)]);
    assert_eq!(table(folder.path()), BTreeMap::from([(Some("NL".into()), Some(5))]));
}

#[test]
fn names_are_names_whatever_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let name = "x\"; DROP TABLE totals; --";
    epoch(&mut started(folder.path(), true, None), 1, &[change("+I", "NL", 1)]);
    let fields = [("op", Arrow::Utf8), ("a\" TEXT); --", Arrow::Utf8), ("select", Arrow::Int64)];
    let schema = Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()));
    let sink = config(name, &["a\" TEXT); --"]);
    let other = SinkContext { run_tag: "p1-other".into(), ..context(folder.path(), true) };
    let mut writer = TableWriter::new(&sink, SinkMode::Upsert, &schema, &other).unwrap();
    writer.recover(None).unwrap();
    let mut encoder = TableEncoder::new(&sink, SinkMode::Upsert, &schema).unwrap();
    let rows = RecordBatch::try_new(schema, rows(&[change("+I", "k", 3)]).columns().to_vec()).unwrap();
    writer.write(encoder.encode(&rows).unwrap()).unwrap();
    let mut sealed = writer.seal(1).unwrap();
    let pre_commit = sealed.pre_commit().unwrap();
    sealed.commit(&pre_commit).unwrap();
    let found = query(folder.path(), "SELECT * FROM \"x\"\"; DROP TABLE totals; --\"");
    assert_eq!(found, [[Value::Text("k".into()), Value::Integer(3)]]);
    assert_eq!(table(folder.path()).len(), 1);
}

#[test]
fn a_table_that_might_refuse_a_row_is_refused_at_the_start() {
    let refused = |sql: &str| {
        let folder = tempfile::tempdir().unwrap();
        Connection::open(folder.path().join(DATABASE)).unwrap().execute_batch(sql).unwrap();
        let result = open(folder.path(), true).recover(None);
        result.err().map_or("taken".to_owned(), |error| {
            error.to_string().replace(&format!("{}", folder.path().join(DATABASE).display()), "OUT")
        })
    };
    let tables = [
        "CREATE TABLE totals (n INTEGER, country TEXT UNIQUE)",
        "CREATE TABLE totals (country VARCHAR(2) PRIMARY KEY, n BIGINT)",
        "CREATE TABLE totals (countri TEXT, n TEXT, extra)",
        "CREATE TABLE totals (country TEXT NOT NULL UNIQUE, n INTEGER UNIQUE)",
        "CREATE TABLE totals (country TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID",
        "CREATE TABLE totals (country TEXT COLLATE NOCASE UNIQUE, n INTEGER)",
        "CREATE TABLE totals (country TEXT, n INTEGER PRIMARY KEY)",
        "CREATE VIEW totals AS SELECT 'NL' AS country, 1 AS n",
    ];
    let outcomes: Vec<String> = tables.iter().map(|sql| refused(sql)).collect();
    expect![[r#"
        taken
        taken
        OUT: the table `totals` is there already and does not fit: it has no column `country` (did you mean `countri`?); its column `n` is TEXT rather than INTEGER; it has a further column `countri`; it has a further column `extra`; it is not unique by its key (country). Give the sink another table, or change this one
        OUT: the table `totals` is there already and does not fit: its column `country` takes no null; no two of its rows may be equal in (n). Give the sink another table, or change this one
        OUT: the table `totals` is there already and does not fit: its column `country` takes no null. Give the sink another table, or change this one
        OUT: the table `totals` is there already and does not fit: it has a unique index over expressions, some of its rows, or a collation; it is not unique by its key (country). Give the sink another table, or change this one
        OUT: the table `totals` is there already and does not fit: its column `n` takes no null; it is not unique by its key (country). Give the sink another table, or change this one
        OUT: `totals` is a view, and rows go to tables only"#]]
    .assert_eq(&outcomes.join("\n"));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(DATABASE), "country,n\nNL,1\n".repeat(100)).unwrap();
    let error = message(open(folder.path(), true).recover(None));
    assert!(error.contains("out.db") && error.contains("no SQLite database"), "{error}");
    fs::remove_file(folder.path().join(DATABASE)).unwrap();
    fs::create_dir(folder.path().join(DATABASE)).unwrap();
    let error = message(open(folder.path(), true).recover(None));
    assert!(error.contains("is a folder; a database is a file"), "{error}");
}

#[test]
fn who_finds_the_database_held_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = started(folder.path(), true, None);
    write(&mut writer, &[change("+I", "NL", 1)]);
    let mut sealed = writer.seal(1).unwrap();
    let pre_commit = sealed.pre_commit().unwrap();
    let other = Connection::open(folder.path().join(DATABASE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; CREATE TABLE theirs (x)").unwrap();
    let committed = std::thread::spawn(move || sealed.commit(&pre_commit));
    assert!(table(folder.path()).is_empty(), "readers do not wait");
    other.execute_batch("COMMIT").unwrap();
    committed.join().unwrap().unwrap();
    assert_eq!(table(folder.path()).len(), 1);
}

#[test]
fn rows_are_found_by_the_index_of_their_key() {
    let folder = tempfile::tempdir().unwrap();
    started(folder.path(), true, None);
    let plan = query(folder.path(), "EXPLAIN QUERY PLAN DELETE FROM \"totals\" WHERE \"country\" IS 'NL'");
    let Some(Value::Text(how)) = plan[0].last() else { panic!("{plan:?}") };
    assert!(how.starts_with("SEARCH totals USING") && how.contains("INDEX"), "{how}");
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    Nowhere,
    WhileWriting,
    /// The epoch is on disk, but its checkpoint is not committed.
    BeforeCheckpoint,
    BeforeTransaction,
    AfterTransaction,
}

/// A history of one row a key: what was there is taken back before something else is there.
fn history(steps: &[(Option<String>, Option<Option<i64>>)]) -> Vec<Vec<Change>> {
    let mut there: BTreeMap<Option<String>, Option<i64>> = BTreeMap::new();
    let one = |(key, value): &(Option<String>, Option<Option<i64>>)| {
        let before = there.get(key).copied();
        match value {
            Some(value) => there.insert(key.clone(), *value),
            None => there.remove(key),
        };
        match (before, value) {
            (None, None) => vec![],
            (None, Some(value)) => vec![("+I", key.clone(), *value)],
            (Some(before), None) => vec![("-D", key.clone(), before)],
            (Some(before), Some(value)) => vec![("-U", key.clone(), before), ("+U", key.clone(), *value)],
        }
    };
    steps.iter().map(one).collect()
}

fn death() -> impl Strategy<Value = Death> {
    use Death::*;
    select(&[Nowhere, Nowhere, Nowhere, WhileWriting, BeforeCheckpoint, BeforeTransaction, AfterTransaction][..])
}

fn key() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.9, select(&["", "a", "b", "bb", "é", "a\0"][..]).prop_map(str::to_owned))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The oracle is a map that takes the changes one after the other.
    #[test]
    fn whatever_dies_the_table_is_what_its_changes_make(
        steps in vec((key(), option::weighted(0.7, option::of(0i64..4))), 1..60),
        epochs in vec((1usize..8, death(), any::<u64>()), 1..30),
        in_order in any::<bool>(),
        most_in_memory in select(&[1usize, 200, usize::MAX][..]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let history = history(&steps);
        let mut epochs = epochs.into_iter();
        let (mut done, mut number) = (0, 0);
        let mut last: Option<PreCommit> = None;
        let mut writer: Option<TableWriter> = None;
        while done < history.len() {
            let mut alive = writer.take().unwrap_or_else(|| started(folder.path(), in_order, last.as_ref()).with_most_in_memory(most_in_memory));
            let (length, death, seed) = epochs.next().unwrap_or((history.len(), Death::Nowhere, 0));
            let end = (done + length).min(history.len());
            let mut changes: Vec<Change> = history[done..end].concat();
            if !in_order {
                // Any order will do within an epoch.
                let mut random = seed;
                for i in (1..changes.len()).rev() {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    changes.swap(i, (random >> 33) as usize % (i + 1));
                }
            }
            for part in changes.chunks(3) {
                write(&mut alive, part);
            }
            number += 1;
            if death == Death::WhileWriting {
                continue;
            }
            let mut sealed = alive.seal(number).unwrap();
            let pre_commit = sealed.pre_commit().unwrap();
            prop_assert_eq!(pre_commit.rows, changes.len() as u64);
            if death == Death::BeforeCheckpoint {
                continue;
            }
            (last, done) = (Some(pre_commit.clone()), end);
            if death == Death::BeforeTransaction {
                continue;
            }
            sealed.commit(&pre_commit).unwrap();
            if death == Death::Nowhere {
                writer = Some(alive);
            }
        }
        drop(writer);
        started(folder.path(), in_order, last.as_ref());
        let mut expected = BTreeMap::new();
        for (key, value) in steps {
            match value {
                Some(value) => expected.insert(key, value),
                None => expected.remove(&key),
            };
        }
        prop_assert_eq!(table(folder.path()), expected);
        prop_assert!(leftovers(folder.path()).is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_confined_sink_makes_no_database_where_a_link_to_nothing_leads() {
    let dir = tempfile::tempdir().unwrap();
    let (base, elsewhere) = (dir.path().join("files"), dir.path().join("elsewhere"));
    fs::create_dir(&base).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("new.db"), base.join(DATABASE)).unwrap();
    let recovered = |base_dir: crate::BaseDir| {
        let context = SinkContext { base_dir, ..context(&base, true) };
        TableWriter::new(&config("totals", &["country"]), SinkMode::Upsert, &schema(), &context).unwrap().recover(None)
    };
    let error = recovered(crate::BaseDir::confined(&base, &[]).unwrap()).unwrap_err();
    assert!(matches!(&error, ConnectorError::Outside { path, .. } if *path == base.join(DATABASE)), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    recovered(crate::BaseDir::unconfined(&*base)).unwrap();
    assert!(elsewhere.join("new.db").exists());
}
