//! A question before something happens. It is open because the address says so: it works without scripts, and Back closes it.

use leptos::{html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use crate::browser;

/// A modal dialog. Escape and its cancel link both lead to `cancel`.
#[component]
pub fn Dialog(
    #[prop(into)] title: String,
    /// The address without the question.
    #[prop(into)]
    cancel: String,
    /// The button that answers yes; usually a form.
    #[prop(into)]
    confirm: ViewFn,
    children: Children,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            browser::return_focus();
            // Rendered open for those without scripts; reopened as a modal, which holds the focus.
            dialog.close();
            let _ = dialog.show_modal();
        }
    });
    let navigate = use_navigate();
    let away = cancel.clone();
    let on_cancel = move |event: leptos::ev::Event| {
        event.prevent_default();
        navigate(&away, NavigateOptions { scroll: false, ..Default::default() });
    };
    view! {
        <dialog class="dialog" node_ref=dialog open aria-labelledby="dialog-title" on:cancel=on_cancel>
            <div class="dialog__body">
                <h2 id="dialog-title">{title}</h2>
                {children()}
            </div>
            <div class="dialog__foot">
                <a class="btn" href=cancel>"Cancel"</a>
                {confirm.run()}
            </div>
        </dialog>
    }
}
