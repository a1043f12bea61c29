//! The console: pages rendered on the server, taken over in the browser by the same code.
//!
//! `server` renders [`shell`] (feature `ssr`) and answers the functions in [`server_fns`]; the browser calls [`hydrate`].
//! Every page is complete as HTML: links and forms work before, and without, the WebAssembly.

#![recursion_limit = "512"]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address_errors;
pub mod app;
pub mod browser;
pub mod components;
pub mod connection;
pub mod drafts;
pub mod fault;
pub mod format;
pub mod links;
pub mod markup;
pub mod pages;
#[cfg(feature = "ssr")]
pub mod request;
pub mod server_fns;
pub mod shell;

pub use app::{App, shell};

/// Takes the page over in the browser.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(App);
    browser::mark_hydrated();
}
