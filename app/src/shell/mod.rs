//! What surrounds every page of a project: places to go, the project, who is signed in, light and dark.

pub mod nav;
pub mod project_switcher;
pub mod shortcuts;
pub mod theme;
pub mod user_menu;

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::{
    components::Outlet,
    hooks::{use_location, use_params_map},
};
use wasm_bindgen::JsCast;
use weir_api::{Me, OpenAlerts};

use crate::{
    address_errors, browser,
    components::icon::{Glyph, Icon, Logo},
    connection::ConnectionBanner,
    fault::Fault,
    links,
    server_fns::{alerts, session},
};

/// The project of the address.
pub fn use_project() -> Memo<String> {
    let params = use_params_map();
    Memo::new(move |_| params.read().get("project").unwrap_or_default())
}

/// Who reads, with what they may do in this project.
#[derive(Clone, Copy)]
pub struct Reader(pub Resource<Result<Me, Fault>>);

/// The reader; `Err` when nobody is signed in or the project is not theirs.
pub fn use_reader() -> Resource<Result<Me, Fault>> {
    expect_context::<Reader>().0
}

/// The frame of a project's pages.
#[component]
pub fn ProjectShell() -> impl IntoView {
    address_errors::trust_kinds_only();
    let project = use_project();
    let me = Resource::new(move || project.get(), |project| session::me(Some(project)));
    provide_context(Reader(me));
    let open_alerts = Resource::new(move || project.get(), alerts::open_alerts);
    browser::every(Duration::from_secs(5), move || {
        // Who may not know need not ask again.
        if open_alerts.with_untracked(|open| matches!(open, Some(Ok(Some(_))))) {
            open_alerts.refetch();
        }
    });
    shortcuts::listen(project);
    fold_menus();
    let announced = announce();
    let skip = |event: leptos::ev::MouseEvent| {
        if let Some(main) = document().get_element_by_id("main") {
            event.prevent_default();
            let _ = main.unchecked_into::<web_sys::HtmlElement>().focus();
        }
    };
    view! {
        <a class="skip" href="#main" on:click=skip>"Skip to the page"</a>
        <p class="visually-hidden" role="status" aria-live="polite">{announced}</p>
        <div class="shell">
            <aside class="sidebar" aria-label="Navigation">
                <a class="brand" href=move || links::overview(&project.get())><Logo/>"Weir"</a>
                <Places project me open_alerts/>
            </aside>
            <header class="topbar">
                <details class="topbar__menu">
                    <summary class="topbar__bar">
                        <Logo/>
                        <span class="brand">"Weir"</span>
                        <span class="topbar__toggle"><Icon glyph=Glyph::Menu/><span class="visually-hidden">"Menu"</span></span>
                    </summary>
                    <div class="topbar__panel"><Places project me open_alerts/></div>
                </details>
            </header>
            <main class="main" id="main" tabindex="-1">
                <ConnectionBanner/>
                <Outlet/>
            </main>
        </div>
    }
}

/// Where the reader has gone to: the heading of the new page has the focus, and its title is told. The first page is the browser's to tell.
fn announce() -> ReadSignal<String> {
    let (title, set_title) = signal(String::new());
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|before| before != now) {
            browser::focus_heading(20, move |told| {
                set_title.try_set(told);
            });
        }
        now
    });
    title
}

/// Menus that were open fold when another page is shown.
fn fold_menus() {
    let path = use_location().pathname;
    Effect::new(move |_| {
        path.track();
        let Ok(open) = document().query_selector_all(".menu[open], .topbar__menu[open]") else { return };
        for index in 0..open.length() {
            if let Some(menu) = open.item(index).and_then(|menu| menu.dyn_into::<web_sys::Element>().ok()) {
                let _ = menu.remove_attribute("open");
            }
        }
    });
}

/// Project, places, theme and user: the sidebar's content, and the phone's menu.
#[component]
fn Places(
    project: Memo<String>,
    me: Resource<Result<Me, Fault>>,
    open_alerts: Resource<Result<Option<OpenAlerts>, Fault>>,
) -> impl IntoView {
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                me.await.ok().map(|me| view! { <project_switcher::ProjectSwitcher me/> })
            })}
        </Suspense>
        <nav::Nav project open_alerts/>
        <div class="sidebar__foot">
            <theme::ThemeToggle/>
            <Suspense>
                {move || Suspend::new(async move {
                    me.await.ok().map(|me| view! { <user_menu::UserMenu me/> })
                })}
            </Suspense>
        </div>
    }
}
