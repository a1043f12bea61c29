//! API tokens: JWTs signed with Ed25519, bound to a project and to actions.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;
use weir_api::{
    CreateToken, CreatedToken, FieldError, Jwks, Page, PageQuery, ProjectId, Secret, TokenId, TokenSummary, UserId, UserRef,
};
use weir_authz::{Action, Principal, Resource, ResourceKind, Scope};
use weir_store::{actors, tokens};

use crate::{Cx, Error, RequestInfo, Result, Services, jwt::NewToken, paging::page, users};

/// A token's use is noted this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::seconds(60);
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The context of a bearer token, bound to its project, or `Unauthenticated`: unless it was signed here, has not expired, was not
/// revoked, and its owner is not disabled. [`Cx::in_project`] refuses every other project.
pub async fn authenticate(services: &Arc<Services>, jwt: &Secret, request: RequestInfo) -> Result<Cx> {
    let now = services.now();
    let claims = services.token_signer.verify(jwt, now).ok_or(Error::Unauthenticated)?;
    let token = tokens::by_id(&services.store, claims.jti).await?.ok_or(Error::Unauthenticated)?;
    if token.owner != claims.sub || token.project != Some(claims.project) {
        return Err(Error::Unauthenticated);
    }
    let actor = actors::of_token(&services.store, claims.jti, now).await?.ok_or(Error::Unauthenticated)?;
    if token.last_used_at.is_none_or(|used| now - used > TOUCH_EVERY) {
        let tx = services.store.begin().await?;
        tokens::touch(&tx, token.id, now).await?;
        tx.commit().await?;
    }
    Ok(Cx::new(Arc::clone(services), actor, request))
}

/// The tokens of the project: the own ones, or all for those who may see them.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<TokenSummary>> {
    let project = cx.project()?.id;
    let all = resource(project);
    let owner = if cx.services.authorizer.decide(cx.actor(), Action::TokenRead, &all).allowed {
        cx.authorize(Action::TokenRead, &all).await?;
        None
    } else {
        let me = cx.require_signed_in()?;
        cx.authorize(Action::TokenRead, &all.owned_by(me)).await?;
        Some(me)
    };
    let found = tokens::list(cx.store(), project, owner).await?;
    let names = users::refs(cx.store()).await?;
    Ok(page(found, &query, |token| token.id)?.map(|token| dto(token, |id| names.get(&id).cloned())))
}

/// Makes a token for the caller. It may never more than the caller, and a token makes no tokens: a stolen one would live for ever.
pub async fn create(cx: &Cx, request: CreateToken) -> Result<CreatedToken> {
    let project = cx.project()?.id;
    let me = cx.require_signed_in()?;
    let resource = resource(project).owned_by(me);
    let permitted = cx.authorize(Action::TokenCreate, &resource).await?;
    if !matches!(cx.actor().principal, Principal::User(_)) {
        return Err(cx.refuse(Action::TokenCreate, &resource, "token.no_tokens").await?);
    }
    let name = request.name.trim().to_owned();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "use 1 to 100 printable characters"));
    }
    let scopes = check_scopes(&request.scopes)?;
    let lifetime = check_lifetime(request.expires_in_seconds, cx.services.limits.token_lifetime)?;
    let now = cx.now();
    let id = TokenId::generate();
    let expires_at = now + lifetime;
    let scope_names: Vec<String> = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let new = NewToken { id, owner: me, project, scopes: &scope_names, issued_at: now, expires_at };
    let jwt = cx.services.token_signer.sign(&new)?;
    let mut change = cx.change(&permitted).await?;
    let row = tokens::NewToken { id, name, owner: me, project: Some(project), scopes, expires_at };
    let token = tokens::create(change.tx(), &permitted, row, now).await?;
    change.after(format!("token:{id} for {}", scope_names.join(" ")));
    change.commit().await?;
    let names = users::refs(cx.store()).await?;
    Ok(CreatedToken { token: dto(token, |id| names.get(&id).cloned()), jwt })
}

/// Revokes a token at once. A second time changes nothing.
pub async fn revoke(cx: &Cx, id: TokenId) -> Result<()> {
    let project = cx.project()?.id;
    let found = tokens::by_id(cx.store(), id).await?.filter(|token| token.project == Some(project));
    let resource = match &found {
        Some(token) => resource(project).id(id).owned_by(token.owner),
        None => resource(project).id(id),
    };
    let permitted = cx.authorize(Action::TokenRevoke, &resource).await?;
    if found.is_none() {
        return Err(Error::missing(&resource));
    }
    let change = cx.change(&permitted).await?;
    tokens::revoke(change.tx(), &permitted, id, cx.now()).await?;
    change.commit().await?;
    Ok(())
}

/// The public keys that verify tokens, for `/.well-known/jwks.json`.
pub fn jwks(services: &Services) -> Jwks {
    services.token_signer.jwks()
}

fn resource(project: ProjectId) -> Resource {
    Resource::in_project(ResourceKind::Token, project)
}

fn check_scopes(scopes: &[String]) -> Result<BTreeSet<Scope>> {
    if scopes.is_empty() {
        return Err(Error::invalid("scopes", "name at least one action, such as pipeline.read"));
    }
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for scope in scopes {
        match scope.parse::<Scope>() {
            Ok(scope) => {
                known.insert(scope);
            }
            Err(error) => wrong.push(FieldError { field: "scopes".to_owned(), message: error.to_string() }),
        }
    }
    if wrong.is_empty() { Ok(known) } else { Err(Error::Invalid(wrong)) }
}

fn check_lifetime(seconds: Option<u64>, longest: TimeDelta) -> Result<TimeDelta> {
    let lifetime = match seconds {
        None => DEFAULT_LIFETIME.min(longest),
        Some(seconds) => i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX),
    };
    if lifetime < TimeDelta::seconds(1) || lifetime > longest {
        return Err(Error::invalid("expires_in_seconds", format!("must be from 1 to {}", longest.num_seconds())));
    }
    Ok(lifetime)
}

fn dto(token: tokens::Token, name: impl Fn(UserId) -> Option<UserRef>) -> TokenSummary {
    TokenSummary {
        id: token.id,
        name: token.name,
        user: name(token.owner).unwrap_or_else(|| UserRef { id: token.owner, name: token.owner.to_string() }),
        scopes: token.scopes.into_iter().map(String::from).collect(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
    }
}
