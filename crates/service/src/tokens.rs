//! API tokens: JWTs signed with Ed25519, bound to a project and to actions.

use std::sync::Arc;

use weir_api::{CreateToken, CreatedToken, Jwks, Page, PageQuery, Secret, TokenId, TokenSummary};

use crate::{Cx, RequestInfo, Result, Services};

/// The context of a bearer token, bound to its project, or `Unauthenticated`.
pub async fn authenticate(
    services: &Arc<Services>,
    jwt: &Secret,
    request: RequestInfo,
) -> Result<Cx> {
    let _ = (services, jwt, request);
    todo!()
}

/// The tokens of the project: the own ones, or all for those who may see them.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<TokenSummary>> {
    let _ = (cx, query);
    todo!()
}

/// Makes a token for the caller. It may never more than the caller.
pub async fn create(cx: &Cx, request: CreateToken) -> Result<CreatedToken> {
    let _ = (cx, request);
    todo!()
}

/// Revokes a token at once.
pub async fn revoke(cx: &Cx, id: TokenId) -> Result<()> {
    let _ = (cx, id);
    todo!()
}

/// The public keys that verify tokens, for `/.well-known/jwks.json`.
pub fn jwks(services: &Services) -> Jwks {
    let _ = services;
    todo!()
}
