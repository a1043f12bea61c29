//! How fast rows flow right now: workers publish, consoles listen.

use weir_api::{RunRates, Slug};

use crate::{Cx, Result};

/// The rates of one project's runs as they come.
pub struct LiveFeed {}

impl LiveFeed {
    /// The next reading; `None` when the instance shuts down. A slow listener skips readings.
    pub async fn next(&mut self) -> Option<RunRates> {
        todo!()
    }
}

/// Readings from now on, of one pipeline or of the whole project; the newest known ones come first.
pub async fn subscribe(cx: &Cx, pipeline: Option<&Slug>) -> Result<LiveFeed> {
    let _ = (cx, pipeline);
    todo!()
}

/// The newest reading of a pipeline that reports right now.
pub async fn latest(cx: &Cx, pipeline: &Slug) -> Result<Option<RunRates>> {
    let _ = (cx, pipeline);
    todo!()
}
