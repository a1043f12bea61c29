//! Heads that somebody removes or changes, who owns the machine and lacks the keys: verification says so, and Weir signs no more.

use crate::cli_audit::{Log, copy, log, stderr, stdout, weir};
use sqlx::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use weir_evidence::CompactRange;
use weir_evidence::merkle::leaf_hash;
use weir_server::instance;
use weir_service::heads;

impl Log {
    /// Makes size and frontier those of the stored hashes, as Weir would.
    async fn refit(&self) {
        let mut database = self.database().await;
        let hashes: Vec<(Vec<u8>,)> =
            sqlx::query_as("SELECT leaf_hash FROM evidence_leaves ORDER BY seq").fetch_all(&mut database).await.unwrap();
        let mut range = CompactRange::new();
        hashes.iter().for_each(|(hash,)| range.append(hash.as_slice().try_into().unwrap()));
        sqlx::query("UPDATE evidence_state SET size = ?, frontier = ?")
            .bind(range.size() as i64)
            .bind(range.to_bytes())
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    }

    /// Another content for a leaf, with the hash and the frontier that fit it.
    async fn forge(&self, seq: i64) {
        self.tamper(&["UPDATE evidence_state SET id = 1"]).await;
        let mut database = self.database().await;
        let (body,): (String,) =
            sqlx::query_as("SELECT body FROM evidence_leaves WHERE seq = ?").bind(seq).fetch_one(&mut database).await.unwrap();
        let forged = body.replacen("created", "retired", 1);
        assert_ne!(forged, body);
        sqlx::query("UPDATE evidence_leaves SET body = ?, leaf_hash = ? WHERE seq = ?")
            .bind(&forged)
            .bind(leaf_hash(forged.as_bytes()).as_bytes().as_slice())
            .bind(seq)
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        self.refit().await;
    }

    fn heads_file(&self) -> std::path::PathBuf {
        self.data().join(instance::HEADS)
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.heads_file()).unwrap().lines().map(|line| format!("{line}\n")).collect()
    }

    async fn rows(&self, table: &'static str) -> i64 {
        let mut database = self.database().await;
        let count = format!("SELECT count(*) FROM {table}");
        let (count,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(count)).fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        count
    }

    /// Asserts that a start with the keys does not sign the log, for this reason, and that the console's verification says the same.
    async fn is_not_signed(&self, why: &str) {
        let before = self.rows("tree_heads").await;
        let services = instance::open(&self.data()).await.unwrap();
        let refused = heads::sign(&services).await.expect_err("signs the log").to_string();
        assert!(refused.contains("not signed any more") && refused.contains(why), "expected `{why}` in: {refused}");
        let operator = weir_service::operator::context(&services).await.unwrap();
        let verified = weir_service::audit::verify(&operator).await.unwrap();
        assert!(!verified.valid && verified.failure.is_some());
        services.store().clone().close().await.unwrap();
        assert_eq!(self.rows("tree_heads").await, before);
    }
}

#[tokio::test]
async fn a_rewritten_log_without_any_head_is_noticed_and_not_signed() {
    let log = log().await;
    log.forge(1).await;
    log.tamper(&["DELETE FROM tree_heads"]).await;
    std::fs::remove_file(log.heads_file()).unwrap();
    log.is_broken(&[], "in the sealed copy proves it");
    log.is_not_signed("there is no signed head").await;

    log.tamper(&["DELETE FROM newest_head"]).await;
    log.is_broken(&[], "and no signed head; a log is signed with its first leaves");
    log.is_not_signed("there is no signed head").await;
}

#[tokio::test]
async fn a_normal_run_does_not_sign_a_forged_log_and_says_so() {
    let log = log().await;
    log.forge(1).await;
    let pipeline = log.folder.path().join("p.yaml");
    let document = "apiVersion: weir/v1\nkind: Pipeline\nname: p\nowner: o\npurpose: essential\nbasis: contract\n\
                    sources:\n  s:\n    generator: { kind: payments, rows: 10 }\n\
                    sinks:\n  out:\n    from: s\n    stdout: {}\n    format: json\n    clearance: restricted\n";
    std::fs::write(&pipeline, document).unwrap();
    let ran = weir(&["run", pipeline.to_str().unwrap(), "--data", log.data().to_str().unwrap()]);
    assert_eq!(ran.status.code(), Some(1), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("the audit log is not signed any more"), "{}", stderr(&ran));
    assert_eq!(log.rows("tree_heads").await, 3);
    log.is_broken(&[], "was changed, removed, inserted or reordered together with its hash");
}

#[tokio::test]
async fn a_forged_leaf_whose_heads_stay_is_not_signed_over() {
    let log = log().await;
    log.forge(1).await;
    log.is_broken(&[], "broken at leaf 0: a leaf from 0 to 2 was changed");
    log.is_not_signed("the leaves do not give the root of the last signed head").await;
}

#[tokio::test]
async fn a_frontier_that_does_not_fit_the_leaves_is_noticed_and_not_signed() {
    let log = log().await;
    log.tamper(&["UPDATE evidence_state SET frontier = substr(frontier, 1, 8) || zeroblob(length(frontier) - 8)"]).await;
    log.is_broken(&[], "does not fit them");
    log.is_not_signed("do not give the frontier that the database keeps").await;
}

