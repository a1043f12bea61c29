//! What has been noticed, what of it lasts, and who has taken note?

use std::{collections::BTreeSet, time::Duration};

use leptos::{form::ActionForm, prelude::*};
use weir_api::{Alert, AlertQuery, AlertStates};

use super::{
    alert_rows::{Row, groups, short_cause},
    given, query,
};
use crate::{
    browser,
    components::{
        alert::SeverityBadge,
        dialog::Dialog,
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage, Notice, Tone},
        page::{ActionLink, PageHead, Pager},
        search_form::SearchForm,
        toast::use_toasts,
    },
    connection::Lasting,
    fault::Fault,
    links,
    server_fns::alerts::{self, Acknowledge},
    shell::{use_project, use_reader},
};

/// The filters of the address.
const FIELDS: &[&str] = &["state", "severity", "pipeline"];

#[component]
pub fn AlertsPage() -> impl IntoView {
    let project = use_project();
    view! {
        <div class="page">
            <PageHead title="Alerts" lead="What alert steps have noticed, one alert a cause. Open ones first: each closes by itself when its cause is gone."/>
            {move || view! { <AlertList project=project.get() pipeline=None/> }}
        </div>
    }
}

/// The alerts, with filters that live in the address; of all pipelines or of one.
#[component]
pub fn AlertList(project: String, pipeline: Option<String>) -> impl IntoView {
    let (state, severity, of, after) = (query("state"), query("severity"), query("pipeline"), query("after"));
    let question = query("acknowledge");
    let reader = use_reader();
    let fixed = pipeline.is_some();
    let base = match &pipeline {
        Some(name) => links::pipeline_tab(&project, name, "alerts"),
        None => links::alerts(&project),
    };
    let lasting = Lasting::begin();
    let asked = {
        let (project, pipeline) = (project.clone(), pipeline.clone());
        move || {
            let query = AlertQuery {
                state: match state.get().as_str() {
                    "open" => Some(AlertStates::Open),
                    "ended" => Some(AlertStates::Ended),
                    _ => None,
                },
                pipeline: pipeline.clone().or_else(|| given(of.get())),
                severity: severity.get().parse().ok(),
                after: given(after.get()),
                limit: None,
            };
            (project.clone(), query)
        }
    };
    let list = Resource::new(asked.clone(), move |(project, query)| {
        lasting.ask((project.clone(), query.clone()), alerts::alerts(project, query))
    });
    lasting.remember(asked, list);
    browser::every(Duration::from_secs(4), move || {
        if question.with_untracked(String::is_empty) {
            list.refetch();
        }
    });
    let filters = move || [("state", state.get()), ("severity", severity.get()), ("pipeline", of.get())];
    let filtered = move || filters().iter().any(|(_, value)| !value.is_empty());
    // The page as it is filtered, which the question about one of its alerts leads back to.
    let here = {
        let base = base.clone();
        move || {
            let pairs = filters();
            let after = after.get();
            links::with_query(&base, pairs.iter().map(|(name, value)| (*name, value.as_str())).chain([("after", after.as_str())]))
        }
    };
    let option = |chosen: Memo<String>, value: &'static str, label: &'static str| {
        view! { <option value=value selected=move || chosen.get() == value>{label}</option> }
    };
    // Which groups are unfolded outlives the table, which is drawn anew with every answer.
    let opened = RwSignal::new(BTreeSet::<String>::new());
    let all = base.clone();
    let (asked, back) = (project.clone(), Signal::derive(here.clone()));
    view! {
        <SearchForm action=base.clone() fields=FIELDS>
            <div class="filters">
                <div class="field">
                    <label class="field__label" for="f-state">"State"</label>
                    <select class="input" id="f-state" name="state">
                        {option(state, "", "All, open first")}
                        {option(state, "open", "Open")}
                        {option(state, "ended", "Ended")}
                    </select>
                </div>
                <div class="field">
                    <label class="field__label" for="f-severity">"Severity"</label>
                    <select class="input" id="f-severity" name="severity">
                        {option(severity, "", "Any")}
                        {option(severity, "error", "Error or worse")}
                        {option(severity, "critical", "Critical")}
                    </select>
                </div>
                {(!fixed).then(|| view! {
                    <div class="field">
                        <label class="field__label" for="f-pipeline">"Pipeline"</label>
                        <input class="input" id="f-pipeline" name="pipeline" placeholder="any" prop:value=of value=of.get_untracked() data-search=""/>
                    </div>
                })}
                <button class="btn" type="submit">"Filter"</button>
                {move || filtered().then(|| view! { <a class="btn btn--quiet" href=all.clone()>"Clear"</a> })}
            </div>
        </SearchForm>
        <Transition fallback=|| view! { <Loading/> }>
            {move || {
                let (project, base, pipeline, here) = (project.clone(), base.clone(), pipeline.clone(), here.clone());
                Suspend::new(async move {
                    let me = reader.await.ok();
                    match list.await {
                        Err(fault) if fault.is_signed_out() => view! { <FaultPage fault/> }.into_any(),
                        Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                        Ok(page) if page.items.is_empty() && untrack(filtered) => view! {
                            <Empty glyph=Glyph::Alert title="No alert matches" text="Nothing that was noticed fits the filter.">
                                <a class="btn" href=base>"Show all"</a>
                            </Empty>
                        }
                        .into_any(),
                        Ok(page) if page.items.is_empty() => view! { <NoAlerts project pipeline allowed=me.map_or(Ok(()), |me| me.may("pipeline.update"))/> }.into_any(),
                        Ok(page) => {
                            let shown = page.items.len();
                            let pairs = untrack(filters);
                            let next = page.next.map(|cursor| {
                                links::with_query(&base, pairs.iter().map(|(name, value)| (*name, value.as_str())).chain([("after", cursor.0.as_str())]))
                            });
                            let first = (!after.get_untracked().is_empty()).then(|| base.clone());
                            let row = Row { project, fixed, here: untrack(here), me, paged: next.is_some() || first.is_some() };
                            let not_yours = row.may("alert.acknowledge").err();
                            let rows = groups(page.items).into_iter().map(|group| row.group(group, opened)).collect_view();
                            view! {
                                <div class="stack">
                                    {not_yours.map(|reason| view! { <p class="small muted" id="not-yours">"Acknowledging: " {reason}</p> })}
                                    <div class="table-wrap">
                                        <table class="table table--cards">
                                            <caption class="visually-hidden">"Alerts, open ones first, then the newest first"</caption>
                                            <thead>
                                                <tr>
                                                    <th scope="col">"What"</th>
                                                    <th scope="col">"Severity"</th>
                                                    <th scope="col">"State"</th>
                                                    <th scope="col">{if fixed { "Step" } else { "Pipeline, step" }}</th>
                                                    <th scope="col">"Raised"</th>
                                                    <th scope="col" class="num">"Seen"</th>
                                                    <th scope="col">"Acknowledged"</th>
                                                </tr>
                                            </thead>
                                            <tbody>{rows}</tbody>
                                        </table>
                                    </div>
                                    <Pager shown noun="alerts" next first/>
                                </div>
                            }
                            .into_any()
                        }
                    }
                })
            }}
        </Transition>
        <Question project=asked question list back/>
    }
}

