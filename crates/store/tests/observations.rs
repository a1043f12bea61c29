//! What runs notice is committed with the checkpoint of its rows, and taken back with it; a cause has one alert, whatever is processed again.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{World, at, checkpoint, world};
use weir_api::{AlertSeverity, AlertState, AlertStates, WindowVerdict};
use weir_authz::Action;
use weir_evidence::{Body, Leaf, record};
use weir_store::{
    StoreError,
    alerts::{self, Alert, AlertChange, AlertEvent, AlertFilter},
    checkpoints::{self, CheckpointCommit},
    deployments, evidence,
    leases::Lease,
    measures,
    quality::{self, NewObservation, NewWindow, Range},
    runs::Run,
};

const MINUTE: i64 = 60_000_000;

async fn started(w: &World) -> (Run, Lease) {
    let run = w.run("card-fraud").await;
    let lease = w.lease(&run, "a", at(0)).await.unwrap();
    (run, lease)
}

async fn commit(w: &World, commit: CheckpointCommit) {
    let tx = w.store.begin().await.unwrap();
    checkpoints::commit(&tx, commit).await.unwrap();
    tx.commit().await.unwrap();
}

async fn discard(w: &World, lease: &Lease, run: &Run, epoch: u64) {
    let tx = w.store.begin().await.unwrap();
    checkpoints::discard(&tx, lease, run.deployment, epoch).await.unwrap();
    tx.commit().await.unwrap();
}

fn raised(cause: &str, at: i64) -> AlertEvent {
    AlertEvent {
        step: "volume".to_owned(),
        cause: cause.to_owned(),
        severity: AlertSeverity::Error,
        message: "fewer payments than usual".to_owned(),
        detail: Some("row_count is 3, below 100".to_owned()),
        at,
        change: AlertChange::Raised,
    }
}

fn resolved(cause: &str, raised_at: i64, at: i64) -> AlertEvent {
    AlertEvent { at, change: AlertChange::Resolved { raised_at, seen_at: at - 1, count: 3 }, ..raised(cause, at) }
}

fn window(minute: i64, rows: u64, observed: Option<f64>, verdict: WindowVerdict) -> NewWindow {
    let broken = verdict == WindowVerdict::Broken;
    NewWindow {
        step: "checked".to_owned(),
        start: minute * MINUTE,
        end: (minute + 1) * MINUTE,
        rows,
        late_rows: 1,
        rules: vec![NewObservation {
            rule: "mean(amount)".to_owned(),
            metric: "mean(amount)".to_owned(),
            severity: AlertSeverity::Warn,
            observed,
            verdict,
            detail: broken.then(|| "mean(amount) is 9, above 5".to_owned()),
        }],
        measures: None,
    }
}

async fn all(w: &World) -> Vec<Alert> {
    let filter = AlertFilter { limit: 100, ..AlertFilter::default() };
    alerts::list(&w.store, w.project, filter).await.unwrap().items
}

#[tokio::test]
async fn an_alert_is_raised_and_resolved_with_its_evidence() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", MINUTE)], ..checkpoint(&lease, 1, 1) }).await;
    let open = all(&w).await;
    let [alert] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((alert.state, alert.raised_leaf, alert.ended_leaf), (AlertState::Open, 1, None));
    assert_eq!((alert.run, alert.pipeline.as_str(), alert.seen), (run.id, "card-fraud", 1));
    assert_eq!(alert.raised_at.timestamp_micros(), MINUTE);

    commit(&w, CheckpointCommit { alerts: vec![resolved("aa", MINUTE, 5 * MINUTE)], ..checkpoint(&lease, 2, 2) }).await;
    let ended = alerts::by_id(&w.store, alert.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.seen, ended.ended_leaf), (AlertState::Resolved, 3, Some(3)));
    assert_eq!(ended.ended_at.map(|at| at.timestamp_micros()), Some(5 * MINUTE));

    let leaf = evidence::by_seq(&w.store, 3).await.unwrap().unwrap();
    assert_eq!(
        (leaf.kind.as_str(), leaf.action.as_str(), leaf.resource.as_str()),
        ("alert", "alert.resolve", "pipeline:card-fraud")
    );
    assert_eq!((leaf.run, leaf.project), (Some(run.id), Some(w.project)));
    let Body::Alert(told) = Leaf::from_canonical(&leaf.body).unwrap().body else { panic!("{leaf:?}") };
    assert_eq!((told.epoch, told.step.as_str(), told.cause.as_str()), (Some(2), "volume", "aa"));
    let record::AlertChange::Resolved { count, raised_at, .. } = told.change else { panic!("{told:?}") };
    assert_eq!((count, raised_at.as_micros()), (3, MINUTE));
}

