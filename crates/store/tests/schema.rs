//! The database as it is made: migrations, pragmas, triggers, file modes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{at, leaf, open, world};
use sqlx::Row;
use weir_evidence::{SigningKey, Timestamp, TreeHead};
use weir_store::{Store, StoreError, StoreOptions, evidence, heads};

#[tokio::test]
async fn opening_again_finds_everything_in_place() {
    let w = world().await;
    let again = open(w.dir.path()).await;
    assert_eq!(again.log_id(), w.store.log_id());
    assert_eq!(weir_store::projects::list(&again).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_processes_that_start_at_once_share_one_schema() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = tokio::join!(Store::open(dir.path(), at(0)), Store::open(dir.path(), at(0)));
    assert_eq!(a.unwrap().log_id(), b.unwrap().log_id());
}

#[tokio::test]
async fn every_connection_is_durable_and_keeps_foreign_keys() {
    let w = world().await;
    let pool = w.store.separate_pool(1);
    for (pragma, expected) in [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("secure_delete", "1")] {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"))).fetch_one(&pool).await.unwrap();
        let found = row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|n| n.to_string())).unwrap();
        assert_eq!(found, expected, "{pragma}");
    }
    let broken = "INSERT INTO memberships (user_id, project_id, role, created_at) VALUES (x'00', x'00', 'admin', 0)";
    assert!(sqlx::query(broken).execute(&pool).await.unwrap_err().to_string().contains("FOREIGN KEY"));
}

#[tokio::test]
async fn the_database_refuses_to_change_evidence() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    evidence::append(&tx, (0..3).map(|n| leaf(None, n, "system:test", "instance.update", "x", true)).collect()).await.unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let state = evidence::state(&tx).await.unwrap();
    let signed_at = Timestamp::from_micros(0).unwrap();
    let head = TreeHead::sign(&key, &w.store.log_id().to_string(), 3, state.range.root(), signed_at, None).unwrap();
    heads::append(&tx, &head).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(heads::latest(&w.store).await.unwrap(), Some(head));

    let pool = w.store.separate_pool(1);
    let columns = "project_id, kind, at, actor, action, resource, outcome, run_id, leaf_hash, body";
    let heads = "size, root, signed_at, key_id, signature, body";
    for statement in [
        "UPDATE evidence_leaves SET body = '{}' WHERE seq = 1".to_owned(),
        "UPDATE evidence_leaves SET actor = 'user:other'".to_owned(),
        "DELETE FROM evidence_leaves WHERE seq = 2".to_owned(),
        "DELETE FROM evidence_leaves".to_owned(),
        format!("INSERT OR REPLACE INTO evidence_leaves SELECT seq, {columns} FROM evidence_leaves WHERE seq = 1"),
        format!("INSERT INTO evidence_leaves SELECT 4, {columns} FROM evidence_leaves WHERE seq = 1"),
        format!("INSERT INTO evidence_leaves SELECT -1, {columns} FROM evidence_leaves WHERE seq = 1"),
        "UPDATE tree_heads SET size = 2".to_owned(),
        "DELETE FROM tree_heads".to_owned(),
        format!("INSERT OR REPLACE INTO tree_heads SELECT 1, {heads} FROM tree_heads"),
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&pool).await;
        let error = refused.expect_err(&statement).to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    // What the triggers allow: the next leaf.
    let next = format!("INSERT INTO evidence_leaves SELECT 3, {columns} FROM evidence_leaves WHERE seq = 1");
    sqlx::query(sqlx::AssertSqlSafe(next)).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn a_head_filed_under_what_it_does_not_state_is_named() {
    let key = SigningKey::from_bytes(&[7; 32]);
    for (change, named) in [
        ("size = size + 1", "its size"),
        ("root = zeroblob(32)", "its root"),
        ("signed_at = 1", "its time"),
        ("key_id = 'x'", "its key"),
        ("signature = zeroblob(64)", "its signature"),
        ("body = replace(body, '\"size\":0', '\"size\":00')", "not a tree head"),
    ] {
        let w = world().await;
        let tx = w.store.begin().await.unwrap();
        let at = Timestamp::from_micros(0).unwrap();
        let head = TreeHead::sign(&key, "log", 0, weir_evidence::Hash::of(b""), at, None).unwrap();
        heads::append(&tx, &head).await.unwrap();
        tx.commit().await.unwrap();
        let whole = heads::recorded(&w.store).await.unwrap();
        assert_eq!((whole.heads, whole.fault), (vec![head.clone()], None));
        let pool = w.store.separate_pool(1);
        sqlx::query("DROP TRIGGER tree_heads_no_update").execute(&pool).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE tree_heads SET {change}"))).execute(&pool).await.unwrap();
        let fault = heads::recorded(&w.store).await.unwrap().fault.expect(change).to_string();
        assert!(fault.contains("row 1: ") && fault.contains(named), "{change}: {fault}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = open(&data).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let opened = Store::open_url("postgres://secret@host/db", StoreOptions::default(), at(0)).await;
    let Err(StoreError::Open { location, problem }) = opened else { panic!("{opened:?}") };
    assert_eq!(location, "the postgres database");
    assert!(problem.contains("SQLite only"), "{problem}");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(Store::open(file.path(), at(0)).await, Err(StoreError::Open { .. })));
}
