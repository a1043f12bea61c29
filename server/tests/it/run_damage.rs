//! Damaged checkpoints: the one before is used, the output since is taken back, and all rows still come out once.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use weir_server::instance;

use crate::weir::{files_below, lines_below, weir};

const DOCUMENT: &str = "
apiVersion: weir/v1
kind: Pipeline
name: damage
purpose: essential.service
basis: legitimate_interest
parallelism: 2
checkpoint: { every: 50ms }
batch: { rows: 500, wait: 5ms }
sources:
  bid:
    nexmark: { stream: bid, events: 60000, rate: 20000, event_rate: 2000 }
    event_time: { column: date_time }
steps:
  busy:
    sql: |
      SELECT auction, count(*) AS bids, max(price) AS highest, window_end
      FROM tumble(bid, INTERVAL '1 second') GROUP BY auction, window_start, window_end
sinks:
  result: { from: busy, file: { path: out/result } }
";

fn run(dir: &Path) -> Output {
    weir(dir).args(["run", "pipeline.yaml", "--data", "data", "--json"]).output().unwrap()
}

fn sorted(dir: &Path) -> Vec<String> {
    let mut lines = lines_below(&dir.join("out"));
    lines.sort();
    lines
}

fn prepare(document: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pipeline.yaml"), document).unwrap();
    dir
}

/// Kills a run that has committed some output, and gives the epoch of its newest checkpoint.
async fn kill_midway(dir: &Path) -> i64 {
    let mut child = weir(dir)
        .args(["run", "pipeline.yaml", "--data", "data", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    let committed = || dir.join("out/result").is_dir() && lines_below(&dir.join("out/result")).len() > 500;
    while !committed() {
        assert!(Instant::now() < patience && child.try_wait().unwrap().is_none(), "it must be killed while it runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    newest_epoch(dir).await
}

async fn newest_epoch(dir: &Path) -> i64 {
    let mut database = SqliteConnectOptions::new().filename(dir.join("data").join(instance::DATABASE)).connect().await.unwrap();
    let (epoch,): (i64,) = sqlx::query_as("SELECT max(epoch) FROM checkpoints").fetch_one(&mut database).await.unwrap();
    database.close().await.unwrap();
    epoch
}

async fn damage_record(dir: &Path, epoch: i64) {
    let mut database = SqliteConnectOptions::new().filename(dir.join("data").join(instance::DATABASE)).connect().await.unwrap();
    let changed = sqlx::query("UPDATE checkpoints SET content = x'00' WHERE epoch = ?").bind(epoch);
    assert_eq!(changed.execute(&mut database).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
}

/// Changes every state file that the checkpoint of this epoch has written.
fn damage_files(dir: &Path, epoch: i64, damage: impl Fn(&Path)) {
    let newest: Vec<_> = files_below(&dir.join("data/state"))
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(&format!("-{epoch:08}.state")))
        .collect();
    assert!(!newest.is_empty(), "the newest checkpoint has state of its own");
    newest.iter().for_each(|path| damage(path));
}

fn flip(path: &Path, from_end: bool) {
    let mut bytes = std::fs::read(path).unwrap();
    // Pages come first and are read late; what says which there are comes last and is read at once.
    let at = if from_end { bytes.len() - 20 } else { 100.min(bytes.len() / 2) };
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn log(dir: &Path) -> String {
    let exported = weir(dir).args(["audit", "export", "--data", "data"]).output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    String::from_utf8(exported.stdout).unwrap()
}

#[tokio::test]
async fn whatever_is_damaged_the_output_is_that_of_an_undisturbed_run() {
    let undisturbed = prepare(DOCUMENT);
    assert!(run(undisturbed.path()).status.success());
    let expected = sorted(undisturbed.path());

    for kind in ["page", "directory", "cut off", "removed", "record", "record, then file"] {
        let killed = prepare(DOCUMENT);
        let dir = killed.path();
        let epoch = kill_midway(dir).await;
        let committed = lines_below(&dir.join("out")).len();
        match kind {
            "page" => damage_files(dir, epoch, |path| flip(path, false)),
            "directory" => damage_files(dir, epoch, |path| flip(path, true)),
            "cut off" => damage_files(dir, epoch, |path| {
                let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            }),
            "removed" => damage_files(dir, epoch, |path| std::fs::remove_file(path).unwrap()),
            _ => damage_record(dir, epoch).await,
        }
        if kind == "record, then file" {
            let again = kill_midway(dir).await;
            damage_files(dir, again, |path| flip(path, false));
        }
        let finished = run(dir);
        let said = String::from_utf8_lossy(&finished.stderr);
        assert!(finished.status.success(), "{kind}: {said}");
        assert!(said.contains("a checkpoint is damaged"), "{kind}: {said}");
        assert!(sorted(dir) == expected, "{kind}: {committed} rows of {} were committed before", expected.len());
        let hidden =
            files_below(&dir.join("out")).into_iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'));
        assert_eq!(hidden.count(), 0, "{kind}: nothing is left hidden");
        assert!(log(dir).contains("checkpoint_discarded"), "{kind}: the log tells");
        assert!(weir(dir).args(["audit", "verify", "--data", "data"]).output().unwrap().status.success());
    }
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_refused_and_nothing_is_changed() {
    let printing = DOCUMENT.to_owned() + "  printed: { from: busy, stdout: {}, delivery: at_least_once }\n";
    let taken = |dir: &Path| {
        let newest = files_below(&dir.join("out/result")).pop().unwrap();
        std::fs::remove_file(newest).unwrap();
    };
    let nothing = |_: &Path| ();
    for (document, before, said) in
        [(&*printing, &nothing as &dyn Fn(&Path), "printed cannot be taken back"), (DOCUMENT, &taken, "it was taken away since")]
    {
        let killed = prepare(document);
        let dir = killed.path();
        // The newest checkpoint must have put something out.
        let epoch = loop {
            let epoch = kill_midway(dir).await;
            if files_below(&dir.join("out/result")).pop().unwrap().to_string_lossy().contains(&format!("part-{epoch:08}-")) {
                break epoch;
            }
        };
        before(dir);
        damage_record(dir, epoch).await;
        let files = files_below(&dir.join("out"));
        let refused = run(dir);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && error.contains(said) && error.contains("weir run --fresh"), "{error}");
        assert_eq!(files_below(&dir.join("out")), files);
    }
}
