//! What stands where nothing is yet: why, and what to do next.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};

#[component]
pub fn Empty(
    glyph: Glyph,
    #[prop(into)] title: String,
    #[prop(into)] text: String,
    /// Where to go from here.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <span class="empty__mark"><Icon glyph/></span>
            <h2>{title}</h2>
            <p>{text}</p>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </div>
    }
}

/// Shapes of what is on its way.
#[component]
pub fn Loading() -> impl IntoView {
    view! {
        <div class="loading" role="status">
            <p class="visually-hidden">"Loading"</p>
            <span></span>
            <span></span>
            <span></span>
        </div>
    }
}
