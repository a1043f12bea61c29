//! For callers that are threads, not tasks: the same functions, waited for.

use std::future::Future;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

use crate::{
    checkpoints::{self, CheckpointCommit, Committed},
    db::Tx,
    error::Result,
    evidence::{self, Appended, NewLeaf},
    open::Store,
};

/// The store as an engine's host uses it. Its functions block; they must not be called from within the runtime's tasks.
#[derive(Clone, Debug)]
pub struct BlockingStore {
    store: Store,
    runtime: Handle,
}

impl BlockingStore {
    pub fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Waits for anything that reads or writes.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Commits a checkpoint, with further leaves after its own, such as that of the run's end. When it fails, nothing of it is there.
    pub fn commit_checkpoint(&self, commit: CheckpointCommit, more: Vec<NewLeaf>) -> Result<Committed> {
        self.transaction(async |tx| {
            let committed = checkpoints::commit(tx, commit).await?;
            if more.is_empty() {
                return Ok(committed);
            }
            evidence::append(tx, more).await?;
            let log = evidence::state(tx).await?;
            Ok(Committed { log_size: log.range.size(), root: log.range.root(), ..committed })
        })
    }

    /// Appends leaves in a transaction of their own.
    pub fn append(&self, leaves: Vec<NewLeaf>) -> Result<Vec<Appended>> {
        self.transaction(async |tx| evidence::append(tx, leaves).await)
    }

    /// Runs some work in one transaction, which is committed if the work succeeds.
    pub fn transaction<T>(&self, work: impl AsyncFnOnce(&Tx) -> Result<T>) -> Result<T> {
        self.runtime.block_on(async {
            let tx = self.store.begin().await?;
            let done = work(&tx).await?;
            tx.commit().await?;
            Ok(done)
        })
    }
}

/// A moment in microseconds since 1970-01-01T00:00:00Z, as [`crate::consent::ConsentEntry`] counts.
pub fn to_micros(at: DateTime<Utc>) -> i64 {
    crate::time::micros(at)
}
