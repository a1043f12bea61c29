//! The audit log: search, one entry with its proof, and verification.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use weir_api::{AuditEntry, AuditQuery, Head, InclusionProof, Page, VerifyResult};

use crate::fault::Fault;

#[cfg(feature = "ssr")]
use crate::request;

/// A page of the log and the head it stands under.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    pub entries: Page<AuditEntry>,
    pub head: Option<Head>,
}

/// An entry, the places of those beside it, and the proof that it is in the log; the proof may fail where the entry can still be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntryPage {
    pub entry: AuditEntry,
    pub before: Option<u64>,
    pub after: Option<u64>,
    pub proof: Result<InclusionProof, Fault>,
}

#[server(prefix = "/fn", endpoint = "audit/search", input = leptos::server_fn::codec::Json)]
pub async fn audit(project: String, query: AuditQuery) -> Result<AuditPage, Fault> {
    let cx = request::cx_in(&project).await?;
    let entries = weir_service::audit::search(&cx, query).await.map_err(|error| request::refuse(&cx, error))?;
    let head = weir_service::audit::head(&cx).await.map_err(|error| request::refuse(&cx, error))?;
    Ok(AuditPage { entries, head })
}

#[server(prefix = "/fn", endpoint = "audit/entry", input = leptos::server_fn::codec::GetUrl)]
pub async fn entry(project: String, index: u64) -> Result<AuditEntryPage, Fault> {
    let cx = request::cx_in(&project).await?;
    let entry = weir_service::audit::entry(&cx, index).await.map_err(|error| request::refuse(&cx, error))?;
    let (before, after) = weir_service::audit::neighbours(&cx, index).await.map_err(|error| request::refuse(&cx, error))?;
    let proof = weir_service::audit::proof(&cx, index).await.map_err(|error| Fault(error.problem()));
    Ok(AuditEntryPage { entry, before, after, proof })
}

/// Reads the whole log again and checks it against every signed head.
#[server(prefix = "/fn", endpoint = "audit/verify")]
pub async fn verify(project: String) -> Result<VerifyResult, Fault> {
    let cx = request::cx_in(&project).await?;
    weir_service::audit::verify(&cx).await.map_err(|error| request::refuse(&cx, error))
}
