//! Quality over time: windows as they were measured, summed up where there are more than wanted.

use chrono::{DateTime, TimeDelta, Utc};
use weir_api::{AlertSeverity, CreatePipeline, NoValue, QualityPoint, QualityQuery, QualityResolution, Role, WindowVerdict};
use weir_service::{Cx, pipelines, quality};
use weir_store::quality::{NewObservation, NewWindow};
use weir_vault::measures::{aad, encode};

use crate::{
    run::{self, Carried},
    world::{PIPELINE, World, measures, slug, start, status},
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
        measures: None,
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

    let recent = quality::recent(&viewer, &name, Some(1), QualityResolution::Window).await.unwrap();
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

/// Seals measures for a window, as a worker does.
async fn seal(world: &World, carried: &Carried, window: &mut NewWindow, measures: &[u8]) {
    let keys = world.services.project_keys(carried.run.project).await.unwrap();
    let deployment = carried.run.deployment.to_string();
    let bound = aad(keys.project(), &deployment, &window.step, window.start, window.end);
    let sealed = keys.measures_sealer().seal(&bound, &encode(measures).unwrap()).unwrap();
    window.measures = Some(sealed.into_bytes());
}

/// How many rows window `n` has for its measures, and their sum.
fn amounts(n: u8) -> (u8, u8) {
    (n % 3 + 1, n.wrapping_mul(7))
}

async fn with_measures(world: &World, carried: &Carried, count: u8) -> Vec<NewWindow> {
    let mut windows = windows(count.into());
    for (n, window) in (0..).zip(&mut windows) {
        let (rows, sum) = amounts(n);
        seal(world, carried, window, &measures(0, rows, sum)).await;
    }
    windows
}

/// The mean over all rows of some windows.
fn mean(windows: impl Iterator<Item = u8> + Clone) -> Option<f64> {
    let (rows, sum) = (windows.clone().map(|n| f64::from(amounts(n).0)), windows.map(|n| f64::from(amounts(n).1)));
    Some(sum.sum::<f64>() / rows.sum::<f64>())
}

async fn told(viewer: &Cx, query: QualityQuery) -> Vec<QualityPoint> {
    quality::series(viewer, &slug("card-fraud"), query).await.unwrap().points
}

fn by(resolution: QualityResolution) -> QualityQuery {
    QualityQuery { resolution: Some(resolution), ..query() }
}

#[tokio::test]
async fn windows_add_up_to_hours_and_days_by_their_rows_and_not_by_their_values() {
    let world = World::new().await;
    let mut carried = run::deployed(&world).await;
    let windows = with_measures(&world, &carried, 150).await;
    carried.commit(|commit| commit.windows = windows).await;
    let viewer = world.person(Role::Viewer).await;

    // The first one begins at noon.
    let hours = told(&viewer, by(QualityResolution::Hour)).await;
    let spans: Vec<_> = hours.iter().map(|hour| (hour.start, hour.end, hour.windows, hour.rows)).collect();
    assert_eq!(
        spans,
        [(minute(0), minute(60), 60, 600), (minute(60), minute(120), 60, 600), (minute(120), minute(180), 30, 300)]
    );
    let values: Vec<_> = hours.iter().map(|hour| (hour.value, hour.no_value)).collect();
    assert_eq!(values, [(mean(0..60), None), (mean(60..120), None), (mean(120..150), None)]);
    assert_eq!((hours[0].broken, hours[0].low, hours[0].high), (1, Some(0.0), Some(59.0)));

    let series = quality::series(&viewer, &slug("card-fraud"), by(QualityResolution::Day)).await.unwrap();
    assert_eq!(series.bucket_seconds, Some(86_400.0));
    let days: Vec<_> = series.points.iter().map(|day| (day.start, day.end, day.value)).collect();
    assert_eq!(days, [(minute(-720), minute(720), mean(0..150))]);

    // Hours are whole, whatever part of one is asked for, and the newest come.
    let query = QualityQuery { from: Some(minute(70)), until: Some(minute(121)), ..by(QualityResolution::Hour) };
    assert_eq!(told(&viewer, query).await, hours[1..]);
    let query = QualityQuery { from: Some(minute(0)), until: Some(minute(120)), ..by(QualityResolution::Hour) };
    assert_eq!(told(&viewer, query).await, hours[..2]);
    assert_eq!(told(&viewer, QualityQuery { points: Some(2), ..by(QualityResolution::Hour) }).await, hours[1..]);
    let later = QualityQuery { from: Some(minute(500)), ..by(QualityResolution::Hour) };
    assert_eq!(told(&viewer, later).await, []);

    // By window, each has its own value.
    let windows = told(&viewer, QualityQuery { points: Some(2), ..by(QualityResolution::Window) }).await;
    assert_eq!(windows.iter().map(|window| window.value).collect::<Vec<_>>(), [Some(148.0), Some(149.0)]);
    let recent = quality::recent(&viewer, &slug("card-fraud"), Some(1), QualityResolution::Hour).await.unwrap();
    assert_eq!(recent[0].1.points, hours[1..], "the hour before the end of the newest window begins within another");
}

#[tokio::test]
async fn an_hour_is_added_up_anew_when_one_of_its_windows_is_written_again_or_taken_back() {
    let world = World::new().await;
    let mut carried = run::deployed(&world).await;
    let mut windows = with_measures(&world, &carried, 60).await;
    let first = windows.clone();
    carried.commit(|commit| commit.windows = first).await;
    let viewer = world.person(Role::Viewer).await;
    let value = async || told(&viewer, by(QualityResolution::Hour)).await[0].value;
    assert_eq!((value().await, value().await), (mean(0..60), mean(0..60)));

    seal(&world, &carried, &mut windows[3], &measures(0, 200, 100)).await;
    let again = vec![windows.swap_remove(3)];
    carried.commit(|commit| commit.windows = again).await;
    let (rows, sum) = (0..60)
        .filter(|n| *n != 3)
        .map(amounts)
        .fold((200.0, 100.0), |(rows, sum), of| (rows + f64::from(of.0), sum + f64::from(of.1)));
    assert_eq!(value().await, Some(sum / rows));

    carried.discard().await;
    assert_eq!(value().await, mean((0..60).filter(|n| *n != 3)));
}

#[tokio::test]
async fn an_hour_whose_windows_do_not_add_up_says_why_and_keeps_the_extremes() {
    let world = World::new().await;
    let mut carried = run::deployed(&world).await;
    // One hour each: whole, without measures, of other measures, of another window's, of windows that are too long, of nothing.
    let mut all = windows(360);
    for (n, window) in (0u32..).zip(&mut all) {
        let kind = u8::from(n == 150);
        match n / 60 {
            1 if n == 100 => {}
            5 => seal(&world, &carried, window, &measures(kind, 0, 0)).await,
            _ => seal(&world, &carried, window, &measures(kind, 1, 1)).await,
        }
    }
    all[200].measures = all[201].measures.clone();
    all[299].end = minute(301).timestamp_micros();
    seal(&world, &carried, &mut all[299], &measures(0, 1, 1)).await;
    carried.commit(|commit| commit.windows = all).await;
    let viewer = world.person(Role::Viewer).await;
    let hours = told(&viewer, by(QualityResolution::Hour)).await;
    let found: Vec<_> = hours.iter().map(|hour| (hour.value, hour.no_value)).collect();
    let none = |why| (None, Some(why));
    assert_eq!(
        found,
        [
            (Some(1.0), None),
            none(NoValue::NotKept),
            none(NoValue::Unalike),
            none(NoValue::Unreadable),
            none(NoValue::Uneven),
            none(NoValue::Nothing)
        ]
    );
    assert_eq!((hours[1].low, hours[1].high, hours[1].windows), (Some(60.0), Some(119.0), 60));
    let days = told(&viewer, by(QualityResolution::Day)).await;
    assert_eq!((days[0].value, days[0].windows), (None, 360));
}
