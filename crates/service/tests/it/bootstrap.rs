//! The first start and the demo.

use weir_api::{AuditQuery, Role};
use weir_service::{auth, bootstrap};

use crate::world::{PIPELINE, World, in_main, open};

#[tokio::test]
async fn the_first_start_makes_one_administrator_once() {
    let world = World::new().await;
    assert!(bootstrap::first_start(&world.services).await.unwrap().is_none());
    let admin = world.admin().await;
    let me = auth::me(&admin).await.unwrap();
    assert!(me.instance_admin);
    assert_eq!(me.project.unwrap().as_str(), "main");
    assert_eq!(me.roles, [Role::Admin]);
}

#[tokio::test]
async fn the_log_begins_with_its_own_identity() {
    let world = World::new().await;
    let mut leaves = world.leaves(AuditQuery { limit: Some(500), ..AuditQuery::default() }).await;
    leaves.reverse();
    assert_eq!((leaves[0].index, leaves[0].kind.as_str()), (0, "log_started"));
    assert!(leaves.iter().any(|leaf| leaf.action == "user.create" && leaf.actor == "system:bootstrap"));
    assert!(leaves.iter().any(|leaf| leaf.action == "project.create"));
}

#[tokio::test]
async fn keys_survive_a_restart_and_another_master_key_is_refused() {
    let world = World::new().await;
    let again = open(world.folder.path(), world.clock.clone()).await.unwrap();
    assert_eq!(weir_service::heads::public_key(&again), weir_service::heads::public_key(&world.services));
    assert_eq!(weir_service::tokens::jwks(&again), weir_service::tokens::jwks(&world.services));
    let store = weir_store::Store::open(world.folder.path(), crate::world::start()).await.unwrap();
    let other = weir_vault::MasterKey::from_key(weir_vault::Key::from_bytes(&[8; 32]));
    let config = weir_service::ServicesConfig::new(store, other, world.folder.path(), |_| Vec::new());
    let refused = weir_service::Services::open(config).await.err().unwrap();
    assert!(refused.to_string().contains("master key"), "{refused}");
}

#[tokio::test]
async fn the_demo_can_be_started_again() {
    let world = World::new().await;
    let documents = bootstrap::DemoDocuments { contracts: Vec::new(), pipelines: vec![PIPELINE.to_owned()] };
    let first = bootstrap::demo(&world.services, documents.clone()).await.unwrap();
    assert_eq!(first.len(), Role::ALL.len() - 1);
    let second = bootstrap::demo(&world.services, documents).await.unwrap();
    assert!(world.sign_in("engineer", first[0].password.expose()).await.is_err(), "the old password no longer works");
    for credentials in second {
        let signed_in = world.sign_in(&credentials.name, credentials.password.expose()).await.unwrap();
        assert_eq!(signed_in.me.roles, [credentials.role]);
    }
    let admin = in_main(world.admin().await).await;
    let pipelines = weir_service::pipelines::list(&admin, weir_api::PageQuery::default()).await.unwrap().items;
    assert_eq!(pipelines.len(), 1);
    assert_eq!(pipelines[0].state, weir_api::PipelineState::Starting);
}
