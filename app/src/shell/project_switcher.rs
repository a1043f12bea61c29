//! Which project this is, and the way to the others.

use leptos::prelude::*;
use weir_api::Me;

use crate::{
    components::icon::{Glyph, Icon},
    links,
};

#[component]
pub fn ProjectSwitcher(me: Me) -> impl IntoView {
    let current = me.project.as_ref().map(ToString::to_string).unwrap_or_default();
    let title = me.projects.iter().find(|one| one.project.as_str() == current).map_or(current.clone(), |one| one.title.clone());
    let others = me
        .projects
        .into_iter()
        .map(|one| {
            let slug = one.project.to_string();
            let here = (slug == current).then_some("page");
            view! { <a class="nav__link" href=links::overview(&slug) aria-current=here>{one.title}</a> }
        })
        .collect_view();
    view! {
        <details class="menu">
            <summary class="menu__button">
                <span class="who"><small>"Project"</small><span class="clip">{title}</span></span>
                <Icon glyph=Glyph::Chevron/>
            </summary>
            <div class="menu__panel">
                <p class="menu__label">"Your projects"</p>
                {others}
            </div>
        </details>
    }
}
