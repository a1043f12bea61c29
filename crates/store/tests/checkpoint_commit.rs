//! The heart: leases fence, checkpoints commit whole or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{LEASE, World, at, checkpoint, subject, world};
use weir_api::{FailureDomain, RunState, SegmentId};
use weir_authz::Action;
use weir_store::{
    StoreError,
    checkpoints::{self, CheckpointCommit, Committed},
    evidence,
    host::BlockingStore,
    leases, metrics,
    metrics::{Moment, NodeMetrics},
    quarantine::{self, NewSegment, SegmentFilter},
    runs::{self, Failure},
    subject_keys::{self, NewSubjectKey},
};

async fn commit(w: &World, commit: CheckpointCommit) -> Result<Committed, StoreError> {
    let tx = w.store.begin().await?;
    let done = checkpoints::commit(&tx, commit).await?;
    tx.commit().await?;
    Ok(done)
}

fn key(n: u64) -> NewSubjectKey {
    NewSubjectKey { subject_hash: subject(n), key_id: "k1".to_owned(), sealed: vec![n as u8; 60] }
}

fn segment(rule: &str, subjects: &[u64]) -> NewSegment {
    NewSegment {
        id: SegmentId::generate(),
        node: "checked".to_owned(),
        stage: "quality".to_owned(),
        contract: Some("payments@1.0.0".to_owned()),
        classification: "confidential".to_owned(),
        rows: subjects.len() as u32,
        counts: BTreeMap::from([(rule.to_owned(), subjects.len() as u64)]),
        entries: "[]".to_owned(),
        subjects: subjects.iter().map(|n| subject(*n)).collect(),
        sealed: b"sealed rows".to_vec(),
    }
}

fn moment(seconds: i64) -> Moment {
    let node = NodeMetrics {
        node: "payments".to_owned(),
        rows_in: 10,
        rows_out: 9,
        rejects: 1,
        rows_in_per_second: 5.0,
        rows_out_per_second: 4.5,
        rejects_per_second: 0.5,
        lag: None,
    };
    Moment { at: at(seconds), nodes: vec![node] }
}

#[tokio::test]
async fn one_worker_at_a_time_and_each_with_a_greater_epoch() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let first = w.lease(&run, "a", at(0)).await.unwrap();
    assert_eq!(first.epoch, 1);
    assert_eq!(w.lease(&run, "b", at(14)).await, None, "the lease is in force");
    let second = w.lease(&run, "b", at(15)).await.unwrap();
    assert_eq!(second.epoch, 2);
    let tx = w.store.begin().await.unwrap();
    let stale = leases::renew(&tx, &first, LEASE, at(16)).await.unwrap_err();
    assert!(matches!(stale, StoreError::StaleLease { held: 1, current: 2, .. }), "{stale}");
    let renewed = leases::renew(&tx, &second, LEASE, at(16)).await.unwrap();
    assert_eq!((renewed.lease.until, renewed.state), (at(31), RunState::Running));
    leases::release(&tx, &renewed.lease).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(leases::claimable(&w.store, at(17)).await.unwrap().len(), 1);
    assert_eq!(w.lease(&run, "a", at(17)).await.unwrap().epoch, 3);
    assert!(leases::claimable(&w.store, at(18)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_checkpoint_commits_all_its_parts_at_once() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    let parts = CheckpointCommit {
        new_subject_keys: (0..5_000).map(key).collect(),
        quarantine: vec![segment("not_null", &[1, 2]), segment("between", &[3])],
        metrics: Some(moment(1)),
        renew: Some(LEASE),
        ..checkpoint(&lease, 1, 1)
    };
    let committed = commit(&w, parts).await.unwrap();
    assert_eq!((committed.leaf_seq, committed.log_size, committed.lease.until), (0, 1, at(16)));

    let restored = checkpoints::load(&w.store, run.deployment).await.unwrap().unwrap();
    assert_eq!((restored.epoch, restored.content.as_slice()), (1, b"content of 1".as_slice()));
    assert_eq!(subject_keys::count(&w.store, w.project).await.unwrap(), 5_000);
    let keys = subject_keys::of(&w.store, w.project, &[subject(7), subject(9_999)]).await.unwrap();
    assert!(matches!(keys.as_slice(), [only] if only.subject_hash == subject(7) && only.sealed == Some(vec![7; 60])));
    assert_eq!(quarantine::rows_held(&w.store, w.project).await.unwrap(), 3);
    let run = runs::by_id(&w.store, run.id).await.unwrap().unwrap();
    assert_eq!((run.totals.rows_in, run.checkpoints, run.last_checkpoint_at), (10, 1, Some(at(1))));
    assert_eq!(metrics::latest(&w.store, run.id).await.unwrap(), Some(moment(1)));
    let leaf = evidence::by_seq(&w.store, 0).await.unwrap().unwrap();
    assert_eq!((leaf.kind.as_str(), leaf.run, leaf.project), ("checkpoint", Some(run.id), Some(w.project)));
    let listed = checkpoints::list(&w.store, run.id, None, 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].leaf_seq, listed[0].duration_ms), (1, 0, Some(12)));
}

