//! Forgets what nobody needs any more: old rates, dead sessions, spent idempotency keys. Evidence is never among it.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use weir_service::Services;
use weir_store::{idempotency, metrics, sessions};

use crate::error::WorkerError;

/// Rates are kept this long.
const METRICS: TimeDelta = TimeDelta::hours(24);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Housekeeping {}

impl Housekeeping {
    pub async fn run(&self, services: &Services) -> Result<(), WorkerError> {
        let now = services.now();
        let tx = services.store().begin().await?;
        let rates = metrics::prune(&tx, now - METRICS).await?;
        let ended = sessions::prune(&tx, now, now - services.limits().session_idle).await?;
        let keys = idempotency::prune(&tx, now).await?;
        tx.commit().await?;
        tracing::debug!(rates, sessions = ended, idempotency_keys = keys, "tidied");
        Ok(())
    }
}
