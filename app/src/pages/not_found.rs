//! Nothing is at this address.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::components::{empty::Empty, icon::Glyph};

#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Not found"/>
        <div class="page page--narrow">
            <h1 class="visually-hidden">"Not found"</h1>
            <Empty glyph=Glyph::Info title="There is nothing at this address" text="It may have been moved or deleted, or the address was cut off.">
                <a class="btn btn--primary" href="/">"Go to the overview"</a>
            </Empty>
        </div>
    }
}
