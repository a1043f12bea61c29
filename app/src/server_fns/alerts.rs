//! Alerts: listed, counted, acknowledged.

use leptos::prelude::*;
use weir_api::{Alert, AlertQuery, OpenAlerts, Page};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::{links, request};

#[server(name = LoadAlerts, prefix = "/fn", endpoint = "alerts/list", input = leptos::server_fn::codec::Json)]
pub async fn alerts(project: String, query: AlertQuery) -> Result<Page<Alert>, Fault> {
    let cx = request::cx_in(&project).await?;
    weir_service::alerts::list(&cx, query).await.map_err(|error| request::refuse(&cx, error))
}

/// One alert, for the question about it.
#[server(name = LoadAlert, prefix = "/fn", endpoint = "alerts/get", input = leptos::server_fn::codec::GetUrl)]
pub async fn alert(project: String, id: String) -> Result<Alert, Fault> {
    let cx = request::cx_in(&project).await?;
    let id = request::id(&id, "alert")?;
    weir_service::alerts::get(&cx, id).await.map_err(|error| request::refuse(&cx, error))
}

/// How many are open. None where the reader may not know, which is not worth an error on every page.
#[server(name = LoadOpenAlerts, prefix = "/fn", endpoint = "alerts/open", input = leptos::server_fn::codec::GetUrl)]
pub async fn open_alerts(project: String) -> Result<Option<OpenAlerts>, Fault> {
    let cx = request::console_request()?.cx;
    let Ok(slug) = weir_api::Slug::new(project) else { return Ok(None) };
    match cx.in_project(&slug).await {
        Ok(cx) => Ok(weir_service::alerts::open_if_permitted(&cx, None).await.unwrap_or_default()),
        Err(_) => Ok(None),
    }
}

/// Takes note of an alert, and leads back to `back`, a page of this site.
#[server(prefix = "/fn", endpoint = "alerts/acknowledge")]
pub async fn acknowledge(project: String, id: String, note: Option<String>, back: String) -> Result<(), Fault> {
    let cx = request::cx_in(&project).await?;
    let id = request::id(&id, "alert")?;
    let wanted = weir_api::AcknowledgeAlert { note };
    weir_service::alerts::acknowledge(&cx, id, wanted).await.map_err(|error| request::refuse(&cx, error))?;
    leptos_axum::redirect(links::safe_next(&back));
    Ok(())
}
