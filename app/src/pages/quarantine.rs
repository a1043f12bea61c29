//! Which rows were held back, and why?

use std::collections::BTreeSet;

use leptos::prelude::*;
use weir_api::{QuarantineEntry, QuarantineQuery};

use super::{given, query};
use crate::{
    components::{
        badge::StageMark,
        empty::{Empty, Loading},
        icon::Glyph,
        notice::{FaultNotice, FaultPage},
        page::{PageHead, Pager},
        search_form::SearchForm,
        time::Ago,
    },
    format, links,
    server_fns::quarantine,
    shell::use_project,
};

/// The filters of the address.
const FIELDS: &[&str] = &["pipeline", "node", "rule", "run"];

#[component]
pub fn QuarantinePage() -> impl IntoView {
    let project = use_project();
    view! {
        <div class="page">
            <PageHead title="Quarantine" lead="Rows that did not pass, each with every reason. What they hold stays sealed until someone who may opens one."/>
            {move || view! { <QuarantineList project=project.get() pipeline=None/> }}
        </div>
    }
}

/// The rows, with filters that live in the address.
#[component]
pub fn QuarantineList(project: String, pipeline: Option<String>) -> impl IntoView {
    let (of, node, rule, run, after) = (query("pipeline"), query("node"), query("rule"), query("run"), query("after"));
    let fixed = pipeline.is_some();
    let base = match &pipeline {
        Some(name) => links::pipeline_tab(&project, name, "quarantine"),
        None => links::quarantine(&project),
    };
    let list = Resource::new(
        {
            let (project, pipeline) = (project.clone(), pipeline.clone());
            move || {
                let query = QuarantineQuery {
                    pipeline: pipeline.clone().or_else(|| given(of.get())),
                    run: run.get().parse().ok(),
                    node: given(node.get()),
                    rule: given(rule.get()),
                    after: given(after.get()),
                    limit: None,
                };
                (project.clone(), query)
            }
        },
        |(project, query)| quarantine::quarantine(project, query),
    );
    let filtered = move || [of, node, rule, run].iter().any(|one| !one.get_untracked().is_empty());
    let field = |id: &'static str, label: &'static str, hint: &'static str, value: Memo<String>| {
        view! {
            <div class="field">
                <label class="field__label" for=format!("q-{id}")>{label}</label>
                <input class="input" id=format!("q-{id}") name=id placeholder=hint prop:value=value value=value.get_untracked() list=format!("q-{id}-known") data-search=(id == "rule").then_some("")/>
            </div>
        }
    };
    let held = Resource::new(
        {
            let project = project.clone();
            move || project.clone()
        },
        quarantine::held,
    );
    // What there is to choose: the pipelines and nodes that hold rows, and the rules of the rows that are shown.
    let known = {
        let pipeline = pipeline.clone();
        move || {
            let pipeline = pipeline.clone();
            Suspend::new(async move {
                let held = held.await.unwrap_or_default();
                let rows = list.await.map(|page| page.items).unwrap_or_default();
                let pipelines: BTreeSet<String> = held.iter().map(|held| held.pipeline.to_string()).collect();
                let here = held.iter().filter(|held| pipeline.as_ref().is_none_or(|name| held.pipeline.as_str() == name));
                let nodes: BTreeSet<String> = here.map(|held| held.node.clone()).collect();
                let rules: BTreeSet<String> =
                    rows.iter().flat_map(|row| &row.reasons).map(|reason| reason.rule.clone()).collect();
                view! { {choices("q-pipeline-known", pipelines)} {choices("q-node-known", nodes)} {choices("q-rule-known", rules)} }
            })
        }
    };
    let all = base.clone();
    view! {
        <Transition>{known}</Transition>
        <SearchForm action=base.clone() fields=FIELDS>
            <div class="filters">
                {(!fixed).then(|| field("pipeline", "Pipeline", "any", of))}
                {field("node", "Source or step", "any", node)}
                {field("rule", "Rule", "any, such as not_null(card)", rule)}
                // A run is chosen by a link from its page; the form keeps it.
                <input type="hidden" name="run" value=run.get_untracked() prop:value=run/>
                {move || (!run.get().is_empty()).then(|| view! { <span class="tag">"of one run"</span> })}
                <button class="btn" type="submit">"Filter"</button>
                {move || [of, node, rule, run].iter().any(|one| !one.get().is_empty()).then(|| view! { <a class="btn btn--quiet" href=all.clone()>"Clear"</a> })}
            </div>
        </SearchForm>
        <Transition fallback=|| view! { <Loading/> }>
            {move || {
                let (project, base) = (project.clone(), base.clone());
                Suspend::new(async move {
                    match list.await {
                        Err(fault) if fault.is_signed_out() => view! { <FaultPage fault/> }.into_any(),
                        Err(fault) => view! { <FaultNotice fault/> }.into_any(),
                        Ok(page) if page.items.is_empty() && filtered() => view! {
                            <Empty glyph=Glyph::Quarantine title="No row was held for that" text="Nothing in quarantine matches the filter.">
                                <a class="btn" href=base>"Show all"</a>
                            </Empty>
                        }
                        .into_any(),
                        Ok(page) if page.items.is_empty() => view! {
                            <Empty
                                glyph=Glyph::Quarantine title="Nothing is held back"
                                text="Every row passed its contract and its rules, or nothing has flowed yet. Rows that fail appear here with every reason."
                            >
                                <a class="btn" href=links::pipelines(&project)>"See the pipelines"</a>
                            </Empty>
                        }
                        .into_any(),
                        Ok(page) => {
                            let shown = page.items.len();
                            let filters = [("pipeline", of.get_untracked()), ("node", node.get_untracked()), ("rule", rule.get_untracked()), ("run", run.get_untracked())];
                            let next = page.next.map(|cursor| {
                                links::with_query(&base, filters.iter().map(|(name, value)| (*name, value.as_str())).chain([("after", cursor.0.as_str())]))
                            });
                            let first = (!after.get_untracked().is_empty()).then(|| base.clone());
                            let rows = page.items.into_iter().map(|entry| row(&project, entry, fixed)).collect_view();
                            view! {
                                <div class="stack">
                                    <div class="table-wrap">
                                        <table class="table table--cards">
                                            <caption class="visually-hidden">"Quarantined rows, newest first"</caption>
                                            <thead>
                                                <tr>
                                                    <th scope="col">"Why"</th>
                                                    <th scope="col">"Held by"</th>
                                                    {(!fixed).then(|| view! { <th scope="col">"Pipeline"</th> })}
                                                    <th scope="col">"Contract"</th>
                                                    <th scope="col">"Position"</th>
                                                    <th scope="col" class="num">"When"</th>
                                                </tr>
                                            </thead>
                                            <tbody>{rows}</tbody>
                                        </table>
                                    </div>
                                    <Pager shown noun="rows" next first/>
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

/// What a field may be given, for the browser to offer.
fn choices(id: &'static str, values: BTreeSet<String>) -> impl IntoView {
    view! { <datalist id=id>{values.into_iter().map(|value| view! { <option value=value></option> }).collect_view()}</datalist> }
}

fn row(project: &str, entry: QuarantineEntry, fixed: bool) -> impl IntoView + use<> {
    let first = entry.reasons.first().map_or_else(|| "no reason was recorded".to_owned(), |reason| reason.message.clone());
    let more = entry.reasons.len().saturating_sub(1) as u64;
    let more = (more > 0).then(|| format!("and {}", format::plural(more, "more reason", "more reasons")));
    let rules = entry.reasons.iter().map(|reason| reason.rule.clone()).collect::<Vec<_>>().join(", ");
    let position = position(&entry);
    view! {
        <tr>
            <td>
                <a class="row-link" href=links::quarantine_row(project, &entry.segment.to_string(), entry.row)>{first}</a>
                <span class="cell-sub"><code>{rules}</code> " " {more}</span>
            </td>
            <td data-label="Held by"><StageMark stage=entry.stage/><span class="cell-sub">{entry.node}</span></td>
            {(!fixed).then(|| view! { <td data-label="Pipeline">{entry.pipeline.to_string()}</td> })}
            <td data-label="Contract">{entry.contract.unwrap_or_else(|| "–".to_owned())}</td>
            <td data-label="Position"><span class="cell-sub break">{position}</span></td>
            <td class="num" data-label="When"><Ago at=entry.at/></td>
        </tr>
    }
}

/// Where a row came from, in words.
pub fn position(entry: &QuarantineEntry) -> String {
    let byte = entry.byte.map(|byte| format!(", byte {}", format::count(byte))).unwrap_or_default();
    // A file's partition is its name; a number alone would say nothing.
    let numbered = entry.partition.bytes().all(|byte| byte.is_ascii_digit());
    let partition = if numbered { format!("partition {}", entry.partition) } else { entry.partition.clone() };
    // What was never decoded is a line of text. People count from 1.
    let what = if entry.byte.is_some() { "line" } else { "row" };
    format!("{}, {partition}, {what} {}{byte}", entry.source, format::count(entry.offset + 1))
}
