//! The document around every page, and which page stands at which address.

use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{ParentRoute, Route, Router, Routes},
    path,
};
use weir_api::{DateTime, Utc};

use crate::{
    components::{
        time::Clock,
        toast::{ToastArea, Toasts},
    },
    connection::Connection,
    markup, pages,
    shell::{ProjectShell, theme},
};

/// The whole HTML document. Only the server renders it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let assets = format!("/{}", options.site_pkg_dir);
    let theme = theme::at_load();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.attribute()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <meta name="robots" content="noindex"/>
                <link rel="icon" type="image/svg+xml" href=format!("{assets}/favicon.svg")/>
                <link rel="stylesheet" href=format!("{assets}/weir.css")/>
                {can_hydrate().then(|| view! { <HydrationScripts options=options.clone()/> })}
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

#[cfg(feature = "ssr")]
fn can_hydrate() -> bool {
    use_context::<crate::request::ConsoleRequest>().is_none_or(|request| request.can_hydrate)
}

#[cfg(not(feature = "ssr"))]
fn can_hydrate() -> bool {
    true
}

/// The moment of rendering, the same on both sides.
fn rendered_at() -> DateTime<Utc> {
    let millis = SharedValue::<i64>::new(|| now().timestamp_millis()).into_inner();
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

#[cfg(feature = "ssr")]
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

#[cfg(not(feature = "ssr"))]
fn now() -> DateTime<Utc> {
    crate::browser::now()
}

/// The console.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    Clock::provide(rendered_at());
    theme::provide();
    Toasts::provide();
    Connection::provide();
    view! {
        <Title formatter=|text: String| markup::in_title(if text.is_empty() { "Weir".to_owned() } else { format!("{text} · Weir") })/>
        <Router>
            <Routes fallback=|| view! { <pages::not_found::NotFound/> }>
                <Route path=path!("") view=pages::home::Home ssr=SsrMode::Async/>
                <Route path=path!("sign-in") view=pages::sign_in::SignInPage ssr=SsrMode::Async/>
                <ParentRoute path=path!("p/:project") view=ProjectShell ssr=SsrMode::Async>
                    <Route path=path!("") view=pages::overview::OverviewPage ssr=SsrMode::Async/>
                    <Route path=path!("pipelines") view=pages::pipelines::PipelinesPage ssr=SsrMode::Async/>
                    <Route path=path!("new-pipeline") view=pages::editor::NewPipelinePage ssr=SsrMode::Async/>
                    <Route path=path!("pipelines/:name/edit") view=pages::editor::EditPipelinePage ssr=SsrMode::Async/>
                    <Route path=path!("pipelines/:name/:tab?") view=pages::pipeline::PipelinePage ssr=SsrMode::Async/>
                    <Route path=path!("runs") view=pages::runs::RunsPage ssr=SsrMode::Async/>
                    <Route path=path!("runs/:id") view=pages::run::RunPage ssr=SsrMode::Async/>
                    <Route path=path!("alerts") view=pages::alerts::AlertsPage ssr=SsrMode::Async/>
                    <Route path=path!("quarantine") view=pages::quarantine::QuarantinePage ssr=SsrMode::Async/>
                    <Route path=path!("quarantine/:segment/:row") view=pages::quarantine_row::QuarantineRowPage ssr=SsrMode::Async/>
                    <Route path=path!("audit") view=pages::audit::AuditPage ssr=SsrMode::Async/>
                    <Route path=path!("audit/:index") view=pages::audit_entry::AuditEntryPage ssr=SsrMode::Async/>
                    <Route path=path!("*any") view=pages::not_found::NotFound ssr=SsrMode::Async/>
                </ParentRoute>
            </Routes>
        </Router>
        <ToastArea/>
    }
}
