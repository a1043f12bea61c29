//! The first start and the demo.

use weir_api::{AuditQuery, Role};
use weir_service::{auth, bootstrap};

use crate::world::{PIPELINE, World, in_main, open, slug};

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
    let config = weir_service::ServicesConfig::new(store, other, world.folder.path(), |_| Vec::new(), crate::world::window_sum);
    let refused = weir_service::Services::open(config).await.err().unwrap();
    assert!(refused.to_string().contains("master key"), "{refused}");
}

fn demo() -> bootstrap::DemoDocuments {
    bootstrap::DemoDocuments { contracts: Vec::new(), pipelines: vec![PIPELINE.to_owned()] }
}

#[tokio::test]
async fn a_demo_that_starts_again_shows_the_same_sign_ins_and_they_are_true() {
    let world = World::new().await;
    let first = bootstrap::demo(&world.services, demo()).await.unwrap();
    assert_eq!(first.len(), Role::ALL.len() - 1);
    let before = world.sign_in("engineer", first[0].password.as_ref().unwrap().expose()).await.unwrap();
    let again = open(world.folder.path(), world.clock.clone()).await.unwrap();
    for (known, shown) in first.iter().zip(bootstrap::demo(&again, demo()).await.unwrap()) {
        assert_eq!((&known.name, known.role, &known.password), (&shown.name, shown.role, &shown.password));
        let signed_in = world.sign_in(&shown.name, shown.password.unwrap().expose()).await.unwrap();
        assert_eq!(signed_in.me.roles, [shown.role]);
    }
    assert!(world.resume(&before.token).await.is_ok(), "sessions go on");
    let admin = in_main(world.admin().await).await;
    let pipelines = weir_service::pipelines::list(&admin, weir_api::PageQuery::default()).await.unwrap().items;
    assert_eq!(pipelines.len(), 1);
    assert_eq!(pipelines[0].state, weir_api::PipelineState::Starting);
}

#[tokio::test]
async fn what_people_changed_in_a_demo_stays_when_it_starts_again() {
    let world = World::new().await;
    let people = bootstrap::demo(&world.services, demo()).await.unwrap();
    let shown = |name: &str| people.iter().find(|user| user.name == name).unwrap().password.clone().unwrap();
    let admin = in_main(world.admin().await).await;
    let listed = weir_service::members::list(&admin, weir_api::PageQuery::default()).await.unwrap().items;
    let id = |name: &str| listed.iter().find(|member| member.user.name == name).unwrap().user.id;

    let own = weir_api::SetPassword { password: Some(weir_api::Secret::new("a password of my own")), ..Default::default() };
    weir_service::users::set_password(&admin, id("steward"), own).await.unwrap();
    let off = weir_api::UpdateUser { display_name: None, disabled: Some(true) };
    weir_service::users::update(&admin, id("approver"), off).await.unwrap();
    let roles = weir_api::SetMember { roles: vec![Role::Viewer, Role::Compliance] };
    weir_service::members::set(&admin, id("viewer"), roles).await.unwrap();
    weir_service::pipelines::stop(&admin, &slug("card-fraud")).await.unwrap();

    let again = bootstrap::demo(&world.services, demo()).await.unwrap();
    let unknown: Vec<&str> = again.iter().filter(|user| user.password.is_none()).map(|user| user.name.as_str()).collect();
    assert_eq!(unknown, ["steward", "approver"]);
    assert!(world.sign_in("steward", "a password of my own").await.is_ok());
    assert!(world.sign_in("steward", shown("steward").expose()).await.is_err());
    assert!(world.sign_in("approver", shown("approver").expose()).await.is_err());
    assert_eq!(world.sign_in("viewer", shown("viewer").expose()).await.unwrap().me.roles.len(), 2);
    let pipelines = weir_service::pipelines::list(&admin, weir_api::PageQuery::default()).await.unwrap().items;
    assert_ne!(pipelines[0].state, weir_api::PipelineState::Starting, "it was stopped and stays so");
}