#[tokio::test]
async fn a_part_that_fails_takes_all_others_with_it() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    commit(&w, CheckpointCommit { new_subject_keys: vec![key(1)], ..checkpoint(&lease, 1, 1) }).await.unwrap();
    let before = evidence::state(&w.store).await.unwrap().range;

    let same = segment("r", &[1]);
    let broken = [
        ("a key that exists", CheckpointCommit { new_subject_keys: vec![key(2), key(1)], ..checkpoint(&lease, 2, 2) }),
        ("a segment given twice", CheckpointCommit { quarantine: vec![same.clone(), same], ..checkpoint(&lease, 2, 2) }),
        ("an epoch that was", CheckpointCommit { new_subject_keys: vec![key(3)], ..checkpoint(&lease, 1, 2) }),
    ];
    for (what, broken) in broken {
        let error = commit(&w, broken).await.expect_err(what);
        assert!(!matches!(error, StoreError::Database(_)), "{what}: {error}");
        assert_eq!(evidence::state(&w.store).await.unwrap().range, before, "{what}: no leaf");
        assert_eq!(subject_keys::count(&w.store, w.project).await.unwrap(), 1, "{what}: no key");
        assert_eq!(quarantine::rows_held(&w.store, w.project).await.unwrap(), 0, "{what}: no row");
        assert_eq!(runs::by_id(&w.store, run.id).await.unwrap().unwrap().checkpoints, 1, "{what}: not counted");
    }
    commit(&w, checkpoint(&lease, 2, 3)).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_wakes_up_late_commits_nothing() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let old = w.lease(&run, "a", at(0)).await.unwrap();
    commit(&w, checkpoint(&old, 1, 1)).await.unwrap();
    let new = w.lease(&run, "b", at(60)).await.unwrap();
    let stale = commit(&w, checkpoint(&old, 2, 61)).await.unwrap_err();
    assert!(matches!(stale, StoreError::StaleLease { held: 1, current: 2, .. }), "{stale}");
    let forged = leases::Lease { epoch: new.epoch, ..old };
    assert!(matches!(commit(&w, checkpoint(&forged, 2, 61)).await, Err(StoreError::StaleLease { .. })));
    assert_eq!(evidence::state(&w.store).await.unwrap().range.size(), 1);
    commit(&w, checkpoint(&new, 2, 62)).await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_over_takes_no_checkpoint_and_the_next_goes_on_from_its_last() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    commit(&w, checkpoint(&lease, 1, 1)).await.unwrap();
    let tx = w.store.begin().await.unwrap();
    let failure =
        Failure { domain: FailureDomain::External, node: Some("alerts".into()), message: "the disk is full".into(), at: at(2) };
    runs::end(&tx, &lease, RunState::Failed, Some(failure.clone()), at(2)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(commit(&w, checkpoint(&lease, 2, 3)).await, Err(StoreError::StaleLease { .. })));
    assert_eq!(w.lease(&run, "b", at(100)).await, None, "what is over is not taken over");
    let ended = runs::by_id(&w.store, run.id).await.unwrap().unwrap();
    assert_eq!((ended.state, &ended.failure, ended.ended_at), (RunState::Failed, &Some(failure), Some(at(2))));

    let tx = w.store.begin().await.unwrap();
    let next = runs::NewRun {
        project: w.project,
        deployment: run.deployment,
        document: run.document,
        pipeline: run.pipeline.clone(),
        version: 1,
        document_hash: run.document_hash.clone(),
    };
    let next = runs::create(&tx, next, at(3)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((next.totals, &next.counters), (ended.totals, &ended.counters), "it counts on from where the one before stood");
    assert_eq!((next.totals.rows_in, next.checkpoints), (10, 0));
    let lease = w.lease(&next, "b", at(4)).await.unwrap();
    assert_eq!(checkpoints::load(&w.store, run.deployment).await.unwrap().unwrap().epoch, 1);
    commit(&w, checkpoint(&lease, 2, 5)).await.unwrap();
}

#[tokio::test]
async fn a_deployment_has_one_run_at_a_time() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let tx = w.store.begin().await.unwrap();
    let second = runs::NewRun {
        project: w.project,
        deployment: run.deployment,
        document: run.document,
        pipeline: run.pipeline.clone(),
        version: 1,
        document_hash: run.document_hash.clone(),
    };
    assert!(matches!(runs::create(&tx, second, at(1)).await, Err(StoreError::Exists { .. })));
}

