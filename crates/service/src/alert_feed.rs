//! Alerts as they are committed: workers publish, who watches a terminal listens. What missed one finds it in the list.

use tokio::sync::broadcast;
use weir_api::{AlertSeverity, ProjectId};

/// News that a slow listener may lag behind before it skips some.
const BACKLOG: usize = 1_024;

/// An alert began or ended, and is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertNews {
    pub project: ProjectId,
    pub pipeline: String,
    pub step: String,
    pub severity: AlertSeverity,
    pub message: String,
    pub detail: Option<String>,
    /// How often the cause was seen, once it is gone; none when it has just been noticed.
    pub resolved_after: Option<u64>,
}

/// The channel of one process.
pub struct AlertFeed(broadcast::Sender<AlertNews>);

impl Default for AlertFeed {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl AlertFeed {
    /// Called by workers, after the checkpoint that the news came with is committed.
    pub fn publish(&self, news: AlertNews) {
        // Nobody may be listening.
        let _ = self.0.send(news);
    }

    /// News from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<AlertNews> {
        self.0.subscribe()
    }
}
