//! Quarantined rows: their reasons to everyone who may list them, their content by explicit request only.

use leptos::prelude::*;
use weir_api::{HeldRows, Page, QuarantineEntry, QuarantineQuery, QuarantineRow};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::request;

/// A POST, so that a query's values stand in no proxy's log.
#[server(prefix = "/fn", endpoint = "quarantine/list", input = leptos::server_fn::codec::Json)]
pub async fn quarantine(project: String, query: QuarantineQuery) -> Result<Page<QuarantineEntry>, Fault> {
    let cx = request::cx_in(&project).await?;
    weir_service::quarantine::list(&cx, query).await.map_err(|error| request::refuse(&cx, error))
}

/// One row's reasons, without its content.
#[server(prefix = "/fn", endpoint = "quarantine/entry", input = leptos::server_fn::codec::GetUrl)]
pub async fn entry(project: String, segment: String, row: u32) -> Result<QuarantineEntry, Fault> {
    let cx = request::cx_in(&project).await?;
    let segment = request::id(&segment, "quarantined row")?;
    weir_service::quarantine::entry(&cx, segment, row).await.map_err(|error| request::refuse(&cx, error))
}

/// Whether the reader may open the rows of a segment, and if not, why.
#[server(prefix = "/fn", endpoint = "quarantine/readable", input = leptos::server_fn::codec::GetUrl)]
pub async fn readable(project: String, segment: String) -> Result<Result<(), String>, Fault> {
    let cx = request::cx_in(&project).await?;
    let segment = request::id(&segment, "quarantined row")?;
    weir_service::quarantine::readable(&cx, segment).await.map_err(|error| request::refuse(&cx, error))
}

/// The sources and steps that hold rows, with how many.
#[server(prefix = "/fn", endpoint = "quarantine/held", input = leptos::server_fn::codec::GetUrl)]
pub async fn held(project: String) -> Result<Vec<HeldRows>, Fault> {
    let cx = request::cx_in(&project).await?;
    weir_service::quarantine::held(&cx).await.map_err(|error| request::refuse(&cx, error))
}

/// One row with its content. The reading is in the audit log before the content is on its way.
#[server(prefix = "/fn", endpoint = "quarantine/reveal")]
pub async fn reveal(project: String, segment: String, row: u32) -> Result<QuarantineRow, Fault> {
    let cx = request::cx_in(&project).await?;
    let segment = request::id(&segment, "quarantined row")?;
    weir_service::quarantine::read(&cx, segment, row).await.map_err(|error| request::refuse(&cx, error))
}
