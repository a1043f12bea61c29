//! What pages share: the header with its crumbs and actions, tabs, buttons that say why they are disabled, paging.

use leptos::{either::Either, prelude::*};
use leptos_meta::Title;

/// The head of a page. `crumbs` are names and addresses, outermost first.
#[component]
pub fn PageHead(
    /// In the browser's tab, and the heading unless `heading` says it better.
    #[prop(into)]
    title: String,
    #[prop(optional, into)] lead: Option<String>,
    #[prop(optional)] crumbs: Vec<(String, String)>,
    /// Badges beside the heading.
    #[prop(optional, into)]
    beside: ViewFn,
    #[prop(optional, into)] actions: ViewFn,
) -> impl IntoView {
    let crumbs = (!crumbs.is_empty()).then(|| {
        let items = crumbs.into_iter().map(|(name, href)| view! { <li><a href=href>{name}</a></li> }).collect_view();
        view! { <nav aria-label="Breadcrumb"><ol class="crumbs">{items}</ol></nav> }
    });
    view! {
        <Title text=title.clone()/>
        <header class="page-head">
            <div class="page-head__text">
                {crumbs}
                <div class="page-head__title"><h1>{title}</h1>{beside.run()}</div>
                {lead.map(|lead| view! { <p class="page-head__lead">{lead}</p> })}
            </div>
            <div class="actions">{actions.run()}</div>
        </header>
    }
}

/// Tabs with addresses: name, address, count, and whether it is the one shown.
#[component]
pub fn Tabs(#[prop(into)] label: String, tabs: Vec<(String, String, Option<u64>, bool)>) -> impl IntoView {
    let tabs = tabs
        .into_iter()
        .map(|(name, href, count, current)| {
            let count = count.map(|n| view! { <span class="tabs__count">{crate::format::count(n)}</span> });
            view! { <a href=href aria-current=current.then_some("page")>{name}{count}</a> }
        })
        .collect_view();
    view! { <nav class="tabs" aria-label=label>{tabs}</nav> }
}

/// A link that looks like a button, or, where it must not be followed, a disabled button that says why.
#[component]
pub fn ActionLink(
    #[prop(into)] href: String,
    #[prop(default = "btn")] class: &'static str,
    #[prop(into)] label: String,
    /// `Err` says why not.
    allowed: Result<(), String>,
) -> impl IntoView {
    match allowed {
        Ok(()) => Either::Left(view! { <a class=class href=href>{label}</a> }),
        Err(reason) => Either::Right(view! {
            <span class="btn-why">
                <button class="btn" type="button" aria-disabled="true" title=reason.clone()>{label}</button>
                <span class="btn-why__reason">{reason}</span>
            </span>
        }),
    }
}

/// The way to the next page of a list, and back to the first.
#[component]
pub fn Pager(
    /// Items shown.
    shown: usize,
    #[prop(into)] noun: String,
    next: Option<String>,
    first: Option<String>,
) -> impl IntoView {
    view! {
        <nav class="pager" aria-label="Pages">
            <span>{format!("{shown} {noun} on this page")}</span>
            <span class="actions">
                {first.map(|href| view! { <a class="btn btn--small" href=href>"First page"</a> })}
                {next.map(|href| view! { <a class="btn btn--small" rel="next" href=href>"Next page"</a> })}
            </span>
        </nav>
    }
}
