//! Quality over time: windows as they were measured, summed up where there are more than wanted.

use chrono::{DateTime, TimeDelta, Utc};
use weir_api::{AlertSeverity, CreatePipeline, QualityQuery, Role, WindowVerdict};
use weir_service::{Cx, pipelines, quality};
use weir_store::quality::{NewObservation, NewWindow};

use crate::{
    run,
    world::{PIPELINE, World, slug, start, status},
};

fn minute(n: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(n)
}

fn windows(count: i64) -> Vec<NewWindow> {
    let window = |n: i64| NewWindow {
        step: "checked".into(),
        start: minute(n).timestamp_micros(),
        end: minute(n + 1).timestamp_micros(),
        rows: 10,
        late_rows: 0,
        rules: vec![NewObservation {
            rule: "mean(amount)".into(),
            metric: "mean(amount)".into(),
            severity: AlertSeverity::Error,
            observed: Some(n as f64),
            verdict: if n == 7 { WindowVerdict::Broken } else { WindowVerdict::Kept },
            detail: (n == 7).then(|| "mean(amount) is 7, above 6".into()),
        }],
    };
    (0..count).map(window).collect()
}

fn query() -> QualityQuery {
    QualityQuery { step: "checked".into(), rule: "mean(amount)".into(), ..QualityQuery::default() }
}

async fn measured() -> (World, Cx) {
    let world = World::new().await;
    run::deployed(&world).await.commit(|commit| commit.windows = windows(60)).await;
    let viewer = world.person(Role::Viewer).await;
    (world, viewer)
}

#[tokio::test]
async fn rules_are_listed_with_their_newest_window() {
    let (_world, viewer) = measured().await;
    let rules = quality::rules(&viewer, &slug("card-fraud")).await.unwrap();
    assert_eq!(rules.len(), 1);
    let rule = &rules[0];
    assert_eq!((rule.step.as_str(), rule.rule.as_str(), rule.windows, rule.broken), ("checked", "mean(amount)", 60, 1));
    assert_eq!((rule.newest.start, rule.newest.low, rule.newest.verdict), (minute(59), Some(59.0), WindowVerdict::Kept));
}

#[tokio::test]
async fn a_series_is_window_by_window_or_summed_up() {
    let (_world, viewer) = measured().await;
    let name = slug("card-fraud");
    let newest = quality::series(&viewer, &name, QualityQuery { points: Some(5), ..query() }).await.unwrap();
    assert_eq!(newest.bucket_seconds, None);
    assert_eq!(newest.points.iter().map(|point| point.start).collect::<Vec<_>>(), (55..60).map(minute).collect::<Vec<_>>());

    let from = QualityQuery { from: Some(minute(0)), points: Some(7), ..query() };
    let summed = quality::series(&viewer, &name, from).await.unwrap();
    assert_eq!(summed.bucket_seconds, Some(540.0), "nine whole windows: the fewest that make at most seven points");
    assert_eq!(summed.points.iter().map(|point| point.windows).sum::<u64>(), 60);
    assert_eq!(summed.points.iter().map(|point| point.rows).sum::<u64>(), 600);
    let first = &summed.points[0];
    assert_eq!((first.verdict, first.broken, first.low, first.high), (WindowVerdict::Broken, 1, Some(0.0), Some(8.0)));
    assert_eq!(summed.points[1].verdict, WindowVerdict::Kept);

    let few = QualityQuery { from: Some(minute(5)), until: Some(minute(9)), ..query() };
    let few = quality::series(&viewer, &name, few).await.unwrap();
    assert_eq!((few.points.len(), few.bucket_seconds), (4, None));
    assert_eq!(few.points[2].detail.as_deref(), Some("mean(amount) is 7, above 6"));

    let recent = quality::recent(&viewer, &name, Some(1)).await.unwrap();
    assert_eq!(recent[0].1.points.len(), 60, "an hour before the end of the newest");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_to_do() {
    let (world, viewer) = measured().await;
    let name = slug("card-fraud");
    let ask = async |query: QualityQuery| quality::series(&viewer, &name, query).await;
    for points in [0, 1001] {
        let refused = ask(QualityQuery { points: Some(points), ..query() }).await;
        assert_eq!(status(&refused), 422);
        assert_eq!(refused.unwrap_err().problem().errors.len(), 1);
    }
    assert_eq!(status(&ask(QualityQuery { from: Some(minute(5)), until: Some(minute(5)), ..query() }).await), 422);
    assert_eq!(status(&ask(QualityQuery { rule: "max(amount)".into(), ..query() }).await), 404);
    let empty = ask(QualityQuery { from: Some(minute(500)), ..query() }).await.unwrap();
    assert!(empty.points.is_empty());
    assert_eq!(status(&quality::rules(&viewer, &slug("nowhere")).await), 404);

    let draft = PIPELINE.replace("name: card-fraud", "name: draft");
    pipelines::create(&world.admin().await, CreatePipeline { document: draft, note: None }).await.unwrap();
    assert_eq!(quality::rules(&viewer, &slug("draft")).await.unwrap(), []);
    assert_eq!(status(&quality::series(&viewer, &slug("draft"), query()).await), 404);
}
