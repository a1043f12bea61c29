//! Which runs were there, and how did they end?

use std::time::Duration;

use leptos::prelude::*;
use weir_api::RunSummary;

use super::query;
use crate::{
    browser,
    components::{
        badge::RunBadge,
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage},
        page::{PageHead, Pager},
        time::{Ago, Lasted},
    },
    connection::Lasting,
    format, links,
    server_fns::runs,
    shell::use_project,
};

#[component]
pub fn RunsPage() -> impl IntoView {
    let project = use_project();
    view! {
        <div class="page">
            <PageHead title="Runs" lead="Every execution of every pipeline, newest first: what this run read, wrote and held back, not what the runs before it did."/>
            {move || view! { <RunTable project=project.get() pipeline=None/> }}
        </div>
    }
}

/// Runs of all pipelines or of one.
#[component]
pub fn RunTable(project: String, pipeline: Option<String>) -> impl IntoView {
    let after = query("after");
    let lasting = Lasting::begin();
    let question = {
        let (project, pipeline) = (project.clone(), pipeline.clone());
        move || (project.clone(), pipeline.clone(), after.get())
    };
    let list = Resource::new(question.clone(), move |(project, pipeline, after)| {
        let question = (project.clone(), pipeline.clone(), after.clone());
        lasting.ask(question, runs::runs(project, pipeline, super::given(after)))
    });
    lasting.remember(question, list);
    browser::every(Duration::from_secs(5), move || list.refetch());
    let base = match &pipeline {
        Some(name) => links::pipeline_tab(&project, name, "runs"),
        None => links::runs(&project),
    };
    let one = pipeline.is_some();
    view! {
        <Transition fallback=|| view! { <Loading/> }>
            {move || {
                let (project, base, pipeline) = (project.clone(), base.clone(), pipeline.clone());
                Suspend::new(async move {
                    match list.await {
                        Err(fault) if fault.is_signed_out() => view! { <FaultPage fault/> }.into_any(),
                        Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                        Ok(page) if page.items.is_empty() => view! { <NoRuns project pipeline/> }.into_any(),
                        Ok(page) => {
                            let shown = page.items.len();
                            let next = page.next.map(|cursor| links::with_query(&base, [("after", cursor.0.as_str())]));
                            let first = (!after.get_untracked().is_empty()).then(|| base.clone());
                            let rows = page.items.into_iter().map(|run| row(&project, run, one)).collect_view();
                            view! {
                                <div class="stack">
                                    <div class="table-wrap">
                                        <table class="table table--cards">
                                            <caption class="visually-hidden">"Runs, newest first"</caption>
                                            <thead>
                                                <tr>
                                                    <th scope="col">{if one { "Run" } else { "Pipeline" }}</th>
                                                    <th scope="col">"State"</th>
                                                    <th scope="col" class="num">"Started"</th>
                                                    <th scope="col" class="num">"Lasted"</th>
                                                    <th scope="col" class="num">"Rows in"</th>
                                                    <th scope="col" class="num">"Rows out"</th>
                                                    <th scope="col" class="num" title="Held in quarantine by this run, whatever for">"Quarantined"</th>
                                                    <th scope="col" class="num" title="Denied or dropped, or malformed or late and not kept">"Refused"</th>
                                                    <th scope="col" class="num" title="Left out by a WHERE">"Filtered by SQL"</th>
                                                    <th scope="col" class="num">"Checkpoints"</th>
                                                </tr>
                                            </thead>
                                            <tbody>{rows}</tbody>
                                        </table>
                                    </div>
                                    <Pager shown noun="runs" next first/>
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

fn row(project: &str, run: RunSummary, one: bool) -> impl IntoView + use<> {
    let id = run.id.to_string();
    let short: String = id.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
    let title = if one { short.clone() } else { run.pipeline.to_string() };
    let sub = if one { format!("version {}", run.version) } else { format!("version {} · {short}", run.version) };
    let number =
        |label: &'static str, n: u64| view! { <td class="num" class:zero=n == 0 data-label=label>{format::count(n)}</td> };
    view! {
        <tr>
            <td><a class="row-link" href=links::run(project, &id)>{title}</a><span class="cell-sub">{sub}</span></td>
            <td data-label="State"><RunBadge state=run.state/></td>
            <td class="num" data-label="Started"><Ago at=run.started_at.unwrap_or(run.created_at)/></td>
            <td class="num" data-label="Lasted">{run.started_at.map(|from| view! { <Lasted from until=run.ended_at/> })}</td>
            {number("Rows in", run.rows.rows_in)}
            {number("Rows out", run.rows.rows_out)}
            {number("Quarantined", run.rows.rows_quarantined)}
            {number("Refused", run.rows.rows_refused)}
            {number("Filtered by SQL", run.rows.rows_filtered)}
            {number("Checkpoints", run.checkpoints)}
        </tr>
    }
}

#[component]
fn NoRuns(project: String, pipeline: Option<String>) -> impl IntoView {
    let (text, href, go) = match &pipeline {
        Some(name) => (
            "A run begins when a version is deployed; every row it reads is accounted for here.",
            links::with_query(&links::pipeline(&project, name), [("confirm", "deploy")]),
            "Deploy it",
        ),
        None => (
            "A run begins when a pipeline is deployed; every row it reads is accounted for here.",
            links::pipelines(&project),
            "See the pipelines",
        ),
    };
    view! {
        <Empty glyph=Glyph::Runs title="No runs yet" text=text>
            <a class="btn btn--primary" href=href>{go}</a>
        </Empty>
    }
}
