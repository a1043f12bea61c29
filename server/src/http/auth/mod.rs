//! Who asks: a session cookie or a bearer token becomes a [`Cx`].

pub mod cookie;

use super::middleware::request_id::RequestId;
use super::problem::ApiError;
use super::state::AppState;
use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use std::net::{IpAddr, SocketAddr};
use weir_api::{Secret, Slug};
use weir_authz::Principal;
use weir_service::{Cx, Error, RequestInfo, auth, tokens};

/// Whoever asks, signed in or not.
pub struct Anyone(pub Cx);

/// Somebody signed in, in no project.
pub struct Caller(pub Cx);

/// Somebody signed in, in the project that the path names and of which they are a member.
pub struct Scope(pub Cx);

impl FromRequestParts<AppState> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Ok(Self(identify(parts, state).await?))
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let cx = identify(parts, state).await?;
        match cx.actor().principal {
            Principal::Anonymous => Err(Error::Unauthenticated.into()),
            _ => Ok(Self(cx)),
        }
    }
}

impl FromRequestParts<AppState> for Scope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let Caller(cx) = Caller::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::bare(StatusCode::NOT_FOUND))?;
        let named = params.iter().find(|(name, _)| *name == "project").map(|(_, value)| value);
        // A name that cannot be a project's is answered like one that is not.
        let slug = named.and_then(|name| Slug::new(name).ok()).ok_or_else(|| ApiError::bare(StatusCode::NOT_FOUND))?;
        Ok(Self(cx.in_project(&slug).await?))
    }
}

/// A request that lasts: who asked is asked for again while it is answered.
pub struct Lasting {
    parts: Parts,
    state: AppState,
}

impl FromRequestParts<AppState> for Lasting {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self { parts: parts.clone(), state: state.clone() })
    }
}

impl Lasting {
    /// The caller as they are now; an error when the session or token is no longer good, or the project no longer theirs.
    pub async fn scope(&self) -> Result<Cx, ApiError> {
        Scope::from_request_parts(&mut self.parts.clone(), &self.state).await.map(|Scope(cx)| cx)
    }
}

/// The caller of this request. A token that is no longer good is refused; a session that is over counts as nobody.
pub async fn identify(parts: &Parts, state: &AppState) -> Result<Cx, ApiError> {
    let request = request_info(parts, state);
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).ok_or(Error::Unauthenticated)?;
        return Ok(tokens::authenticate(state.services(), &Secret::new(token), request).await?);
    }
    let Some(secret) = cookie::session(state.public(), &parts.headers) else {
        return Ok(Cx::anonymous(state.services().clone(), request));
    };
    match auth::resume(state.services(), &Secret::new(secret), request.clone()).await {
        Err(Error::Unauthenticated) => Ok(Cx::anonymous(state.services().clone(), request)),
        found => Ok(found?),
    }
}

/// `Bearer TOKEN`; the scheme's case does not matter (RFC 9110).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn request_info(parts: &Parts, state: &AppState) -> RequestInfo {
    let request_id = parts.extensions.get::<RequestId>().map_or_else(String::new, |id| id.0.clone());
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let proxied = state.public().origin().is_some();
    RequestInfo { request_id, remote_address: remote_address(peer, &parts.headers, proxied) }
}

/// Where the request comes from. A proxy on this machine, in front of a configured public address, is believed about its own peer.
fn remote_address(peer: Option<IpAddr>, headers: &HeaderMap, proxied: bool) -> Option<IpAddr> {
    let stated = || {
        let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse().ok()
    };
    match peer {
        Some(peer) if proxied && peer.is_loopback() => stated().or(Some(peer)),
        peer => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_of_our_own_is_believed_about_addresses() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "203.0.113.9, 198.51.100.7".parse().unwrap());
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(remote_address(ip("127.0.0.1"), &headers, true), ip("198.51.100.7"));
        assert_eq!(remote_address(ip("127.0.0.1"), &headers, false), ip("127.0.0.1"));
        assert_eq!(remote_address(ip("192.0.2.1"), &headers, true), ip("192.0.2.1"));
        assert_eq!(remote_address(None, &headers, true), None);
    }

    #[test]
    fn a_bearer_token_is_taken_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
