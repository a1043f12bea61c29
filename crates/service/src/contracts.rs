//! Data contracts (ODCS v3), registered once and never changed.

use weir_api::{ContractDetail, ContractSummary, Page, PageQuery, RegisterContract, Slug};

use crate::{Cx, Result};

/// The newest version of each contract, by name.
pub async fn list(cx: &Cx, query: PageQuery) -> Result<Page<ContractSummary>> {
    let _ = (cx, query);
    todo!()
}

/// All versions of a contract, newest first.
pub async fn versions(cx: &Cx, name: &Slug) -> Result<Vec<ContractSummary>> {
    let _ = (cx, name);
    todo!()
}

/// One contract; the newest version unless one such as `1.4.0` is given.
pub async fn get(cx: &Cx, name: &Slug, version: Option<&str>) -> Result<ContractDetail> {
    let _ = (cx, name, version);
    todo!()
}

/// Registers a version. The same text again changes nothing; another text under the same version is a `Conflict`.
pub async fn register(cx: &Cx, request: RegisterContract) -> Result<ContractDetail> {
    let _ = (cx, request);
    todo!()
}
