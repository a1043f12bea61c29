//! Alerts and verdicts as small marks with a word.

use leptos::prelude::*;
use weir_api::{AlertSeverity, AlertState, WindowVerdict};

/// What a mark says: its class, its shape on a grid of 10, and its word.
type Look = (&'static str, &'static str, &'static str);

const TRIANGLE: &str = "M5 .8 9.6 9H.4Z";
const OCTAGON: &str = "M3.2.8h3.6l2.4 2.4v3.6L6.8 9.2H3.2L.8 6.8V3.2Z";
const DIAMOND: &str = "M5 .6 9.4 5 5 9.4.6 5Z";
const DISC: &str = "M5 1a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z";
const TICK: &str = "M1 5.2 4 8.2l5-6-1-.9L4 6.4 1.9 4.3Z";
const SQUARE: &str = "M1.5 1.5h7v7h-7Z";

fn mark((class, shape, word): Look) -> impl IntoView {
    view! {
        <span class=class>
            <svg class="badge__mark" viewBox="0 0 10 10" aria-hidden="true" stroke="none"><path d=shape></path></svg>
            {word}
        </span>
    }
}

/// How bad it is. Each severity has a shape of its own.
#[component]
pub fn SeverityBadge(severity: AlertSeverity) -> impl IntoView {
    mark(match severity {
        AlertSeverity::Warn => ("badge badge--warn", DIAMOND, "Warning"),
        AlertSeverity::Error => ("badge badge--bad", TRIANGLE, "Error"),
        AlertSeverity::Critical => ("badge badge--critical", OCTAGON, "Critical"),
    })
}

#[component]
pub fn AlertBadge(state: AlertState) -> impl IntoView {
    mark(match state {
        AlertState::Open => ("badge badge--info", DISC, "Open"),
        AlertState::Resolved => ("badge badge--ok", TICK, "Resolved"),
        AlertState::Forgotten => ("badge", SQUARE, "Forgotten"),
    })
}

#[component]
pub fn VerdictBadge(verdict: WindowVerdict) -> impl IntoView {
    mark(match verdict {
        WindowVerdict::Kept => ("badge badge--ok", TICK, "Kept"),
        WindowVerdict::Broken => ("badge badge--bad", TRIANGLE, "Broken"),
        WindowVerdict::Open => ("badge", SQUARE, "Not judged"),
    })
}

/// `critical`, `error`, `warning`: within a sentence.
pub fn severity_word(severity: AlertSeverity) -> &'static str {
    match severity {
        AlertSeverity::Warn => "warning",
        AlertSeverity::Error => "error",
        AlertSeverity::Critical => "critical",
    }
}
