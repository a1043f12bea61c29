//! The keys of the instance and of its projects, all sealed under the master key.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use weir_api::ProjectId;
use weir_authz::Actor;
use weir_evidence::{
    Body, Previous, PublicKey, SigningKey,
    record::{KeyAction, KeyEvent, LogStarted},
};
use weir_store::{
    Store, Tx, evidence,
    keys::{self, NewSealedKey, SealedKey},
};
use weir_vault::{MasterKey, ProjectKeys, Sealed};

use crate::{Error, Result, Services, change::Change, heads::Signer, random};

const EVIDENCE: &str = crate::heads::KEY_KIND;
const TOKEN: &str = "token-signing";
const PROJECT: &str = "project";

/// The signing keys of the instance.
pub(crate) struct InstanceKeys {
    pub evidence: SigningKey,
    /// The current one first, then retired ones.
    pub evidence_keys: Vec<PublicKey>,
    pub token: SigningKey,
}

/// Opens the signing keys; makes them, and begins the evidence log, when the instance is new.
pub(crate) async fn open_instance(store: &Store, master: &MasterKey, now: DateTime<Utc>) -> Result<InstanceKeys> {
    let tx = store.begin().await?;
    // Made in the transaction of the log's first leaves: an empty log with a key is one that was emptied, and is not begun again.
    let is_new = keys::list(&tx, EVIDENCE, None).await?.is_empty();
    let evidence_key = signing_key(&tx, master, EVIDENCE, now).await?;
    let token = signing_key(&tx, master, TOKEN, now).await?;
    if is_new && evidence::state(&tx).await?.range.size() == 0 {
        let started = LogStarted {
            log_id: store.log_id().to_string(),
            public_key: evidence_key.public_key(),
            weir: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let created = |key: &SigningKey| key_event(KeyAction::Created, "signing", key.key_id());
        let bodies = [Body::LogStarted(started), created(&evidence_key), created(&token)];
        evidence::append(&tx, bodies.into_iter().map(|body| system_leaf(None, body, now)).collect()).await?;
        // Signed at once, so that leaves without any head are never honest.
        let first = evidence::state(&tx).await?.range;
        let by = Signer { key: &evidence_key, master, log_id: &store.log_id().to_string() };
        by.sign(&tx, &first, Previous::none(), now.timestamp_micros()).await?;
    }
    let mut evidence_keys = vec![evidence_key.public_key()];
    for stored in keys::list(&tx, EVIDENCE, None).await? {
        let public = stored.public_key.as_deref().and_then(|bytes| PublicKey::from_bytes(bytes.try_into().ok()?).ok());
        evidence_keys.extend(public.filter(|key| !evidence_keys.contains(key)));
    }
    tx.commit().await?;
    Ok(InstanceKeys { evidence: evidence_key, evidence_keys, token })
}

async fn signing_key(tx: &Tx, master: &MasterKey, kind: &str, now: DateTime<Utc>) -> Result<SigningKey> {
    if let Some(stored) = keys::current(tx, kind, None).await? {
        let seed = master.key().open(&aad(kind), &sealed(&stored)?).map_err(|e| cannot_open(&stored, e))?;
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| cannot_open(&stored, "it is not a key"))?;
        return Ok(SigningKey::from_bytes(seed));
    }
    let key = SigningKey::from_bytes(&*random::bytes::<32>()?);
    let sealed = master.key().seal(&aad(kind), &*key.to_bytes()).map_err(|e| Error::internal("a new key", e))?;
    let new = NewSealedKey {
        key_id: key.key_id(),
        kind: kind.to_owned(),
        project: None,
        sealed: sealed.into_bytes(),
        public_key: Some(key.public_key().as_bytes().to_vec()),
    };
    keys::put(tx, new, now).await?;
    Ok(key)
}

/// Makes the keys of a new project within the change that makes the project.
pub(crate) async fn create_for_project(services: &Services, change: &mut Change, project: ProjectId) -> Result<()> {
    let (made, sealed) =
        ProjectKeys::create(&services.master_key, &project.to_string()).map_err(|e| Error::internal("a new project key", e))?;
    let key_id = made.id().to_string();
    let new = NewSealedKey {
        key_id: key_id.clone(),
        kind: PROJECT.to_owned(),
        project: Some(project),
        sealed: sealed.into_bytes(),
        public_key: None,
    };
    keys::put(change.tx(), new, services.now()).await?;
    change.with(key_event(KeyAction::Created, PROJECT, key_id));
    Ok(())
}

/// The keys of a project; opened once, then kept in memory.
pub(crate) async fn of_project(services: &Services, project: ProjectId) -> Result<Arc<ProjectKeys>> {
    let known = services.project_keys.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&project).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let stored = keys::current(&services.store, PROJECT, Some(project))
        .await?
        .ok_or_else(|| Error::Internal(format!("project {project} has no key; the database was changed by hand")))?;
    let opened =
        ProjectKeys::open(&services.master_key, &project.to_string(), &sealed(&stored)?).map_err(|e| cannot_open(&stored, e))?;
    let opened = Arc::new(opened);
    services.project_keys.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(project, Arc::clone(&opened));
    Ok(opened)
}

fn sealed(stored: &SealedKey) -> Result<Sealed> {
    Sealed::from_bytes(stored.sealed.clone()).map_err(|e| cannot_open(stored, e))
}

fn cannot_open(stored: &SealedKey, error: impl std::fmt::Display) -> Error {
    Error::Internal(format!(
        "the {} key {} cannot be opened: {error}; is this the master key that the data was made with?",
        stored.kind, stored.key_id
    ))
}

fn aad(kind: &str) -> Vec<u8> {
    format!("weir/{kind}/v1").into_bytes()
}

fn key_event(action: KeyAction, scope: &str, key_id: String) -> Body {
    Body::KeyEvent(KeyEvent { action, scope: scope.to_owned(), key_id, subject: None })
}

fn system_leaf(project: Option<ProjectId>, body: Body, at: DateTime<Utc>) -> evidence::NewLeaf {
    evidence::NewLeaf { project, at, actor: Actor::system("start").audit_name(), run: None, body }
}
