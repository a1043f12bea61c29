//! The checkpoints of a data folder, read beside the process that makes them.

use std::path::Path;

use anyhow::{Context, Result};
use weir_store::{
    Store, checkpoints, projects,
    runs::{self, RunFilter},
};

/// What the newest run has committed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub checkpoints: u64,
    /// Of the last one.
    pub epoch: u64,
    pub rows_in: u64,
}

/// A connection that reads only.
pub struct Checkpoints {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Checkpoints {
    pub fn open(data: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = runtime.block_on(Store::open_read_only(data)).context("the data folder cannot be read")?;
        Ok(Self { store, runtime })
    }

    pub fn progress(&self) -> Result<Progress> {
        self.runtime.block_on(async {
            let project = projects::by_slug(&self.store, "main").await?.context("there is no project `main`")?;
            let newest = runs::list(&self.store, project.id, RunFilter { limit: 1, ..RunFilter::default() }).await?;
            let Some(run) = newest.items.first() else { return Ok(Progress::default()) };
            let last = checkpoints::list(&self.store, run.id, None, 1).await?;
            let epoch = last.first().map_or(0, |last| last.epoch);
            Ok(Progress { checkpoints: run.checkpoints, epoch, rows_in: run.totals.rows_in })
        })
    }
}
