//! What the HTTP layer hands to the console with each request, and how server functions call the service with it.

// A problem document is large; it is made once a request at most.
#![allow(clippy::result_large_err)]

use std::sync::Arc;

use axum::http::{HeaderValue, Method, StatusCode, header, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use weir_api::{DateTime, Secret, Slug, Utc};
use weir_service::{Cx, Error};

use crate::fault::Fault;

/// Provided through Leptos context by whoever serves the console, for pages and server functions alike.
#[derive(Clone)]
pub struct ConsoleRequest {
    /// Who asks: anonymous, or resumed from the session cookie.
    pub cx: Cx,
    /// `Set-Cookie` for a new session that ends at the given moment.
    pub begin_session: Arc<dyn Fn(&Secret, DateTime<Utc>) -> HeaderValue + Send + Sync>,
    /// `Set-Cookie` that makes the browser forget its session.
    pub end_session: HeaderValue,
    /// The browser's part of the console is being served; without it pages stay plain HTML.
    pub can_hydrate: bool,
}

/// The console's request. Its absence is a fault of the server's wiring.
pub fn console_request() -> Result<ConsoleRequest, Fault> {
    use_context::<ConsoleRequest>()
        .ok_or_else(|| fail(Fault::new("console", "The console is not wired up", 500, "The server provides no ConsoleRequest.")))
}

/// The caller, outside of any project.
pub fn cx() -> Result<Cx, Fault> {
    Ok(console_request()?.cx)
}

/// The caller inside a project.
pub async fn cx_in(project: &str) -> Result<Cx, Fault> {
    let cx = cx()?;
    let slug = slug(project, "project")?;
    cx.in_project(&slug).await.map_err(|error| refuse(&cx, error))
}

/// A name from an address; one that cannot be a name is simply not found.
pub fn slug(text: &str, what: &str) -> Result<Slug, Fault> {
    Slug::new(text).map_err(|_| fail(Fault::not_found(what)))
}

/// An id from an address.
pub fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| fail(Fault::not_found(what)))
}

/// The service's error as the page shows it; the response gets its status.
pub fn refuse(cx: &Cx, error: Error) -> Fault {
    if let Error::Internal(cause) = &error {
        tracing::error!(cause, "internal error");
    }
    let mut problem = error.problem();
    let request_id = &cx.request().request_id;
    problem.request_id = (!request_id.is_empty()).then(|| request_id.clone());
    fail(Fault(problem))
}

/// Sets the response's status to the problem's; a response that leads elsewhere keeps its own.
pub fn fail(fault: Fault) -> Fault {
    if let (Some(response), Ok(status)) = (use_context::<ResponseOptions>(), StatusCode::from_u16(fault.0.status)) {
        if is_plain_form() || leads_elsewhere(&response) {
            return fault;
        }
        response.set_status(status);
        if let Some(seconds) = fault.0.retry_after_seconds {
            response.insert_header(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    fault
}

fn leads_elsewhere(response: &ResponseOptions) -> bool {
    response.0.read().is_ok_and(|parts| parts.headers.contains_key(header::LOCATION))
}

/// A form sent without scripts: it is answered by leading back to its page, with the fault in the address.
fn is_plain_form() -> bool {
    use_context::<Parts>().is_some_and(|parts| {
        let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        parts.method == Method::POST && accepted.is_some_and(|accepted| accepted.contains("text/html"))
    })
}

/// Adds a `Set-Cookie` to the response.
pub fn set_cookie(value: HeaderValue) {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.append_header(header::SET_COOKIE, value);
    }
}
