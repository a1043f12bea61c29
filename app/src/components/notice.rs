//! Something to know or to mend; and problems, with what to do and the request's id.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::components::Redirect;
use weir_api::ProblemError;

use super::{
    editor::Findings,
    icon::{Glyph, Icon},
    prose::prose,
};
use crate::{fault::Fault, links};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Quiet,
    Info,
    Ok,
    Warn,
    Bad,
}

impl Tone {
    fn look(self) -> (&'static str, Glyph) {
        match self {
            Self::Quiet => ("notice notice--quiet", Glyph::Info),
            Self::Info => ("notice", Glyph::Info),
            Self::Ok => ("notice notice--ok", Glyph::Check),
            Self::Warn => ("notice notice--warn", Glyph::Alert),
            Self::Bad => ("notice notice--bad", Glyph::Alert),
        }
    }
}

#[component]
pub fn Notice(tone: Tone, #[prop(into)] title: String, #[prop(optional)] children: Option<Children>) -> impl IntoView {
    let (class, glyph) = tone.look();
    let role = if tone == Tone::Bad { "alert" } else { "status" };
    view! {
        <div class=class role=role>
            <Icon glyph/>
            <div class="notice__body">
                <p class="notice__title">{prose(&title)}</p>
                {children.map(|children| children())}
            </div>
        </div>
    }
}

/// A problem: what happened, what to do, each finding, and the id under which the logs know the request.
#[component]
pub fn FaultNotice(
    fault: Fault,
    /// What the reader can do about it, where the page knows more than the problem tells.
    #[prop(optional_no_strip)]
    advice: Option<String>,
) -> impl IntoView {
    let problem = fault.0;
    // Some problems need no more words than their title.
    let detail = problem.detail.clone().filter(|detail| detail.trim_end_matches('.') != problem.title);
    let fields: Vec<_> = problem
        .errors
        .iter()
        .filter_map(|error| match error {
            ProblemError::Field(field) => Some(format!("{}: {}", field.field, field.message)),
            ProblemError::Document(_) => None,
        })
        .map(|text| view! { <p>{text}</p> })
        .collect();
    let findings: Vec<_> = problem.diagnostics().cloned().collect();
    let findings = (!findings.is_empty()).then(|| view! { <Findings findings=Signal::stored(findings)/> });
    let retry = problem.retry_after_seconds.map(|seconds| view! { <p>{format!("Try again in {seconds} seconds.")}</p> });
    let meta = problem.request_id.map(|id| {
        view! { <p class="notice__meta">"Request " <code>{id}</code> " · status " {problem.status}</p> }
    });
    view! {
        <Notice tone=Tone::Bad title=problem.title>
            {detail.map(|detail| view! { <p>{prose(&detail)}</p> })}
            {advice.map(|advice| view! { <p>{advice}</p> })}
            {fields}
            {retry}
            {findings}
            {meta}
        </Notice>
    }
}

/// A page that could not be made. Without a session it leads to sign-in and back.
#[component]
pub fn FaultPage(fault: Fault) -> impl IntoView {
    if fault.is_signed_out() {
        let here = leptos_router::hooks::use_location();
        let path = here.pathname.get_untracked();
        let query = here.search.get_untracked();
        let here = if query.is_empty() { path } else { format!("{path}?{}", query.trim_start_matches('?')) };
        return view! { <Redirect path=links::sign_in(&here)/> }.into_any();
    }
    let title = fault.0.title.clone();
    view! {
        <Title text=title.clone()/>
        <div class="page page--narrow">
            <h1 class="visually-hidden">{title}</h1>
            <FaultNotice fault/>
            <p><a href="/">"Back to the overview"</a></p>
        </div>
    }
    .into_any()
}
