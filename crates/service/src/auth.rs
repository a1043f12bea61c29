//! Sign-in, sessions and passwords.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use weir_api::{ChangePassword, Me, Permission, ProjectRoles, Secret, SignIn, UserId};
use weir_authz::{Action, Actor, Principal, Role};
use weir_evidence::{
    Body,
    record::{AdminAction, AdminDecision},
};
use weir_store::{actors, evidence, projects, sessions, users};

use crate::{
    Cx, Error, RequestInfo, Result, Services,
    failure_log::{Further, Noted},
    lockout, password, random, users as service_users,
};

/// A session's use is noted this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::seconds(60);

/// A session just begun. The token goes into the cookie; only its hash is stored.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub token: Secret,
    /// The session ends then, whatever happens.
    pub expires_at: DateTime<Utc>,
    pub me: Me,
}

/// Checks name and password and begins a session. Errors: `SignInFailed`, `Locked`. Both take as long and say the same for a
/// name that nobody has. Failures beyond what an address may have on record (`failure_log`) are `Locked` as well; a right
/// password is not.
pub async fn sign_in(cx: &Cx, request: SignIn) -> Result<SignedIn> {
    settle_failures(&cx.services, false).await?;
    let name = service_users::normal_name(&request.name);
    unlocked(cx, &name).await?;
    let turn = password::turn().await?;
    // Those before may have locked it meanwhile.
    let found = unlocked(cx, &name).await?;
    let stored = found.as_ref().map(|known| known.password_hash.clone());
    let accepted = password::verify(&turn, stored, request.password).await?;
    let Some(known) = found.filter(|known| accepted && known.user.disabled_at.is_none()) else {
        return match record_failure(cx, &name).await? {
            Some(retry_after) => Err(Error::Locked { retry_after }),
            None => Err(Error::SignInFailed),
        };
    };
    begin_session(cx, known.user.id).await
}

/// Who has this name, if anybody. Errors: `Locked`, for names that nobody has as well.
async fn unlocked(cx: &Cx, name: &str) -> Result<Option<users::Credentials>> {
    let found = users::by_name(cx.store(), name).await?;
    let lock = match &found {
        Some(known) => lockout::remaining(known.user.locked_until, cx.now()),
        None => cx.services.strangers.remaining(name, cx.now()),
    };
    lock.map_or(Ok(found), |retry_after| Err(Error::Locked { retry_after }))
}

async fn begin_session(cx: &Cx, user: UserId) -> Result<SignedIn> {
    let services = &cx.services;
    let now = cx.now();
    let token = random::token()?;
    let expires_at = now + services.limits.session_lifetime;
    let tx = cx.store().begin().await?;
    let Some(actor) = actors::of_user(&tx, user).await? else {
        return Err(Error::SignInFailed);
    };
    let new = sessions::NewSession { user, token_hash: hash(&token), csrf_secret: random::bytes::<32>()?.to_vec(), expires_at };
    let session = sessions::create(&tx, new, now).await?;
    sessions::prune(&tx, now, now - services.limits.session_idle).await?;
    users::record_sign_in(&tx, user, now).await?;
    let signed_in = Cx { session: Some(session.clone()), ..Cx::new(Arc::clone(services), actor, (*cx.request).clone()) };
    append(&signed_in, &tx, "session.sign_in", Some(user), AdminDecision::Allowed, "password").await?;
    tx.commit().await?;
    let me = me(&signed_in).await?;
    Ok(SignedIn { token, expires_at, me })
}

/// Counts the failure, for names that nobody has as well, and writes a leaf unless there are too many of them: the same work either
/// way. Gives how long the next try has to wait.
async fn record_failure(cx: &Cx, name: &str) -> Result<Option<Duration>> {
    let now = cx.now();
    let tx = cx.store().begin().await?;
    // Read again: of several sign-ins at once, each must count.
    let known = users::by_name(&tx, name).await?;
    let wait = match &known {
        Some(known) => {
            let failures = known.user.failed_sign_ins + 1;
            let locked_until = lockout::locked_until(failures, now);
            users::record_failure(&tx, known.user.id, failures, locked_until).await?;
            lockout::remaining(locked_until, now)
        }
        None => {
            users::record_failure_of_nobody(&tx).await?;
            cx.services.strangers.record_failure(name, now)
        }
    };
    // Whoever is signed in has the lock of their own name to stop them.
    let noted = match cx.actor().principal {
        Principal::Anonymous => cx.services.failed_sign_ins.note(cx.request.remote_address, known.is_some(), now),
        _ => Noted::Leaf,
    };
    let wait = match noted {
        Noted::Counted(window) => wait.max(Some(window)),
        Noted::Leaf => {
            // What was typed as a name may be anything, even a password: it is not written down.
            append(cx, &tx, "session.sign_in", known.map(|known| known.user.id), AdminDecision::Denied, "password").await?;
            wait
        }
    };
    tx.commit().await?;
    Ok(wait)
}

