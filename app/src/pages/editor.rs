//! A pipeline's document, written and checked as one types.

use std::time::Duration;

use leptos::{ev::SubmitEvent, form::ActionForm, html, prelude::*, task::spawn_local};
use weir_api::{Diagnostic, Severity, Validation};

use super::param;
use crate::{
    browser,
    components::{
        editor::{CodeEditor, Findings, summary},
        empty::Loading,
        graph::PipelineGraph,
        notice::{FaultNotice, FaultPage, Notice, Tone},
        page::PageHead,
    },
    drafts::{self, Place},
    fault::Fault,
    links,
    server_fns::pipelines::{self, Save},
    shell::{use_project, use_reader},
};

/// A document that runs as it is: made-up payments, governed.
const EXAMPLE: &str = include_str!("example.yaml");

#[component]
pub fn NewPipelinePage() -> impl IntoView {
    let project = use_project();
    let reader = use_reader();
    view! {
        <Suspense fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                match reader.await {
                    Err(fault) => view! { <FaultPage fault/> }.into_any(),
                    Ok(me) => {
                        let project = project.get_untracked();
                        let crumbs = vec![("Pipelines".to_owned(), links::pipelines(&project))];
                        view! {
                            <div class="page page--wide">
                                <PageHead title="New pipeline" lead="An example to change: made-up payments that pass rules and masking before they are written." crumbs/>
                                <Editor project reader=me.name.clone() base=None document=EXAMPLE.to_owned() may=me.may("pipeline.create") may_deploy=me.may("pipeline.deploy")/>
                            </div>
                        }
                        .into_any()
                    }
                }
            })}
        </Suspense>
    }
}

#[component]
pub fn EditPipelinePage() -> impl IntoView {
    let (project, name) = (use_project(), param("name"));
    let reader = use_reader();
    let data = Resource::new(move || (project.get(), name.get()), |(project, name)| pipelines::pipeline(project, name));
    view! {
        <Suspense fallback=|| view! { <div class="page"><Loading/></div> }>
            {move || Suspend::new(async move {
                let me = reader.await;
                match (me, data.await) {
                    (Err(fault), _) | (_, Err(fault)) => view! { <FaultPage fault/> }.into_any(),
                    (Ok(me), Ok(page)) => {
                        let (project, name, version) = (project.get_untracked(), page.pipeline.summary.name.to_string(), page.pipeline.summary.version);
                        let crumbs = vec![("Pipelines".to_owned(), links::pipelines(&project)), (name.clone(), links::pipeline(&project, &name))];
                        view! {
                            <div class="page page--wide">
                                <PageHead title=format!("Edit {name}") lead=format!("From version {version}. Saving makes version {}; what runs goes on until it is deployed.", version + 1) crumbs/>
                                <Editor project reader=me.name.clone() base=Some((name, version)) document=page.pipeline.document may=me.may("pipeline.update") may_deploy=me.may("pipeline.deploy")/>
                            </div>
                        }
                        .into_any()
                    }
                }
            })}
        </Suspense>
    }
}

/// What is wrong with the document's structure, told without the server.
fn structure(text: &str) -> Vec<Diagnostic> {
    weir_spec::parse_pipeline(text).diagnostics
}

fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// What the server made of a text.
#[derive(Clone, PartialEq)]
struct Answer {
    text: String,
    outcome: Result<Validation, Fault>,
}

