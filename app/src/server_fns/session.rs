//! Sign-in, sign-out, who the reader is, and their theme.

use leptos::prelude::*;
use weir_api::Me;

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::{links, request};

/// The reader, with their roles and permissions in the project (their first one by default).
#[server(name = LoadMe, prefix = "/fn", endpoint = "session/me", input = leptos::server_fn::codec::GetUrl)]
pub async fn me(project: Option<String>) -> Result<Me, Fault> {
    let cx = match project {
        Some(project) => request::cx_in(&project).await?,
        None => request::cx()?,
    };
    weir_service::auth::me(&cx).await.map_err(|error| request::refuse(&cx, error))
}

/// Begins a session and leads to `next`.
#[server(prefix = "/fn", endpoint = "session/sign-in")]
pub async fn sign_in(name: String, password: String, next: Option<String>) -> Result<(), Fault> {
    let console = request::console_request()?;
    let wanted = weir_api::SignIn { name, password: weir_api::Secret::new(password) };
    let signed_in =
        weir_service::auth::sign_in(&console.cx, wanted).await.map_err(|error| request::refuse(&console.cx, error))?;
    request::set_cookie((console.begin_session)(&signed_in.token, signed_in.expires_at));
    leptos_axum::redirect(links::safe_next(next.as_deref().unwrap_or("/")));
    Ok(())
}

/// Ends the session.
#[server(prefix = "/fn", endpoint = "session/sign-out")]
pub async fn sign_out() -> Result<(), Fault> {
    let console = request::console_request()?;
    // An expired session is as good as ended.
    match weir_service::auth::sign_out(&console.cx).await {
        Ok(()) | Err(weir_service::Error::Unauthenticated) => {}
        Err(error) => return Err(request::refuse(&console.cx, error)),
    }
    request::set_cookie(console.end_session);
    leptos_axum::redirect(links::SIGN_IN);
    Ok(())
}

/// Remembers `light` or `dark`; anything else follows the system.
#[server(prefix = "/fn", endpoint = "session/theme")]
pub async fn set_theme(theme: String) -> Result<(), Fault> {
    use axum::http::HeaderValue;
    request::set_cookie(HeaderValue::from_static(match theme.as_str() {
        "light" => "weir_theme=light; Path=/; SameSite=Lax; Max-Age=31536000",
        "dark" => "weir_theme=dark; Path=/; SameSite=Lax; Max-Age=31536000",
        _ => "weir_theme=; Path=/; SameSite=Lax; Max-Age=0",
    }));
    Ok(())
}
