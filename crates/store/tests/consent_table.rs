//! Consent: the last word counts, the feed misses nothing, millions come in fast.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::{collections::HashMap, time::Instant};

use common::{World, at, subject, world};
use weir_api::ConsentState::{self, Denied, Granted, Withdrawn};
use weir_authz::Action;
use weir_store::{
    StoreError,
    consent::{self, ConsentEntry},
    consent_import::{self, ImportOutcome, NewConsent},
    consent_snapshot,
    host::to_micros,
};

fn word(n: u64, purpose: &str, state: ConsentState, seconds: i64) -> NewConsent {
    NewConsent { subject: subject(n), purpose: purpose.to_owned(), state, valid_from: to_micros(at(seconds)), expires_at: None }
}

async fn import(w: &World, batch: &[NewConsent], now: i64) -> ImportOutcome {
    let tx = w.store.begin().await.unwrap();
    let outcome = consent_import::import(&tx, &w.may(Action::ConsentWrite), w.project, batch, at(now)).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn says(w: &World, n: u64, purpose: &str) -> Option<ConsentState> {
    let all = consent::of_subject(&w.store, w.project, &subject(n)).await.unwrap();
    all.into_iter().find(|consent| consent.purpose == purpose).map(|consent| consent.state)
}

#[tokio::test]
async fn the_last_word_of_a_person_counts_in_whatever_order_it_comes() {
    let w = world().await;
    let first = import(
        &w,
        &[word(1, "marketing", Granted, 10), word(1, "analytics", Denied, 10), word(2, "marketing", Granted, 10)],
        100,
    )
    .await;
    assert_eq!(first, ImportOutcome { accepted: 3, outdated: 0, future: 0, version: Some(3) });
    let late = import(&w, &[word(1, "marketing", Denied, 5)], 100).await;
    assert_eq!(late, ImportOutcome { accepted: 0, outdated: 1, future: 0, version: None });
    let batch = [word(2, "marketing", Withdrawn, 30), word(2, "marketing", Granted, 20), word(1, "marketing", Withdrawn, 10)];
    let second = import(&w, &batch, 100).await;
    assert_eq!(second, ImportOutcome { accepted: 2, outdated: 1, future: 0, version: Some(5) });
    assert_eq!(says(&w, 1, "marketing").await, Some(Withdrawn), "of the same moment the one read later");
    assert_eq!(says(&w, 2, "marketing").await, Some(Withdrawn));
    assert_eq!(says(&w, 1, "analytics").await, Some(Denied));
    assert_eq!(says(&w, 3, "analytics").await, None);
}

#[tokio::test]
async fn what_lies_in_the_future_does_not_hide_what_holds() {
    let w = world().await;
    import(&w, &[word(1, "marketing", Denied, 1)], 10).await;
    let outcome = import(&w, &[word(1, "marketing", Granted, 11)], 10).await;
    assert_eq!((outcome.future, outcome.accepted), (1, 0));
    assert_eq!(says(&w, 1, "marketing").await, Some(Denied));
}

#[tokio::test]
async fn the_feed_and_the_snapshot_tell_the_same() {
    let w = world().await;
    import(&w, &(0..50).map(|n| word(n, "marketing", Granted, 1)).collect::<Vec<_>>(), 10).await;
    import(&w, &(0..20).map(|n| word(n, "analytics", Granted, 1)).collect::<Vec<_>>(), 10).await;
    import(&w, &(10..30).map(|n| word(n, "marketing", Withdrawn, 2)).collect::<Vec<_>>(), 10).await;
    let marketing = consent::purpose(&w.store, w.project, "marketing").await.unwrap().unwrap();

    let mut replayed: HashMap<[u8; 32], ConsentEntry> = HashMap::new();
    let mut version = 0;
    loop {
        let changes = consent::since(&w.store, &[marketing], version, 7).await.unwrap();
        let Some(last) = changes.last() else { break };
        assert!(changes.iter().all(|change| change.version > version) && changes.is_sorted_by_key(|change| change.version));
        version = last.version;
        replayed.extend(changes.into_iter().map(|change| (change.subject, change)));
    }
    assert_eq!(version, consent::version(&w.store).await.unwrap());
    for threads in [1, 2, 3, 256] {
        let mut snapshot: Vec<ConsentEntry> = Vec::new();
        consent_snapshot::snapshot(&w.store, marketing, threads, |page| snapshot.extend_from_slice(page)).unwrap();
        assert_eq!(snapshot.len(), replayed.len(), "each person once, with {threads} threads");
        assert_eq!(snapshot.into_iter().map(|entry| (entry.subject, entry)).collect::<HashMap<_, _>>(), replayed);
    }
}

#[tokio::test]
async fn the_feed_of_a_project_holds_no_other_projects_people() {
    let w = world().await;
    import(&w, &[word(1, "marketing", Granted, 1)], 10).await;
    let tx = w.store.begin().await.unwrap();
    let other = weir_store::projects::create(&tx, &w.boot(Action::ProjectCreate), "other", "Other", at(0)).await.unwrap().id;
    let refused =
        consent_import::import(&tx, &w.may(Action::ConsentWrite), other, &[word(1, "marketing", Denied, 1)], at(10)).await;
    assert!(matches!(refused, Err(StoreError::WrongGrant { .. })));
    assert!(consent::purposes(&tx, other).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_that_is_rolled_back_takes_no_version() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    consent_import::import(&tx, &w.may(Action::ConsentWrite), w.project, &[word(1, "marketing", Granted, 1)], at(10))
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(consent::version(&w.store).await.unwrap(), 0);
    assert_eq!(import(&w, &[word(1, "marketing", Granted, 1)], 10).await.version, Some(1));
}

/// Reports figures; asserts counts only.
#[tokio::test]
async fn many_people_come_in_and_are_loaded() {
    const PEOPLE: u64 = 200_000;
    let w = world().await;
    let began = Instant::now();
    for batch in 0..4 {
        let batch: Vec<_> = (batch * PEOPLE / 4..(batch + 1) * PEOPLE / 4).map(|n| word(n, "marketing", Granted, 1)).collect();
        assert_eq!(import(&w, &batch, 10).await.accepted, PEOPLE / 4);
    }
    let imported = began.elapsed();
    let marketing = consent::purpose(&w.store, w.project, "marketing").await.unwrap().unwrap();
    let began = Instant::now();
    let mut loaded = 0;
    consent_snapshot::snapshot(&w.store, marketing, 2, |page| loaded += page.len() as u64).unwrap();
    let rate = |elapsed: std::time::Duration| PEOPLE as f64 / elapsed.as_secs_f64();
    println!("consent: {:.0} people a second imported, {:.0} loaded", rate(imported), rate(began.elapsed()));
    assert_eq!(loaded, PEOPLE);
}