/// Puts on record how many failed sign-ins and refusals have no leaf of their own, for each window that is over; when the process ends,
/// for the open one as well (`all`). To be called now and then: otherwise the next sign-in or refusal does it.
pub async fn settle_failures(services: &Arc<Services>, all: bool) -> Result<()> {
    crate::cx::settle_refusals(services, all).await?;
    let further = services.failed_sign_ins.take(services.now(), all);
    if further.is_empty() {
        return Ok(());
    }
    let recorded = record_further(services, &further).await;
    if recorded.is_err() {
        services.failed_sign_ins.give_back(further);
    }
    recorded
}

async fn record_further(services: &Arc<Services>, further: &[Further]) -> Result<()> {
    let cx = Cx::anonymous(Arc::clone(services), RequestInfo::default());
    let leaves = further.iter().map(|one| {
        let at = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let act = AdminAction {
            address: one.address.clone(),
            action: "session.sign_in".to_owned(),
            resource: "user".to_owned(),
            decision: AdminDecision::Denied,
            rule: Some("password".to_owned()),
            before: None,
            after: Some(format!(
                "{} more failures from {} to {}, {} of them under names of users",
                one.count,
                at(one.from),
                at(one.until),
                one.of_users
            )),
            request_id: None,
        };
        cx.leaf(None, Body::Admin(act))
    });
    let tx = services.store.begin().await?;
    evidence::append(&tx, leaves.collect()).await?;
    Ok(tx.commit().await?)
}

/// The context of a session token, or `Unauthenticated` when it is unknown, expired, idle too long or its user is disabled.
pub async fn resume(services: &Arc<Services>, token: &Secret, request: RequestInfo) -> Result<Cx> {
    let now = services.now();
    let store = &services.store;
    let session = sessions::by_token_hash(store, &hash(token), now).await?.ok_or(Error::Unauthenticated)?;
    if now - session.last_seen_at > services.limits.session_idle {
        return Err(Error::Unauthenticated);
    }
    let actor = actors::of_user(store, session.user).await?.ok_or(Error::Unauthenticated)?;
    if now - session.last_seen_at > TOUCH_EVERY {
        let tx = store.begin().await?;
        sessions::touch(&tx, session.id, now).await?;
        tx.commit().await?;
    }
    Ok(Cx { session: Some(session), ..Cx::new(Arc::clone(services), actor, request) })
}

/// Ends the session of this context.
pub async fn sign_out(cx: &Cx) -> Result<()> {
    let session = cx.session.as_ref().ok_or(Error::Unauthenticated)?;
    let tx = cx.store().begin().await?;
    sessions::end(&tx, session.id).await?;
    append(cx, &tx, "session.sign_out", Some(session.user), AdminDecision::Allowed, "self").await?;
    Ok(tx.commit().await?)
}

/// What a form or a request of this session must carry besides the cookie; none without a session.
pub fn csrf_token(cx: &Cx) -> Option<String> {
    let session = cx.session.as_ref()?;
    Some(hex::encode(Sha256::new().chain_update(b"weir/csrf/v1\n").chain_update(&session.csrf_secret).finalize()))
}

/// Whether the token belongs to this session. Compares in constant time.
pub fn is_csrf_token(cx: &Cx, token: &str) -> bool {
    csrf_token(cx).is_some_and(|expected| expected.as_bytes().ct_eq(token.as_bytes()).into())
}