/// The editor, its findings, and the buttons that save.
#[component]
fn Editor(
    project: String,
    /// The name of who writes.
    reader: String,
    /// The pipeline and the version that the change starts from; none for a new one.
    base: Option<(String, u32)>,
    document: String,
    may: Result<(), String>,
    may_deploy: Result<(), String>,
) -> impl IntoView {
    let save = ServerAction::<Save>::new();
    let area = NodeRef::<html::Textarea>::new();
    let text = RwSignal::new(document.clone());
    let structural = RwSignal::new(structure(&document));
    let answer = RwSignal::new(None::<Answer>);
    let findings = Signal::derive(move || {
        let full = answer.with(|answer| match answer {
            Some(Answer { text: checked, outcome: Ok(validation) }) if text.with(|text| text == checked) => {
                Some(validation.diagnostics.clone())
            }
            _ => None,
        });
        full.unwrap_or_else(|| structural.get())
    });
    check_as_typed(project.clone(), text, structural, answer);
    let kept = Kept::begin(Place::new(&reader, &project, base.as_ref().map(|(name, _)| name.as_str())), &base, &document, text);

    let blocked = Memo::new(move |_| match &may {
        Err(reason) => Some(reason.clone()),
        Ok(()) if findings.with(|findings| has_errors(findings)) => Some("The document has errors; mend them first.".to_owned()),
        Ok(()) => None,
    });
    let deploy_blocked = Memo::new(move |_| blocked.get().or_else(|| may_deploy.clone().err()));
    let hold = move |event: SubmitEvent| {
        if blocked.get_untracked().is_some() {
            event.prevent_default();
        }
    };
    let disabled = |why: Memo<Option<String>>| move || why.get().is_some().then_some("true");
    let checked = move || answer.with(|answer| answer.as_ref().is_some_and(|answer| text.with(|text| *text == answer.text)));
    let state = move || {
        let told = findings.with(|findings| summary(findings));
        match checked() || findings.with(|findings| has_errors(findings)) {
            true => told,
            false => format!("{told} so far; checking the plan…"),
        }
    };
    let unreachable = move || answer.with(|answer| answer.as_ref().and_then(|answer| answer.outcome.clone().err()));
    let preview =
        Memo::new(move |_| answer.with(|answer| answer.as_ref().and_then(|answer| answer.outcome.as_ref().ok()?.graph.clone())));
    let failed = move || save.value().get().and_then(Result::err);
    let name = base.map(|(name, _)| name);
    let is_new = name.is_none();
    let back = match &name {
        Some(name) => links::pipeline(&project, name),
        None => links::pipelines(&project),
    };
    view! {
        {move || failed().map(|fault| match fault.is_signed_out() {
            true => view! { <SignedOut/> }.into_any(),
            false => view! { <FaultNotice fault/> }.into_any(),
        })}
        {move || kept.restored.get().map(|from| view! { <Restored kept from/> })}
        <div on:submit:capture=hold>
        <ActionForm action=save>
            <input type="hidden" name="project" value=project/>
            {name.map(|name| view! { <input type="hidden" name="name" value=name/> })}
            {move || kept.from.get().map(|version| view! { <input type="hidden" name="expected_version" value=version/> })}
            <div class="split">
                <CodeEditor name="document" label="Pipeline document, YAML" text findings area/>
                <aside class="stack" aria-label="Findings">
                    <p class="row" role="status">
                        <strong class=("is-unbalanced", move || findings.with(|findings| has_errors(findings)))>{state}</strong>
                    </p>
                    {move || unreachable().map(|fault| view! { <FaultNotice fault/> })}
                    <Findings findings area/>
                    <div class="field">
                        <label class="field__label" for="note">"What changed"</label>
                        <input class="input" id="note" name="note" maxlength="200" placeholder={if is_new { "first version" } else { "in a few words, for those who review it" }}/>
                    </div>
                    <div class="actions">
                        <button class="btn btn--primary" type="submit" name="then" value="deploy" aria-disabled=disabled(deploy_blocked)
                            on:click=move |event| {
                                if deploy_blocked.get_untracked().is_some() {
                                    event.prevent_default();
                                }
                            }>
                            "Save and deploy…"
                        </button>
                        <button class="btn" type="submit" name="then" value="" aria-disabled=disabled(blocked)>"Save"</button>
                        <a class="btn btn--quiet" href=back>"Cancel"</a>
                    </div>
                    {move || deploy_blocked.get().map(|why| view! { <p class="small muted">{why}</p> })}
                    // Browsers with scripts read what is inside as text, not as elements.
                    <noscript inner_html="<p class=\"small muted\">Without scripts the document is checked when it is saved. If it has errors, your browser's Back keeps what you wrote.</p>"></noscript>
                </aside>
            </div>
        </ActionForm>
        </div>
        {move || preview.get().filter(|graph| !graph.nodes.is_empty()).map(|graph| view! {
            <section class="section" aria-labelledby="preview">
                <div class="section__head"><h2 id="preview">"What it would be"</h2><p>"Edges carry the classification that remains after masking."</p></div>
                <PipelineGraph graph rates=Signal::stored(None) chosen=Signal::stored(None) base=""/>
            </section>
        })}
    }
}

/// The text beside what was saved, kept in the tab as long as it differs.
#[derive(Clone, Copy)]
struct Kept {
    place: StoredValue<Place>,
    text: RwSignal<String>,
    /// The text that was saved, and its version.
    saved: StoredValue<(Option<u32>, String)>,
    /// The version that the text is made from.
    from: RwSignal<Option<u32>>,
    /// The text is one that had not been saved before; with the version that it was made from.
    restored: RwSignal<Option<Option<u32>>>,
}

