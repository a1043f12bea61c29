//! The console: Leptos pages and server functions, rendered with the caller's context.

use super::assets;
use super::auth::{self, cookie};
use super::middleware::security_headers::CspNonce;
use super::problem::ApiError;
use super::public::Public;
use super::state::AppState;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use leptos::config::LeptosOptions;
use leptos::nonce::Nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{LeptosRoutes, generate_route_list, render_app_to_stream_with_context};
use std::sync::Arc;
use weir_api::{DateTime, Secret, Utc};
use weir_app::request::ConsoleRequest;
use weir_app::{App, shell};
use weir_service::Cx;

/// Every page, every server function, the static files; pages that do not exist are the console's to explain.
pub fn routes(state: &AppState) -> Router<AppState> {
    let view = {
        let options = state.leptos().clone();
        move || shell(options.clone())
    };
    let page = render_app_to_stream_with_context(provide, view.clone());
    let unknown = move |request: Request| {
        let page = page.clone();
        async move {
            let path = request.uri().path();
            let machine = path == "/api" || path.starts_with("/api/") || path.starts_with("/.well-known/");
            match *request.method() {
                Method::GET | Method::HEAD if !machine => page(request).await,
                _ => ApiError::bare(StatusCode::NOT_FOUND).into_response(),
            }
        }
    };
    Router::new()
        .leptos_routes_with_context(state, generate_route_list(App), provide, view)
        .fallback(unknown)
        .layer(from_fn_with_state(state.clone(), identify))
        .route("/pkg/{*path}", get(assets::serve))
        .route("/favicon.ico", get(assets::favicon))
}

/// Where pages find their files. The folder's name changes with the files, so browsers may keep them for ever.
#[must_use]
pub fn options() -> LeptosOptions {
    LeptosOptions::builder().output_name("app").site_pkg_dir(assets::pkg_dir()).build()
}

/// Finds out who reads, before anything is rendered.
async fn identify(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match auth::identify(&parts, &state).await {
        Ok(cx) => {
            parts.extensions.insert(console_request(cx, state.public().clone()));
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    }
}

fn console_request(cx: Cx, public: Public) -> ConsoleRequest {
    let end_session = cookie::clear(&public);
    let clock = cx.clone();
    let begin_session = move |token: &Secret, until: DateTime<Utc>| {
        cookie::set(&public, token.expose(), (until - clock.now()).num_seconds().max(0))
    };
    ConsoleRequest { cx, begin_session: Arc::new(begin_session), end_session, can_hydrate: assets::can_hydrate() }
}

/// What pages and server functions find in their context.
fn provide() {
    let Some(parts) = use_context::<Parts>() else { return };
    if let Some(CspNonce(nonce)) = parts.extensions.get::<CspNonce>() {
        provide_context(Nonce::from_value(nonce.clone()));
    }
    if let Some(request) = parts.extensions.get::<ConsoleRequest>() {
        provide_context(request.clone());
    }
}
