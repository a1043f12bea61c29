//! Users, sessions, tokens, documents, deployments, keys.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use common::{at, new_user, nobody, version, world};
use weir_api::{Cursor, Role, RunState, TokenId};
use weir_authz::{Action, Actor, Principal, Resource, ResourceKind, Scope};
use weir_store::{
    StoreError, actors,
    deployments::{self, Desired},
    documents::{self, DocumentKind, NewVersion},
    keys::{self, NewSealedKey},
    metrics::{self, Moment},
    projects,
    runs::{self, RunFilter},
    sessions::{self, NewSession},
    tokens::{self, NewToken},
    users::{self, UserChange},
};

#[tokio::test]
async fn a_name_belongs_to_one_user() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    let taken = users::create(&tx, &w.boot(Action::UserCreate), new_user("ada"), at(1)).await.unwrap_err();
    assert_eq!(taken.to_string(), "user ada exists already");
    assert_eq!(users::by_name(&tx, "ada").await.unwrap().unwrap().user, w.user);
    assert!(users::by_name(&tx, "Ada").await.unwrap().is_none());
}

#[tokio::test]
async fn failures_lock_and_a_sign_in_that_works_unlocks() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    users::record_failure(&tx, w.user.id, 5, Some(at(60))).await.unwrap();
    let user = users::by_id(&tx, w.user.id).await.unwrap().unwrap();
    assert_eq!((user.failed_sign_ins, user.locked_until), (5, Some(at(60))));
    users::record_sign_in(&tx, w.user.id, at(61)).await.unwrap();
    let user = users::by_id(&tx, w.user.id).await.unwrap().unwrap();
    assert_eq!((user.failed_sign_ins, user.locked_until, user.last_sign_in_at), (0, None, Some(at(61))));
    assert!(users::record_failure(&tx, nobody(), 1, None).await.is_err());
}

#[tokio::test]
async fn a_grant_for_one_thing_does_not_do_another() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    let read = w.may(Action::PipelineRead);
    let error = documents::create(&tx, &read, w.project, DocumentKind::Pipeline, "p", version("x"), at(0)).await.unwrap_err();
    let expected = format!("the grant is for pipeline.read on pipeline in project {}, but pipeline.create is needed", w.project);
    assert_eq!(error.to_string(), expected);
    let disable = UserChange { disabled: Some(true), ..UserChange::default() };
    let update = w.boot(Action::UserCreate);
    assert!(matches!(users::update(&tx, &update, w.user.id, disable, at(0)).await, Err(StoreError::WrongGrant { .. })));
}

#[tokio::test]
async fn actors_come_with_their_roles_until_they_are_disabled() {
    let w = world().await;
    let actor = actors::of_user(&w.store, w.user.id).await.unwrap().unwrap();
    assert_eq!(actor.roles, [(w.project, BTreeSet::from([Role::Admin]))].into());

    let id = TokenId::generate();
    let scopes: BTreeSet<Scope> = ["ingest.write".parse().unwrap()].into();
    let new = NewToken {
        id,
        name: "ci".into(),
        owner: w.user.id,
        project: Some(w.project),
        scopes: scopes.clone(),
        expires_at: at(100),
    };
    let tx = w.store.begin().await.unwrap();
    let own = Resource::in_project(ResourceKind::Token, w.project).owned_by(w.user.id);
    let grant = w.authorizer.authorize(&w.admin, Action::TokenCreate, &own).unwrap();
    tokens::create(&tx, &grant, new, at(0)).await.unwrap();
    tx.commit().await.unwrap();
    let actor = actors::of_token(&w.store, id, at(99)).await.unwrap().unwrap();
    assert_eq!(actor.principal, Principal::Token { token: id, owner: w.user.id, project: Some(w.project), scopes });
    assert_eq!(actors::of_token(&w.store, id, at(100)).await.unwrap(), None, "expired");

    let tx = w.store.begin().await.unwrap();
    let disable = UserChange { disabled: Some(true), ..UserChange::default() };
    let house = Actor { instance_admin: true, ..Actor::user(w.user.id, "ada") };
    let grant = w.authorizer.authorize(&house, Action::UserDisable, &Resource::of_instance(ResourceKind::User)).unwrap();
    users::update(&tx, &grant, w.user.id, disable, at(1)).await.unwrap();
    assert_eq!(actors::of_user(&tx, w.user.id).await.unwrap(), None);
    assert_eq!(actors::of_token(&tx, id, at(2)).await.unwrap(), None, "a token dies with its owner");
    let enable = UserChange { disabled: Some(false), ..UserChange::default() };
    users::update(&tx, &grant, w.user.id, enable, at(3)).await.unwrap();
    assert!(actors::of_token(&tx, id, at(4)).await.unwrap().is_some());
    let revoke = w.may(Action::TokenRevoke);
    assert_eq!(tokens::revoke(&tx, &revoke, id, at(5)).await.unwrap().revoked_at, Some(at(5)));
    assert_eq!(tokens::revoke(&tx, &revoke, id, at(9)).await.unwrap().revoked_at, Some(at(5)), "once");
    assert_eq!(actors::of_token(&tx, id, at(6)).await.unwrap(), None);
}

