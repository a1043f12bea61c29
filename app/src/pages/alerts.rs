//! What has been noticed, what of it lasts, and who has taken note?

use std::{collections::BTreeSet, time::Duration};

use leptos::{form::ActionForm, prelude::*};
use weir_api::{Alert, AlertQuery, AlertState, AlertStates, Me};

use super::{given, query};
use crate::{
    browser,
    components::{
        alert::{AlertBadge, SeverityBadge},
        dialog::Dialog,
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage, Notice, Tone},
        page::{ActionLink, PageHead, Pager},
        search_form::SearchForm,
        time::{Ago, Moment},
        toast::use_toasts,
    },
    connection::Lasting,
    fault::Fault,
    format, links,
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
    let list = Resource::new(
        {
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
        },
        move |(project, query)| lasting.ask((project.clone(), query.clone()), alerts::alerts(project, query)),
    );
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
                            let row = Row { project, fixed, here: untrack(here), me };
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

/// Alerts that differ by their cause only, in the order of the first of each.
fn groups(alerts: Vec<Alert>) -> Vec<Vec<Alert>> {
    let mut groups: Vec<Vec<Alert>> = Vec::new();
    for alert in alerts {
        let same = |first: &Alert| {
            (&first.pipeline, &first.step, &first.message, first.severity, first.state)
                == (&alert.pipeline, &alert.step, &alert.message, alert.severity, alert.state)
        };
        match groups.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(alert),
            None => groups.push(vec![alert]),
        }
    }
    groups
}

/// What all rows have in common.
struct Row {
    project: String,
    fixed: bool,
    /// The address of the list as it is filtered.
    here: String,
    me: Option<Me>,
}

impl Row {
    fn may(&self, action: &str) -> Result<(), String> {
        self.me.as_ref().map_or(Ok(()), |me| me.may(action))
    }

    /// One alert as a row; several of the same step and message as one row that unfolds.
    fn group(&self, mut group: Vec<Alert>, opened: RwSignal<BTreeSet<String>>) -> AnyView {
        if group.len() == 1 {
            return group.pop().map(|alert| self.view(alert).into_any()).into_any();
        }
        let first = &group[0];
        let key = format!("{} {} {} {:?}", first.pipeline, first.step, first.message, first.state);
        let newest = group.iter().map(|alert| alert.raised_at).max().unwrap_or(first.raised_at);
        let (severity, state, message, step) = (first.severity, first.state, first.message.clone(), first.step.clone());
        let count = group.len() as u64;
        let noted = group.iter().filter(|alert| alert.acknowledged.is_some()).count() as u64;
        let pipeline = self.pipeline(first);
        let causes = group.iter().map(|alert| self.cause(alert)).collect_view();
        let is_open = {
            let key = key.clone();
            move || opened.try_with(|opened| opened.contains(&key)).unwrap_or(false)
        };
        let on_toggle = move |event: leptos::ev::Event| {
            let open = event_target::<web_sys::Element>(&event).has_attribute("open");
            opened.try_update(|opened| if open { opened.insert(key.clone()) } else { opened.remove(&key) });
        };
        view! {
            <tr>
                <td colspan="7" class="alert-group">
                    <details open=is_open on:toggle=on_toggle>
                        <summary>
                            <span class="row">
                                <strong class="break">{message}</strong>
                                <SeverityBadge severity/>
                                <AlertBadge state/>
                                <span class="tag">{format::plural(count, "cause", "causes")}</span>
                            </span>
                            <span class="cell-sub">{pipeline}" "<code>{step}</code>" · the newest raised "<Ago at=newest/>" · "{format!("{} of {} acknowledged", format::count(noted), format::count(count))}</span>
                        </summary>
                        <ul class="causes">{causes}</ul>
                    </details>
                </td>
            </tr>
        }
        .into_any()
    }

    /// One of several causes: what tells it from the others.
    fn cause(&self, alert: &Alert) -> impl IntoView + use<> {
        let seen = seen(alert);
        view! {
            <li>
                <span>"Cause " <code title=alert.cause.clone()>{short_cause(&alert.cause)}</code></span>
                <span class="muted">"raised " <Ago at=alert.raised_at/> " · seen " {seen}</span>
                {alert.detail.clone().map(|detail| view! { <span class="break">{detail}</span> })}
                {self.leads(alert)}
                <span class="causes__note">{self.note(alert)}</span>
            </li>
        }
    }

    fn pipeline(&self, alert: &Alert) -> Option<AnyView> {
        (!self.fixed).then(|| {
            let name = alert.pipeline.to_string();
            let href = links::pipeline(&self.project, &name);
            view! { <a href=href>{name}</a> }.into_any()
        })
    }