#[tokio::test]
async fn an_alert_may_begin_and_end_within_one_checkpoint_and_begin_again() {
    let w = world().await;
    let (_, lease) = started(&w).await;
    let events = vec![raised("aa", 1), resolved("aa", 1, 5), raised("aa", 9), raised("bb", 9)];
    commit(&w, CheckpointCommit { alerts: events, ..checkpoint(&lease, 1, 1) }).await;
    let found = all(&w).await;
    let states: Vec<_> = found.iter().map(|alert| (alert.cause.as_str(), alert.state)).collect();
    assert_eq!(states, [("bb", AlertState::Open), ("aa", AlertState::Open), ("aa", AlertState::Resolved)], "open ones first");
}

#[tokio::test]
async fn what_a_discarded_checkpoint_said_is_taken_back_and_said_once_when_it_is_replayed() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    let first = CheckpointCommit {
        alerts: vec![raised("old", 1)],
        windows: vec![window(0, 10, Some(1.0), WindowVerdict::Kept)],
        ..checkpoint(&lease, 1, 1)
    };
    commit(&w, first).await;
    let second = |epoch| CheckpointCommit {
        alerts: vec![resolved("old", 1, 50), raised("new", 60), raised("brief", 61), resolved("brief", 61, 62)],
        windows: vec![window(1, 20, Some(9.0), WindowVerdict::Broken)],
        ..checkpoint(&lease, epoch, 2)
    };
    commit(&w, second(2)).await;
    let before = all(&w).await;
    let of = |cause: &str, of: &[Alert]| of.iter().find(|alert| alert.cause == cause).cloned();
    let tx = w.store.begin().await.unwrap();
    let new = of("new", &before).unwrap();
    let note = Some("looking into it".to_owned());
    alerts::acknowledge(&tx, &w.may(Action::AlertAcknowledge), new.id, note, at(3)).await.unwrap();
    tx.commit().await.unwrap();

    discard(&w, &lease, &run, 2).await;
    let back = all(&w).await;
    let states: Vec<_> = back.iter().map(|alert| (alert.cause.as_str(), alert.state, alert.seen)).collect();
    assert_eq!(states, [("old", AlertState::Open, 1)]);
    assert_eq!(alerts::by_id(&w.store, new.id).await.unwrap(), None);
    assert_eq!(quality::rules(&w.store, run.deployment).await.unwrap()[0].windows, 1);

    commit(&w, second(3)).await;
    let again = all(&w).await;
    assert_eq!(again.len(), 3, "{again:?}");
    assert_eq!(of("old", &again).unwrap().state, AlertState::Resolved);
    assert_eq!(of("brief", &again).unwrap().state, AlertState::Resolved);
    let replayed = of("new", &again).unwrap();
    assert_eq!((replayed.id, replayed.state), (new.id, AlertState::Open), "the same alert");
    assert_eq!(replayed.acknowledged.unwrap().note.as_deref(), Some("looking into it"));
    let rules = quality::rules(&w.store, run.deployment).await.unwrap();
    assert_eq!((rules[0].windows, rules[0].broken), (2, 1));
    let tally = alerts::tally(&w.store, run.deployment).await.unwrap();
    assert_eq!((tally.raised, tally.resolved, tally.open), (3, 2, 1));
}

