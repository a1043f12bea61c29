//! Forgets what nobody needs any more: old rates, windows of quality steps of last season, dead sessions. Evidence is never among it,
//! and neither are alerts.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use weir_service::Services;
use weir_store::{metrics, quality, sessions};

use crate::error::WorkerError;

/// Rates are kept this long.
const METRICS: TimeDelta = TimeDelta::hours(24);
/// Windows of quality steps are kept this long after they were committed, whatever time their rows are of.
const QUALITY: TimeDelta = TimeDelta::days(90);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Housekeeping {}

impl Housekeeping {
    pub async fn run(&self, services: &Services) -> Result<(), WorkerError> {
        let now = services.now();
        let tx = services.store().begin().await?;
        let rates = metrics::prune(&tx, now - METRICS).await?;
        let windows = quality::prune(&tx, now - QUALITY).await?;
        let ended = sessions::prune(&tx, now, now - services.limits().session_idle).await?;
        tx.commit().await?;
        tracing::debug!(rates, windows, sessions = ended, "tidied");
        Ok(())
    }
}
