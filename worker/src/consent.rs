//! Consent in memory, kept current: a snapshot at start, then every change within a fraction of a second.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use weir_api::ProjectId;
use weir_engine::{ConsentState, ConsentTable, consent_table::ConsentChange, host::LiveConsent};
use weir_store::{
    Store, StoreError,
    consent::{self, ConsentEntry, PurposeId},
    consent_snapshot,
};

/// How often changes of other processes are looked for.
const POLL: Duration = Duration::from_millis(200);
/// Threads that read the table at start.
const READERS: usize = 2;
/// Changes taken at a time.
const PAGE: u32 = 10_000;

/// The consent tables of one project, by purpose. Pipelines of the project share them.
pub struct ConsentFeed {
    store: Store,
    project: ProjectId,
    tables: Mutex<BTreeMap<String, Table>>,
}

#[derive(Clone)]
struct Table {
    purpose: PurposeId,
    live: LiveConsent,
}

impl ConsentFeed {
    /// A feed that follows the store until it is dropped.
    pub fn start(store: Store, project: ProjectId, runtime: &tokio::runtime::Handle) -> Arc<Self> {
        let feed = Arc::new(Self { store, project, tables: Mutex::default() });
        runtime.spawn(follow(Arc::downgrade(&feed)));
        feed
    }

    /// The table of a purpose; loaded when it is asked for the first time.
    pub async fn table(&self, purpose: &str) -> Result<LiveConsent, StoreError> {
        if let Some(table) = self.tables.lock().get(purpose) {
            return Ok(Arc::clone(&table.live));
        }
        let tx = self.store.begin().await?;
        let id = consent::ensure_purpose(&tx, self.project, purpose).await?;
        tx.commit().await?;
        // What changes while the snapshot is read is read again afterwards; applying it twice does no harm.
        let version = consent::version(&self.store).await?;
        let store = self.store.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let mut table = ConsentTable::default();
            let now = chrono::Utc::now().timestamp();
            consent_snapshot::snapshot(&store, id, READERS, |entries| {
                for entry in entries {
                    table.apply(change(entry), entry.version, now);
                }
            })?;
            Ok::<_, StoreError>(table)
        });
        let mut table = loaded.await.expect("invariant: loading consent does not panic")?;
        tracing::debug!(purpose, people = table.len(), version, "consent loaded");
        table.set_version(version);
        let live: LiveConsent = Arc::new(RwLock::new(table));
        let mut tables = self.tables.lock();
        let table = tables.entry(purpose.to_owned()).or_insert(Table { purpose: id, live });
        Ok(Arc::clone(&table.live))
    }

    /// Takes over what has changed. Called by the follower; public for tests and for callers that cannot wait.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let tables: Vec<Table> = self.tables.lock().values().cloned().collect();
        let Some(mut version) = tables.iter().map(|table| table.live.read().version()).min() else { return Ok(()) };
        if consent::version(&self.store).await? == version {
            return Ok(());
        }
        let purposes: Vec<PurposeId> = tables.iter().map(|table| table.purpose).collect();
        loop {
            let entries = consent::since(&self.store, &purposes, version, PAGE).await?;
            let Some(last) = entries.last().map(|entry| entry.version) else { break };
            let now = chrono::Utc::now().timestamp();
            for table in &tables {
                let mut live = table.live.write();
                let known = live.version();
                for entry in entries.iter().filter(|entry| entry.purpose == table.purpose && entry.version > known) {
                    live.apply(change(entry), entry.version, now);
                }
            }
            version = last;
            if entries.len() < PAGE as usize {
                break;
            }
        }
        for table in &tables {
            table.live.write().set_version(version);
        }
        Ok(())
    }
}

async fn follow(feed: Weak<ConsentFeed>) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(feed) = feed.upgrade() else { return };
        if let Err(error) = feed.refresh().await {
            tracing::error!(%error, "changes of consent could not be read; decisions rest on what was known before");
        }
    }
}

fn change(entry: &ConsentEntry) -> ConsentChange {
    use weir_api::ConsentState as Stored;
    ConsentChange {
        subject: weir_vault::SubjectId::from_bytes(entry.subject),
        state: match entry.state {
            Stored::Granted => ConsentState::Granted,
            Stored::Denied => ConsentState::Denied,
            Stored::Withdrawn => ConsentState::Withdrawn,
        },
        valid_from: entry.valid_from.div_euclid(1_000_000),
        expires_at: entry.expires_at.map(|at| at.div_euclid(1_000_000)),
    }
}
