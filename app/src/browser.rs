//! What only a browser has: its clock, its timers, server-sent events. On the server these do nothing.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};
use weir_api::{DateTime, Utc};

/// Tells style sheets and tests that the page is alive.
#[cfg(feature = "hydrate")]
pub fn mark_hydrated() {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-hydrated", "true");
    }
}

/// Whether the page is alive: false on the server and until it is taken over. For buttons whose answer only scripts can show.
pub fn is_alive() -> ReadSignal<bool> {
    let (alive, set_alive) = signal(false);
    Effect::new(move |_| set_alive.set(true));
    alive
}

/// The browser's clock, to the millisecond. Only to be called in an effect or a handler.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(js_sys::Date::now() as i64).unwrap_or_default()
}

/// Calls `tick` every `every` while the page is visible, until the owner is gone.
pub fn every(every: std::time::Duration, tick: impl Fn() + Send + Sync + 'static) {
    Effect::new({
        let tick = std::sync::Arc::new(tick);
        move |_| {
            let tick = std::sync::Arc::clone(&tick);
            let visible = move || document().visibility_state() == web_sys::VisibilityState::Visible;
            if let Ok(handle) = set_interval_with_handle(
                move || {
                    if visible() {
                        tick();
                    }
                },
                every,
            ) {
                on_cleanup(move || handle.clear());
            }
        }
    });
}

/// Runs `act` once, `after` the last call; earlier calls that still wait are forgotten.
pub fn debounced(after: std::time::Duration, act: impl Fn() + Copy + 'static) -> impl Fn() + Copy {
    let waiting = StoredValue::new(None::<TimeoutHandle>);
    move || {
        if let Some(handle) = waiting.get_value() {
            handle.clear();
        }
        waiting.set_value(set_timeout_with_handle(act, after).ok());
    }
}

/// Reads a run's rates until the run or the owner is gone. The browser reconnects by itself; `on_state` hears whether the
/// stream is up, `on_end` that there will be no more.
pub fn listen_to_rates(
    url: &str,
    on_rates: impl Fn(String) + 'static,
    on_state: impl Fn(bool) + Clone + 'static,
    on_end: impl Fn() + 'static,
) {
    let Ok(source) = EventSource::new(url) else {
        on_state(false);
        return;
    };
    let rates = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
        if let Some(text) = message.data().as_string() {
            on_rates(text);
        }
    });
    let closing = source.clone();
    let end = Closure::<dyn Fn(MessageEvent)>::new(move |_| {
        closing.close();
        on_end();
    });
    let up = on_state.clone();
    let opened = Closure::<dyn Fn()>::new(move || up(true));
    let failed = Closure::<dyn Fn()>::new(move || on_state(false));
    let _ = source.add_event_listener_with_callback("rates", rates.as_ref().unchecked_ref());
    let _ = source.add_event_listener_with_callback("end", end.as_ref().unchecked_ref());
    source.set_onopen(Some(opened.as_ref().unchecked_ref()));
    source.set_onerror(Some(failed.as_ref().unchecked_ref()));
    let held = StoredValue::new_local((source, rates, end, opened, failed));
    on_cleanup(move || {
        held.with_value(|(source, ..)| {
            source.set_onerror(None);
            source.close();
        });
    });
}