#[tokio::test]
async fn a_replay_that_raises_something_else_leaves_what_was_taken_back_hidden() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    commit(&w, checkpoint(&lease, 1, 1)).await;
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 10)], ..checkpoint(&lease, 2, 2) }).await;
    discard(&w, &lease, &run, 2).await;
    // By the clock, the same cause is noticed at another moment.
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 11)], ..checkpoint(&lease, 3, 3) }).await;
    let found = all(&w).await;
    assert_eq!(found.iter().map(|alert| alert.raised_at.timestamp_micros()).collect::<Vec<_>>(), [11]);
    assert_eq!(alerts::open(&w.store, w.project, None).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_cause_has_one_open_alert_also_when_a_step_has_forgotten_the_first() {
    let w = world().await;
    let (_, lease) = started(&w).await;
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 10)], ..checkpoint(&lease, 1, 1) }).await;
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 70)], ..checkpoint(&lease, 2, 2) }).await;
    let found = all(&w).await;
    let states: Vec<_> = found.iter().map(|alert| (alert.raised_at.timestamp_micros(), alert.state)).collect();
    assert_eq!(states, [(70, AlertState::Open), (10, AlertState::Forgotten)]);
}

#[tokio::test]
async fn a_pipeline_that_starts_anew_forgets_its_open_alerts_on_record_and_what_it_raises_again_is_the_same() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 10), raised("bb", 11)], ..checkpoint(&lease, 1, 1) }).await;
    let before: BTreeSet<_> = all(&w).await.into_iter().map(|alert| alert.id).collect();
    let tx = w.store.begin().await.unwrap();
    let deployment = deployments::by_id(&tx, run.deployment).await.unwrap().unwrap();
    let wrong = alerts::forget(&tx, &w.may(Action::PipelineRead), &deployment, at(2)).await;
    assert!(matches!(wrong, Err(StoreError::WrongGrant { .. })));
    assert_eq!(alerts::forget(&tx, &w.may(Action::PipelineDeploy), &deployment, at(2)).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert!(all(&w).await.iter().all(|alert| alert.state == AlertState::Forgotten));
    let leaf = evidence::by_seq(&w.store, 3).await.unwrap().unwrap();
    assert_eq!((leaf.action.as_str(), leaf.actor.starts_with("user:")), ("alert.forget", true));

    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 10)], ..checkpoint(&lease, 2, 3) }).await;
    let found = all(&w).await;
    assert_eq!(found.iter().map(|alert| alert.id).collect::<BTreeSet<_>>(), before, "no alert came twice");
    assert_eq!(found.iter().filter(|alert| alert.state == AlertState::Open).count(), 1);
}

#[tokio::test]
async fn alerts_of_steps_that_are_gone_are_forgotten() {
    let w = world().await;
    let (_, lease) = started(&w).await;
    let other = AlertEvent { step: "kept".to_owned(), ..raised("aa", 10) };
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 10), other], ..checkpoint(&lease, 1, 1) }).await;
    let tx = w.store.begin().await.unwrap();
    assert_eq!(alerts::forget_missing(&tx, &lease, &BTreeSet::from(["kept"]), at(2)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let states: Vec<_> = all(&w).await.into_iter().map(|alert| (alert.step, alert.state)).collect();
    assert_eq!(states, [("kept".to_owned(), AlertState::Open), ("volume".to_owned(), AlertState::Forgotten)]);
}

#[tokio::test]
async fn alerts_are_listed_by_pages_open_ones_first_and_by_severity() {
    let w = world().await;
    let (_, lease) = started(&w).await;
    let mut events = Vec::new();
    for n in 0..9 {
        let severity = AlertSeverity::ALL[n % 3];
        events.push(AlertEvent { severity, ..raised(&format!("{n:02}"), 10) });
        if n >= 6 {
            events.push(AlertEvent { severity, ..resolved(&format!("{n:02}"), 10, 20) });
        }
    }
    commit(&w, CheckpointCommit { alerts: events, ..checkpoint(&lease, 1, 1) }).await;
    let listed = async |filter: AlertFilter| {
        let (mut causes, mut filter) = (Vec::new(), AlertFilter { limit: 2, ..filter });
        loop {
            let page = alerts::list(&w.store, w.project, filter.clone()).await.unwrap();
            causes.extend(page.items.into_iter().map(|alert| alert.cause));
            let Some(next) = page.next else { return causes.join(" ") };
            filter.after = Some(next);
        }
    };
    assert_eq!(listed(AlertFilter::default()).await, "05 04 03 02 01 00 08 07 06");
    assert_eq!(listed(AlertFilter { states: AlertStates::Open, ..AlertFilter::default() }).await, "05 04 03 02 01 00");
    assert_eq!(listed(AlertFilter { states: AlertStates::Ended, ..AlertFilter::default() }).await, "08 07 06");
    let bad = AlertFilter { severity: Some(AlertSeverity::Error), ..AlertFilter::default() };
    assert_eq!(listed(bad).await, "05 04 02 01 08 07");
    assert_eq!(listed(AlertFilter { pipeline: Some("other".to_owned()), ..AlertFilter::default() }).await, "");
    let wrong = AlertFilter { after: Some(weir_api::Cursor("nowhere".to_owned())), limit: 2, ..AlertFilter::default() };
    assert!(matches!(alerts::list(&w.store, w.project, wrong).await, Err(StoreError::Cursor)));
    let open = alerts::open(&w.store, w.project, Some("card-fraud")).await.unwrap();
    assert_eq!((open.total, open.unacknowledged, open.worst), (6, 6, Some(AlertSeverity::Critical)));
}

#[tokio::test]
async fn an_alert_is_acknowledged_once_and_by_permission() {
    let w = world().await;
    let (_, lease) = started(&w).await;
    commit(&w, CheckpointCommit { alerts: vec![raised("aa", 10)], ..checkpoint(&lease, 1, 1) }).await;
    let id = all(&w).await[0].id;
    let tx = w.store.begin().await.unwrap();
    let wrong = alerts::acknowledge(&tx, &w.may(Action::AlertRead), id, None, at(2)).await;
    assert!(matches!(wrong, Err(StoreError::WrongGrant { .. })));
    let done = alerts::acknowledge(&tx, &w.may(Action::AlertAcknowledge), id, None, at(2)).await.unwrap();
    assert_eq!(done.acknowledged.as_ref().map(|it| (it.at, it.by)), Some((at(2), Some(w.user.id))));
    assert_eq!(done.state, AlertState::Open, "it lasts");
    let twice = alerts::acknowledge(&tx, &w.may(Action::AlertAcknowledge), id, None, at(3)).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))));
    tx.commit().await.unwrap();
    let open = alerts::open(&w.store, w.project, None).await.unwrap();
    assert_eq!((open.total, open.unacknowledged), (1, 0));
}

