//! Server-Sent Events: rates as they come, until the run or the server ends.
//!
//! Permission is asked when a stream begins, and again every few seconds: who has signed out, or lost a role or a token, does not listen
//! on. A stream that ends for that, or after a while, does not say that there is no more: browsers then begin another one.

use super::auth::Lasting;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_api::{RunId, RunRates};
use weir_service::live::{self, LiveFeed};
use weir_service::{Cx, runs};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream lasts.
const LASTS: Duration = Duration::from_secs(120);
/// How often a silent run is asked whether it is over, and whether the listener may still listen.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The readings of whichever run the pipeline has.
pub fn pipeline(asked: Lasting, feed: LiveFeed, stopping: CancellationToken) -> impl IntoResponse {
    let readings = stream::unfold(feed, |mut feed| async move { Some((feed.next().await?, feed)) });
    respond(asked, readings, stopping)
}

/// The readings of one run; ends when the run is over.
pub fn run(asked: Lasting, cx: Cx, run: RunId, feed: LiveFeed, stopping: CancellationToken) -> impl IntoResponse {
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
    respond(asked, readings, stopping)
}

/// Returns once the listener may not listen any more.
async fn refused(asked: Lasting) {
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        let Ok(cx) = asked.scope().await else { return };
        if live::may_follow(&cx).await.is_err() {
            return;
        }
    }
}

/// A `rates` event for each reading and an `end` event when there will be no more; neither when the stream's own time is over.
fn respond(
    asked: Lasting,
    readings: impl Stream<Item = RunRates> + Send + 'static,
    stopping: CancellationToken,
) -> impl IntoResponse {
    let events = readings.take_until(stopping.cancelled_owned()).map(|reading| event(&reading));
    let end = stream::once(async { Event::default().event("end").data("{}") });
    let events = events.chain(end).take_until(tokio::time::sleep(LASTS)).take_until(refused(asked));
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn event(reading: &RunRates) -> Event {
    Event::default().event("rates").json_data(reading).expect("invariant: rates are plain JSON")
}
