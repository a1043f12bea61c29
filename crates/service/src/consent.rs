//! Consent: grant, deny, withdraw, import, show. Subjects are hashed before anything is stored.

use tokio::io::AsyncRead;
use weir_api::{ConsentHistory, ConsentRecord, ImportResult, SetConsent, ShowConsent};

use crate::{Cx, Result};

/// Grants, denies or withdraws.
pub async fn set(cx: &Cx, request: SetConsent) -> Result<ConsentRecord> {
    let _ = (cx, request);
    todo!()
}

/// What a subject has said, one record a purpose.
pub async fn show(cx: &Cx, request: ShowConsent) -> Result<ConsentHistory> {
    let _ = (cx, request);
    todo!()
}

/// Reads CSV with the heading `subject,purpose,state,at,expires_at`, in batches. A bad line is reported and changes nothing; the others are taken over.
pub async fn import(cx: &Cx, csv: &mut (dyn AsyncRead + Unpin + Send)) -> Result<ImportResult> {
    let _ = (cx, csv);
    todo!()
}
