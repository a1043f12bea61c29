//! Who is signed in, in which roles, and the way out.

use leptos::{form::ActionForm, prelude::*};
use weir_api::Me;

use crate::{
    components::icon::{Glyph, Icon},
    server_fns::session::SignOut,
};

#[component]
pub fn UserMenu(me: Me) -> impl IntoView {
    let sign_out = ServerAction::<SignOut>::new();
    // All state of the session goes with it: a full load of the sign-in page.
    let initial: String = me.display_name.chars().next().into_iter().flat_map(char::to_uppercase).collect();
    let roles = me.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    view! {
        <details class="menu menu--up">
            <summary class="menu__button">
                <span class="avatar" aria-hidden="true">{initial}</span>
                <span class="who"><span class="clip">{me.display_name}</span><small class="clip">{roles}</small></span>
                <Icon glyph=Glyph::Chevron/>
            </summary>
            <div class="menu__panel">
                <p class="menu__label">"Signed in as " {me.name}</p>
                <ActionForm action=sign_out on:submit=move |_| crate::drafts::forget_all()>
                    <button class="btn btn--quiet" type="submit"><Icon glyph=Glyph::SignOut/>"Sign out"</button>
                </ActionForm>
            </div>
        </details>
    }
}
