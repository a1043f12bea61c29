//! Moments told from now, with the exact time in reach; and the clock that keeps them true.

use std::time::Duration;

use leptos::prelude::*;
use weir_api::{DateTime, Utc};

use crate::{browser, format};

/// What the page holds for now. The server's time at first, so that both render the same; then the browser's.
#[derive(Clone, Copy, Debug)]
pub struct Clock(RwSignal<DateTime<Utc>>);

impl Clock {
    /// Starts ticking in the browser, and is found through context.
    pub fn provide(at_load: DateTime<Utc>) {
        let now = RwSignal::new(at_load);
        browser::every(Duration::from_secs(1), move || now.set(browser::now()));
        provide_context(Self(now));
    }

    pub fn now(self) -> DateTime<Utc> {
        self.0.get()
    }
}

/// The page's clock.
pub fn use_clock() -> Clock {
    expect_context::<Clock>()
}

/// `42 s ago`; the exact moment as a tooltip and for machines.
#[component]
pub fn Ago(at: DateTime<Utc>) -> impl IntoView {
    let clock = use_clock();
    let text = Memo::new(move |_| format::ago(at, clock.now()));
    view! { <time class="nowrap" datetime=at.to_rfc3339() title=format::moment(at)>{text}</time> }
}

/// `2026-01-31 13:05:09 UTC`.
#[component]
pub fn Moment(at: DateTime<Utc>) -> impl IntoView {
    view! { <time class="nowrap" datetime=at.to_rfc3339()>{format::moment(at)}</time> }
}

/// How long something has lasted, as text that changes while it lasts.
pub fn lasted(from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Signal<String> {
    let clock = use_clock();
    Signal::derive(move || format::span((until.unwrap_or_else(|| clock.now()) - from).num_milliseconds()))
}

/// From `from` to `until`, or to now while it lasts.
#[component]
pub fn Lasted(from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> impl IntoView {
    let text = lasted(from, until);
    view! { <span class="nowrap">{move || text.get()}</span> }
}