#[tokio::test]
async fn a_stop_reaches_the_worker_when_it_renews() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    let tx = w.store.begin().await.unwrap();
    assert_eq!(runs::request_stop(&tx, &w.may(Action::PipelineStop), run.id, at(1)).await.unwrap().state, RunState::Stopping);
    assert_eq!(leases::renew(&tx, &lease, LEASE, at(2)).await.unwrap().state, RunState::Stopping);
    runs::end(&tx, &lease, RunState::Stopped, None, at(3)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(runs::alive(&w.store, run.deployment).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_noticed_and_the_one_before_is_there() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    for epoch in 1..=6 {
        commit(&w, checkpoint(&lease, epoch, epoch as i64)).await.unwrap();
    }
    let pool = w.store.separate_pool(1);
    sqlx::query("UPDATE checkpoints SET content = x'00' WHERE epoch = 6").execute(&pool).await.unwrap();
    let found: Vec<_> = checkpoints::restorable(&w.store, run.deployment).await.unwrap();
    assert!(matches!(&found[0].checkpoint, Err(StoreError::Corrupt(message)) if message.contains("checkpoint 6")));
    let epochs: Vec<_> = found.iter().filter(|of| of.checkpoint.is_ok()).map(|of| of.epoch).collect();
    assert_eq!(epochs, [5, 4], "older ones keep their evidence, not their content");
    assert_eq!(checkpoints::list(&w.store, run.id, None, 10).await.unwrap().len(), 6);
}

#[tokio::test]
async fn quarantine_is_listed_by_pages_and_opened_by_permission() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    for epoch in 1..=5 {
        let quarantine = vec![segment("not_null", &[epoch]), segment("between", &[epoch, epoch + 1])];
        commit(&w, CheckpointCommit { quarantine, ..checkpoint(&lease, epoch, epoch as i64) }).await.unwrap();
    }
    let mut filter = SegmentFilter { rule: Some("between".into()), limit: 2, ..SegmentFilter::default() };
    let mut epochs = Vec::new();
    loop {
        let page = quarantine::list(&w.store, w.project, filter.clone()).await.unwrap();
        epochs.extend(page.items.iter().map(|segment| segment.epoch));
        let Some(next) = page.next else { break };
        filter.after = Some(next);
    }
    assert_eq!(epochs, [5, 4, 3, 2, 1]);
    let none = SegmentFilter { rule: Some("betwee".into()), limit: 2, ..SegmentFilter::default() };
    assert!(quarantine::list(&w.store, w.project, none).await.unwrap().items.is_empty());

    let held = quarantine::of_subject(&w.store, w.project, &subject(3)).await.unwrap();
    assert_eq!(held.len(), 3, "one alone, two in pairs");
    let rows = quarantine::sealed(&w.store, &w.may(Action::QuarantineRead), held[0]).await.unwrap();
    assert_eq!(rows, b"sealed rows");
    let refused = quarantine::sealed(&w.store, &w.may(Action::QuarantineList), held[0]).await;
    assert!(matches!(refused, Err(StoreError::WrongGrant { .. })));
}

#[tokio::test]
async fn an_erased_person_keeps_no_key_and_never_gets_another() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    subject_keys::insert(&tx, w.project, vec![key(1)], at(0)).await.unwrap();
    let grant = w.may(Action::ConsentWrite);
    assert!(subject_keys::erase(&tx, &grant, w.project, &subject(1), at(1)).await.unwrap());
    assert!(!subject_keys::erase(&tx, &grant, w.project, &subject(2), at(1)).await.unwrap());
    assert_eq!(subject_keys::insert_missing(&tx, w.project, vec![key(1), key(2), key(3)], at(2)).await.unwrap(), 1);
    let keys = subject_keys::of(&tx, w.project, &[subject(1), subject(2), subject(3)]).await.unwrap();
    let mut found: Vec<_> = keys.into_iter().map(|k| (k.subject_hash, k.sealed.is_some(), k.erased_at)).collect();
    found.sort_by_key(|(hash, ..)| (1..=3).position(|n| subject(n) == *hash));
    assert_eq!(found, [(subject(1), false, Some(at(1))), (subject(2), false, Some(at(1))), (subject(3), true, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_commits_its_last_checkpoint_together_with_the_end_of_its_run() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    let blocking = BlockingStore::new(w.store.clone(), tokio::runtime::Handle::current());
    let last = checkpoint(&lease, 1, 1);
    let end = common::leaf(Some(w.project), 1, "run:x", "run.end", "pipeline:card-fraud", true);
    let committed = std::thread::spawn({
        let blocking = blocking.clone();
        move || blocking.commit_checkpoint(last, vec![end])
    })
    .join()
    .unwrap()
    .unwrap();
    let log = evidence::state(&w.store).await.unwrap().range;
    assert_eq!((committed.leaf_seq, committed.log_size), (0, 2));
    assert_eq!((committed.log_size, committed.root), (log.size(), log.root()));

    let stale = checkpoint(&lease, 1, 2);
    let more = vec![common::leaf(None, 2, "run:x", "run.end", "x", true)];
    let refused = std::thread::spawn(move || blocking.commit_checkpoint(stale, more)).join().unwrap();
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert_eq!(evidence::state(&w.store).await.unwrap().range, log, "neither leaf is there");
}
