//! How has the quality of this pipeline's data gone over time, rule by rule?

use std::time::Duration;

use leptos::prelude::*;
use weir_api::{NoValue, QualityQuery, QualityResolution, WindowVerdict};

use super::query;
use crate::{
    browser,
    components::{
        alert::{SeverityBadge, VerdictBadge},
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage},
        page::ActionLink,
        series::{SeriesChart, SeriesTable, value},
    },
    format, links,
    server_fns::quality::{self, RuleSeries},
    shell::use_reader,
};

/// Times to look at: the address, the words, hours before the newest window.
const SPANS: [(&str, &str, Option<u32>); 4] = [
    ("", "Newest", None),
    ("day", "Last day", Some(24)),
    ("week", "Last week", Some(7 * 24)),
    ("quarter", "Last 90 days", Some(90 * 24)),
];

/// What a point of the drawn series is: the address, the words, and what the marks under the lines stand for.
const POINTS: [(&str, &str, QualityResolution, &str); 3] = [
    ("", "Windows", QualityResolution::Window, "window"),
    ("hour", "Hours", QualityResolution::Hour, "hour"),
    ("day", "Days", QualityResolution::Day, "day"),
];

fn resolution(by: &str) -> QualityResolution {
    POINTS.iter().find(|(name, ..)| *name == by).map_or_else(QualityResolution::default, |(.., resolution, _)| *resolution)
}

#[component]
pub fn QualityTab(project: String, pipeline: String) -> impl IntoView {
    let (span, by) = (query("span"), query("by"));
    let reader = use_reader();
    let series = Resource::new(
        {
            let (project, pipeline) = (project.clone(), pipeline.clone());
            move || {
                let hours = span.with(|span| SPANS.iter().find(|(name, ..)| name == span).and_then(|(.., hours)| *hours));
                (project.clone(), pipeline.clone(), hours, by.with(|by| resolution(by)))
            }
        },
        |(project, pipeline, hours, resolution)| quality::quality(project, pipeline, hours, resolution),
    );
    browser::every(Duration::from_secs(5), move || series.refetch());
    let base = links::pipeline_tab(&project, &pipeline, "quality");
    let choices = {
        let base = base.clone();
        move || {
            let (span, by) = (span.get(), by.get());
            let link = |span: &str, by: &str, words: &'static str, current: bool| {
                let href = links::with_query(&base, [("span", span), ("by", by)]);
                view! { <a class="btn btn--small" href=href aria-current=current.then_some("true")>{words}</a> }
            };
            let points = POINTS.map(|(name, words, ..)| link(&span, name, words, by == name));
            let spans = SPANS.map(|(name, words, _)| link(name, &by, words, span == name));
            view! {
                <nav class="actions" aria-label="Points">{points.collect_view()}</nav>
                <nav class="actions" aria-label="Time">{spans.collect_view()}</nav>
            }
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
                        Ok(rules) if rules.is_empty() => view! { <NoRules project pipeline allowed=reader.await.map_or(Ok(()), |me| me.may("pipeline.update"))/> }.into_any(),
                        Ok(rules) => {
                            let rules = rules.into_iter().map(|one| view! { <Rule one/> }).collect_view();
                            view! {
                                <div class="stack">
                                    <div class="section__head">
                                        <p class="small muted">{move || by.with(|by| explained(by))}</p>
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

/// What the lines and marks are.
fn explained(by: &str) -> String {
    let point = POINTS.iter().find(|(name, ..)| *name == by).map_or("window", |(.., point)| *point);
    let added = match resolution(by) {
        QualityResolution::Window => String::new(),
        _ => format!(" Each {point} (UTC) shows the metric of all its rows; its windows were judged."),
    };
    format!(
        "Times are those of the data.{added} Under each line, a mark for every {point}: a dot where the rule was kept, a triangle where it \
         was broken, a square where there was nothing to judge."
    )
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
    let why = series.points.iter().rev().find_map(|point| point.no_value.filter(|why| *why != NoValue::Nothing));
    let why = why.filter(|_| !hidden).map(NoValue::told);
    let most = series.bucket_seconds.is_some() && series.points.len() == QualityQuery::MAX_POINTS as usize;
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
            {why.map(|why| view! { <p class="small muted">"Where only a band is drawn, between the values of windows: " {why} "."</p> })}
            {most.then(|| view! { <p class="small muted">"There may be more before these, the newest " {format::count(QualityQuery::MAX_POINTS.into())} "."</p> })}
            <SeriesChart series=series.clone()/>
            <details class="ts__more">
                <summary>"As a table"</summary>
                <SeriesTable series/>
            </details>
        </section>
    }
}

#[component]
fn NoRules(project: String, pipeline: String, allowed: Result<(), String>) -> impl IntoView {
    view! {
        <Empty
            glyph=Glyph::Quality title="Nothing has been measured yet"
            text="A quality step with metrics measures each window of its rows: how many there are, how complete, how their values lie. The first window appears when its time is over."
        >
            <ActionLink href=links::pipeline_tab(&project, &pipeline, "edit") class="btn btn--primary" label="Add metrics to a quality step" allowed/>
        </Empty>
    }
}
