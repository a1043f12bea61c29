//! Signed tree heads: every minute, at shutdown, and whenever a proof needs one.

use weir_api::Head;
use weir_evidence::{PublicKey, Timestamp, TreeHead, heads_file};
use weir_store::{evidence, heads};

use crate::{Error, Result, Services};

/// The file beside the database, one head a line.
pub const FILE: &str = "heads.jsonl";
/// The kind under which the keys that sign heads are stored.
pub const KEY_KIND: &str = "evidence-signing";

/// The key that signs heads now.
pub fn public_key(services: &Services) -> PublicKey {
    services.evidence_key.public_key()
}

/// Signs the log as it stands, stores the head and appends it to the heads file beside the database. Nothing is signed when the
/// newest head already covers the log. Returns the newest head.
pub async fn sign(services: &Services) -> Result<Option<Head>> {
    sign_now(services).await.map(|head| head.map(dto))
}

pub(crate) async fn sign_now(services: &Services) -> Result<Option<TreeHead>> {
    let _one_at_a_time = services.signing.lock().await;
    let tx = services.store.begin().await?;
    let log = evidence::state(&tx).await?;
    let newest = heads::latest(&tx).await?;
    if log.range.size() == 0 || newest.as_ref().is_some_and(|head| head.size == log.range.size()) {
        tx.rollback().await?;
        return Ok(newest);
    }
    let at = Timestamp::from_micros(services.now().timestamp_micros()).map_err(|e| Error::internal("the clock", e))?;
    let log_id = services.store.log_id().to_string();
    let head = TreeHead::sign(&services.evidence_key, &log_id, log.range.size(), log.range.root(), at)
        .map_err(|e| Error::internal("a tree head", e))?;
    heads::append(&tx, &head).await?;
    tx.commit().await?;
    let path = services.heads_file.clone();
    let line = head.clone();
    tokio::task::spawn_blocking(move || heads_file::append(&path, &line))
        .await
        .map_err(|e| Error::internal("the heads file", e))?
        .map_err(|e| Error::internal("the heads file", e))?;
    Ok(Some(head))
}

pub(crate) fn dto(head: TreeHead) -> Head {
    Head {
        log_id: head.log_id,
        size: head.size,
        root: head.root.to_string(),
        signed_at: chrono::DateTime::from_timestamp_micros(head.at.as_micros()).unwrap_or_default(),
        key_id: head.key_id,
        signature: String::from(head.signature),
    }
}
