//! Alerts: seen by every member, acknowledged by who looks after pipelines and data, each on record.

use weir_api::{AcknowledgeAlert, Alert, AlertId, AlertQuery, AlertSeverity, AlertState, AlertStates, AuditQuery, Outcome, Role};
use weir_evidence::Hash;
use weir_service::{Cx, alerts, audit, overview, pipelines};
use weir_store::alerts::{AlertChange, AlertEvent};

use crate::{
    run,
    world::{World, slug, start, status},
};

fn raised(cause: &str) -> AlertEvent {
    AlertEvent {
        step: "volume".into(),
        cause: cause.into(),
        severity: AlertSeverity::Critical,
        message: "fewer payments than usual".into(),
        detail: Some("row_count is 3, below 100".into()),
        at: start().timestamp_micros(),
        change: AlertChange::Raised,
    }
}

async fn noticed(world: &World) -> Alert {
    run::deployed(world).await.commit(|commit| commit.alerts = vec![raised("aa")]).await;
    list(&world.admin().await).await.remove(0)
}

async fn list(cx: &Cx) -> Vec<Alert> {
    alerts::list(cx, AlertQuery::default()).await.unwrap().items
}

fn note(text: &str) -> AcknowledgeAlert {
    AcknowledgeAlert { note: Some(text.to_owned()) }
}

#[tokio::test]
async fn every_member_sees_alerts_and_only_some_acknowledge_them() {
    let world = World::new().await;
    let alert = noticed(&world).await;
    for role in [Role::Viewer, Role::Approver, Role::Compliance] {
        let person = world.person(role).await;
        assert_eq!(list(&person).await.len(), 1, "{role}");
        assert_eq!(alerts::get(&person, alert.id).await.unwrap(), alert, "{role}");
        assert_eq!(status(&alerts::acknowledge(&person, alert.id, note("seen")).await), 403, "{role}");
    }
    let refused = world.denials().await;
    assert_eq!(refused.iter().filter(|entry| entry.action == "alert.acknowledge").count(), 3);

    let engineer = world.person(Role::Engineer).await;
    let done = alerts::acknowledge(&engineer, alert.id, note(" a partner's feed is down ")).await.unwrap();
    let acknowledged = done.acknowledged.unwrap();
    assert_eq!(acknowledged.by.map(|user| user.name).as_deref(), Some("engineer"));
    assert_eq!(acknowledged.note.as_deref(), Some("a partner's feed is down"));
    assert_eq!(done.state, AlertState::Open, "its cause lasts");

    let steward = world.person(Role::Steward).await;
    let twice = alerts::acknowledge(&steward, alert.id, note("me too")).await;
    assert_eq!(status(&twice), 409);
    assert!(twice.unwrap_err().to_string().contains("engineer"));
}

#[tokio::test]
async fn an_acknowledgement_is_on_record_with_the_hash_of_its_note() {
    let world = World::new().await;
    let alert = noticed(&world).await;
    let text = "Ada Lovelace called about it";
    alerts::acknowledge(&world.admin().await, alert.id, note(text)).await.unwrap();
    let leaves = world.leaves(AuditQuery { action: Some("alert.acknowledge".into()), ..AuditQuery::default() }).await;
    assert_eq!((leaves.len(), leaves[0].outcome), (1, Outcome::Allowed));
    assert_eq!(leaves[0].resource, format!("alert:{}", alert.id));
    let leaf = leaves[0].leaf.to_string();
    assert!(leaf.contains(&Hash::of(text.as_bytes()).to_string()) && !leaf.contains("Ada"), "{leaf}");

    let told = world.leaves(AuditQuery { kind: Some("alert".into()), ..AuditQuery::default() }).await;
    assert_eq!((told.len(), told[0].index, told[0].action.as_str()), (1, alert.raised_leaf, "alert.raise"));
    assert_eq!(told[0].actor_name.as_deref(), Some("card-fraud (run)"));
}