/// The caller, with roles and permissions in the project of the context, or in their first project.
pub async fn me(cx: &Cx) -> Result<Me> {
    let id = cx.actor().user_id().ok_or(Error::Unauthenticated)?;
    let user = users::by_id(cx.store(), id).await?.ok_or(Error::Unauthenticated)?;
    let mine: Vec<_> = projects::list(cx.store())
        .await?
        .into_iter()
        .filter(|project| cx.actor().projects().any(|id| id == project.id))
        .collect();
    let current = match &cx.project {
        Some(project) => Some((project.id, project.slug.clone())),
        None => mine.first().and_then(|project| Some((project.id, project.slug.parse().ok()?))),
    };
    let roles_in =
        |project| cx.actor().roles.get(&project).map(|roles| roles.iter().copied().collect::<Vec<_>>()).unwrap_or_default();
    let listed = mine.iter().filter_map(|project| {
        let slug = project.slug.parse().ok()?;
        Some(ProjectRoles { project: slug, title: project.title.clone(), roles: roles_in(project.id) })
    });
    Ok(Me {
        id,
        name: user.name,
        display_name: user.display_name,
        instance_admin: user.instance_admin,
        projects: listed.collect(),
        roles: current.as_ref().map(|(id, _)| roles_in(*id)).unwrap_or_default(),
        permissions: Action::ALL.iter().map(|action| permission(cx, *action, current.as_ref().map(|(id, _)| *id), id)).collect(),
        project: current.map(|(_, slug)| slug),
        session_expires_at: cx.session.as_ref().map(|session| session.expires_at),
    })
}

/// What the caller may do at best: to things of their own, without a high classification. The request itself decides again.
fn permission(cx: &Cx, action: Action, project: Option<weir_api::ProjectId>, me: UserId) -> Permission {
    let authorizer = &cx.services.authorizer;
    let resource = crate::cx::example_resource(action, project, me);
    let decision = authorizer.decide(cx.actor(), action, &resource);
    let reason = (!decision.allowed).then(|| {
        if let (Principal::Token { .. }, "token.scope") = (&cx.actor().principal, decision.rule.as_str()) {
            return format!("This token's scopes do not cover {action}.");
        }
        let Some(project) = resource.project else {
            return "Only an administrator of the instance may do this.".to_owned();
        };
        let may: Vec<_> = Role::ALL
            .into_iter()
            .filter(|role| authorizer.decide(&Actor::user(me, "").with_role(project, *role), action, &resource).allowed)
            .map(Role::as_str)
            .collect();
        match may.as_slice() {
            [] => "No role in a project may do this.".to_owned(),
            [one] => format!("Only the role {one} may do this in this project."),
            [first @ .., last] => format!("Only the roles {} and {last} may do this in this project.", first.join(", ")),
        }
    });
    Permission { action: action.as_str().to_owned(), allowed: decision.allowed, reason }
}

/// Changes the own password and ends all other sessions.
pub async fn change_password(cx: &Cx, request: ChangePassword) -> Result<()> {
    // A token may be stolen without the password; it must not lead to one.
    let Principal::User(id) = cx.actor().principal else {
        return Err(Error::Unauthenticated);
    };
    let permitted = cx.authorize(Action::UserUpdate, &service_users::resource(id)).await?;
    password::check("new", &request.new)?;
    let turn = password::turn().await?;
    let known = users::credentials_of(cx.store(), id).await?.ok_or(Error::Unauthenticated)?;
    if let Some(retry_after) = lockout::remaining(known.user.locked_until, cx.now()) {
        return Err(Error::Locked { retry_after });
    }
    if !password::verify(&turn, Some(known.password_hash), request.current).await? {
        return match record_failure(cx, &known.user.name).await? {
            Some(retry_after) => Err(Error::Locked { retry_after }),
            None => Err(Error::invalid("current", "is not the current password")),
        };
    }
    // Hashing the new one takes a turn of its own.
    drop(turn);
    let hash = password::hash(request.new).await?;
    let mut change = cx.change(&permitted).await?;
    users::set_password(change.tx(), &permitted, id, hash, cx.now()).await?;
    sessions::end_all(change.tx(), id, cx.session.as_ref().map(|session| session.id)).await?;
    change.after("new password");
    change.commit().await?;
    Ok(())
}

async fn append(
    cx: &Cx,
    tx: &weir_store::Tx,
    action: &str,
    user: Option<UserId>,
    decision: AdminDecision,
    rule: &str,
) -> Result<()> {
    let act = AdminAction {
        address: cx.address(),
        action: action.to_owned(),
        resource: user.map_or_else(|| "user".to_owned(), |user| format!("user:{user}")),
        decision,
        rule: Some(rule.to_owned()),
        before: None,
        after: None,
        request_id: cx.request_id(),
    };
    evidence::append(tx, vec![cx.leaf(None, Body::Admin(act))]).await?;
    Ok(())
}

fn hash(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}
