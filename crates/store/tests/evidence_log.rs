//! The log in the database: order, root, atomicity, search.
#![allow(clippy::unwrap_used)]

mod common;

use common::{at, leaf, open, world};
use futures::TryStreamExt;
use weir_api::ProjectId;
use weir_evidence::{
    Leaf,
    merkle::{leaf_hash, root_of},
};
use weir_store::{
    Store, evidence,
    evidence::{Search, StoredLeaf},
};

async fn append(store: &Store, leaves: Vec<evidence::NewLeaf>) {
    let tx = store.begin().await.unwrap();
    evidence::append(&tx, leaves).await.unwrap();
    tx.commit().await.unwrap();
}

/// The root over the stored bytes, computed anew, and how many there are.
async fn recomputed(store: &Store) -> (u64, weir_evidence::Hash) {
    let stored: Vec<_> = evidence::stream(store, 0..u64::MAX).try_collect().await.unwrap();
    for (place, (seq, bytes, hash)) in stored.iter().enumerate() {
        assert_eq!(*seq, place as u64);
        assert_eq!(*hash, leaf_hash(bytes));
        assert_eq!(Leaf::from_canonical(bytes).unwrap().seq, *seq, "the place is part of what is hashed");
    }
    (stored.len() as u64, root_of(stored.iter().map(|(_, bytes, _)| leaf_hash(bytes))))
}

#[tokio::test]
async fn leaves_lie_in_order_and_the_root_is_that_of_their_bytes() {
    let w = world().await;
    for n in [1, 2, 5, 1, 700] {
        append(&w.store, (0..n).map(|i| leaf(Some(w.project), i, "user:a", "pipeline.update", "pipeline:p", true)).collect())
            .await;
        let state = evidence::state(&w.store).await.unwrap();
        assert_eq!((state.range.size(), state.range.root()), recomputed(&w.store).await);
    }
    assert_eq!(evidence::hashes(&w.store, 3..700).await.unwrap().len(), 697);
    assert!(evidence::hashes(&w.store, 0..710).await.is_err(), "a missing leaf is not passed over");
}