#[tokio::test]
async fn sessions_end_by_time_by_sign_out_and_with_a_new_password() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    let new = |n: u8| NewSession { user: w.user.id, token_hash: [n; 32], csrf_secret: vec![n], expires_at: at(100) };
    let first = sessions::create(&tx, new(1), at(0)).await.unwrap();
    let second = sessions::create(&tx, new(2), at(0)).await.unwrap();
    sessions::create(&tx, new(3), at(0)).await.unwrap();
    let found = async |n: u8, now| sessions::by_token_hash(&tx, &[n; 32], at(now)).await.unwrap().is_some();
    assert!(found(1, 99).await && !found(1, 100).await && !found(9, 0).await);
    sessions::end(&tx, first.id).await.unwrap();
    assert!(!found(1, 1).await);
    assert_eq!(sessions::end_all(&tx, w.user.id, Some(second.id)).await.unwrap(), 1);
    assert!(found(2, 1).await && !found(3, 1).await);
    sessions::touch(&tx, second.id, at(50)).await.unwrap();
    assert_eq!(sessions::prune(&tx, at(60), at(40)).await.unwrap(), 0);
    assert_eq!(sessions::prune(&tx, at(60), at(51)).await.unwrap(), 1);
}

#[tokio::test]
async fn of_two_who_change_one_document_the_second_is_told() {
    let w = world().await;
    let pipeline = w.pipeline("card-fraud").await;
    let grant = w.may(Action::PipelineUpdate);
    let tx = w.store.begin().await.unwrap();
    let two = documents::add_version(&tx, &grant, pipeline.id, 1, version("two"), at(1)).await.unwrap();
    assert_eq!((two.version, two.author), (2, Some(w.user.id)));
    let late = documents::add_version(&tx, &grant, pipeline.id, 1, version("three"), at(2)).await.unwrap_err();
    assert!(matches!(late, StoreError::VersionConflict { expected: 1, found: 2, .. }), "{late}");
    let versions: Vec<_> = documents::versions(&tx, pipeline.id).await.unwrap().into_iter().map(|v| v.version).collect();
    assert_eq!(versions, [2, 1]);
    assert_eq!(documents::version(&tx, pipeline.id, 1).await.unwrap().unwrap().text, "one", "an old version stays as it was");
    let listed = documents::list(&tx, w.project, DocumentKind::Pipeline).await.unwrap();
    assert_eq!((listed.len(), listed[0].1.version, listed[0].0.updated_at), (1, 2, at(1)));
}

#[tokio::test]
async fn a_label_is_given_once() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    let grant = w.may(Action::ContractWrite);
    let labelled = |text: &str| NewVersion { label: Some("1.0.0".into()), ..version(text) };
    let (contract, _) =
        documents::create(&tx, &grant, w.project, DocumentKind::Contract, "payments", labelled("a"), at(0)).await.unwrap();
    let again = documents::add_version(&tx, &grant, contract.id, 1, labelled("b"), at(1)).await.unwrap_err();
    assert_eq!(again.to_string(), "version 1.0.0 exists already");
    assert_eq!(documents::labelled(&tx, contract.id, "1.0.0").await.unwrap().unwrap().text, "a");
}

#[tokio::test]
async fn a_deployed_pipeline_is_not_deleted_and_a_deleted_name_is_free() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let tx = w.store.begin().await.unwrap();
    let delete = w.may(Action::PipelineDelete);
    let deployed = documents::delete(&tx, &delete, run.document, 1, at(1)).await.unwrap_err();
    assert_eq!(deployed.to_string(), "pipeline card-fraud is deployed; stop it first");
    let stop = w.may(Action::PipelineStop);
    let stopped = deployments::stop(&tx, &stop, run.deployment, at(2)).await.unwrap();
    assert_eq!((stopped.desired, stopped.generation), (Desired::Stopped, 2));
    assert_eq!(runs::request_stop(&tx, &stop, run.id, at(2)).await.unwrap().state, RunState::Stopped, "no worker had taken it");
    documents::delete(&tx, &delete, run.document, 1, at(3)).await.unwrap();
    assert!(documents::by_name(&tx, w.project, DocumentKind::Pipeline, "card-fraud").await.unwrap().is_none());
    tx.commit().await.unwrap();
    assert_ne!(w.pipeline("card-fraud").await.id, run.document);
}

