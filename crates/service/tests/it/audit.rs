//! The audit log: proofs that anyone can check, verification that notices what was done to it.

use std::io::BufReader;

use weir_api::{AuditQuery, CreatePipeline, CreateProject, DeployPipeline, Role};
use weir_evidence::{
    Hash, Outcome,
    merkle::{InclusionProof, verify_consistency, verify_inclusion},
    verify_bundle,
};
use weir_service::{audit, heads, pipelines, projects};

use crate::world::{PIPELINE, World, slug, status};

#[tokio::test]
async fn every_entry_is_proved_under_a_signed_head() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    let entries = audit::search(&cx, AuditQuery::default()).await.unwrap().items;
    assert!(!entries.is_empty());
    for entry in entries {
        let proof = audit::proof(&cx, entry.index).await.unwrap();
        assert_eq!(proof.leaf_hash, entry.leaf_hash);
        let hashes = proof.path.iter().map(|hash| hash.parse().unwrap()).collect();
        let given = InclusionProof { index: proof.index, size: proof.head.size, hashes };
        let (leaf, root): (Hash, Hash) = (proof.leaf_hash.parse().unwrap(), proof.head.root.parse().unwrap());
        verify_inclusion(&given, &leaf, &root).unwrap();
    }
}

#[tokio::test]
async fn a_later_log_continues_an_earlier_one() {
    let world = World::new().await;
    let first = heads::sign(&world.services).await.unwrap();
    let cx = world.person(Role::Compliance).await;
    let second = heads::sign(&world.services).await.unwrap();
    assert!(second.size > first.size);
    let proof = audit::consistency(&cx, first.size, second.size).await.unwrap();
    assert_eq!((&proof.first_root, &proof.second_root), (&first.root, &second.root));
    let path: Vec<Hash> = proof.path.iter().map(|hash| hash.parse().unwrap()).collect();
    verify_consistency(first.size, second.size, &first.root.parse().unwrap(), &second.root.parse().unwrap(), &path).unwrap();
    for (first, second) in [(0, 1), (2, 1), (1, 1_000_000)] {
        assert_eq!(status(&audit::consistency(&cx, first, second).await), 422);
    }
}

#[tokio::test]
async fn heads_are_signed_when_there_is_something_new_and_kept_beside_the_database() {
    let world = World::new().await;
    let head = heads::sign(&world.services).await.unwrap();
    assert_eq!(heads::sign(&world.services).await.unwrap(), head, "nothing new");
    world.admin().await;
    let next = heads::sign(&world.services).await.unwrap();
    let file = std::fs::read_to_string(world.folder.path().join(heads::FILE)).unwrap();
    assert_eq!(file.lines().count(), 3, "the first came with the first leaves");
    assert!(file.contains(&head.root) && file.contains(&next.root));
}

#[tokio::test]
async fn verification_finds_a_changed_leaf() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    let fine = audit::verify(&cx).await.unwrap();
    assert!(fine.valid, "{:?}", fine.failure);
    assert!(fine.heads >= 1);
    // Somebody with the file and no scruples removes the triggers first.
    let pool = world.services.store().separate_pool(1);
    for statement in [
        "DROP TRIGGER evidence_leaves_no_update",
        "UPDATE evidence_leaves SET body = replace(body, 'admin', 'nobody') WHERE seq = 4",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let broken = audit::verify(&cx).await.unwrap();
    assert!(!broken.valid);
    assert_eq!(broken.failure.unwrap().index, Some(4));
    let verified = world.leaves(AuditQuery { action: Some("audit.verify".into()), ..AuditQuery::default() }).await;
    assert_eq!(verified.len(), 2, "both are on record");
}

#[tokio::test]
async fn an_exported_bundle_verifies_without_weir() {
    let world = World::new().await;
    let cx = world.person(Role::Compliance).await;
    let bundle = audit::export(&cx).await.unwrap();
    let key = heads::public_key(&world.services);
    let outcome = verify_bundle(BufReader::new(bundle), [], Some(&[key])).unwrap();
    assert!(matches!(outcome, Outcome::Verified(_)), "{outcome}");
    let admin = world.admin().await;
    projects::create(&admin, CreateProject { slug: slug("other"), title: None }).await.unwrap();
    assert_eq!(status(&audit::export(&cx).await), 403, "the log speaks of another project now");
    assert!(audit::export(&admin).await.is_ok());
}

#[tokio::test]
async fn a_projects_log_does_not_show_another_projects_entries() {
    let world = World::new().await;
    let admin = world.admin().await;
    let other = projects::create(&admin, CreateProject { slug: slug("other"), title: None }).await.unwrap();
    let there = admin.in_project(&slug("other")).await;
    assert_eq!(status(&there), 200, "roles are read anew for each request; an instance administrator may look");
    let entries = audit::search(&admin, AuditQuery { limit: Some(500), ..AuditQuery::default() }).await.unwrap().items;
    assert!(entries.iter().all(|entry| entry.leaf["project"] != other.id.to_string()));
    let all = world.leaves(AuditQuery { limit: Some(500), ..AuditQuery::default() }).await;
    let foreign = all.iter().find(|entry| entry.leaf["project"] == serde_json::Value::Null).unwrap();
    assert_eq!(status(&audit::entry(&admin, foreign.index).await), 404);
}

#[tokio::test]
async fn the_entries_beside_one_are_of_the_same_project() {
    let world = World::new().await;
    let admin = world.admin().await;
    let document = PIPELINE.to_owned();
    pipelines::create(&admin, CreatePipeline { document, note: None }).await.unwrap();
    // What is no project's, or another's, stands in between.
    world.person(Role::Viewer).await;
    pipelines::deploy(&admin, &slug("card-fraud"), DeployPipeline::default()).await.unwrap();
    projects::create(&admin, CreateProject { slug: slug("other"), title: None }).await.unwrap();
    pipelines::stop(&admin, &slug("card-fraud")).await.unwrap();
    let query = AuditQuery { limit: Some(500), ..AuditQuery::default() };
    let mut listed: Vec<u64> = audit::search(&admin, query).await.unwrap().items.iter().map(|entry| entry.index).collect();
    listed.reverse();
    assert!(listed.len() > 2 && listed.windows(2).any(|pair| pair[1] > pair[0] + 1), "there are gaps: {listed:?}");
    for (place, index) in listed.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| listed[place]);
        assert_eq!(audit::neighbours(&admin, *index).await.unwrap(), (before, listed.get(place + 1).copied()), "{index}");
    }
}

#[tokio::test]
async fn entries_are_found_by_who_what_and_outcome() {
    let world = World::new().await;
    world.person(Role::Viewer).await;
    let find = async |query: AuditQuery| world.leaves(query).await.len();
    assert_eq!(find(AuditQuery { actor: Some("viewer".into()), ..AuditQuery::default() }).await, 1, "their sign-in");
    assert_eq!(find(AuditQuery { action: Some("user.create".into()), ..AuditQuery::default() }).await, 2);
    assert_eq!(
        find(AuditQuery { text: Some("192.0.2.7".into()), action: Some("user.create".into()), ..AuditQuery::default() }).await,
        1
    );
    assert_eq!(find(AuditQuery { until: Some(crate::world::start()), ..AuditQuery::default() }).await, 0);
    assert_eq!(find(AuditQuery { limit: Some(2), ..AuditQuery::default() }).await, 2);
}
