//! The choke point: what each role is refused, that every refusal is on record, and that a stranger learns nothing.

use weir_api::{
    AddMember, AuditQuery, CreatePipeline, CreateProject, CreateUser, DeployPipeline, PageQuery, QuarantineQuery,
    RegisterContract, Role, SetConsent, SetMember, UpdateProject,
};
use weir_service::{
    Cx, audit, auth, consent, contracts, members, overview, pipelines, projects, quarantine, runs, tokens, users,
};

use crate::world::{PASSWORD, PIPELINE, World, slug, status};

/// The status of every kind of request, in a fixed order.
async fn statuses(cx: &Cx) -> Vec<(&'static str, u16)> {
    let page = PageQuery::default;
    let consent = SetConsent {
        subject: "c-1".into(),
        purpose: "marketing".into(),
        state: weir_api::ConsentState::Granted,
        at: None,
        expires_at: None,
    };
    let user =
        CreateUser { name: "new".into(), display_name: None, password: Some(weir_api::Secret::new(PASSWORD)), roles: vec![] };
    let member = AddMember { name: "nobody".into(), roles: vec![Role::Viewer] };
    vec![
        ("overview", status(&overview::show(cx).await)),
        ("pipelines.list", status(&pipelines::list(cx, page()).await)),
        ("pipelines.create", status(&pipelines::create(cx, CreatePipeline { document: "?".into(), note: None }).await)),
        ("pipelines.deploy", status(&pipelines::deploy(cx, &slug("card-fraud"), DeployPipeline::default()).await)),
        ("pipelines.stop", status(&pipelines::stop(cx, &slug("card-fraud")).await)),
        ("contracts.list", status(&contracts::list(cx, page()).await)),
        ("contracts.register", status(&contracts::register(cx, RegisterContract { document: "?".into() }).await)),
        ("runs.list", status(&runs::list(cx, weir_api::RunQuery::default()).await)),
        ("quarantine.list", status(&quarantine::list(cx, QuarantineQuery::default()).await)),
        ("quarantine.export", status(&quarantine::export(cx, QuarantineQuery::default()).await)),
        ("consent.set", status(&consent::set(cx, consent).await)),
        ("audit.search", status(&audit::search(cx, AuditQuery::default()).await)),
        ("audit.verify", status(&audit::verify(cx).await)),
        ("tokens.list", status(&tokens::list(cx, page()).await)),
        ("members.list", status(&members::list(cx, page()).await)),
        ("members.add", status(&members::add(cx, member).await)),
        ("users.create", status(&users::create(cx, user).await)),
        ("projects.update", status(&projects::update(cx, UpdateProject { title: "Main".into() }).await)),
    ]
}

/// 422 and 409 are answers to somebody who may.
fn may(status: u16) -> bool {
    matches!(status, 200 | 422 | 409)
}

#[tokio::test]
async fn each_role_gets_what_the_policies_say_and_each_refusal_is_on_record() {
    let world = World::new().await;
    let admin = world.admin().await;
    pipelines::create(&admin, CreatePipeline { document: PIPELINE.to_owned(), note: None }).await.unwrap();
    let everybody = ["overview", "pipelines.list", "contracts.list", "runs.list", "quarantine.list", "members.list"];
    let more: [(Role, &[&str]); 5] = [
        (Role::Viewer, &[]),
        (Role::Engineer, &["pipelines.create", "pipelines.deploy", "pipelines.stop", "tokens.list"]),
        (Role::Steward, &["contracts.register"]),
        (Role::Compliance, &["pipelines.stop", "quarantine.export", "consent.set", "audit.search", "audit.verify"]),
        (Role::Approver, &["audit.search", "audit.verify"]),
    ];
    for (role, more) in more {
        let before = world.denials().await.len();
        let statuses = statuses(&world.person(role).await).await;
        let allowed: Vec<_> = statuses.iter().filter(|(_, status)| may(*status)).map(|(name, _)| *name).collect();
        let mut expected: Vec<_> = statuses.iter().map(|(name, _)| *name).collect();
        expected.retain(|name| everybody.contains(name) || more.contains(name));
        assert_eq!(allowed, expected, "{role}");
        let refused: Vec<_> = statuses.iter().filter(|(_, status)| !may(*status)).collect();
        assert!(refused.iter().all(|(_, status)| matches!(status, 403 | 404)), "{role}: {refused:?}");
        let denials = world.denials().await;
        assert_eq!(denials.len() - before, refused.len(), "{role}: every refusal is on record once");
        let newest = &denials[0];
        assert_eq!(newest.actor_name.as_deref(), Some(role.as_str()));
        assert_eq!((newest.request_id.as_deref(), newest.remote_address.as_deref()), (Some("req-1"), Some("192.0.2.7")));
    }
}

#[tokio::test]
async fn somebody_not_signed_in_gets_401_everywhere_and_the_log_does_not_grow() {
    let world = World::new().await;
    let before = world.leaves(AuditQuery::default()).await.len();
    let anonymous = world.anonymous();
    assert_eq!(status(&anonymous.in_project(&slug("main")).await), 401);
    assert_eq!(status(&projects::list(&anonymous).await), 401);
    assert_eq!(status(&users::list(&anonymous, PageQuery::default()).await), 401);
    assert_eq!(status(&auth::me(&anonymous).await), 401);
    assert_eq!(world.leaves(AuditQuery::default()).await.len(), before);
}