#[tokio::test]
async fn settling_does_not_undo_what_somebody_decided_meanwhile() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let tx = w.store.begin().await.unwrap();
    let pipeline = documents::by_id(&tx, run.document).await.unwrap().unwrap();
    let again = deployments::deploy(&tx, &w.may(Action::PipelineDeploy), &pipeline, 1, at(1)).await.unwrap();
    assert_eq!((again.id, again.generation), (run.deployment, 2));
    deployments::settle(&tx, run.deployment, 1, at(2)).await.unwrap();
    assert_eq!(deployments::shall_run(&tx).await.unwrap().len(), 1);
    deployments::settle(&tx, run.deployment, 2, at(2)).await.unwrap();
    assert!(deployments::shall_run(&tx).await.unwrap().is_empty());
}

#[tokio::test]
async fn runs_are_listed_by_pages_newest_first() {
    let w = world().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        made.push(w.run(name).await.id);
    }
    made.reverse();
    let mut filter = RunFilter { limit: 2, ..RunFilter::default() };
    let mut listed = Vec::new();
    loop {
        let page = runs::list(&w.store, w.project, filter.clone()).await.unwrap();
        listed.extend(page.items.iter().map(|run| run.id));
        let Some(next) = page.next else { break };
        filter.after = Some(next);
    }
    assert_eq!(listed, made);
    let one = RunFilter { pipeline: Some("c".into()), limit: 10, ..RunFilter::default() };
    assert_eq!(runs::list(&w.store, w.project, one).await.unwrap().items.len(), 1);
    let strange = RunFilter { after: Some(Cursor("'; DROP TABLE runs".into())), limit: 1, ..RunFilter::default() };
    assert!(matches!(runs::list(&w.store, w.project, strange).await, Err(StoreError::Cursor)));
}

#[tokio::test]
async fn members_have_the_roles_they_were_last_given() {
    let w = world().await;
    let grant = w.may(Action::MemberWrite);
    let tx = w.store.begin().await.unwrap();
    let roles = BTreeSet::from([Role::Engineer, Role::Steward]);
    projects::set_roles(&tx, &grant, w.project, w.user.id, &roles, at(1)).await.unwrap();
    assert_eq!(projects::members(&tx, w.project).await.unwrap(), [(w.user.id, roles)].into());
    projects::set_roles(&tx, &grant, w.project, w.user.id, &BTreeSet::new(), at(2)).await.unwrap();
    assert!(projects::members(&tx, w.project).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_newest_key_that_is_not_retired_is_in_use() {
    let w = world().await;
    let tx = w.store.begin().await.unwrap();
    for (n, id) in ["k1", "k2"].into_iter().enumerate() {
        let new = NewSealedKey {
            key_id: id.into(),
            kind: "project".into(),
            project: Some(w.project),
            sealed: vec![1],
            public_key: None,
        };
        keys::put(&tx, new, at(n as i64)).await.unwrap();
    }
    let current = async || keys::current(&tx, "project", Some(w.project)).await.unwrap().map(|key| key.key_id);
    assert_eq!(current().await.as_deref(), Some("k2"));
    keys::retire(&tx, &w.may(Action::KeyRotate), "k2", at(5)).await.unwrap();
    assert_eq!(current().await.as_deref(), Some("k1"));
    assert!(keys::current(&tx, "project", None).await.unwrap().is_none());
    assert_eq!(keys::by_id(&tx, "k2").await.unwrap().unwrap().retired_at, Some(at(5)));
}

#[tokio::test]
async fn old_rates_are_forgotten() {
    let w = world().await;
    let run = w.run("card-fraud").await;
    let tx = w.store.begin().await.unwrap();
    for seconds in 0..10 {
        let node = metrics::NodeMetrics {
            node: "payments".into(),
            rows_in: seconds as u64,
            rows_out: 0,
            rejects: 0,
            rows_in_per_second: 1.0,
            rows_out_per_second: 0.0,
            rejects_per_second: 0.0,
            lag: Some(3),
        };
        metrics::record(&tx, run.id, &Moment { at: at(seconds), nodes: vec![node] }).await.unwrap();
    }
    assert_eq!(metrics::prune(&tx, at(10) - TimeDelta::seconds(4)).await.unwrap(), 6);
    let left: Vec<_> =
        metrics::since(&tx, run.id, at(7)).await.unwrap().into_iter().map(|moment| moment.nodes[0].rows_in).collect();
    assert_eq!(left, [7, 8, 9]);
}
