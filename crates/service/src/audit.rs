//! The audit log: search, proofs, verification, export.

use weir_api::{
    AuditEntry, AuditQuery, ConsistencyProof, Head, InclusionProof, Page, VerifyResult,
};

use crate::{Cx, Result};

/// Entries, newest first.
pub async fn search(cx: &Cx, query: AuditQuery) -> Result<Page<AuditEntry>> {
    let _ = (cx, query);
    todo!()
}

/// One entry.
pub async fn entry(cx: &Cx, index: u64) -> Result<AuditEntry> {
    let _ = (cx, index);
    todo!()
}

/// That an entry is under the newest head; signs a head first when the entry is newer.
pub async fn proof(cx: &Cx, index: u64) -> Result<InclusionProof> {
    let _ = (cx, index);
    todo!()
}

/// The newest signed head.
pub async fn head(cx: &Cx) -> Result<Option<Head>> {
    let _ = (cx,);
    todo!()
}

/// That the log of `second` leaves continues the log of `first` leaves.
pub async fn consistency(cx: &Cx, first: u64, second: u64) -> Result<ConsistencyProof> {
    let _ = (cx, first, second);
    todo!()
}

/// Reads the whole log again and checks it against every signed head.
pub async fn verify(cx: &Cx) -> Result<VerifyResult> {
    let _ = (cx,);
    todo!()
}

/// A bundle for `weir audit verify --bundle`: leaves, heads and the public key, as a temporary file rewound to its start.
pub async fn export(cx: &Cx) -> Result<std::fs::File> {
    let _ = (cx,);
    todo!()
}
