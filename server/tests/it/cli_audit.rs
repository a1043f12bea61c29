//! `weir audit verify` on a folder and on a bundle: it passes what is whole and names what is not.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::Path;
use std::process::{Command, Output};
use weir_server::instance;
use weir_service::{bootstrap, heads};

/// Leaves that are under a signed head before the last ones are written.
pub struct Log {
    pub folder: tempfile::TempDir,
    /// All heads, as somebody outside kept them.
    pub kept: std::path::PathBuf,
}

/// A log with three signed heads. `older` beside it is the folder as it was before the last one.
pub async fn log() -> Log {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let services = instance::open(&data).await.unwrap();
    bootstrap::first_start(&services).await.unwrap();
    heads::sign(&services).await.unwrap();
    copy(&data, &folder.path().join("older"));
    let operator = weir_service::operator::context(&services).await.unwrap();
    weir_service::audit::verify(&operator).await.unwrap();
    heads::sign(&services).await.unwrap();
    services.store().clone().close().await.unwrap();
    drop(services);
    let kept = folder.path().join("kept.jsonl");
    std::fs::copy(data.join(instance::HEADS), &kept).unwrap();
    Log { folder, kept }
}

impl Log {
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Runs SQL as somebody would who owns the machine: without the triggers.
    pub async fn tamper(&self, statements: &[&str]) {
        let mut database = self.database().await;
        let triggers: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetch_all(&mut database).await.unwrap();
        for (name,) in triggers {
            sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut database).await.unwrap();
        }
        for statement in statements {
            let done = sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(&mut database).await.unwrap();
            assert!(done.rows_affected() > 0, "{statement} changed nothing");
        }
        database.close().await.unwrap();
    }

    pub async fn database(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.data().join(instance::DATABASE)).connect().await.unwrap()
    }

    pub async fn leaves(&self) -> i64 {
        let mut database = self.database().await;
        let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM evidence_leaves").fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        count
    }

    pub fn verify(&self, more: &[&str]) -> Output {
        weir(&[&["audit", "verify", "--data", self.data().to_str().unwrap()], more].concat())
    }

    /// Asserts that verification finds it broken, and says so with these words.
    pub fn is_broken(&self, more: &[&str], words: &str) {
        let output = self.verify(more);
        assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(words), "expected `{words}` in: {}", stdout(&output));
    }
}

