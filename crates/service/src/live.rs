//! How fast rows flow right now: workers publish, consoles listen.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::broadcast;
use weir_api::{ProjectId, RunId, RunRates, Slug};
use weir_authz::{Action, Resource, ResourceKind};

use crate::{Cx, Result};

/// A run that has not reported for so long does not run here any more.
const STALE: TimeDelta = TimeDelta::seconds(10);
/// Readings that a slow listener may lag behind before it skips some.
const BACKLOG: usize = 256;

/// The newest reading of every run of this process, and a channel of what comes.
pub struct LiveHub {
    newest: Mutex<HashMap<RunId, RunRates>>,
    sender: broadcast::Sender<RunRates>,
}

impl Default for LiveHub {
    fn default() -> Self {
        Self { newest: Mutex::default(), sender: broadcast::channel(BACKLOG).0 }
    }
}

impl LiveHub {
    /// Called by workers, about once a second for each run.
    pub fn publish(&self, rates: RunRates) {
        self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(rates.run, rates.clone());
        // Nobody may be listening.
        let _ = self.sender.send(rates);
    }

    /// The run is over: it has no rates any more.
    pub fn forget(&self, run: RunId) {
        self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&run);
    }

    /// The newest readings of a project that are not stale.
    pub(crate) fn of_project(&self, project: ProjectId, now: DateTime<Utc>) -> Vec<RunRates> {
        let mut newest = self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        newest.retain(|_, rates| now - rates.at < STALE);
        newest.values().filter(|rates| rates.project == project).cloned().collect()
    }
}

/// The rates of one project's runs as they come.
pub struct LiveFeed {
    project: ProjectId,
    pipeline: Option<Slug>,
    first: VecDeque<RunRates>,
    receiver: broadcast::Receiver<RunRates>,
}

impl LiveFeed {
    /// The next reading; `None` when the instance shuts down. A slow listener skips readings.
    pub async fn next(&mut self) -> Option<RunRates> {
        if let Some(rates) = self.first.pop_front() {
            return Some(rates);
        }
        loop {
            match self.receiver.recv().await {
                Ok(rates)
                    if rates.project == self.project && self.pipeline.as_ref().is_none_or(|name| *name == rates.pipeline) =>
                {
                    return Some(rates);
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Readings from now on, of one pipeline or of the whole project; the newest known ones come first.
pub async fn subscribe(cx: &Cx, pipeline: Option<&Slug>) -> Result<LiveFeed> {
    let project = cx.project()?.id;
    may_follow(cx).await?;
    let receiver = cx.services.live.sender.subscribe();
    let mut first = cx.services.live.of_project(project, cx.now());
    first.retain(|rates| pipeline.is_none_or(|name| *name == rates.pipeline));
    Ok(LiveFeed { project, pipeline: pipeline.cloned(), first: first.into(), receiver })
}

/// Whether the caller may follow rates, asked again while they do.
pub async fn may_follow(cx: &Cx) -> Result<()> {
    let resource = Resource::in_project(ResourceKind::Run, cx.project()?.id);
    cx.authorize(Action::RunRead, &resource).await.map(|_| ())
}

/// The newest reading of a pipeline that reports right now.
pub async fn latest(cx: &Cx, pipeline: &Slug) -> Result<Option<RunRates>> {
    let project = cx.project()?.id;
    cx.authorize(Action::RunRead, &Resource::in_project(ResourceKind::Run, project)).await?;
    Ok(cx.services.live.of_project(project, cx.now()).into_iter().find(|rates| rates.pipeline == *pipeline))
}
