//! A page elsewhere must not act with our user's cookie.
//!
//! Unsafe requests that carry no `Authorization` must come from our own origin, as the browser states it
//! (`Sec-Fetch-Site`, else `Origin`). A browser that states neither must send the session's form token, as the header
//! `X-CSRF-Token` or the form field `csrf_token`. Server functions pass here like everything else.
//!
//! Reading is free of this, but for readings that leave a record which nobody can take back ([`RECORDED`]): a page elsewhere could have
//! our user open quarantined rows. What says that it comes from elsewhere is refused.

use crate::http::auth::{cookie, identify};
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use weir_service::auth::{csrf_token, is_csrf_token};

/// The header that carries the form token.
pub const TOKEN_HEADER: &str = "x-csrf-token";
/// The form field that carries the form token.
pub const TOKEN_FIELD: &str = "csrf_token";
/// The routes whose reading is evidence.
const RECORDED: &[&str] = &[
    "/api/v1/projects/{project}/quarantine/export",
    "/api/v1/projects/{project}/quarantine/{segment}/{row}/content",
    "/api/v1/projects/{project}/audit/bundle",
];
const LARGEST_FORM: usize = 2 << 20;

/// Refuses with 403 what did not come from our own pages.
pub async fn protect(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return next.run(request).await;
    }
    if is_safe(request.method()) {
        let recorded = request.extensions().get::<MatchedPath>().is_some_and(|route| RECORDED.contains(&route.as_str()));
        return match recorded && origin_of(request.headers(), state.public().origin()) == Site::Foreign {
            true => ApiError::cross_site().into_response(),
            false => next.run(request).await,
        };
    }
    match origin_of(request.headers(), state.public().origin()) {
        Site::Ours => next.run(request).await,
        Site::Foreign => ApiError::cross_site().into_response(),
        Site::Unstated if cookie::session(state.public(), request.headers()).is_none() => next.run(request).await,
        Site::Unstated => match with_token(request, &state).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        },
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

#[derive(Debug, PartialEq, Eq)]
enum Site {
    Ours,
    Foreign,
    Unstated,
}

/// Whose page sent this, as far as the browser says so. `public` is our configured origin; without it, the `Host` counts.
fn origin_of(headers: &HeaderMap, public: Option<&str>) -> Site {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("invalid"));
    if let Some(site) = text("sec-fetch-site") {
        return if matches!(site, "same-origin" | "none") { Site::Ours } else { Site::Foreign };
    }
    let Some(origin) = text("origin") else { return Site::Unstated };
    let ours = match public {
        Some(public) => origin == public,
        None => origin.split_once("://").is_some_and(|(_, host)| text("host") == Some(host)),
    };
    if ours { Site::Ours } else { Site::Foreign }
}

/// The request again, if it carries its session's form token.
async fn with_token(request: Request, state: &AppState) -> Result<Request, ApiError> {
    let (parts, body) = request.into_parts();
    let cx = identify(&parts, state).await?;
    if csrf_token(&cx).is_none() {
        // The cookie opens no session, so there is nothing to protect.
        return Ok(Request::from_parts(parts, body));
    }
    if let Some(token) = parts.headers.get(TOKEN_HEADER) {
        let known = token.to_str().is_ok_and(|token| is_csrf_token(&cx, token));
        return if known { Ok(Request::from_parts(parts, body)) } else { Err(ApiError::cross_site()) };
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(ApiError::cross_site());
    }
    let bytes: Bytes = match Limited::new(body, LARGEST_FORM).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => return Err(ApiError::too_large(LARGEST_FORM)),
    };
    let carried = url::form_urlencoded::parse(&bytes).find(|(name, _)| name == TOKEN_FIELD);
    match carried {
        Some((_, token)) if is_csrf_token(&cx, &token) => Ok(Request::from_parts(parts, Body::from(bytes))),
        _ => Err(ApiError::cross_site()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        let public = Some("https://weir.example");
        let cases: &[(&[(&str, &str)], Option<&str>, Site)] = &[
            (&[("sec-fetch-site", "same-origin")], None, Site::Ours),
            (&[("sec-fetch-site", "none")], None, Site::Ours),
            (&[("sec-fetch-site", "same-site")], None, Site::Foreign),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://h"), ("host", "h")], None, Site::Foreign),
            (&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], None, Site::Ours),
            (&[("origin", "http://127.0.0.1:8081"), ("host", "127.0.0.1:8080")], None, Site::Foreign),
            (&[("origin", "null"), ("host", "127.0.0.1:8080")], None, Site::Foreign),
            (&[("origin", "https://weir.example"), ("host", "10.0.0.1:8080")], public, Site::Ours),
            (&[("origin", "http://weir.example"), ("host", "weir.example")], public, Site::Foreign),
            (&[("host", "127.0.0.1:8080")], None, Site::Unstated),
        ];
        for (sent, public, site) in cases {
            let sent: Vec<(&'static str, &'static str)> = sent.to_vec();
            assert_eq!(origin_of(&headers(&sent), *public), *site, "{sent:?}");
        }
    }
}