pub fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).env_remove("WEIR_MASTER_KEY").output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Copies the files of a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn contents(folder: &Path) -> Vec<(String, u64)> {
    let mut found: Vec<(String, u64)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len()))
        .filter(|(name, _)| !name.ends_with("-shm") && !name.ends_with("-wal"))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_whole_log_is_proved_without_the_master_key_and_without_a_trace() {
    let log = log().await;
    std::fs::remove_file(log.data().join(instance::MASTER_KEY)).unwrap();
    let before = contents(&log.data());
    let output = log.verify(&["--head", log.kept.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let leaves = log.leaves().await;
    assert!(stdout(&output).starts_with(&format!("verified: {leaves} leaves, root ")), "{}", stdout(&output));
    assert_eq!(contents(&log.data()), before, "verification only reads");
}

#[tokio::test]
async fn a_changed_leaf_is_named() {
    let log = log().await;
    log.tamper(&["UPDATE evidence_leaves SET body = replace(body, '\"seq\":1', '\"seq\":01') WHERE seq = 1"]).await;
    log.is_broken(&[], "broken at leaf 1: its content does not give the hash stored with it");
}

#[tokio::test]
async fn a_removed_leaf_is_named() {
    let log = log().await;
    log.tamper(&["DELETE FROM evidence_leaves WHERE seq = 1"]).await;
    log.is_broken(&[], "broken at leaf 1: it is missing; the next one is 2");
}

#[tokio::test]
async fn removed_and_renumbered_leaves_are_noticed() {
    let log = log().await;
    log.tamper(&["DELETE FROM evidence_leaves WHERE seq = 1", "UPDATE evidence_leaves SET seq = seq - 1 WHERE seq > 1"]).await;
    log.is_broken(&[], "broken at leaf 1: what is stored here was written as leaf 2");
}

#[tokio::test]
async fn reordered_leaves_are_noticed() {
    let log = log().await;
    log.tamper(&[
        "UPDATE evidence_leaves SET seq = -1 WHERE seq = 0",
        "UPDATE evidence_leaves SET seq = 0 WHERE seq = 1",
        "UPDATE evidence_leaves SET seq = 1 WHERE seq = -1",
    ])
    .await;
    log.is_broken(&[], "broken at leaf 0: what is stored here was written as leaf 1");
}

#[tokio::test]
async fn an_inserted_leaf_is_noticed() {
    let log = log().await;
    let last = log.leaves().await - 1;
    let copy = format!(
        "INSERT INTO evidence_leaves SELECT seq + 1, project_id, kind, at, actor, action, resource, outcome, run_id, leaf_hash, body \
         FROM evidence_leaves WHERE seq = {last}"
    );
    log.tamper(&[&copy]).await;
    log.is_broken(&[], &format!("broken at leaf {}: what is stored here was written as leaf {last}", last + 1));
}

#[tokio::test]
async fn a_leaf_filed_under_what_it_does_not_state_is_named() {
    for (change, field) in [
        ("actor = 'user:somebody-else'", "actor"),
        ("outcome = 'denied'", "outcome"),
        ("project_id = zeroblob(16)", "project"),
        ("resource = 'pipeline:other'", "resource"),
        ("at = at + 1", "time"),
        ("run_id = zeroblob(16)", "run"),
        ("kind = 'admin2'", "kind"),
    ] {
        let log = log().await;
        log.tamper(&[&format!("UPDATE evidence_leaves SET {change} WHERE seq = 2")]).await;
        log.is_broken(&[], &format!("broken at leaf 2: the database files it under another {field} than the leaf states"));
    }
}

#[tokio::test]
async fn a_leaf_put_before_the_first_or_behind_the_last_is_noticed() {
    let columns = "project_id, kind, at, actor, action, resource, outcome, run_id, leaf_hash, body";
    let before = log().await;
    before.tamper(&[&format!("INSERT INTO evidence_leaves SELECT -1, {columns} FROM evidence_leaves WHERE seq = 1")]).await;
    before.is_broken(&[], "broken at leaf 0: what the database holds here is not what Weir wrote: ");

    let behind = log().await;
    let next = behind.leaves().await;
    let leaf = weir_evidence::Leaf {
        seq: next as u64,
        at: weir_evidence::Timestamp::from_micros(1).unwrap(),
        project: None,
        actor: "system:start".to_owned(),
        body: weir_evidence::Body::Other { kind: "invented".to_owned(), body: serde_json::json!({}) },
    };
    let (body, hash) = leaf.seal().unwrap();
    let (body, hash) = (String::from_utf8(body).unwrap(), hash.to_string());
    behind
        .tamper(&[&format!(
            "INSERT INTO evidence_leaves (seq, kind, at, actor, action, resource, outcome, leaf_hash, body) \
             VALUES ({next}, 'invented', 1, 'system:start', 'invented', '', 'allowed', x'{hash}', '{body}')"
        )])
        .await;
    behind.is_broken(&[], &format!("broken at leaf {next}: it lies behind the end of the log, which counts {next} leaves"));
}

#[tokio::test]
async fn a_cut_tail_is_noticed_by_the_heads_beside_the_log() {
    let log = log().await;
    let last = log.leaves().await - 1;
    log.tamper(&[&format!("DELETE FROM evidence_leaves WHERE seq = {last}")]).await;
    log.is_broken(&[], &format!("the log ends after {last} leaves"));
}

#[tokio::test]
async fn a_folder_put_back_to_what_it_was_is_noticed_by_a_head_kept_outside() {
    let log = log().await;
    std::fs::rename(log.data(), log.folder.path().join("newer")).unwrap();
    std::fs::rename(log.folder.path().join("older"), log.data()).unwrap();
    assert_eq!(log.verify(&[]).status.code(), Some(0), "nothing inside the folder can tell");
    log.is_broken(&["--head", log.kept.to_str().unwrap()], "kept outside proves");
}

#[tokio::test]
async fn a_head_with_a_wrong_signature_is_noticed() {
    let log = log().await;
    let head = std::fs::read_to_string(&log.kept).unwrap();
    let last = head.lines().last().unwrap();
    let at = last.find("\"signature\":\"").unwrap() + "\"signature\":\"".len();
    let flipped = if last.as_bytes()[at] == b'0' { "1" } else { "0" };
    let forged = format!("{}{flipped}{}\n", &last[..at], &last[at + 1..]);
    std::fs::write(&log.kept, forged).unwrap();
    log.is_broken(&["--head", log.kept.to_str().unwrap()], "has a wrong signature");
}

#[tokio::test]
async fn a_replaced_log_is_noticed_by_the_old_ones_head_and_by_its_key() {
    let (old, new) = (log().await, log().await);
    new.is_broken(&["--head", old.kept.to_str().unwrap()], "kept outside is of log");
    let key = weir(&["key", "show", "--data", old.data().to_str().unwrap()]);
    assert_eq!(key.status.code(), Some(0), "{}", stderr(&key));
    new.is_broken(&["--key", stdout(&key).trim()], "which is not this log's");
    let own = weir(&["key", "show", "--data", new.data().to_str().unwrap()]);
    assert_eq!(new.verify(&["--key", stdout(&own).trim()]).status.code(), Some(0));
}

#[tokio::test]
async fn a_bundle_proves_the_log_elsewhere_and_shows_every_edit() {
    let log = log().await;
    let bundle = log.folder.path().join("bundle.ndjson");
    let path = bundle.to_str().unwrap();
    let exported = weir(&["audit", "export", "--data", log.data().to_str().unwrap(), "--output", path]);
    assert_eq!(exported.status.code(), Some(0), "{}", stderr(&exported));
    let verify = |more: &[&str]| weir(&[&["audit", "verify", "--bundle", path], more].concat());
    let whole = verify(&["--head", log.kept.to_str().unwrap()]);
    assert_eq!(whole.status.code(), Some(0), "{}{}", stdout(&whole), stderr(&whole));

    let text = std::fs::read_to_string(&bundle).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let edits: Vec<(&str, String)> = vec![
        ("cut", lines[..lines.len() - 1].iter().map(|line| format!("{line}\n")).collect()),
        ("edited", text.replacen("\"seq\":1}", "\"seq\":2}", 1)),
        ("empty", String::new()),
    ];
    for (what, edit) in edits {
        assert_ne!(edit, text, "{what}");
        std::fs::write(&bundle, edit).unwrap();
        let output = verify(&[]);
        assert_eq!(output.status.code(), Some(1), "{what}: {}", stdout(&output));
        assert!(stdout(&output).starts_with("broken"), "{what}: {}", stdout(&output));
    }
}

#[tokio::test]
async fn the_verdict_is_an_object_for_machines() {
    let log = log().await;
    let verdict: serde_json::Value = serde_json::from_slice(&log.verify(&["--json"]).stdout).unwrap();
    assert_eq!(verdict["outcome"], "verified");
    log.tamper(&["DELETE FROM evidence_leaves WHERE seq = 1"]).await;
    let output = log.verify(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["outcome"], &verdict["at"]), (&"broken".into(), &1.into()));
}

#[tokio::test]
async fn a_wrong_call_is_told_from_a_broken_log() {
    let log = log().await;
    let folder = log.folder.path().to_str().unwrap().to_owned();
    let kept = log.kept.to_str().unwrap().to_owned();
    for arguments in [
        vec!["audit", "verify", "--data", "/nonexistent/weir"],
        vec!["audit", "verify", "--bundle", "/nonexistent/bundle"],
        vec!["audit", "verify", "--data", &folder, "--head", &kept],
        vec!["audit", "verify", "--key", "not-a-key"],
        vec!["audit", "verify", "--bundle", &kept, "--data", &folder],
    ] {
        assert_eq!(weir(&arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(!Path::new("/nonexistent/weir").exists());
}
