//! A form whose fields become the address: filters and searches. Fields left empty leave no trace there.

use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;

use crate::links;

/// A plain GET form to `action`; once the page is alive it goes there without a reload.
#[component]
pub fn SearchForm(
    #[prop(into)] action: String,
    /// The names of the fields, in the order of the address.
    fields: &'static [&'static str],
    children: Children,
) -> impl IntoView {
    let navigate = use_navigate();
    let to = action.clone();
    let on_submit = move |event: SubmitEvent| {
        let form = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlFormElement>().ok());
        let Some(values) = form.and_then(|form| web_sys::FormData::new_with_form(&form).ok()) else {
            return;
        };
        event.prevent_default();
        let pairs: Vec<(&str, String)> =
            fields.iter().map(|name| (*name, values.get(name).as_string().unwrap_or_default().trim().to_owned())).collect();
        let address = links::with_query(&to, pairs.iter().map(|(name, value)| (*name, value.as_str())));
        navigate(&address, NavigateOptions { scroll: false, ..Default::default() });
    };
    view! {
        <form method="get" action=action on:submit=on_submit>
            {children()}
        </form>
    }
}
