//! Signed tree heads: with the first leaves, every minute, at shutdown, and whenever a proof needs one.
//!
//! A head is signed only over a log that continues that of the head before. What that head was and the Merkle frontier under it are
//! kept sealed under the master key as well, so that neither a rewritten frontier nor the removal of heads can move Weir to vouch
//! for another history: it refuses to sign from then on, and says why.
//!
//! ```text
//! one transaction: leaves since the last head -> frontier -> head, sealed copy     then: heads file
//! ```
//!
//! A process that dies in between leaves a head that is not in the file; whoever signs or starts next puts it there first.

use std::pin::pin;

use futures::StreamExt;
use weir_api::Head;
use weir_evidence::{
    CompactRange, Previous, PublicKey, SigningKey, Timestamp, TreeHead, heads_file,
    merkle::{leaf_hash, root_of},
};
use weir_store::{
    Store, Tx, evidence,
    heads::{self, SealedHead},
};
use weir_vault::{MasterKey, SealError, Sealed};

use crate::{Error, Result, Services};

/// The file beside the database, one head a line.
pub const FILE: &str = "heads.jsonl";
/// The kind under which the keys that sign heads are stored.
pub const KEY_KIND: &str = "evidence-signing";
/// Of logs up to this size all stored hashes are looked at before a process signs for the first time; of longer ones the frontier
/// under the last head is believed, because it was sealed.
const LOOKED_AT: u64 = 65_536;

/// The key that signs heads now.
pub fn public_key(services: &Services) -> PublicKey {
    services.evidence_key.public_key()
}

/// Signs the log as it stands, stores the head and appends it to the heads file beside the database. Nothing is signed when the
/// newest head already covers the log. Returns the newest head. A log that does not continue the one that was signed last is refused
/// with [`Error::Conflict`].
pub async fn sign(services: &Services) -> Result<Head> {
    sign_now(services).await.map(dto)
}

pub(crate) async fn sign_now(services: &Services) -> Result<TreeHead> {
    let mut looked_at = services.signing.lock().await;
    if !*looked_at {
        look_at_hashes(services).await?;
        *looked_at = true;
    }
    let tx = services.store.begin().await?;
    let (newest, under) = last_signed(services, &tx).await?;
    let log = evidence::state(&tx).await?.range;
    let range = continued(&services.store, under, log.size()).await?;
    if range != log {
        return Err(refused(
            "the leaves since the last head do not give the frontier that the database keeps; one of them was changed",
        ));
    }
    if range.size() == newest.size {
        tx.rollback().await?;
        return Ok(newest);
    }
    let by = Signer { key: &services.evidence_key, master: &services.master_key, log_id: &services.log_id() };
    let head = by.sign(&tx, &range, Previous::from(&newest), services.now().timestamp_micros()).await?;
    tx.commit().await?;
    append_to_file(services, &head).await?;
    Ok(head)
}

/// What signs.
pub(crate) struct Signer<'a> {
    pub key: &'a SigningKey,
    pub master: &'a MasterKey,
    pub log_id: &'a str,
}

impl Signer<'_> {
    /// Signs and seals within the caller's transaction. The heads file comes after it.
    pub(crate) async fn sign(&self, tx: &Tx, range: &CompactRange, previous: Previous, at_micros: i64) -> Result<TreeHead> {
        let at = Timestamp::from_micros(at_micros).map_err(|e| Error::internal("the clock", e))?;
        let head = TreeHead::sign(self.key, self.log_id, range.size(), range.root(), at, Some(previous))
            .map_err(|e| Error::internal("a tree head", e))?;
        heads::append(tx, &head).await?;
        let line = head.to_line().map_err(|e| Error::internal("a tree head", e))?;
        let sealed = self.master.key().seal(&aad(&line), &range.to_bytes()).map_err(|e| Error::internal("a sealed head", e))?;
        heads::keep_sealed(tx, SealedHead { line, sealed: sealed.into_bytes() }).await?;
        Ok(head)
    }
}