#[tokio::test]
async fn a_strangers_project_looks_like_none() {
    let world = World::new().await;
    let admin = world.admin().await;
    let engineer = world.person(Role::Engineer).await;
    projects::create(&admin, CreateProject { slug: slug("secret-plans"), title: None }).await.unwrap();
    let existing = engineer.in_project(&slug("secret-plans")).await.err().unwrap().problem();
    let missing = engineer.in_project(&slug("no-such-plans")).await.err().unwrap().problem();
    assert_eq!(existing.detail.unwrap().replace("secret", "no-such"), missing.detail.unwrap());
    assert_eq!((existing.status, existing.type_uri), (missing.status, missing.type_uri));
    assert_eq!(world.denials().await.len(), 2, "both are on record");
    assert_eq!(projects::list(&engineer).await.unwrap().len(), 1);
    assert_eq!(projects::list(&admin).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_console_learns_why_a_button_is_disabled() {
    let world = World::new().await;
    let me = auth::me(&world.person(Role::Viewer).await).await.unwrap();
    assert_eq!(me.may("pipeline.read"), Ok(()));
    let reason = me.may("pipeline.deploy").unwrap_err();
    assert_eq!(reason, "Only the roles admin and engineer may do this in this project.");
    assert_eq!(me.may("user.create").unwrap_err(), "Only an administrator of the instance may do this.");
    assert_eq!(me.permissions.len(), weir_authz::Action::ALL.len());
}

#[tokio::test]
async fn a_project_keeps_an_administrator() {
    let world = World::new().await;
    let admin = world.admin().await;
    let me = admin.actor().user_id().unwrap();
    let resign = members::set(&admin, me, SetMember { roles: vec![Role::Viewer] }).await;
    assert_eq!(status(&resign), 409);
    let viewer = world.person(Role::Viewer).await;
    let promoted = SetMember { roles: vec![Role::Admin, Role::Viewer] };
    let member = members::set(&admin, viewer.actor().user_id().unwrap(), promoted).await.unwrap().unwrap();
    assert_eq!(member.roles, [Role::Admin, Role::Viewer]);
    assert_eq!(members::set(&admin, me, SetMember { roles: vec![] }).await.unwrap(), None);
    let changes = world.leaves(AuditQuery { action: Some("member.write".into()), limit: Some(1), ..AuditQuery::default() }).await;
    let leaf = changes[0].leaf["body"].clone();
    assert_eq!(leaf["before"], format!("user:{me} admin"));
    assert_eq!(leaf["after"], format!("user:{me} no role"));
}

#[tokio::test]
async fn what_is_refused_again_within_a_minute_is_on_record_as_a_count() {
    let world = World::new().await;
    let viewer = world.person(Role::Viewer).await;
    for _ in 0..50 {
        assert_eq!(status(&pipelines::stop(&viewer, &slug("card-fraud")).await), 403);
    }
    assert_eq!(world.denials().await.len(), 1);
    world.advance(chrono::TimeDelta::minutes(1));
    assert_eq!(status(&pipelines::stop(&viewer, &slug("card-fraud")).await), 403);
    let denials = world.denials().await;
    assert_eq!(denials.len(), 3, "the first of each minute, and the count of the one before");
    let count = denials.iter().find(|leaf| leaf.leaf.to_string().contains("49 more refusals")).expect("the others");
    assert_eq!((count.action.as_str(), count.resource.as_str()), ("pipeline.stop", denials[0].resource.as_str()));
    assert_eq!(count.actor, denials[0].actor);

    assert_eq!(status(&pipelines::stop(&viewer, &slug("card-fraud")).await), 403);
    auth::settle_failures(&world.services, true).await.unwrap();
    auth::settle_failures(&world.services, true).await.unwrap();
    let told = world.denials().await;
    assert_eq!(told.len(), 4, "when the process ends, what is counted is told once");
    assert!(told[0].leaf.to_string().contains("1 more refusals"), "{}", told[0].leaf);
}

#[tokio::test]
async fn a_project_keeps_an_administrator_who_may_sign_in() {
    let world = World::new().await;
    let operator = weir_service::operator::context(&world.services).await.unwrap();
    let admin = world.admin().await;
    let first = admin.actor().user_id().unwrap();
    let request = |name: &str, roles: Vec<Role>| CreateUser {
        name: name.into(),
        display_name: None,
        password: Some(weir_api::Secret::new(PASSWORD)),
        roles,
    };
    let second = users::create(&admin, request("second", vec![Role::Admin])).await.unwrap().member.user.id;
    let disable = |disabled| weir_api::UpdateUser { disabled: Some(disabled), ..Default::default() };
    users::update(&operator, second, disable(true)).await.unwrap();
    let leave = members::set(&admin, first, SetMember { roles: vec![Role::Viewer] }).await;
    assert_eq!(status(&leave), 409, "the other one cannot sign in");
    assert_eq!(status(&users::update(&operator, first, disable(true)).await), 409, "nor may the last one be disabled");
    users::update(&operator, second, disable(false)).await.unwrap();
    users::update(&operator, first, disable(true)).await.unwrap();
    assert_eq!(status(&users::update(&operator, second, disable(true)).await), 409);
}
