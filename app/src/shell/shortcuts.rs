//! Keys: `g` then a letter goes to a place, `/` finds the page's search field.

use leptos::{ev, prelude::*};
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;

use crate::links;

/// Where `g` and this key lead.
fn place(key: &str, project: &str) -> Option<String> {
    match key {
        "o" => Some(links::overview(project)),
        "p" => Some(links::pipelines(project)),
        "r" => Some(links::runs(project)),
        "l" => Some(links::alerts(project)),
        "q" => Some(links::quarantine(project)),
        "a" => Some(links::audit(project)),
        _ => None,
    }
}

/// Folds the menu that is open and gives the focus back to its button. Tells whether there was one.
fn close_menu() -> bool {
    let open = document().query_selector(".menu[open], .topbar__menu[open]").ok().flatten();
    let Some(menu) = open else { return false };
    let _ = menu.remove_attribute("open");
    if let Some(button) =
        menu.query_selector("summary").ok().flatten().and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok())
    {
        let _ = button.focus();
    }
    true
}

/// Listens as long as the owner lives. Keys typed into a field are the field's.
pub fn listen(project: Memo<String>) {
    let navigate = use_navigate();
    let pending = StoredValue::new(false);
    Effect::new(move |_| {
        let navigate = navigate.clone();
        let handle = window_event_listener(ev::keydown, move |event| {
            let typing = event
                .target()
                .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
                .is_some_and(|element| element.closest("input, textarea, select, dialog").ok().flatten().is_some());
            if event.key() == "Escape" && close_menu() {
                event.prevent_default();
                return;
            }
            if typing || event.ctrl_key() || event.meta_key() || event.alt_key() {
                return;
            }
            let key = event.key();
            let after_g = pending.get_value();
            pending.set_value(key == "g" && !after_g);
            if key == "/" {
                if let Ok(Some(field)) = document().query_selector("[data-search]") {
                    event.prevent_default();
                    let _ = field.unchecked_into::<web_sys::HtmlElement>().focus();
                }
            } else if let Some(to) = after_g.then(|| place(&key, &project.get_untracked())).flatten() {
                event.prevent_default();
                navigate(&to, Default::default());
            }
        });
        on_cleanup(move || handle.remove());
    });
}
