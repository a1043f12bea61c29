//! From a user or a token to the [`Actor`] that the authorizer judges: roles are read anew for each request.

use chrono::{DateTime, Utc};
use weir_api::{TokenId, UserId};
use weir_authz::{Actor, Principal};

use crate::{db::Db, error::Result, projects, tokens, users};

/// The user as an actor; none when there is no such user, or it is disabled.
pub async fn of_user(db: &impl Db, id: UserId) -> Result<Option<Actor>> {
    let Some(user) = users::by_id(db, id).await?.filter(|user| user.disabled_at.is_none()) else {
        return Ok(None);
    };
    let roles = projects::roles_of(db, id).await?;
    Ok(Some(Actor {
        principal: Principal::User(id),
        display_name: user.display_name,
        instance_admin: user.instance_admin,
        roles,
    }))
}

/// The token as an actor, with its owner's roles; none when it is unknown, expired or revoked, or its owner is disabled.
pub async fn of_token(db: &impl Db, id: TokenId, now: DateTime<Utc>) -> Result<Option<Actor>> {
    let Some(token) = tokens::by_id(db, id).await?.filter(|token| token.is_live(now)) else {
        return Ok(None);
    };
    let Some(owner) = of_user(db, token.owner).await? else {
        return Ok(None);
    };
    Ok(Some(Actor {
        principal: Principal::Token { token: id, owner: token.owner, project: token.project, scopes: token.scopes },
        display_name: token.name,
        ..owner
    }))
}