#[tokio::test]
async fn what_cannot_be_acknowledged_is_refused_with_what_to_do() {
    let world = World::new().await;
    let alert = noticed(&world).await;
    let admin = world.admin().await;
    assert_eq!(status(&alerts::acknowledge(&admin, AlertId::generate(), note("x")).await), 404);
    assert_eq!(status(&alerts::get(&admin, AlertId::generate()).await), 404);
    let long = alerts::acknowledge(&admin, alert.id, note(&"x".repeat(501))).await;
    assert_eq!(status(&long), 422);
    assert!(
        alerts::acknowledge(&admin, alert.id, AcknowledgeAlert { note: Some("  ".into()) })
            .await
            .unwrap()
            .acknowledged
            .unwrap()
            .note
            .is_none()
    );
    let wrong = AlertQuery { after: Some("nowhere".into()), ..AlertQuery::default() };
    assert_eq!(status(&alerts::list(&admin, wrong).await), 422);
}

#[tokio::test]
async fn alerts_of_another_project_are_not_there() {
    let world = World::new().await;
    let alert = noticed(&world).await;
    let admin = world.admin().await;
    let other = weir_api::CreateProject { slug: slug("other"), title: None };
    weir_service::projects::create(&admin, other).await.unwrap();
    let elsewhere = world.admin().await.in_project(&slug("other")).await.unwrap();
    assert!(list(&elsewhere).await.is_empty());
    assert_eq!(status(&alerts::get(&elsewhere, alert.id).await), 404);
}

#[tokio::test]
async fn the_overview_counts_what_is_open() {
    let world = World::new().await;
    let mut run = run::deployed(&world).await;
    let mild = AlertEvent { severity: AlertSeverity::Warn, ..raised("bb") };
    run.commit(|commit| commit.alerts = vec![raised("aa"), mild]).await;
    let viewer = world.person(Role::Viewer).await;
    let open = overview::show(&viewer).await.unwrap().open_alerts.unwrap();
    assert_eq!((open.total, open.unacknowledged, open.worst), (2, 2, Some(AlertSeverity::Critical)));
    let first = list(&viewer).await.remove(1);
    alerts::acknowledge(&world.admin().await, first.id, AcknowledgeAlert::default()).await.unwrap();

    let change = AlertChange::Resolved { raised_at: start().timestamp_micros(), seen_at: start().timestamp_micros(), count: 7 };
    run.commit(|commit| commit.alerts = vec![AlertEvent { change, at: start().timestamp_micros() + 5, ..raised("aa") }]).await;
    let open = overview::show(&viewer).await.unwrap().open_alerts.unwrap();
    assert_eq!((open.total, open.worst), (1, Some(AlertSeverity::Warn)));
    let ended = alerts::list(&viewer, AlertQuery { state: Some(AlertStates::Ended), ..AlertQuery::default() }).await.unwrap();
    assert_eq!((ended.items.len(), ended.items[0].seen, ended.items[0].state), (1, 7, AlertState::Resolved));
    assert_eq!(audit::verify(&world.admin().await).await.unwrap().failure, None, "each leaf is filed under what it states");
}

#[tokio::test]
async fn a_deleted_pipeline_leaves_no_alert_open() {
    let world = World::new().await;
    let mut run = run::deployed(&world).await;
    run.commit(|commit| commit.alerts = vec![raised("aa")]).await;
    let admin = world.admin().await;
    let name = slug("card-fraud");
    pipelines::stop(&admin, &name).await.unwrap();
    run.end().await;
    pipelines::delete(&admin, &name, 1).await.unwrap();
    let left = list(&admin).await;
    assert_eq!((left.len(), left[0].state), (1, AlertState::Forgotten));
    let leaves = world.leaves(AuditQuery { action: Some("alert.forget".into()), ..AuditQuery::default() }).await;
    assert_eq!((leaves.len(), leaves[0].actor_name.as_deref()), (1, Some("admin")));
    assert_eq!(audit::verify(&admin).await.unwrap().failure, None);
}