    /// To the run and to the evidence.
    fn leads(&self, alert: &Alert) -> AnyView {
        let project = &self.project;
        let run = links::run(project, &alert.run.to_string());
        let leaf = self.may("audit.read").is_ok();
        let entry =
            |words: &'static str, index: u64| leaf.then(|| view! { <a href=links::audit_entry(project, index)>{words}</a> });
        let (raised, ended) =
            (entry("Evidence", alert.raised_leaf), alert.ended_leaf.map(|index| entry("Evidence of its end", index)));
        view! { <span class="cell-links"><a href=run>"Run"</a> {raised} {ended}</span> }.into_any()
    }

    fn view(&self, alert: Alert) -> impl IntoView + use<> {
        let leads = self.leads(&alert);
        let pipeline = self.pipeline(&alert);
        let ended_at = alert.ended_at.map(|at| view! { <span class="cell-sub"><Moment at/></span> });
        let seen = seen(&alert);
        let note = self.note(&alert);
        let cause = alert.cause.clone();
        view! {
            <tr>
                <td>
                    <strong>{alert.message}</strong>
                    {alert.detail.map(|detail| view! { <span class="cell-sub">{detail}</span> })}
                    <span class="cell-sub">"Cause " <code title=cause.clone()>{short_cause(&cause)}</code></span>
                    {leads}
                </td>
                <td data-label="Severity"><SeverityBadge severity=alert.severity/></td>
                <td data-label="State"><AlertBadge state=alert.state/>{ended_at}</td>
                <td data-label={if self.fixed { "Step" } else { "Pipeline, step" }}>{pipeline}<span class="cell-sub"><code>{alert.step}</code></span></td>
                <td data-label="Raised"><Ago at=alert.raised_at/><span class="cell-sub"><Moment at=alert.raised_at/></span></td>
                <td class="num" data-label="Seen">{seen}</td>
                <td data-label="Acknowledged">{note}</td>
            </tr>
        }
    }

    /// Who has taken note, or the button to do it.
    fn note(&self, alert: &Alert) -> AnyView {
        if let Some(acknowledged) = &alert.acknowledged {
            let by = acknowledged.by.as_ref().map_or("somebody", |user| user.name.as_str()).to_owned();
            let note = acknowledged.note.clone().map(|note| view! { <span class="cell-sub break">{note}</span> });
            return view! { <span>{by} ", " <Ago at=acknowledged.at/></span>{note} }.into_any();
        }
        if alert.state != AlertState::Open {
            return view! { <span class="muted">"by nobody"</span> }.into_any();
        }
        let label = format!("Acknowledge: {}", alert.message);
        match self.may("alert.acknowledge") {
            Ok(()) => {
                let separator = if self.here.contains('?') { '&' } else { '?' };
                let href = format!("{}{separator}acknowledge={}", self.here, alert.id);
                view! { <a class="btn btn--small" href=href aria-label=label>"Acknowledge"</a> }.into_any()
            }
            Err(reason) => view! {
                <button class="btn btn--small" type="button" aria-disabled="true" aria-label=label aria-describedby="not-yours" title=reason>"Acknowledge"</button>
            }
            .into_any(),
        }
    }
}

/// Enough of a cause to tell it from others by eye.
fn short_cause(cause: &str) -> String {
    cause.chars().take(8).collect()
}

/// How often its cause was seen.
fn seen(alert: &Alert) -> String {
    match alert.state {
        // The step tells how often once the cause is gone.
        AlertState::Open | AlertState::Forgotten if alert.seen <= 1 => "at least once".to_owned(),
        _ => format::plural(alert.seen, "time", "times"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(message: &str, cause: &str, state: &str) -> Alert {
        serde_json::from_value(serde_json::json!({
            "id": "01900000-0000-7000-8000-000000000000", "state": state, "severity": "warn", "pipeline": "payments",
            "run": "01900000-0000-7000-8000-000000000001", "step": "watch", "cause": cause, "message": message, "detail": null,
            "raised_at": "2026-01-31T13:05:09Z", "ended_at": null, "seen": 1, "raised_leaf": 1, "ended_leaf": null, "acknowledged": null,
        }))
        .unwrap()
    }

    #[test]
    fn alerts_that_differ_by_their_cause_only_stand_together() {
        let alerts =
            vec![alert("a", "01", "open"), alert("b", "02", "open"), alert("a", "03", "open"), alert("a", "04", "resolved")];
        let causes: Vec<Vec<String>> =
            groups(alerts).into_iter().map(|group| group.into_iter().map(|alert| alert.cause).collect()).collect();
        assert_eq!(causes, [vec!["01", "03"], vec!["02"], vec!["04"]]);
    }
}