/// Looks at the heads when a process starts: puts the newest one into the heads file if a process died before it did, and says loudly
/// if the log will not be signed.
pub(crate) async fn settle(services: &Services) {
    let settled = async {
        let tx = services.store.begin().await?;
        last_signed(services, &tx).await?;
        tx.rollback().await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = settled.await {
        tracing::error!(%error, "the audit log needs attention");
    }
}

/// The newest head and the frontier under it, once it is certain that it is the newest that was ever signed: it is the one that was
/// sealed, the heads file knows of none that the database does not know, and it is in the file.
async fn last_signed(services: &Services, tx: &Tx) -> Result<(TreeHead, CompactRange)> {
    let copy = heads::sealed(tx).await?;
    let Some(newest) = heads::latest(tx).await? else {
        return Err(refused("there is no signed head, though a log is signed with its first leaves; the heads were removed"));
    };
    let known = services.evidence_keys.iter().any(|key| newest.is_signed_by(key));
    if !known || newest.log_id != services.log_id() {
        return Err(refused("the newest head is not signed by this instance"));
    }
    let under = match copy {
        Some(copy) => {
            let under = open_copy(&services.master_key, &copy)?;
            if Some(&copy.line) != newest.to_line().ok().as_ref() {
                return Err(refused("the newest head is not the one that was sealed last; heads were removed or put back"));
            }
            under
        }
        // Versions that did not name the head before kept no copy either.
        None if newest.previous.is_none() => {
            let mut under = CompactRange::new();
            evidence::hashes(&services.store, 0..newest.size)
                .await
                .map_err(not_all_there)?
                .into_iter()
                .for_each(|hash| under.append(hash));
            under
        }
        None => return Err(refused("the sealed copy of the newest head is missing")),
    };
    if (under.size(), under.root()) != (newest.size, newest.root) {
        return Err(refused("the leaves do not give the root of the last signed head; some were changed, removed or added"));
    }
    let path = services.heads_file.clone();
    let last = blocking(move || heads_file::last(&path)).await?;
    if last.as_ref() != Some(&newest) {
        if let Some(last) = &last
            && !heads::contains(tx, last).await?
        {
            return Err(refused(
                "the heads file knows of a later or another head than the database; heads were removed from it, or one of \
                                the two was replaced",
            ));
        }
        // One that is missing was left by a process that died. Of several that are missing, verification tells.
        append_to_file(services, &newest).await?;
    }
    Ok((newest, under))
}

/// Opens the sealed copy: the frontier under its head.
pub(crate) fn open_copy(master: &MasterKey, copy: &SealedHead) -> Result<CompactRange> {
    let changed = || refused("the sealed copy of the newest head was changed");
    let sealed = Sealed::from_bytes(copy.sealed.clone()).map_err(|_| changed())?;
    let frontier = master.key().open(&aad(&copy.line), &sealed).map_err(|error| match error {
        SealError::WrongKey { .. } => Error::internal("the sealed copy of the newest head", error),
        _ => changed(),
    })?;
    CompactRange::from_bytes(&frontier).map_err(|_| changed())
}

/// The frontier with the leaves up to `size`, whose bytes are hashed anew.
async fn continued(store: &Store, mut under: CompactRange, size: u64) -> Result<CompactRange> {
    if size < under.size() {
        return Err(refused("the log is shorter than what was signed; its end was cut off"));
    }
    let mut leaves = pin!(evidence::stream(store, under.size()..size));
    while let Some(leaf) = leaves.next().await {
        let (seq, bytes, stored) = leaf?;
        let hash = leaf_hash(&bytes);
        if seq != under.size() || hash != stored {
            return Err(refused(&format!("leaf {} is not what was written", under.size())));
        }
        under.append(hash);
    }
    Ok(under)
}

/// Whether the stored hashes of a log that is not too long give the root of the newest head.
async fn look_at_hashes(services: &Services) -> Result<()> {
    let Some(newest) = heads::latest(&services.store).await?.filter(|head| head.size <= LOOKED_AT) else { return Ok(()) };
    let hashes = evidence::hashes(&services.store, 0..newest.size).await.map_err(not_all_there)?;
    if root_of(hashes) == newest.root {
        return Ok(());
    }
    Err(refused("the leaves do not give the root of the last signed head; some were changed, removed or added"))
}

async fn append_to_file(services: &Services, head: &TreeHead) -> Result<()> {
    let (path, head) = (services.heads_file.clone(), head.clone());
    blocking(move || heads_file::append(&path, &head)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, heads_file::HeadsFileError> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("the heads file", e))?;
    done.map_err(|e| Error::Internal(e.to_string()))
}

fn aad(line: &str) -> Vec<u8> {
    format!("weir/newest-head/v1\n{line}").into_bytes()
}

fn not_all_there(error: weir_store::StoreError) -> Error {
    match error {
        weir_store::StoreError::Corrupt(problem) => refused(&format!("of the leaves that were signed, {problem}")),
        other => other.into(),
    }
}

fn refused(why: &str) -> Error {
    Error::Conflict(format!(
        "the audit log is not signed any more: {why}. See `weir audit verify`; keep this folder as evidence, and go on from a backup of \
         the whole folder or in a new one"
    ))
}

pub(crate) fn dto(head: TreeHead) -> Head {
    Head {
        log_id: head.log_id,
        size: head.size,
        root: head.root.to_string(),
        signed_at: chrono::DateTime::from_timestamp_micros(head.at.as_micros()).unwrap_or_default(),
        previous: head.previous.map(|previous| weir_api::PreviousHead { size: previous.size, root: previous.root.to_string() }),
        key_id: head.key_id,
        signature: String::from(head.signature),
    }
}
