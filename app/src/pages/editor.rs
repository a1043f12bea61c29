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
        notice::{FaultNotice, FaultPage},
        page::PageHead,
    },
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
                                <Editor project base=None document=EXAMPLE.to_owned() may=me.may("pipeline.create") may_deploy=me.may("pipeline.deploy")/>
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
                                <Editor project base=Some((name, version)) document=page.pipeline.document may=me.may("pipeline.update") may_deploy=me.may("pipeline.deploy")/>
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
    let (name, version) = base.unzip();
    let is_new = name.is_none();
    let back = match &name {
        Some(name) => links::pipeline(&project, name),
        None => links::pipelines(&project),
    };
    view! {
        {move || failed().map(|fault| view! { <FaultNotice fault/> })}
        <div on:submit:capture=hold>
        <ActionForm action=save>
            <input type="hidden" name="project" value=project/>
            {name.map(|name| view! { <input type="hidden" name="name" value=name/> })}
            {version.map(|version| view! { <input type="hidden" name="expected_version" value=version/> })}
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

/// The structure at once, in the browser; the plan a little later, on the server, when the structure stands.
fn check_as_typed(
    project: String,
    text: RwSignal<String>,
    structural: RwSignal<Vec<Diagnostic>>,
    answer: RwSignal<Option<Answer>>,
) {
    let project = StoredValue::new(project);
    let check_plan = browser::debounced(Duration::from_millis(450), move || {
        let document = text.get_untracked();
        if structural.with_untracked(|findings| has_errors(findings)) {
            return;
        }
        spawn_local(async move {
            let outcome = pipelines::validate(project.get_value(), document.clone()).await;
            // Only the newest text's answer counts.
            if text.with_untracked(|now| *now == document) {
                answer.set(Some(Answer { text: document, outcome }));
            }
        });
    });
    let check_structure = browser::debounced(Duration::from_millis(120), move || {
        structural.set(text.with_untracked(|text| structure(text)));
        check_plan();
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
