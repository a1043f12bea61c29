//! The rows of a list of alerts: one for each alert, or one that unfolds for several that differ by their cause only.

use std::collections::BTreeSet;

use leptos::prelude::*;
use weir_api::{Alert, AlertState, Me};

use crate::{
    components::{
        alert::{AlertBadge, SeverityBadge},
        time::{Ago, Moment},
    },
    format, links,
};

/// Alerts that differ by their cause only, in the order of the first of each.
pub fn groups(alerts: Vec<Alert>) -> Vec<Vec<Alert>> {
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
pub struct Row {
    pub project: String,
    /// The list is of one pipeline.
    pub fixed: bool,
    /// The address of the list as it is filtered.
    pub here: String,
    pub me: Option<Me>,
    /// There are more than are shown.
    pub paged: bool,
}

impl Row {
    pub fn may(&self, action: &str) -> Result<(), String> {
        self.me.as_ref().map_or(Ok(()), |me| me.may(action))
    }

    /// One alert as a row; several of the same step and message as one row that unfolds.
    pub fn group(&self, mut group: Vec<Alert>, opened: RwSignal<BTreeSet<String>>) -> AnyView {
        if group.len() == 1 {
            return group.pop().map(|alert| self.view(alert).into_any()).into_any();
        }
        let first = &group[0];
        let key = format!("{} {} {} {:?}", first.pipeline, first.step, first.message, first.state);
        let newest = group.iter().map(|alert| alert.raised_at).max().unwrap_or(first.raised_at);
        let (severity, state, message, step) = (first.severity, first.state, first.message.clone(), first.step.clone());
        let count = group.len() as u64;
        let causes_here = match self.paged {
            true => format!("{} causes on this page", format::count(count)),
            false => format::plural(count, "cause", "causes"),
        };
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
                                <span class="tag">{causes_here}</span>
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
pub fn short_cause(cause: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(message: &str, cause: &str, state: &str) -> Alert {
        serde_json::from_value(serde_json::json!({
            "id": "01900000-0000-7000-8000-000000000000", "state": state, "severity": "warn", "pipeline": "payments",
            "run": "01900000-0000-7000-8000-000000000001", "step": "watch", "cause": cause, "message": message, "detail": null,
            "raised_at": "2026-01-31T13:05:09Z", "seen_at": "2026-01-31T13:05:09Z", "ended_at": null, "seen": 1, "raised_leaf": 1, "ended_leaf": null, "acknowledged": null,
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
