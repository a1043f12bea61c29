//! What just happened, said once and gone after a while.

use std::time::Duration;

use leptos::prelude::*;

use super::icon::{Glyph, Icon};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Toast {
    id: u64,
    text: String,
    bad: bool,
}

/// The toasts on screen; found through context.
#[derive(Clone, Copy, Debug)]
pub struct Toasts {
    list: RwSignal<Vec<Toast>>,
    next: StoredValue<u64>,
}

impl Toasts {
    pub fn provide() -> Self {
        let toasts = Self { list: RwSignal::new(Vec::new()), next: StoredValue::new(0) };
        provide_context(toasts);
        toasts
    }

    pub fn done(self, text: impl Into<String>) {
        self.push(text.into(), false);
    }

    pub fn failed(self, text: impl Into<String>) {
        self.push(text.into(), true);
    }

    fn push(self, text: String, bad: bool) {
        let id = self.next.get_value();
        self.next.set_value(id + 1);
        self.list.update(|list| list.push(Toast { id, text, bad }));
        let shown_for = Duration::from_secs(if bad { 12 } else { 6 });
        set_timeout(move || self.dismiss(id), shown_for);
    }

    fn dismiss(self, id: u64) {
        self.list.update(|list| list.retain(|toast| toast.id != id));
    }
}

pub fn use_toasts() -> Toasts {
    expect_context::<Toasts>()
}

/// Where toasts appear. A live region: screen readers say them.
#[component]
pub fn ToastArea() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For each=move || toasts.list.get() key=|toast| toast.id let:toast>
                <div class=if toast.bad { "toast toast--bad" } else { "toast" }>
                    <Icon glyph=if toast.bad { Glyph::Alert } else { Glyph::Check }/>
                    <span>{toast.text}</span>
                    <button type="button" aria-label="Dismiss" on:click=move |_| toasts.dismiss(toast.id)><Icon glyph=Glyph::Cross/></button>
                </div>
            </For>
        </div>
    }
}
