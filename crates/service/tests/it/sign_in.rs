//! Sign-in, sessions, lockout, passwords.

use chrono::TimeDelta;
use weir_api::{AuditQuery, ChangePassword, Role, Secret, SetPassword, UpdateUser};
use weir_service::{Error, auth, users};

use crate::world::{PASSWORD, World, status};

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let world = World::new().await;
    let wrong = world.sign_in("admin", "not the password").await.unwrap_err();
    let unknown = world.sign_in("nobody", "not the password").await.unwrap_err();
    assert_eq!(wrong.problem(), unknown.problem());
    assert_eq!(wrong.problem().status, 401);
    let denials = world.denials().await;
    assert_eq!(denials.len(), 2, "both are on record");
    assert!(denials.iter().all(|leaf| !leaf.leaf.to_string().contains("nobody")), "what was typed is not");
    assert_eq!(denials[0].remote_address.as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn failures_lock_for_ever_longer_and_for_names_that_nobody_has_as_well() {
    let world = World::new().await;
    for name in ["admin", "nobody"] {
        for attempt in 1..=4 {
            assert!(matches!(world.sign_in(name, "wrong").await, Err(Error::SignInFailed)), "{name}, attempt {attempt}");
        }
        for seconds in [30, 60, 120] {
            let Err(Error::Locked { retry_after }) = world.sign_in(name, "wrong").await else { panic!("{name} is not locked") };
            assert_eq!(retry_after.as_secs(), seconds, "{name}");
            let right = world.sign_in(name, world.admin_password.expose()).await;
            assert_eq!(status(&right), 429, "{name}: even the right password has to wait");
            world.advance(TimeDelta::seconds(seconds as i64));
        }
    }
    assert!(world.sign_in("admin", world.admin_password.expose()).await.is_ok());
    assert!(matches!(world.sign_in("admin", "wrong").await, Err(Error::SignInFailed)), "a success begins the count anew");
}

#[tokio::test]
async fn failures_under_ever_new_names_are_counted_in_one_leaf_and_lock_nobody_out() {
    let world = World::new().await;
    for n in 0..30 {
        assert!(matches!(world.sign_in(&format!("name-{n}"), "wrong").await, Err(Error::SignInFailed)), "{n}");
    }
    world.advance(TimeDelta::minutes(1));
    for name in ["name-30", "name-31", "admin"] {
        let Err(Error::Locked { retry_after }) = world.sign_in(name, "wrong").await else { panic!("{name} was not counted") };
        assert_eq!(retry_after.as_secs(), 9 * 60, "{name}: the same answer, whether somebody has that name or not");
    }
    assert_eq!(world.denials().await.len(), 30);
    assert!(world.sign_in("admin", world.admin_password.expose()).await.is_ok(), "who shares the address is not locked out");

    world.advance(TimeDelta::minutes(9));
    assert!(matches!(world.sign_in("name-32", "wrong").await, Err(Error::SignInFailed)), "a new window");
    let denials = world.denials().await;
    assert_eq!(denials.len(), 32);
    assert_eq!(denials[1].remote_address.as_deref(), Some("192.0.2.7"));
    let told = denials[1].leaf.to_string();
    assert!(
        told.contains("3 more failures from 2026-03-01T12:00:00Z to 2026-03-01T12:10:00Z, 1 of them under names of users"),
        "{told}"
    );
}

#[tokio::test]
async fn failures_that_were_counted_are_put_on_record_before_the_process_ends() {
    let world = World::new().await;
    for n in 0..40 {
        assert!(world.sign_in(&format!("name-{n}"), "wrong").await.is_err());
    }
    auth::settle_failures(&world.services, false).await.unwrap();
    assert_eq!(world.denials().await.len(), 30);
    auth::settle_failures(&world.services, true).await.unwrap();
    auth::settle_failures(&world.services, true).await.unwrap();
    let denials = world.denials().await;
    assert_eq!(denials.len(), 31);
    assert!(denials[0].leaf.to_string().contains("10 more failures"), "{}", denials[0].leaf);
}

#[tokio::test]
async fn guesses_sent_side_by_side_lock_as_those_sent_one_after_another() {
    let world = World::new().await;
    let right = world.admin_password.expose();
    for (name, last) in [("admin", right), ("nobody", "whatever")] {
        let guesses = std::iter::repeat_n("wrong", 30).chain([last]);
        let answers = futures::future::join_all(guesses.map(|guess| world.sign_in(name, guess))).await;
        let looked_at = answers.iter().filter(|answer| matches!(answer, Err(Error::SignInFailed))).count();
        assert_eq!(looked_at, 4, "{name}: only so many failures cost nothing");
        assert_eq!(status(&answers[30]), 429, "{name}: the last guess came behind the lock, whether it was right or wrong");
    }
}

#[tokio::test]
async fn names_are_compared_in_lower_case() {
    let world = World::new().await;
    assert!(world.sign_in(" Admin ", world.admin_password.expose()).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_when_idle_when_old_and_at_sign_out() {
    let world = World::new().await;
    let begin = async || world.sign_in("admin", world.admin_password.expose()).await.unwrap().token;

    let idle = begin().await;
    world.advance(TimeDelta::minutes(119));
    assert!(world.resume(&idle).await.is_ok());
    world.advance(TimeDelta::minutes(119));
    assert!(world.resume(&idle).await.is_ok(), "every use counts");
    world.advance(TimeDelta::minutes(121));
    assert_eq!(status(&world.resume(&idle).await), 401, "nobody used it for two hours");

    let old = begin().await;
    for _ in 0..11 {
        world.advance(TimeDelta::hours(1));
        assert!(world.resume(&old).await.is_ok());
    }
    world.advance(TimeDelta::hours(1));
    assert_eq!(status(&world.resume(&old).await), 401, "twelve hours are over");

    let left = begin().await;
    auth::sign_out(&world.resume(&left).await.unwrap()).await.unwrap();
    assert_eq!(status(&world.resume(&left).await), 401);
    assert_eq!(status(&world.resume(&Secret::new("made up")).await), 401);
    assert_eq!(world.leaves(AuditQuery { action: Some("session.sign_out".into()), ..AuditQuery::default() }).await.len(), 1);
}

#[tokio::test]
async fn the_session_token_itself_is_stored_nowhere() {
    let world = World::new().await;
    let signed_in = world.sign_in("admin", world.admin_password.expose()).await.unwrap();
    assert!(!world.is_on_disk(signed_in.token.expose().as_bytes()));
    assert!(!world.is_on_disk(world.admin_password.expose().as_bytes()));
}

#[tokio::test]
async fn csrf_tokens_belong_to_one_session() {
    let world = World::new().await;
    let (one, other) = (world.admin().await, world.admin().await);
    let token = auth::csrf_token(&one).unwrap();
    assert!(auth::is_csrf_token(&one, &token));
    assert!(!auth::is_csrf_token(&other, &token));
    assert!(!auth::is_csrf_token(&world.anonymous(), &token));
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let world = World::new().await;
    let this = world.person(Role::Viewer).await;
    let other = world.sign_in("viewer", PASSWORD).await.unwrap().token;
    let new = Secret::new("a password that nobody knows");

    let wrong = ChangePassword { current: Secret::new("guess"), new: new.clone() };
    assert_eq!(status(&auth::change_password(&this, wrong).await), 422);
    let short = ChangePassword { current: Secret::new(PASSWORD), new: Secret::new("short") };
    assert_eq!(status(&auth::change_password(&this, short).await), 422);
    auth::change_password(&this, ChangePassword { current: Secret::new(PASSWORD), new: new.clone() }).await.unwrap();

    assert_eq!(status(&world.resume(&other).await), 401);
    assert!(world.sign_in("viewer", PASSWORD).await.is_err());
    assert!(world.sign_in("viewer", new.expose()).await.is_ok());
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once() {
    let world = World::new().await;
    let viewer = world.person(Role::Viewer).await;
    let id = viewer.actor().user_id().unwrap();
    let token = world.sign_in("viewer", PASSWORD).await.unwrap().token;
    let admin = world.admin().await;
    users::update(&admin, id, UpdateUser { disabled: Some(true), ..UpdateUser::default() }).await.unwrap();
    assert_eq!(status(&world.resume(&token).await), 401);
    assert!(matches!(world.sign_in("viewer", PASSWORD).await, Err(Error::SignInFailed)), "nobody is told why");
    let me = admin.actor().user_id().unwrap();
    let myself = users::update(&admin, me, UpdateUser { disabled: Some(true), ..UpdateUser::default() }).await;
    assert_eq!(status(&myself), 409, "nobody locks themselves out");

    users::update(&admin, id, UpdateUser { disabled: Some(false), ..UpdateUser::default() }).await.unwrap();
    let made = users::set_password(&admin, id, SetPassword::default()).await.unwrap().unwrap();
    assert!(world.sign_in("viewer", made.expose()).await.is_ok());
}
