//! The places of a project.

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use weir_api::{AlertSeverity, OpenAlerts};

use crate::{
    components::icon::{Glyph, Icon},
    fault::Fault,
    format, links,
};

#[component]
pub fn Nav(
    project: Memo<String>,
    /// None where the reader may not know.
    open_alerts: Resource<Result<Option<OpenAlerts>, Fault>>,
) -> impl IntoView {
    let path = use_location().pathname;
    let counted = move || {
        let open = move || Suspend::new(async move { open_alerts.await.ok().flatten().filter(|open| open.total > 0).map(count) });
        view! { <Transition>{open}</Transition> }
    };
    let place = move |glyph: Glyph, name: &'static str, keys: &'static str, href: fn(&str) -> String, also: &'static str| {
        let current = move || {
            let (here, there) = (path.get(), href(&project.get()));
            let overview = there.matches('/').count() == 2;
            let inside = !overview && (here.starts_with(&format!("{there}/")) || (!also.is_empty() && here.ends_with(also)));
            (here == there || inside).then_some("page")
        };
        view! {
            <a class="nav__link" href=move || href(&project.get()) aria-current=current>
                <Icon glyph/>
                {name}
                {(glyph == Glyph::Alert).then(counted)}
                <kbd class="nav__hint" aria-hidden="true">{keys}</kbd>
            </a>
        }
    };
    view! {
        <nav class="nav" aria-label="Project">
            {place(Glyph::Overview, "Overview", "g o", links::overview, "")}
            {place(Glyph::Pipelines, "Pipelines", "g p", links::pipelines, "/new-pipeline")}
            {place(Glyph::Runs, "Runs", "g r", links::runs, "")}
            {place(Glyph::Alert, "Alerts", "g l", links::alerts, "")}
            {place(Glyph::Quarantine, "Quarantine", "g q", links::quarantine, "")}
            {place(Glyph::Audit, "Audit log", "g a", links::audit, "")}
        </nav>
    }
}

fn count(open: OpenAlerts) -> impl IntoView {
    let class = if open.worst > Some(AlertSeverity::Warn) { "nav__count nav__count--bad" } else { "nav__count" };
    view! { <span class=class>{format::count(open.total)}<span class="visually-hidden">" open"</span></span> }
}
