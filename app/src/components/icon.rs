//! Icons: strokes on a 16-unit grid, always beside a word or with a hidden one.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    Overview,
    Pipelines,
    Runs,
    Quality,
    Quarantine,
    Audit,
    Sun,
    Moon,
    System,
    Chevron,
    Menu,
    Alert,
    Info,
    Check,
    Cross,
    Plus,
    Shield,
    SignOut,
    Lock,
}

impl Glyph {
    fn path(self) -> &'static str {
        match self {
            Self::Overview => "M2.5 13.5h11M4 11V8m4 3V3m4 8V6",
            Self::Pipelines => "M2 4h4m4 0h4M2 12h4m4 0h4M6 2.5h4v3H6zM6 10.5h4v3H6zM8 5.5v5",
            Self::Runs => "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM6.75 5.5v5l4-2.5z",
            Self::Quality => "M2 2.5v11h12M4.5 10l2.5-3.5 2.5 2L13.5 4",
            Self::Quarantine => "M2.5 5.5h11v8h-11zM2.5 5.5l1.5-3h8l1.5 3M6.5 8.5h3",
            Self::Audit => "M4 2h6l3 3v9H4zM10 2v3h3M6.5 10l1.2 1.2 2.3-2.6",
            Self::Sun => {
                "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7"
            }
            Self::Moon => "M13.5 9.5A5.75 5.75 0 0 1 6.5 2.5a5.75 5.75 0 1 0 7 7Z",
            Self::System => "M2 3h12v8H2zM6 14h4M8 11v3",
            Self::Chevron => "M5 6.5 8 4l3 2.5M5 9.5 8 12l3-2.5",
            Self::Menu => "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
            Self::Alert => "M8 2 14.5 13.5h-13zM8 6.5v3M8 11.4v.1",
            Self::Info => "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.5v3.5M8 5v.1",
            Self::Check => "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.5 8.2l1.8 1.8 3.2-3.8",
            Self::Cross => "M4 4l8 8M12 4l-8 8",
            Self::Plus => "M8 3v10M3 8h10",
            Self::Shield => "M8 1.8 13 3.5v4c0 3.4-2.1 5.6-5 6.7-2.9-1.1-5-3.3-5-6.7v-4zM5.8 7.8l1.6 1.6 2.9-3.2",
            Self::SignOut => "M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6",
            Self::Lock => "M3.5 7.5h9v6h-9zM5.5 7.5v-2a2.5 2.5 0 0 1 5 0v2",
        }
    }
}

#[component]
pub fn Icon(glyph: Glyph) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d=glyph.path()></path>
        </svg>
    }
}

/// The mark: water held level by a weir, and what may pass running on below it.
#[component]
pub fn Logo(#[prop(default = 26)] size: u32) -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 32 32" width=size height=size aria-hidden="true">
            <rect width="32" height="32" rx="7.5" fill="currentColor" opacity="0.13"></rect>
            <path d="M4 10.5c2.1 0 2.1-1.6 4.2-1.6s2.1 1.6 4.2 1.6h2.1" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"></path>
            <path d="M4 16h10.5M4 21.5h10.5" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" opacity="0.5"></path>
            <path d="M16.2 6.5h3.6l2.4 19h-6z" fill="currentColor"></path>
            <path d="M22.4 12.5c3.4 1.4 3 5.2 3.4 8.2.2 1.6 1 2.6 2.4 2.8" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"></path>
        </svg>
    }
}
