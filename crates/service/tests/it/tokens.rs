//! API tokens: scopes, revocation, expiry, project, forgery.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use weir_api::{CreatePipeline, CreateProject, CreateToken, PageQuery, Role, Secret, UpdateUser};
use weir_service::{Cx, Error, pipelines, projects, tokens, users};

use crate::world::{PIPELINE, World, in_main, request, slug, status};

async fn make(cx: &Cx, scopes: &[&str]) -> weir_api::CreatedToken {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    tokens::create(cx, CreateToken { name: "ci".into(), scopes, expires_in_seconds: None }).await.unwrap()
}

async fn bearer(world: &World, jwt: &Secret) -> Result<Cx, Error> {
    tokens::authenticate(&world.services, jwt, request()).await
}

#[tokio::test]
async fn a_token_does_what_its_scopes_and_its_owner_may_and_nothing_else() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    let token = make(&engineer, &["pipeline.read", "pipeline.create", "contract.*", "consent.write"]).await;
    let cx = in_main(bearer(&world, &token.jwt).await.unwrap()).await;
    let create = CreatePipeline { document: PIPELINE.to_owned(), note: None };
    pipelines::create(&cx, create).await.unwrap();
    let stop = pipelines::stop(&cx, &slug("card-fraud")).await;
    assert_eq!(status(&stop), 403, "out of scope, though its owner may");
    let write = weir_api::SetConsent {
        subject: "c-1".into(),
        purpose: "marketing".into(),
        state: weir_api::ConsentState::Granted,
        at: None,
        expires_at: None,
    };
    assert_eq!(status(&weir_service::consent::set(&cx, write).await), 403, "in scope, but its owner may not");
    let denials = world.denials().await;
    let rules: Vec<_> = denials.iter().map(|leaf| (leaf.action.as_str(), leaf.rule.as_deref().unwrap())).collect();
    assert_eq!(rules, [("consent.write", "default.deny"), ("pipeline.stop", "token.scope")]);
    assert_eq!(denials[0].actor, format!("token:{}", token.token.id));
    assert_eq!(denials[0].actor_name.as_deref(), Some("engineer (token ci)"));
}

#[tokio::test]
async fn a_token_ends_by_revocation_by_expiry_and_with_its_owner() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;

    let revoked = make(&engineer, &["pipeline.read"]).await;
    assert!(bearer(&world, &revoked.jwt).await.is_ok());
    tokens::revoke(&engineer, revoked.token.id).await.unwrap();
    assert_eq!(status(&bearer(&world, &revoked.jwt).await), 401);

    let old = make(&engineer, &["pipeline.read"]).await;
    world.advance(TimeDelta::seconds(3599));
    assert!(bearer(&world, &old.jwt).await.is_ok());
    world.advance(TimeDelta::seconds(1));
    assert_eq!(status(&bearer(&world, &old.jwt).await), 401);

    let orphan = make(&engineer, &["pipeline.read"]).await;
    let admin = world.admin().await;
    let id = engineer.actor().user_id().unwrap();
    users::update(&admin, id, UpdateUser { disabled: Some(true), ..UpdateUser::default() }).await.unwrap();
    assert_eq!(status(&bearer(&world, &orphan.jwt).await), 401);
}

#[tokio::test]
async fn a_token_is_bound_to_its_project() {
    let world = World::new().await;
    let admin = world.admin().await;
    let token = make(&admin, &["pipeline.read", "project.read"]).await;
    projects::create(&admin, CreateProject { slug: slug("other"), title: None }).await.unwrap();
    let cx = bearer(&world, &token.jwt).await.unwrap();
    assert!(cx.in_project(&slug("main")).await.is_ok());
    assert_eq!(status(&cx.in_project(&slug("other")).await), 404, "though its owner is the administrator there");
}

