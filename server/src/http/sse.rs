//! Server-Sent Events: rates as they come, until the run or the server ends.
//!
//! Permission is asked when a stream begins. So that who has signed out, or lost a role, does not listen on, a stream ends after a
//! while without saying that there is no more: browsers then begin another one, which is asked again.

use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_api::{RunId, RunRates};
use weir_service::live::LiveFeed;
use weir_service::{Cx, runs};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream lasts.
const LASTS: Duration = Duration::from_secs(120);
/// How often a silent run is asked whether it is over.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The readings of whichever run the pipeline has.
pub fn pipeline(feed: LiveFeed, stopping: CancellationToken) -> impl IntoResponse {
    let readings = stream::unfold(feed, |mut feed| async move { Some((feed.next().await?, feed)) });
    respond(readings, stopping)
}

/// The readings of one run; ends when the run is over.
pub fn run(cx: Cx, run: RunId, feed: LiveFeed, stopping: CancellationToken) -> impl IntoResponse {
    let readings = stream::unfold(feed, move |mut feed| {
        let cx = cx.clone();
        async move {
            loop {
                match tokio::time::timeout(ASK_AGAIN, feed.next()).await {
                    Ok(None) => return None,
                    Ok(Some(reading)) if reading.run == run => return Some((reading, feed)),
                    Ok(Some(_)) | Err(_) => {
                        let over = runs::get(&cx, run).await.map_or(true, |found| found.summary.state.is_over());
                        if over {
                            return None;
                        }
                    }
                }
            }
        }
    });
    respond(readings, stopping)
}

/// A `rates` event for each reading and an `end` event when there will be no more; neither when the stream's own time is over.
fn respond(readings: impl Stream<Item = RunRates> + Send + 'static, stopping: CancellationToken) -> impl IntoResponse {
    let events = readings.take_until(stopping.cancelled_owned()).map(|reading| event(&reading));
    let end = stream::once(async { Event::default().event("end").data("{}") });
    let events = events.chain(end).take_until(tokio::time::sleep(LASTS));
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn event(reading: &RunRates) -> Event {
    Event::default().event("rates").json_data(reading).expect("invariant: rates are plain JSON")
}
