//! How has the quality of this pipeline's data gone over time, rule by rule?

use std::time::Duration;

use leptos::prelude::*;
use weir_api::WindowVerdict;

use super::query;
use crate::{
    browser,
    components::{
        alert::{SeverityBadge, VerdictBadge},
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage},
        series::{SeriesChart, SeriesTable, value},
    },
    format, links,
    server_fns::quality::{self, RuleSeries},
};

/// Times to look at: the address, the words, hours before the newest window.
const SPANS: [(&str, &str, Option<u32>); 4] = [
    ("", "Newest windows", None),
    ("day", "Last day", Some(24)),
    ("week", "Last week", Some(7 * 24)),
    ("quarter", "Last 90 days", Some(90 * 24)),
];

#[component]
pub fn QualityTab(project: String, pipeline: String) -> impl IntoView {
    let span = query("span");
    let series = Resource::new(
        {
            let (project, pipeline) = (project.clone(), pipeline.clone());
            move || {
                let hours = span.with(|span| SPANS.iter().find(|(name, ..)| name == span).and_then(|(.., hours)| *hours));
                (project.clone(), pipeline.clone(), hours)
            }
        },
        |(project, pipeline, hours)| quality::quality(project, pipeline, hours),
    );
    browser::every(Duration::from_secs(5), move || series.refetch());
    let base = links::pipeline_tab(&project, &pipeline, "quality");
    let choices = {
        let base = base.clone();
        move || {
            let here = span.get();
            let choices = SPANS.map(|(name, words, _)| {
                let current = (here == name).then_some("true");
                view! { <a class="btn btn--small" href=links::with_query(&base, [("span", name)]) aria-current=current>{words}</a> }
            });
            view! { <nav class="actions" aria-label="Time">{choices.collect_view()}</nav> }
        }
    };
    view! {
        <Transition fallback=|| view! { <Loading/> }>
            {move || {
                let (project, pipeline, choices) = (project.clone(), pipeline.clone(), choices.clone());
                Suspend::new(async move {
                    match series.await {
                        Err(fault) if fault.is_signed_out() => view! { <FaultPage fault/> }.into_any(),
                        Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                        Ok(rules) if rules.is_empty() => view! { <NoRules project pipeline/> }.into_any(),
                        Ok(rules) => {
                            let rules = rules.into_iter().map(|one| view! { <Rule one/> }).collect_view();
                            view! {
                                <div class="stack">
                                    <div class="section__head">
                                        <p class="small muted">"Times are those of the data. Under each line, a mark for every window: a dot where the rule was kept, a triangle where it was broken, a square where there was nothing to judge."</p>
                                        {choices()}
                                    </div>
                                    <div class="rules">{rules}</div>
                                </div>
                            }
                            .into_any()
                        }
                    }
                })
            }}
        </Transition>
    }
}

#[component]
fn Rule(one: RuleSeries) -> impl IntoView {
    let RuleSeries { rule, series } = one;
    let id = format!("rule-{}-{}", rule.step, rule.rule).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let heading = id.clone();
    let newest = value(&rule.newest);
    let windows = format::plural(rule.windows, "window", "windows");
    let record = match rule.broken {
        0 => format!("{windows} on record, none broken"),
        broken => format!("{windows} on record, {} broken ({})", format::count(broken), format::share(broken, rule.windows)),
    };
    let hidden = series.points.iter().all(|point| point.low.is_none())
        && series.points.iter().any(|point| point.verdict != WindowVerdict::Open);
    let metric = (rule.metric != rule.rule).then(|| view! { <code>{rule.metric.clone()}</code> });
    view! {
        <section class="card card--pad stack stack--tight" aria-labelledby=heading>
            <div class="section__head">
                <div class="row">
                    <h2 id=id><code>{rule.rule.clone()}</code></h2>
                    <VerdictBadge verdict=rule.newest.verdict/>
                </div>
                {newest.map(|newest| view! { <p class="ts__now">{newest}</p> })}
            </div>
            <p class="row small muted">
                <span>"Step " <code>{rule.step.clone()}</code></span>
                {metric}
                <span class="row">"If broken: " <SeverityBadge severity=rule.severity/></span>
                <span>{record}</span>
            </p>
            {rule.newest.detail.clone().map(|detail| view! { <p class="small">"Newest window: " {detail}</p> })}
            {hidden.then(|| view! { <p class="small muted">"The values are not shown: they would tell what a column holds that is classified above internal."</p> })}
            <SeriesChart series=series.clone()/>
            <details class="ts__more">
                <summary>"As a table"</summary>
                <SeriesTable series/>
            </details>
        </section>
    }
}

#[component]
fn NoRules(project: String, pipeline: String) -> impl IntoView {
    view! {
        <Empty
            glyph=Glyph::Quality title="Nothing has been measured yet"
            text="A quality step with metrics measures each window of its rows: how many there are, how complete, how their values lie. The first window appears when its time is over."
        >
            <a class="btn btn--primary" href=links::pipeline_tab(&project, &pipeline, "edit")>"Add metrics to a quality step"</a>
        </Empty>
    }
}
