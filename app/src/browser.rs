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

/// Runs `act` once, `after` the last call; earlier calls that still wait are forgotten, and so is the last with the owner.
pub fn debounced(after: std::time::Duration, act: impl Fn() + Copy + 'static) -> impl Fn() + Copy {
    let waiting = StoredValue::new(None::<TimeoutHandle>);
    let forget = move || {
        if let Some(Some(handle)) = waiting.try_get_value() {
            handle.clear();
        }
    };
    // Nothing that `act` needs may be there any longer.
    on_cleanup(forget);
    move || {
        forget();
        waiting.try_set_value(set_timeout_with_handle(act, after).ok());
    }
}

/// Gives the focus back, when the owner is gone, to what has it now: the opener of a question. What was drawn anew meanwhile is found by
/// its address.
pub fn return_focus() {
    let opener = document().active_element();
    let href = opener.as_ref().and_then(|opener| opener.get_attribute("href"));
    let opener = StoredValue::new_local(opener);
    on_cleanup(move || {
        let opener = opener.try_get_value().flatten();
        set_timeout(
            move || {
                let there = opener.filter(|opener| opener.is_connected() && opener.tag_name() != "BODY");
                let again = || {
                    let links = document().query_selector_all("main a[href]").ok()?;
                    (0..links.length()).find_map(|index| {
                        let link = links.item(index)?.dyn_into::<web_sys::Element>().ok()?;
                        (link.get_attribute("href").is_some() && link.get_attribute("href") == href).then_some(link)
                    })
                };
                if let Some(element) = there.or_else(again).and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
                    let _ = element.focus();
                }
            },
            std::time::Duration::from_millis(30),
        );
    });
}

/// Puts the focus on the page's heading once the page is there, unless the reader has gone on to something of the page by then. `tell` is
/// given the page's title.
pub fn focus_heading(attempts: u32, tell: impl Fn(String) + 'static) {
    set_timeout(
        move || {
            let heading = document().query_selector("#main h1").ok().flatten();
            let Some(heading) = heading.and_then(|heading| heading.dyn_into::<web_sys::HtmlElement>().ok()) else {
                if attempts > 0 {
                    focus_heading(attempts - 1, tell);
                }
                return;
            };
            tell(document().title());
            let elsewhere =
                document().active_element().is_some_and(|active| active.closest("#main *, dialog").ok().flatten().is_some());
            if !elsewhere {
                let _ = heading.set_attribute("tabindex", "-1");
                let _ = heading.focus();
            }
        },
        std::time::Duration::from_millis(120),
    );
}

/// Asks the reader, in the browser's words, before the page is closed or loaded anew while `unsaved` says so.
pub fn ask_before_leaving(unsaved: impl Fn() -> bool + Send + Sync + 'static) {
    let unsaved = std::sync::Arc::new(unsaved);
    Effect::new(move |_| {
        let unsaved = std::sync::Arc::clone(&unsaved);
        let handle = window_event_listener_untyped("beforeunload", move |event| {
            if unsaved() {
                event.prevent_default();
                // Older browsers ask only when this is set.
                event.unchecked_into::<web_sys::BeforeUnloadEvent>().set_return_value("unsaved");
            }
        });
        on_cleanup(move || handle.remove());
    });
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