#[tokio::test]
async fn windows_are_summed_up_as_if_they_had_been_one() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    let windows: Vec<_> = (0..10)
        .map(|n| {
            let (observed, verdict) = match n {
                3 => (None, WindowVerdict::Open),
                4 => (Some(9.0), WindowVerdict::Broken),
                n => (Some(n as f64), WindowVerdict::Kept),
            };
            window(n, 10 + n as u64, observed, verdict)
        })
        .collect();
    commit(&w, CheckpointCommit { windows: windows.clone(), ..checkpoint(&lease, 1, 1) }).await;
    let (deployment, step, rule) = (run.deployment, "checked", "mean(amount)");
    let points = quality::windows(&w.store, deployment, step, rule, Range::default(), 3).await.unwrap();
    assert_eq!(
        points.iter().map(|point| point.low).collect::<Vec<_>>(),
        [Some(7.0), Some(8.0), Some(9.0)],
        "the newest, oldest first"
    );

    let range = Range { from: Some(at_minute(1)), until: Some(at_minute(9)) };
    let extent = quality::extent(&w.store, deployment, step, rule, range).await.unwrap().unwrap();
    assert_eq!(extent, (8, MINUTE, 9 * MINUTE));
    let buckets = quality::buckets(&w.store, deployment, step, rule, range, (extent.1, 4 * MINUTE)).await.unwrap();
    let numbers: Vec<_> = buckets.iter().map(|bucket| (bucket.number, bucket.written)).collect();
    assert_eq!(numbers, [(0, (at(1), 1)), (1, (at(1), 1))]);
    let buckets: Vec<_> = buckets.into_iter().map(|bucket| bucket.point).collect();
    let shown: Vec<_> = buckets.iter().map(|b| (b.windows, b.rows, b.late_rows, b.broken, b.kept, b.low, b.high)).collect();
    assert_eq!(
        shown,
        [(4, 11 + 12 + 13 + 14, 4, 1, 2, Some(1.0), Some(9.0)), (4, 15 + 16 + 17 + 18, 4, 0, 4, Some(5.0), Some(8.0))]
    );
    assert_eq!((buckets[0].start, buckets[0].end), (at_minute(1), at_minute(5)));

    // Processed again, a window is replaced.
    commit(&w, CheckpointCommit { windows, ..checkpoint(&lease, 2, 2) }).await;
    let rules = quality::rules(&w.store, deployment).await.unwrap();
    assert_eq!((rules.len(), rules[0].windows, rules[0].broken, rules[0].newest.low), (1, 10, 1, Some(9.0)));
    assert_eq!(quality::extent(&w.store, deployment, step, "other", range).await.unwrap(), None);
}

