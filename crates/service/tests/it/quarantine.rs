//! Quarantined rows: reasons for many, content for few, and every reading on record.

use std::collections::BTreeMap;

use weir_api::{AuditQuery, QuarantineContent, QuarantineQuery, Role, SegmentId};
use weir_service::{overview, pipelines, quarantine, runs};
use weir_store::quarantine::NewSegment;
use weir_vault::quarantine::{Content, Entry, Reason, aad, encode};

use crate::{
    run,
    world::{World, slug, status},
};

const SENTINEL: &str = "4111111111111111";

/// A run that quarantined two rows at its only checkpoint.
async fn hold(world: &World, classification: &str) -> SegmentId {
    let admin = world.admin().await;
    let project = admin.project().unwrap().id;
    let keys = world.services.project_keys(project).await.unwrap();
    let reason = |rule: &str| Reason { rule: rule.into(), column: Some("card".into()), message: "is not a card number".into() };
    let entry = |offset, rule: &str| Entry {
        source: "payments".into(),
        partition: "0".into(),
        offset,
        byte: None,
        reasons: vec![reason(rule)],
    };
    let row = serde_json::value::RawValue::from_string(format!(r#"{{"card":"{SENTINEL}"}}"#)).unwrap();
    let contents = [Content::Row(row), Content::Raw { base64: "eyJj".into(), length: 3 }];
    let sealed =
        keys.quarantine_sealer().seal(&aad(keys.project(), "card-fraud", "payments", 1), &encode(&contents).unwrap()).unwrap();
    let segment = NewSegment {
        id: SegmentId::generate(),
        node: "payments".into(),
        stage: "decode".into(),
        contract: Some("payments@1.0.0".into()),
        classification: classification.into(),
        rows: 2,
        counts: BTreeMap::from([("format(card)".to_owned(), 1), ("syntax".to_owned(), 1)]),
        entries: serde_json::to_string(&[entry(7, "format(card)"), entry(9, "syntax")]).unwrap(),
        subjects: vec![],
        sealed: sealed.into_bytes(),
    };
    let id = segment.id;
    run::deployed(world).await.commit(|commit| commit.quarantine = vec![segment]).await;
    id
}

#[tokio::test]
async fn reasons_are_listed_without_opening_anything() {
    let world = World::new().await;
    let segment = hold(&world, "restricted").await;
    let viewer = world.person(Role::Viewer).await;
    let all = quarantine::list(&viewer, QuarantineQuery::default()).await.unwrap();
    assert_eq!(all.items.iter().map(|entry| (entry.row, entry.offset)).collect::<Vec<_>>(), [(0, 7), (1, 9)]);
    assert_eq!(all.items[0].reasons[0].rule, "format(card)");
    assert_eq!(all.items[0].contract.as_deref(), Some("payments@1.0.0"));
    let by_rule = QuarantineQuery { rule: Some("syntax".into()), ..QuarantineQuery::default() };
    assert_eq!(quarantine::list(&viewer, by_rule).await.unwrap().items.len(), 1);

    let first = quarantine::list(&viewer, QuarantineQuery { limit: Some(1), ..QuarantineQuery::default() }).await.unwrap();
    let after = first.next.map(|cursor| cursor.0);
    let second =
        quarantine::list(&viewer, QuarantineQuery { limit: Some(1), after, ..QuarantineQuery::default() }).await.unwrap();
    assert_eq!((first.items[0].row, second.items[0].row, second.next), (0, 1, None));

    assert_eq!(quarantine::entry(&viewer, segment, 1).await.unwrap().offset, 9);
    assert_eq!(status(&quarantine::entry(&viewer, segment, 2).await), 404);
    assert!(world.leaves(AuditQuery { action: Some("quarantine.read".into()), ..AuditQuery::default() }).await.is_empty());
    assert_eq!(overview::show(&viewer).await.unwrap().quarantined_rows, 2);
}

#[tokio::test]
async fn a_row_is_opened_by_permission_and_on_record() {
    let world = World::new().await;
    let segment = hold(&world, "restricted").await;
    assert!(!world.is_on_disk(SENTINEL.as_bytes()), "it is sealed at rest");
    let viewer = world.person(Role::Viewer).await;
    assert_eq!(status(&quarantine::read(&viewer, segment, 0).await), 403);
    let engineer = world.person(Role::Engineer).await;
    assert_eq!(status(&quarantine::read(&engineer, segment, 0).await), 403, "restricted is above an engineer");
    let steward = world.person(Role::Steward).await;
    let row = quarantine::read(&steward, segment, 0).await.unwrap();
    assert_eq!(row.content, QuarantineContent::Row { columns: serde_json::json!({ "card": SENTINEL }) });
    let text = quarantine::read(&steward, segment, 1).await.unwrap().content;
    assert_eq!(text, QuarantineContent::Text { text: "{\"c".into(), length: 3 });
    assert_eq!(status(&quarantine::read(&steward, segment, 2).await), 404);
    assert_eq!(status(&quarantine::read(&steward, SegmentId::generate(), 0).await), 404);

    let readings = world.leaves(AuditQuery { kind: Some("quarantine_read".into()), ..AuditQuery::default() }).await;
    assert_eq!(readings.len(), 2);
    assert_eq!(readings[1].leaf["body"]["rows"][0], format!("{segment}/0"));
    assert_eq!(readings[1].actor_name.as_deref(), Some("steward"));
    assert!(readings.iter().all(|leaf| !leaf.leaf.to_string().contains(SENTINEL)));
}

#[tokio::test]
async fn an_engineer_opens_what_is_confidential() {
    let world = World::new().await;
    let segment = hold(&world, "confidential").await;
    let engineer = world.person(Role::Engineer).await;
    assert!(quarantine::read(&engineer, segment, 0).await.is_ok());
    assert_eq!(status(&quarantine::export(&engineer, QuarantineQuery::default()).await), 403);
}

#[tokio::test]
async fn an_export_is_on_record_row_by_row() {
    let world = World::new().await;
    let segment = hold(&world, "restricted").await;
    let compliance = world.person(Role::Compliance).await;
    let rows = quarantine::export(&compliance, QuarantineQuery::default()).await.unwrap().items;
    assert_eq!(rows.len(), 2);
    let readings = world.leaves(AuditQuery { kind: Some("quarantine_read".into()), ..AuditQuery::default() }).await;
    assert_eq!(readings[0].leaf["body"]["rows"], serde_json::json!([format!("{segment}/0"), format!("{segment}/1")]));
}

#[tokio::test]
async fn runs_are_shown_with_their_checkpoints() {
    let world = World::new().await;
    hold(&world, "internal").await;
    let viewer = world.person(Role::Viewer).await;
    let listed = runs::list(&viewer, weir_api::RunQuery::default()).await.unwrap().items;
    assert_eq!((listed[0].rows.rows_in, listed[0].rows.rows_quarantined, listed[0].checkpoints), (10, 2, 1));
    let detail = runs::get(&viewer, listed[0].id).await.unwrap();
    assert_eq!(detail.checkpoints[0].positions[0].row, 10);
    assert_eq!((detail.restarts, detail.worker.as_deref()), (0, Some("worker-1")));
    assert_eq!(status(&runs::get(&viewer, weir_api::RunId::generate()).await), 404);
    let shown = pipelines::get(&viewer, &slug("card-fraud")).await.unwrap();
    assert_eq!(shown.summary.state, weir_api::PipelineState::Running);
    assert_eq!(status(&pipelines::delete(&world.admin().await, &slug("card-fraud"), 1).await), 409);
    let stopping = pipelines::stop(&world.admin().await, &slug("card-fraud")).await.unwrap();
    assert_eq!(stopping.state, weir_api::PipelineState::Stopping, "until its last checkpoint is taken");
}

#[tokio::test]
async fn a_run_that_goes_on_tells_what_it_did_itself() {
    let world = World::new().await;
    let mut carried = run::deployed(&world).await;
    carried.commit(|_| {}).await;
    let mut carried = carried.again().await;
    let viewer = world.person(Role::Viewer).await;
    let rows =
        |run: &weir_api::RunDetail| (run.summary.rows.rows_in, run.summary.rows.rows_quarantined, run.pipeline_rows.rows_in);
    let fresh = runs::get(&viewer, carried.run.id).await.unwrap();
    assert_eq!(rows(&fresh), (0, 0, 10), "it has read nothing yet");
    let mut counters = run::counters();
    for node in &mut counters {
        node.rows_in += 5;
        node.rows_out += 5;
    }
    carried.commit(|commit| commit.counters = serde_json::to_value(&counters).unwrap()).await;
    let later = runs::get(&viewer, carried.run.id).await.unwrap();
    assert_eq!(rows(&later), (5, 0, 15));
    assert_eq!((later.nodes[1].rows_in, later.nodes[1].held), (5, 0));
    assert_eq!((later.pipeline_nodes[1].rows_in, later.pipeline_nodes[1].held), (15, 2));
}

#[tokio::test]
async fn held_rows_are_counted_by_pipeline_and_node() {
    let world = World::new().await;
    hold(&world, "internal").await;
    let viewer = world.person(Role::Viewer).await;
    let held = quarantine::held(&viewer).await.unwrap();
    assert_eq!(
        held.iter().map(|held| (held.pipeline.as_str(), held.node.as_str(), held.rows)).collect::<Vec<_>>(),
        [("card-fraud", "payments", 2)]
    );
    assert_eq!(overview::show(&viewer).await.unwrap().quarantined_rows, 2);
}
