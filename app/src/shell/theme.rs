//! Light, dark, or what the system says. Kept in a cookie, so that the first paint is right.

use leptos::{form::ActionForm, prelude::*};
use serde::{Deserialize, Serialize};

use crate::{
    components::icon::{Glyph, Icon},
    server_fns::session::SetTheme,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    const ALL: [Self; 3] = [Self::Light, Self::System, Self::Dark];

    fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The value of `data-theme`; the system's choice needs none.
    pub fn attribute(self) -> Option<&'static str> {
        (self != Self::System).then(|| self.as_str())
    }

    #[cfg(feature = "ssr")]
    fn of_cookies(cookies: &str) -> Self {
        let value = cookies.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == "weir_theme");
        match value {
            Some((_, "light")) => Self::Light,
            Some((_, "dark")) => Self::Dark,
            _ => Self::System,
        }
    }
}

/// What the request's cookie says.
#[cfg(feature = "ssr")]
pub fn at_load() -> Theme {
    let parts = use_context::<axum::http::request::Parts>();
    let cookies = parts.as_ref().and_then(|parts| parts.headers.get("cookie")).and_then(|value| value.to_str().ok());
    Theme::of_cookies(cookies.unwrap_or(""))
}

#[cfg(not(feature = "ssr"))]
pub fn at_load() -> Theme {
    Theme::default()
}

/// Makes the theme known to the toggle, the same on both sides.
pub fn provide() {
    let theme = SharedValue::new(at_load).into_inner();
    provide_context(RwSignal::new(theme));
}

/// Three buttons of which one is pressed. A form post before the page is alive, immediate afterwards.
#[component]
pub fn ThemeToggle() -> impl IntoView {
    let theme = expect_context::<RwSignal<Theme>>();
    let action = ServerAction::<SetTheme>::new();
    let choose = move |chosen: Theme| {
        theme.set(chosen);
        if let Some(root) = document().document_element() {
            let _ = match chosen.attribute() {
                Some(value) => root.set_attribute("data-theme", value),
                None => root.remove_attribute("data-theme"),
            };
        }
    };
    let button = move |chosen: Theme| {
        let (glyph, label) = match chosen {
            Theme::Light => (Glyph::Sun, "Light"),
            Theme::System => (Glyph::System, "As the system"),
            Theme::Dark => (Glyph::Moon, "Dark"),
        };
        view! {
            <button
                type="submit" name="theme" value=chosen.as_str() title=label
                aria-pressed=move || if theme.get() == chosen { "true" } else { "false" }
                on:click=move |_| choose(chosen)
            >
                <Icon glyph/>
                <span class="visually-hidden">{label}</span>
            </button>
        }
    };
    view! {
        <ActionForm action>
            <div class="theme" role="group" aria-label="Theme">{Theme::ALL.map(button).collect_view()}</div>
        </ActionForm>
    }
}