fn at_minute(minute: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(minute * MINUTE).unwrap()
}

fn with_measures(minute: i64, measures: Option<&[u8]>) -> NewWindow {
    NewWindow { measures: measures.map(<[u8]>::to_vec), ..window(minute, 1, None, WindowVerdict::Open) }
}

/// The windows of the rule in order, each with what is kept of it.
async fn kept(w: &World, run: &Run) -> Vec<(i64, Option<Vec<u8>>)> {
    let span = (-9 * MINUTE, 99 * MINUTE);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = measures::of_rule(&w.store, run.deployment, "checked", "mean(amount)", span, after, 2).await.unwrap();
        let Some(last) = page.last() else { return found };
        after = Some((last.start, last.end));
        found.extend(page.into_iter().map(|window| (window.start / MINUTE, window.sealed)));
    }
}

#[tokio::test]
async fn what_windows_added_up_to_is_kept_once_replaced_with_them_and_taken_back_with_them() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    let measured = |n: u8| Some(vec![n]);
    let first = [with_measures(-1, Some(&[1])), with_measures(0, Some(&[2])), with_measures(1, Some(&[3]))];
    commit(&w, CheckpointCommit { windows: first.to_vec(), ..checkpoint(&lease, 1, 1) }).await;
    assert_eq!(kept(&w, &run).await, [(-1, measured(1)), (0, measured(2)), (1, measured(3))]);

    // Processed again: by rules that may tell less, and by others.
    let again = vec![with_measures(0, None), with_measures(1, Some(&[4])), with_measures(2, Some(&[5]))];
    commit(&w, CheckpointCommit { windows: again, ..checkpoint(&lease, 2, 2) }).await;
    assert_eq!(kept(&w, &run).await, [(-1, measured(1)), (0, None), (1, measured(4)), (2, measured(5))]);

    discard(&w, &lease, &run, 2).await;
    assert_eq!(kept(&w, &run).await, [(-1, measured(1))]);
    commit(&w, CheckpointCommit { windows: vec![with_measures(1, Some(&[6]))], ..checkpoint(&lease, 3, 3) }).await;
    assert_eq!(kept(&w, &run).await, [(-1, measured(1)), (1, measured(6))]);

    // A window of another length that begins at the same time is another one.
    let longer = NewWindow { end: 3 * MINUTE, ..with_measures(1, None) };
    commit(&w, CheckpointCommit { windows: vec![longer], ..checkpoint(&lease, 4, 4) }).await;
    assert_eq!(kept(&w, &run).await, [(-1, measured(1)), (1, measured(6)), (1, None)]);

    let other = measures::of_rule(&w.store, run.deployment, "checked", "max(amount)", (0, MINUTE), None, 9).await;
    assert_eq!(other.unwrap(), []);
}

#[tokio::test]
async fn windows_are_pruned_by_when_they_were_committed_and_alerts_stay() {
    let w = world().await;
    let (run, lease) = started(&w).await;
    for (epoch, seconds) in [(1, 1), (2, 100)] {
        let windows = vec![with_measures(epoch as i64, Some(&[7]))];
        let alerts = vec![raised(&format!("{epoch}"), 1)];
        commit(&w, CheckpointCommit { windows, alerts, ..checkpoint(&lease, epoch, seconds) }).await;
    }
    let tx = w.store.begin().await.unwrap();
    assert_eq!(quality::prune(&tx, at(50)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let left = quality::windows(&w.store, run.deployment, "checked", "mean(amount)", Range::default(), 9).await.unwrap();
    assert_eq!(left.iter().map(|point| point.start).collect::<Vec<_>>(), [at_minute(2)]);
    assert_eq!(kept(&w, &run).await, [(2, Some(vec![7]))]);
    let pool = w.store.separate_pool(1);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM quality_measures").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 1);
    assert_eq!(all(&w).await.len(), 2);
}