#[tokio::test]
async fn a_forged_token_is_nobody() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    let token = make(&engineer, &["pipeline.read"]).await;
    let [header, claims, signature]: [String; 3] =
        token.jwt.expose().split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let with_header = |json: &str, signature: &str| format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(json));
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(&claims).unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(text.replace(from, to)))
    };
    let other_world = World::new().await;
    let elsewhere = make(&other_world.admin().await, &["pipeline.read"]).await;
    let cases = [
        ("alg none", with_header(r#"{"alg":"none","typ":"JWT"}"#, "")),
        ("alg none with the old signature", with_header(r#"{"alg":"none","typ":"JWT"}"#, &signature)),
        ("another kid", with_header(r#"{"alg":"EdDSA","typ":"JWT","kid":"0000000000000000"}"#, &signature)),
        ("more scopes", changed("pipeline.read", "pipeline.*")),
        ("of another instance", elsewhere.jwt.expose().to_owned()),
        ("not a token", "x".to_owned()),
    ];
    for (name, jwt) in cases {
        assert_eq!(status(&bearer(&world, &Secret::new(jwt)).await), 401, "{name}");
    }
    assert!(bearer(&world, &token.jwt).await.is_ok());
}

#[tokio::test]
async fn tokens_make_no_tokens_and_viewers_neither() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    let token = make(&engineer, &["token.*"]).await;
    let cx = in_main(bearer(&world, &token.jwt).await.unwrap()).await;
    let again = CreateToken { name: "again".into(), scopes: vec!["pipeline.read".into()], expires_in_seconds: None };
    assert_eq!(status(&tokens::create(&cx, again.clone()).await), 403);
    let viewer = world.person(Role::Viewer).await;
    assert_eq!(status(&tokens::create(&viewer, again).await), 403);
    let rules: Vec<_> = world.denials().await.into_iter().filter_map(|leaf| leaf.rule).collect();
    assert_eq!(rules, ["default.deny", "token.no_tokens"]);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_so() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    let fine = CreateToken { name: "ci".into(), scopes: vec!["pipeline.read".into()], expires_in_seconds: Some(60) };
    for (name, request) in [
        ("no scope", CreateToken { scopes: vec![], ..fine.clone() }),
        ("unknown scope", CreateToken { scopes: vec!["pipeline.fly".into()], ..fine.clone() }),
        ("no name", CreateToken { name: " ".into(), ..fine.clone() }),
        ("no time", CreateToken { expires_in_seconds: Some(0), ..fine.clone() }),
        ("too long", CreateToken { expires_in_seconds: Some(91 * 24 * 3600), ..fine.clone() }),
        ("for ever", CreateToken { expires_in_seconds: Some(u64::MAX), ..fine.clone() }),
    ] {
        assert_eq!(status(&tokens::create(&engineer, request).await), 422, "{name}");
    }
    let made = tokens::create(&engineer, fine).await.unwrap();
    assert!(!world.is_on_disk(made.jwt.expose().as_bytes()), "the token itself is stored nowhere");
}

#[tokio::test]
async fn people_see_their_own_tokens_and_administrators_all() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    let admin = world.admin().await;
    let theirs = make(&engineer, &["pipeline.read"]).await.token;
    let mine = make(&admin, &["pipeline.read"]).await.token;
    assert_eq!(tokens::list(&engineer, PageQuery::default()).await.unwrap().items, std::slice::from_ref(&theirs));
    assert_eq!(tokens::list(&admin, PageQuery::default()).await.unwrap().items.len(), 2);
    assert_eq!(status(&tokens::revoke(&engineer, mine.id).await), 404, "not theirs to know of");
    tokens::revoke(&admin, theirs.id).await.unwrap();
}

#[tokio::test]
async fn a_new_password_from_an_administrator_revokes_tokens_if_asked_to() {
    let world = World::new().await;
    let engineer = world.person(Role::Engineer).await;
    let token = make(&engineer, &["pipeline.read"]).await;
    let admin = world.admin().await;
    let owner = engineer.actor().user_id().unwrap();
    let reset = |revoke_tokens| weir_api::SetPassword { password: None, revoke_tokens };
    users::set_password(&admin, owner, reset(false)).await.unwrap();
    assert!(bearer(&world, &token.jwt).await.is_ok(), "programs go on");
    users::set_password(&admin, owner, reset(true)).await.unwrap();
    assert_eq!(status(&bearer(&world, &token.jwt).await), 401);
    let leaves = world.leaves(weir_api::AuditQuery { action: Some("user.update".into()), ..Default::default() }).await;
    assert!(leaves[0].leaf.to_string().contains("new password, 1 tokens revoked"), "{}", leaves[0].leaf);
}
