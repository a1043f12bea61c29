//! The session: signing in and out, who one is, and the own password; and the keys that verify tokens.

use crate::http::auth::{Anyone, Caller, cookie};
use crate::http::extract::Json;
use crate::http::middleware::csrf;
use crate::http::openapi::Refusals;
use crate::http::problem::ApiResult;
use crate::http::state::AppState;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_api::{ChangePassword, Jwks, Me, SignIn};
use weir_service::{auth, tokens};

type Headers<const N: usize> = [(HeaderName, HeaderValue); N];

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(me, sign_in, sign_out)).routes(routes!(change_password)).routes(routes!(jwks))
}

/// Sign in: begins a session and sets its cookie
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", operation_id = "session.sign_in", request_body = SignIn,
    responses(
        (status = 200, body = Me),
        (status = 429, description = "Too many failures", body = weir_api::Problem, content_type = "application/problem+json"),
        Refusals
    ),
    security(()), extensions(("x-weir-action" = json!("anonymous")))
)]
async fn sign_in(
    State(state): State<AppState>,
    Anyone(cx): Anyone,
    Json(body): Json<SignIn>,
) -> ApiResult<(Headers<1>, Json<Me>)> {
    let session = auth::sign_in(&cx, body).await?;
    let seconds = (session.expires_at - cx.now()).num_seconds().max(0);
    let cookie = cookie::set(state.public(), session.token.expose(), seconds);
    Ok(([(header::SET_COOKIE, cookie)], Json(session.me)))
}

/// Sign out: ends the session, here and on the server
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session", operation_id = "session.sign_out",
    responses((status = 204), Refusals), security(("session" = [])), extensions(("x-weir-action" = json!("self")))
)]
async fn sign_out(State(state): State<AppState>, Caller(cx): Caller) -> ApiResult<(StatusCode, Headers<1>)> {
    auth::sign_out(&cx).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::clear(state.public()))]))
}

/// Show who is signed in, with roles and permissions
#[utoipa::path(
    get, path = "/api/v1/session", tag = "session", operation_id = "session.me",
    responses((status = 200, body = Me), Refusals), extensions(("x-weir-action" = json!("self")))
)]
async fn me(Caller(cx): Caller) -> ApiResult<(Option<Headers<1>>, Json<Me>)> {
    // For clients that send neither `Sec-Fetch-Site` nor `Origin` and yet change things with the cookie.
    let token = auth::csrf_token(&cx).and_then(|token| HeaderValue::from_str(&token).ok());
    let header = token.map(|token| [(HeaderName::from_static(csrf::TOKEN_HEADER), token)]);
    Ok((header, Json(auth::me(&cx).await?)))
}

/// Change the own password; all other sessions end, API tokens stay
#[utoipa::path(
    put, path = "/api/v1/session/password", tag = "session", operation_id = "session.change_password",
    request_body = ChangePassword, responses((status = 204), Refusals), security(("session" = [])),
    extensions(("x-weir-action" = json!("self")))
)]
async fn change_password(Caller(cx): Caller, Json(body): Json<ChangePassword>) -> ApiResult<StatusCode> {
    auth::change_password(&cx, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The public keys that verify this instance's tokens (RFC 7517)
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "session", operation_id = "session.jwks",
    responses((status = 200, body = Jwks)), security(()), extensions(("x-weir-action" = json!("anonymous")))
)]
async fn jwks(State(state): State<AppState>) -> (Headers<1>, Json<Jwks>) {
    let cache = HeaderValue::from_static("public, max-age=300");
    ([(header::CACHE_CONTROL, cache)], Json(tokens::jwks(state.services())))
}