/// The question that the address asks: what is known or done about an alert?
#[component]
fn Question(
    project: String,
    question: Memo<String>,
    list: Resource<Result<weir_api::Page<Alert>, Fault>>,
    back: Signal<String>,
) -> impl IntoView {
    let action = ServerAction::<Acknowledge>::new();
    let reader = use_reader();
    let toasts = use_toasts();
    Effect::new(move |_| {
        if let Some(Ok(())) = action.value().get() {
            toasts.done("Acknowledged. The alert stays open until its cause is gone.");
            // Only once the address that the answer led to has been taken in.
            set_timeout(move || list.refetch(), Duration::ZERO);
        }
    });
    let asked = project.clone();
    let about = Resource::new(
        move || given(question.get()),
        move |id| {
            let project = asked.clone();
            async move {
                match id {
                    Some(id) => Some(alerts::alert(project, id).await),
                    None => None,
                }
            }
        },
    );
    view! {
        <Suspense>
            {move || {
                let project = project.clone();
                Suspend::new(async move {
                    let me = reader.await.ok();
                    let alert = match about.await? {
                        Ok(alert) => alert,
                        Err(fault) => return Some(view! { <FaultNotice fault/> }.into_any()),
                    };
                    let cancel = back.get_untracked();
                    let not_yours = me.and_then(|me| me.may("alert.acknowledge").err()).map(|reason| view! {
                        <Notice tone=Tone::Warn title="This is not yours to do"><p>{reason} " An attempt is refused and recorded."</p></Notice>
                    });
                    let failed = move || match action.value().get() {
                        Some(Err(fault)) => Some(view! { <FaultNotice fault/> }),
                        _ => None,
                    };
                    let (id, pipeline, step) = (alert.id.to_string(), alert.pipeline.to_string(), alert.step.clone());
                    let (to, hidden_id) = (cancel.clone(), id.clone());
                    let confirm = move || view! { <button class="btn btn--primary" type="submit" form="acknowledge">"Acknowledge"</button> };
                    Some(view! {
                        <Dialog title="Acknowledge this alert?" cancel confirm>
                            <p><SeverityBadge severity=alert.severity/> " " <strong>{alert.message}</strong></p>
                            <p class="small muted">"Cause " <code>{short_cause(&alert.cause)}</code> " of step " <code>{step}</code> " of " {pipeline} {alert.detail.map(|detail| format!(": {detail}"))}</p>
                            <p>"It stays open until its cause is gone. Your name and the time go on record; of the note the audit log keeps a hash."</p>
                            <ActionForm action attr:id="acknowledge">
                                <input type="hidden" name="project" value=project.clone()/>
                                <input type="hidden" name="id" value=hidden_id/>
                                <input type="hidden" name="back" value=to/>
                                <div class="field">
                                    <label class="field__label" for="note">"Note (optional)"</label>
                                    <input class="input" id="note" name="note" maxlength="500" placeholder="What is known, or being done"/>
                                </div>
                            </ActionForm>
                            {not_yours}
                            {failed}
                        </Dialog>
                    }
                    .into_any())
                })
            }}
        </Suspense>
    }
}

#[component]
fn NoAlerts(project: String, pipeline: Option<String>, allowed: Result<(), String>) -> impl IntoView {
    let (href, go, allowed) = match &pipeline {
        Some(name) => (links::pipeline_tab(&project, name, "edit"), "Add an alert step", allowed),
        None => (links::pipelines(&project), "See the pipelines", Ok(())),
    };
    view! {
        <Empty
            glyph=Glyph::Check title="No alerts"
            text="An alert step raises one when its condition holds on a row, or when a rule over windows is broken. It appears here, once a cause, and closes by itself."
        >
            <ActionLink href label=go allowed/>
        </Empty>
    }
}