#[tokio::test]
async fn removed_heads_are_missed_wherever_they_were_removed() {
    let beside = log().await;
    std::fs::remove_file(beside.heads_file()).unwrap();
    beside.is_broken(&[], "3 heads are in the log and not in the heads file");

    let within = log().await;
    within.tamper(&["DELETE FROM tree_heads"]).await;
    within.is_broken(&[], "in the log");
    within.is_not_signed("there is no signed head").await;

    let line = log().await;
    let lines = line.lines();
    std::fs::write(line.heads_file(), [lines[0].as_str(), &lines[2]].concat()).unwrap();
    line.is_broken(&[], "is in the log and not in the heads file");

    let both = log().await;
    let lines = both.lines();
    std::fs::write(both.heads_file(), [lines[0].as_str(), &lines[2]].concat()).unwrap();
    both.tamper(&["DELETE FROM tree_heads WHERE id = 2", "UPDATE tree_heads SET id = 2 WHERE id = 3"]).await;
    both.is_broken(&[], "which is missing; it was removed");
}

#[tokio::test]
async fn a_head_whose_columns_do_not_say_what_was_signed_is_named() {
    for column in ["signature = zeroblob(64)", "size = size + 1", "root = zeroblob(32)", "key_id = 'x'", "signed_at = 0"] {
        let log = log().await;
        log.tamper(&[&format!("UPDATE tree_heads SET {column} WHERE id = 1")]).await;
        log.is_broken(&[], "a head in the log is not what Weir wrote: row 1: ");
    }
}

#[tokio::test]
async fn a_tail_cut_with_its_heads_in_both_places_is_told_by_the_sealed_copy() {
    let log = log().await;
    let lines = log.lines();
    let cut: weir_evidence::TreeHead = weir_evidence::TreeHead::from_line(lines[1].trim_end()).unwrap();
    std::fs::write(log.heads_file(), lines[..2].concat()).unwrap();
    log.tamper(&[&format!("DELETE FROM evidence_leaves WHERE seq >= {}", cut.size), "DELETE FROM tree_heads WHERE id > 2"]).await;
    log.refit().await;
    log.is_broken(&[], "in the sealed copy proves");
    log.is_not_signed("not the one that was sealed last").await;

    // Nobody makes an older copy who lacks the key.
    log.tamper(&["UPDATE newest_head SET body = (SELECT body FROM tree_heads WHERE id = 2)"]).await;
    log.is_broken(&[], "the sealed copy of the newest head was changed");
    log.is_not_signed("the sealed copy of the newest head was changed").await;

    log.tamper(&["DELETE FROM newest_head"]).await;
    log.is_broken(&[], "the sealed copy of the newest head is missing");
    log.is_not_signed("the sealed copy of the newest head is missing").await;
}

#[tokio::test]
async fn an_emptied_log_is_not_begun_again() {
    let log = log().await;
    std::fs::remove_file(log.heads_file()).unwrap();
    log.tamper(&["DELETE FROM evidence_leaves", "DELETE FROM tree_heads", "DELETE FROM newest_head"]).await;
    log.refit().await;
    log.is_broken(&[], "the log is empty, though this instance has signed one");
    log.is_not_signed("there is no signed head").await;
}

#[tokio::test]
async fn a_database_put_back_without_its_heads_file_is_not_signed() {
    let log = log().await;
    let older = log.folder.path().join("older");
    std::fs::copy(log.heads_file(), older.join(instance::HEADS)).unwrap();
    std::fs::rename(log.data(), log.folder.path().join("newer")).unwrap();
    std::fs::rename(&older, log.data()).unwrap();
    log.is_broken(&[], "in the heads file proves");
    log.is_not_signed("the heads file knows of a later or another head").await;
}

#[tokio::test]
async fn a_head_that_a_dead_process_left_out_of_the_file_is_put_there_at_the_next_start() {
    let log = log().await;
    let whole = log.lines().concat();
    std::fs::write(log.heads_file(), log.lines()[..2].concat()).unwrap();
    let before = log.verify(&[]);
    assert_eq!(before.status.code(), Some(0), "{}", stdout(&before));
    assert!(stderr(&before).contains("is not in the heads file yet"), "{}", stderr(&before));
    let services = instance::open(&log.data()).await.unwrap();
    services.store().clone().close().await.unwrap();
    assert_eq!(log.lines().concat(), whole);
    let after = log.verify(&[]);
    assert_eq!((after.status.code(), stderr(&after).as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_process_killed_before_it_signed_anything_more_leaves_an_honest_log() {
    let folder = tempfile::tempdir().unwrap();
    let services = instance::open(&folder.path().join("data")).await.unwrap();
    // The folder of a process that is gone from one moment to the next.
    let dead = folder.path().join("dead");
    copy(&folder.path().join("data"), &dead);
    std::fs::remove_file(dead.join(instance::HEADS)).unwrap();
    drop(services);
    let verified = weir(&["audit", "verify", "--data", dead.to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(0), "{}{}", stdout(&verified), stderr(&verified));
    let services = instance::open(&dead).await.unwrap();
    heads::sign(&services).await.unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_is_verified_without_a_trace() {
    let log = log().await;
    let before = names(&log.data());
    set_mode(&log.data(), 0o555);
    let verified = log.verify(&[]);
    let after = names(&log.data());
    set_mode(&log.data(), 0o755);
    assert_eq!(verified.status.code(), Some(0), "{}{}", stdout(&verified), stderr(&verified));
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_and_is_not_whole_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let services = instance::open(&folder.path().join("data")).await.unwrap();
    let running = folder.path().join("running");
    copy(&folder.path().join("data"), &running);
    drop(services);
    set_mode(&running, 0o555);
    let verified = weir(&["audit", "verify", "--data", running.to_str().unwrap()]);
    set_mode(&running, 0o755);
    assert_eq!(verified.status.code(), Some(1), "{}", stdout(&verified));
    let said = stderr(&verified);
    assert!(said.contains("weir.db-wal holds changes") && said.contains("copy the whole folder"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
