//! States, stages and classifications as small marks with a word.

use leptos::prelude::*;
use weir_api::{Classification, Outcome, PipelineState, RunState};

/// What a mark looks like; each tone has a shape of its own, so that colour never speaks alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Live,
    Ok,
    Quiet,
    Waiting,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Live => "badge badge--ok badge--live",
            Self::Ok => "badge badge--ok",
            Self::Quiet => "badge",
            Self::Waiting => "badge badge--info",
            Self::Bad => "badge badge--bad",
        }
    }

    /// On a grid of 10.
    fn shape(self) -> &'static str {
        match self {
            Self::Live => "M5 1a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z",
            Self::Ok => "M1 5.2 4 8.2l5-6-1-.9L4 6.4 1.9 4.3Z",
            Self::Quiet => "M1.5 1.5h7v7h-7Z",
            Self::Waiting => "M5 1 9 5 5 9 1 5Z",
            Self::Bad => "M5 .8 9.6 9H.4Z",
        }
    }
}

fn mark(tone: Tone, word: &'static str) -> impl IntoView {
    view! {
        <span class=tone.class()>
            <svg class="badge__mark" viewBox="0 0 10 10" aria-hidden="true" stroke="none"><path d=tone.shape()></path></svg>
            {word}
        </span>
    }
}

#[component]
pub fn PipelineBadge(state: PipelineState) -> impl IntoView {
    match state {
        PipelineState::Draft => mark(Tone::Quiet, "Draft"),
        PipelineState::Starting => mark(Tone::Waiting, "Starting"),
        PipelineState::Running => mark(Tone::Live, "Running"),
        PipelineState::Stopping => mark(Tone::Waiting, "Stopping"),
        PipelineState::Stopped => mark(Tone::Quiet, "Stopped"),
        PipelineState::Finished => mark(Tone::Ok, "Finished"),
        PipelineState::Failed => mark(Tone::Bad, "Failed"),
    }
}

#[component]
pub fn RunBadge(state: RunState) -> impl IntoView {
    match state {
        RunState::Pending => mark(Tone::Waiting, "Waiting"),
        RunState::Running => mark(Tone::Live, "Running"),
        RunState::Stopping => mark(Tone::Waiting, "Stopping"),
        RunState::Stopped => mark(Tone::Quiet, "Stopped"),
        RunState::Finished => mark(Tone::Ok, "Finished"),
        RunState::Failed => mark(Tone::Bad, "Failed"),
    }
}

#[component]
pub fn OutcomeBadge(outcome: Outcome) -> impl IntoView {
    match outcome {
        Outcome::Allowed => mark(Tone::Ok, "Allowed"),
        Outcome::Denied => mark(Tone::Bad, "Denied"),
    }
}

/// How sensitive something is: one bar for public, four for restricted, and the word.
#[component]
pub fn ClassMark(class: Classification) -> impl IntoView {
    let level = Classification::ALL.iter().position(|one| *one == class).unwrap_or(0);
    let bars = (0..4)
        .map(|i| {
            let height = 4 + 2 * i;
            view! { <rect class=(i > level).then_some("off") x=i * 4 y=12 - height width="2.5" height=height rx="0.75"></rect> }
        })
        .collect_view();
    view! {
        <span class=format!("class c-{class}")>
            <svg class="class__bars" viewBox="0 0 15 12" aria-hidden="true">{bars}</svg>
            {class.as_str()}
        </span>
    }
}

/// A stage's name in its lane's colour.
#[component]
pub fn StageMark(#[prop(into)] stage: String) -> impl IntoView {
    view! { <span class=format!("stage c-{stage}")>{crate::components::graph::lane_title(&stage)}</span> }
}
