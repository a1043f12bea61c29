//! Which pipelines are there, and how is each of them doing?

use std::time::Duration;

use leptos::prelude::*;
use weir_api::{NodeKind, PipelineState};

use super::{given, query};
use crate::{
    browser,
    components::{
        badge::PipelineBadge,
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage},
        page::{ActionLink, PageHead, Pager},
        search_form::SearchForm,
        time::Ago,
    },
    connection::Lasting,
    format, links,
    server_fns::overview::{self, PipelineRow},
    shell::{use_project, use_reader},
};

/// The filters of the address.
const FIELDS: &[&str] = &["text"];

#[component]
pub fn PipelinesPage() -> impl IntoView {
    let project = use_project();
    let reader = use_reader();
    let (text, after) = (query("text"), query("after"));
    let lasting = Lasting::begin();
    let list = Resource::new(
        move || (project.get(), text.get(), after.get()),
        move |(project, text, after)| {
            let question = (project.clone(), text.clone(), after.clone());
            lasting.ask(question, overview::pipelines(project, text, given(after)))
        },
    );
    lasting.remember(move || (project.get(), text.get(), after.get()), list);
    browser::every(Duration::from_secs(4), move || list.refetch());
    let base = move || links::pipelines(&project.get());
    let create = move || {
        Suspend::new(async move {
            let allowed = reader.await.map_or(Ok(()), |me| me.may("pipeline.create"));
            view! { <ActionLink href=links::new_pipeline(&project.get_untracked()) class="btn btn--primary" label="New pipeline" allowed/> }
        })
    };
    view! {
        <div class="page">
            <PageHead title="Pipelines" lead="What runs, what ran, and what is drafted, by name." actions=move || view! { <Suspense>{create}</Suspense> }/>
            {move || view! {
                <SearchForm action=base() fields=FIELDS>
                    <div class="filters" role="search">
                        <div class="field field--grow">
                            <label class="field__label" for="p-text">"Search"</label>
                            <input class="input" id="p-text" name="text" type="search" placeholder="name, description, owner or purpose" value=text.get_untracked() prop:value=text data-search=""/>
                        </div>
                        <button class="btn" type="submit">"Search"</button>
                        {move || (!text.get().is_empty()).then(|| view! { <a class="btn btn--quiet" href=base()>"Clear"</a> })}
                    </div>
                </SearchForm>
            }}
            <Transition fallback=|| view! { <Loading/> }>
                {move || Suspend::new(async move {
                    let project = project.get_untracked();
                    let base = links::pipelines(&project);
                    match list.await {
                        Err(fault) if fault.is_signed_out() => view! { <FaultPage fault/> }.into_any(),
                        Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                        Ok(page) if page.items.is_empty() && !text.get_untracked().is_empty() => view! {
                            <Empty glyph=Glyph::Pipelines title="No pipeline matches" text="Nothing in this project has all these words in its name, description, owner or purpose.">
                                <a class="btn" href=base>"Show all"</a>
                            </Empty>
                        }
                        .into_any(),
                        Ok(page) => {
                            let (shown, words) = (page.items.len(), text.get_untracked());
                            let first = (!after.get_untracked().is_empty()).then(|| links::with_query(&base, [("text", words.as_str())]));
                            let next = page.next.map(|cursor| links::with_query(&base, [("text", words.as_str()), ("after", cursor.0.as_str())]));
                            let paged = next.is_some() || first.is_some();
                            view! {
                                <div class="stack">
                                    <PipelineTable project rows=page.items/>
                                    {paged.then(|| view! { <Pager shown noun="pipelines" next first/> })}
                                </div>
                            }
                            .into_any()
                        }
                    }
                })}
            </Transition>
        </div>
    }
}

/// Rows a second, rejects a second and lag of a whole pipeline: what its sources read, what any node rejects.
struct Flow {
    rows_in: f64,
    rejects: f64,
    lag: Option<u64>,
}

fn flow(row: &PipelineRow) -> Option<Flow> {
    let nodes = &row.rates.as_ref()?.nodes;
    let sources = nodes.iter().filter(|node| node.kind == NodeKind::Source);
    Some(Flow {
        rows_in: sources.map(|node| node.rows_in_per_second).sum(),
        rejects: nodes.iter().map(|node| node.rejects_per_second).sum(),
        lag: nodes.iter().filter_map(|node| node.lag).reduce(|a, b| a + b),
    })
}

/// Pipelines as a table; cards on a phone.
#[component]
pub fn PipelineTable(project: String, rows: Vec<PipelineRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! {
            <Empty
                glyph=Glyph::Pipelines
                title="No pipelines yet"
                text="A pipeline is one YAML document: sources, the steps that govern every row, and sinks. Start from an example and change it."
            >
                <a class="btn btn--primary" href=links::new_pipeline(&project)>"New pipeline"</a>
            </Empty>
        }
        .into_any();
    }
    let rows = rows
        .into_iter()
        .map(|row| {
            let now = flow(&row);
            let summary = row.summary;
            let number = |value: Option<String>| match value {
                Some(text) => text,
                None => "–".to_owned(),
            };
            let run = summary.last_run.clone();
            let quarantined = Some(row.held);
            let checkpoint = run.as_ref().and_then(|run| run.last_checkpoint_at);
            let version = match summary.deployed_version {
                Some(deployed) if deployed != summary.version => format!("v{deployed} runs, v{} is newer", summary.version),
                _ => format!("v{}", summary.version),
            };
            view! {
                <tr>
                    <td>
                        <a class="row-link" href=links::pipeline(&project, summary.name.as_str())>{summary.name.to_string()}</a>
                        <span class="cell-sub">{summary.description.unwrap_or_else(|| summary.purpose.clone())}</span>
                    </td>
                    <td data-label="State"><PipelineBadge state=summary.state/></td>
                    <td class="num" data-label="Rows/s">{number(now.as_ref().map(|now| format::short(now.rows_in)))}</td>
                    <td class="num" data-label="Rejects/s">{number(now.as_ref().map(|now| format::short(now.rejects)))}</td>
                    <td class="num" data-label="Lag">{number(now.and_then(|now| now.lag).map(|lag| format::short(lag as f64)))}</td>
                    <td class="num" class:zero=quarantined == Some(0) data-label="Quarantined">{number(quarantined.map(format::count))}</td>
                    <td class="num" data-label="Last checkpoint">{match checkpoint {
                        Some(at) => view! { <Ago at/> }.into_any(),
                        None => "–".into_any(),
                    }}</td>
                    <td class="muted nowrap" data-label="Version">{version}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-wrap">
            <table class="table table--cards">
                <caption class="visually-hidden">"Pipelines"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Pipeline"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="num">"Rows/s"</th>
                        <th scope="col" class="num">"Rejects/s"</th>
                        <th scope="col" class="num" title="Rows that wait at the sources">"Lag"</th>
                        <th scope="col" class="num" title="Rows held in quarantine, of all its runs">"Quarantined"</th>
                        <th scope="col" class="num">"Last checkpoint"</th>
                        <th scope="col">"Version"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Running and soon to run.
pub fn is_alive(state: PipelineState) -> bool {
    matches!(state, PipelineState::Running | PipelineState::Starting | PipelineState::Stopping)
}