#[tokio::test]
async fn leaves_of_a_transaction_that_is_dropped_never_were() {
    let w = world().await;
    append(&w.store, vec![leaf(None, 0, "system:test", "instance.update", "x", true)]).await;
    let before = evidence::state(&w.store).await.unwrap().range;
    let tx = w.store.begin().await.unwrap();
    evidence::append(&tx, vec![leaf(None, 1, "system:test", "instance.update", "x", true)]).await.unwrap();
    drop(tx);
    assert_eq!(evidence::state(&w.store).await.unwrap().range, before);
    append(&w.store, vec![leaf(None, 2, "system:test", "instance.update", "x", true)]).await;
    assert_eq!(recomputed(&w.store).await.0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_on_two_stores_lose_nothing_and_keep_the_order() {
    const WRITERS: i64 = 6;
    const EACH: i64 = 15;
    let w = world().await;
    let stores = [w.store.clone(), open(w.dir.path()).await];
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let store = stores[writer as usize % 2].clone();
        writers.push(tokio::spawn(async move {
            for n in 0..EACH {
                let actor = format!("user:{writer}");
                append(
                    &store,
                    vec![leaf(None, n, &actor, "instance.update", "x", true), leaf(None, n, &actor, "instance.read", "x", true)],
                )
                .await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let state = evidence::state(&w.store).await.unwrap();
    assert_eq!(state.range.size(), (WRITERS * EACH * 2) as u64);
    assert_eq!((state.range.size(), state.range.root()), recomputed(&stores[1]).await);
    for writer in 0..WRITERS {
        let mine = Search { actor: Some(format!("user:{writer}")), limit: 500, ..Search::default() };
        let found = evidence::search(&w.store, &mine).await.unwrap().items;
        let times: Vec<_> = found.iter().rev().step_by(2).map(|leaf| leaf.at).collect();
        assert_eq!(times, (0..EACH).map(at).collect::<Vec<_>>(), "a writer's leaves keep their order");
    }
}

async fn searched() -> (common::World, ProjectId) {
    let w = world().await;
    let other = ProjectId::generate();
    let mut leaves = Vec::new();
    for n in 0..20 {
        let allowed = n % 5 != 0;
        leaves.push(leaf(
            Some(w.project),
            n,
            &format!("user:{}", n % 3),
            "pipeline.deploy",
            &format!("pipeline:p{}", n % 4),
            allowed,
        ));
    }
    leaves.push(leaf(Some(other), 100, "user:0", "pipeline.deploy", "pipeline:elsewhere", true));
    leaves.push(leaf(None, 101, "system:x", "user.create", "user:100%_sure", true));
    append(&w.store, leaves).await;
    (w, other)
}

fn seqs(found: &[StoredLeaf]) -> Vec<u64> {
    found.iter().map(|leaf| leaf.seq).collect()
}

#[tokio::test]
async fn search_finds_by_every_field() {
    let (w, other) = searched().await;
    let any = || Search { limit: 100, ..Search::default() };
    let cases = [
        ("project", Search { project: Some(other), ..any() }, vec![20]),
        ("actor", Search { actor: Some("user:2".into()), until: Some(at(9)), ..any() }, vec![8, 5, 2]),
        ("action", Search { action: Some("user.create".into()), ..any() }, vec![21]),
        ("resource", Search { resource: Some("pipeline:p3".into()), until: Some(at(8)), ..any() }, vec![7, 3]),
        ("beginning of resource", Search { resource: Some("pipeline:e".into()), ..any() }, vec![20]),
        ("outcome", Search { allowed: Some(false), ..any() }, vec![15, 10, 5, 0]),
        ("time", Search { from: Some(at(18)), until: Some(at(100)), ..any() }, vec![19, 18]),
        ("kind", Search { kinds: vec!["checkpoint".into()], ..any() }, vec![]),
        ("text", Search { text: Some("elsewhere".into()), ..any() }, vec![20]),
        ("text with pattern characters", Search { text: Some("100%_sure".into()), ..any() }, vec![21]),
        ("a pattern is no wildcard", Search { text: Some("p%deploy".into()), ..any() }, vec![]),
    ];
    for (what, search, expected) in cases {
        let page = evidence::search(&w.store, &search).await.unwrap();
        assert_eq!((seqs(&page.items), page.next), (expected, None), "{what}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition_while_the_log_grows() {
    let (w, _) = searched().await;
    let mut search = Search { project: Some(w.project), limit: 7, ..Search::default() };
    let mut seen = Vec::new();
    loop {
        let page = evidence::search(&w.store, &search).await.unwrap();
        seen.extend(seqs(&page.items));
        append(&w.store, vec![leaf(Some(w.project), 200, "user:0", "pipeline.stop", "pipeline:p0", true)]).await;
        let Some(next) = page.next else { break };
        search.after = Some(next);
    }
    assert_eq!(seen, (0..20).rev().collect::<Vec<_>>());
}

/// A request may be cut off at any await: by a timeout, or because its client has gone.
#[tokio::test]
async fn a_transaction_cut_off_anywhere_leaves_the_store_whole() {
    let w = world().await;
    for attempt in 0..120u64 {
        let patience = std::time::Duration::from_micros(attempt * 25);
        let work = append(&w.store, vec![leaf(None, 0, "system:test", "instance.update", "x", true)]);
        let _cut_off = tokio::time::timeout(patience, work).await.is_err();
    }
    append(&w.store, vec![leaf(None, 1, "system:test", "instance.read", "last", true)]).await;
    let state = evidence::state(&w.store).await.unwrap();
    assert_eq!((state.range.size(), state.range.root()), recomputed(&w.store).await);
    let last = evidence::by_seq(&w.store, state.range.size() - 1).await.unwrap().unwrap();
    assert_eq!(last.resource, "last");
}
