//! Users of this instance.

use std::collections::{BTreeSet, HashMap};

use weir_api::{
    CreateUser, CreatedUser, FieldError, Member, Page, PageQuery, Secret, SetPassword, UpdateUser, User, UserId, UserRef,
};
use weir_authz::{Action, Resource, ResourceKind};
use weir_store::{Db, StoreError, projects, sessions, tokens, users};

use crate::{Cx, Error, Result, members, paging::page, password, random};

/// All users of the instance, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<User>> {
    cx.authorize(Action::UserRead, &Resource::of_instance(ResourceKind::User)).await?;
    let users = users::list(cx.store()).await?;
    Ok(page(users, &query, |user| user.name.clone())?.map(dto))
}

/// One user.
pub async fn get(cx: &Cx, id: UserId) -> Result<User> {
    let resource = resource(id);
    cx.authorize(Action::UserRead, &resource).await?;
    users::by_id(cx.store(), id).await?.map(dto).ok_or_else(|| Error::missing(&resource))
}

/// Makes a user and, inside a project, gives roles in it.
pub async fn create(cx: &Cx, request: CreateUser) -> Result<CreatedUser> {
    let permitted = cx.authorize(Action::UserCreate, &Resource::of_instance(ResourceKind::User)).await?;
    let name = check_name(&request.name)?;
    let display_name = check_display_name(request.display_name.as_deref().unwrap_or(&name))?;
    let roles: BTreeSet<_> = request.roles.into_iter().collect();
    let membership = match roles.is_empty() {
        true => None,
        false => {
            let project = cx.project()?.id;
            Some((project, cx.authorize(Action::MemberWrite, &Resource::in_project(ResourceKind::Member, project)).await?))
        }
    };
    let (password, made) = given_or_made(request.password)?;
    let password_hash = password::hash(password).await?;

    let mut change = cx.change(&permitted).await?;
    let new = users::NewUser { name: name.clone(), display_name, password_hash, instance_admin: false };
    let user = users::create(change.tx(), &permitted, new, cx.now()).await.map_err(|error| match error {
        StoreError::Exists { .. } => Error::Conflict(format!("the sign-in name {name} is taken; choose another one")),
        other => other.into(),
    })?;
    change.after(format!("user:{}", user.id));
    if let Some((project, permitted)) = &membership {
        projects::set_roles(change.tx(), permitted, *project, user.id, &roles, cx.now()).await?;
        change.and(permitted, None, Some(format!("user:{} {}", user.id, members::names(&roles))));
    }
    change.commit().await?;
    Ok(CreatedUser { member: Member { user: dto(user), roles: roles.into_iter().collect() }, password: made })
}

/// Renames, disables or enables. Disabling ends all sessions. A project keeps at least one administrator who may sign in.
pub async fn update(cx: &Cx, id: UserId, request: UpdateUser) -> Result<User> {
    let action = if request.disabled.is_some() { Action::UserDisable } else { Action::UserUpdate };
    let permitted = cx.authorize(action, &resource(id)).await?;
    if request.disabled == Some(true) && cx.actor().user_id() == Some(id) {
        return Err(Error::Conflict("nobody can disable themselves; ask another administrator".to_owned()));
    }
    let display_name = request.display_name.as_deref().map(check_display_name).transpose()?;
    let mut change = cx.change(&permitted).await?;
    if request.disabled == Some(true) {
        let alone = members::left_alone_by(change.tx(), id).await?;
        if !alone.is_empty() {
            return Err(Error::Conflict(format!(
                "nobody else administers {}; make somebody else an administrator there first",
                alone.join(", ")
            )));
        }
    }
    let update = users::UserChange { display_name, disabled: request.disabled, instance_admin: None };
    let user = users::update(change.tx(), &permitted, id, update, cx.now()).await?;
    if let Some(disabled) = request.disabled {
        change.after(if disabled { "disabled" } else { "enabled" });
        sessions::end_all(change.tx(), id, None).await?;
    }
    change.commit().await?;
    Ok(dto(user))
}

/// Gives a new password, ends all sessions and lifts a lockout; revokes API tokens if that is asked for. Returns the password when one
/// was made.
pub async fn set_password(cx: &Cx, id: UserId, request: SetPassword) -> Result<Option<Secret>> {
    // For others only: who changes their own password proves the old one, see `auth::change_password`.
    if cx.actor().user_id() == Some(id) {
        return Err(Error::Conflict("change your own password with the current one, under your account".to_owned()));
    }
    let permitted = cx.authorize(Action::UserUpdate, &resource(id)).await?;
    let (password, made) = given_or_made(request.password)?;
    let hash = password::hash(password).await?;
    let mut change = cx.change(&permitted).await?;
    users::set_password(change.tx(), &permitted, id, hash, cx.now()).await?;
    sessions::end_all(change.tx(), id, None).await?;
    change.after(match request.revoke_tokens {
        true => format!("new password, {} tokens revoked", tokens::revoke_all(change.tx(), &permitted, id, cx.now()).await?),
        false => "new password".to_owned(),
    });
    change.commit().await?;
    Ok(made)
}

pub(crate) fn resource(id: UserId) -> Resource {
    Resource::of_instance(ResourceKind::User).id(id).owned_by(id)
}

/// The names behind ids, for people to read.
pub(crate) async fn refs(db: &impl Db) -> Result<HashMap<UserId, UserRef>> {
    let users = users::list(db).await?;
    Ok(users.into_iter().map(|user| (user.id, UserRef { id: user.id, name: user.name })).collect())
}

/// A password to hash, and the one to show if it was made here.
pub(crate) fn given_or_made(given: Option<Secret>) -> Result<(Secret, Option<Secret>)> {
    match given {
        Some(password) => {
            password::check("password", &password)?;
            Ok((password, None))
        }
        None => {
            let made = random::password()?;
            Ok((made.clone(), Some(made)))
        }
    }
}

pub(crate) fn check_name(name: &str) -> Result<String> {
    let name = normal_name(name);
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b));
    if fits { Ok(name) } else { Err(Error::invalid("name", "use 1 to 64 characters of a-z, 0-9, `.`, `_`, `-` and `@`")) }
}

/// Names are compared in lower case, without blanks around them.
pub(crate) fn normal_name(name: &str) -> String {
    name.trim().to_lowercase()
}

fn check_display_name(name: &str) -> Result<String> {
    let name = name.trim();
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(Error::Invalid(vec![FieldError {
        field: "display_name".to_owned(),
        message: "use 1 to 100 printable characters".to_owned(),
    }]))
}

pub(crate) fn dto(user: users::User) -> User {
    User {
        id: user.id,
        name: user.name,
        display_name: user.display_name,
        instance_admin: user.instance_admin,
        disabled: user.disabled_at.is_some(),
        locked_until: user.locked_until,
        created_at: user.created_at,
        last_sign_in_at: user.last_sign_in_at,
    }
}