impl Kept {
    /// Takes back what was not saved, then keeps what is written from now on.
    fn begin(place: Place, base: &Option<(String, u32)>, document: &str, text: RwSignal<String>) -> Self {
        let version = base.as_ref().map(|(_, version)| *version);
        let kept = Self {
            place: StoredValue::new(place),
            text,
            saved: StoredValue::new((version, document.to_owned())),
            from: RwSignal::new(version),
            restored: RwSignal::new(None),
        };
        Effect::new(move |earlier: Option<()>| {
            let now = text.get();
            let place = kept.place.get_value();
            if earlier.is_none()
                && let Some(draft) = drafts::read(&place).filter(|draft| draft.text != now)
            {
                kept.from.set(draft.from);
                kept.restored.set(Some(draft.from));
                text.set(draft.text);
                return;
            }
            match kept.is_saved(&now) {
                true => drafts::discard(&place),
                false => drafts::keep(&place, &drafts::Draft { from: kept.from.get_untracked(), text: now }),
            }
        });
        browser::ask_before_leaving(move || kept.text.try_with_untracked(|text| !kept.is_saved(text)).unwrap_or(false));
        kept
    }

    fn is_saved(self, text: &str) -> bool {
        self.saved.try_with_value(|(_, saved)| saved == text).unwrap_or(true)
    }

    /// Back to what was saved.
    fn discard(self) {
        let (version, saved) = self.saved.get_value();
        self.restored.set(None);
        self.from.set(version);
        self.text.set(saved);
    }
}

/// Says that the text is one that was not saved, and how to be rid of it.
#[component]
fn Restored(kept: Kept, from: Option<u32>) -> impl IntoView {
    let newest = kept.saved.with_value(|(version, _)| *version);
    let behind = (from != newest).then(|| {
        let (from, newest) = (from.unwrap_or_default(), newest.unwrap_or_default());
        view! { <p>{format!("It was made from version {from}, and version {newest} is the newest: saving it will be refused, so that nobody's change is lost. Copy what is yours, discard it here, and repeat the change.")}</p> }
    });
    let back = match newest {
        Some(version) => format!("Discard it and show version {version}"),
        None => "Discard it and show the example".to_owned(),
    };
    view! {
        <Notice tone=Tone::Info title="Your unsaved text is back">
            {behind}
            <p><button class="btn btn--small" type="button" on:click=move |_| kept.discard()>{back}</button></p>
        </Notice>
    }
}

/// The session was over when the text was sent; it is kept, and sign-in leads back to it.
#[component]
fn SignedOut() -> impl IntoView {
    let here = leptos_router::hooks::use_location().pathname;
    view! {
        <Notice tone=Tone::Warn title="Your session is over">
            <p>"What you wrote is kept in this tab. "<a href=move || links::sign_in(&here.get())>"Sign in again"</a>", and you come back to it."</p>
        </Notice>
    }
}

/// The structure at once, in the browser; the plan a little later, on the server, when the structure stands.
fn check_as_typed(
    project: String,
    text: RwSignal<String>,
    structural: RwSignal<Vec<Diagnostic>>,
    answer: RwSignal<Option<Answer>>,
) {
    let project = StoredValue::new(project);
    let check_plan = browser::debounced(Duration::from_millis(450), move || {
        // The editor may be left at any moment, also while the server checks.
        let (Some(document), Some(project)) = (text.try_get_untracked(), project.try_get_value()) else { return };
        if structural.try_with_untracked(|findings| has_errors(findings)) != Some(false) {
            return;
        }
        spawn_local(async move {
            let outcome = pipelines::validate(project, document.clone()).await;
            // Only the newest text's answer counts.
            if text.try_with_untracked(|now| *now == document) == Some(true) {
                answer.try_set(Some(Answer { text: document, outcome }));
            }
        });
    });
    let check_structure = browser::debounced(Duration::from_millis(120), move || {
        if let Some(found) = text.try_with_untracked(|text| structure(text)) {
            structural.try_set(found);
            check_plan();
        }
    });
    Effect::new(move |_| {
        text.track();
        check_structure();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_no_finding() {
        assert_eq!(structure(EXAMPLE), Vec::new());
    }
}
