//! The graph of a pipeline, alive: rates as they come, and the chosen node's columns and rejects beside it.

use std::collections::VecDeque;

use leptos::prelude::*;
use weir_api::{GraphColumn, GraphNode, NodeCounters, NodeKind, RunRates};

use super::pipeline::NoGraph;
use crate::{
    browser,
    components::{
        badge::{ClassMark, StageMark},
        balance::Balance,
        editor::Findings,
        graph::{PipelineGraph, layout::Lane, rates_of},
        stat::{Sparkline, Stat},
        time::Ago,
    },
    format, links,
    server_fns::pipelines::PipelinePage as Data,
};

/// Readings kept for the lines of the recent past: two minutes.
const REMEMBERED: usize = 120;

#[component]
pub fn GraphTab(
    project: String,
    page: Data,
    live: Live,
    /// The chosen node, as the address has it. It outlives the tab, which is drawn anew with every answer.
    chosen: Memo<String>,
) -> impl IntoView {
    let name = page.pipeline.summary.name.to_string();
    let Some(graph) = page.pipeline.graph.clone() else {
        return view! { <NoGraph project name/> }.into_any();
    };
    let base = links::pipeline(&project, &name);
    let run = page.run.clone();
    let node_of = {
        let graph = graph.clone();
        move || chosen.with(|chosen| graph.nodes.iter().find(|node| &node.name == chosen).cloned())
    };
    let close = base.clone();
    let findings: Vec<_> = page.pipeline.diagnostics.iter().filter(|finding| finding.is_error()).cloned().collect();
    let leaks: Vec<_> = findings.iter().filter_map(|finding| finding.trail.clone()).collect();
    let found = (!findings.is_empty()).then(|| {
        view! {
            <section class="section" aria-labelledby="findings">
                <div class="section__head">
                    <h2 id="findings">"What stands against it"</h2>
                    {(!leaks.is_empty()).then(|| view! { <p>"The way of what would leak is drawn red."</p> })}
                </div>
                <Findings findings=Signal::stored(findings)/>
            </section>
        }
    });
    view! {
        <div class="stack">
            <LiveNumbers live graph_sources=sources(&graph.nodes) graph_sinks=sinks(&graph.nodes)/>
            <PipelineGraph graph leaks rates=live.rates.into() chosen=Signal::derive(move || Some(chosen.get())) base/>
            <Legend live/>
            {found}
            {move || match node_of() {
                Some(node) => {
                    let counters = run.as_ref().and_then(|run| run.pipeline_nodes.iter().find(|one| one.node == node.name).cloned());
                    view! { <NodePanel node counters live project=project.clone() pipeline=name.clone() close=close.clone()/> }.into_any()
                }
                None => view! { <p class="small muted">"Choose a node to see its columns, their classification and what it rejects."</p> }.into_any(),
            }}
        </div>
    }
    .into_any()
}

fn names(nodes: &[GraphNode], kind: NodeKind) -> Vec<String> {
    nodes.iter().filter(|node| node.kind == kind).map(|node| node.name.clone()).collect()
}

fn sources(nodes: &[GraphNode]) -> Vec<String> {
    names(nodes, NodeKind::Source)
}

fn sinks(nodes: &[GraphNode]) -> Vec<String> {
    names(nodes, NodeKind::Sink)
}

/// The newest reading, those before it, and whether they still come. It outlives what is drawn from it.
#[derive(Clone, Copy)]
pub struct Live {
    rates: RwSignal<Option<RunRates>>,
    past: RwSignal<VecDeque<RunRates>>,
    /// `None`: the run is not one that reports.
    up: RwSignal<Option<bool>>,
    /// The run that is listened to.
    run: RwSignal<Option<String>>,
}

impl Live {
    /// Listens to whichever run [`Live::follow`] named last.
    pub fn new(project: Memo<String>) -> Self {
        let live =
            Self { rates: RwSignal::new(None), past: RwSignal::default(), up: RwSignal::new(None), run: RwSignal::new(None) };
        Effect::new(move |_| {
            let Some(run) = live.run.get() else { return };
            let url = links::live(&project.get_untracked(), &run);
            let on_rates = move |text: String| {
                if let Ok(reading) = serde_json::from_str::<RunRates>(&text) {
                    live.take(reading);
                }
            };
            // The run, or the server, came to an end. If it was the server, the next look at the page takes the run up again.
            let on_end = move || {
                live.up.set(None);
                live.run.set(None);
            };
            browser::listen_to_rates(&url, on_rates, move |up| live.up.set(Some(up)), on_end);
        });
        live
    }

    fn take(self, reading: RunRates) {
        self.past.update(|past| {
            past.push_back(reading.clone());
            if past.len() > REMEMBERED {
                past.pop_front();
            }
        });
        self.rates.set(Some(reading));
    }

    /// Takes over what a page brought: its reading while none has come, and which run to listen to.
    pub fn follow(self, page: &Data) {
        let run = page.run.as_ref().filter(|run| !run.summary.state.is_over()).map(|run| run.summary.id.to_string());
        if self.run.get_untracked() != run {
            self.past.set(VecDeque::new());
            self.rates.set(None);
            self.up.set(None);
            self.run.set(run);
        }
        if let (Some(reading), true) = (&page.rates, self.rates.with_untracked(Option::is_none)) {
            self.take(reading.clone());
        }
    }
}

fn total(reading: &RunRates, nodes: &[String], of: impl Fn(&weir_api::NodeRates) -> f64) -> f64 {
    reading.nodes.iter().filter(|node| nodes.contains(&node.node)).map(of).sum()
}

/// Read, written, rejected and waiting, now and in the last two minutes.
#[component]
fn LiveNumbers(live: Live, graph_sources: Vec<String>, graph_sinks: Vec<String>) -> impl IntoView {
    let series = move |of: fn(&RunRates, &[String]) -> f64, nodes: Vec<String>| {
        let past = {
            let nodes = nodes.clone();
            Signal::derive(move || live.past.with(|past| past.iter().map(|reading| of(reading, &nodes)).collect::<Vec<_>>()))
        };
        let now = Signal::derive(move || {
            live.rates.with(|now| now.as_ref().map_or("–".to_owned(), |now| format::short(of(now, &nodes))))
        });
        (now, past)
    };
    let (read, reads) = series(|now, nodes| total(now, nodes, |node| node.rows_in_per_second), graph_sources);
    let (written, writes) = series(|now, nodes| total(now, nodes, |node| node.rows_in_per_second), graph_sinks);
    let (rejected, rejects) = series(|now, _| now.nodes.iter().map(|node| node.rejects_per_second).sum(), Vec::new());
    let lag = Signal::derive(move || {
        let lag =
            live.rates.with(|now| now.as_ref().and_then(|now| now.nodes.iter().filter_map(|node| node.lag).reduce(|a, b| a + b)));
        lag.map_or("–".to_owned(), |lag| format::short(lag as f64))
    });
    view! {
        <div class="stats">
            <Stat label="Read" value=read unit="rows/s"><Sparkline values=reads/></Stat>
            <Stat label="Written" value=written unit="rows/s"><Sparkline values=writes/></Stat>
            <Stat label="Rejected" value=rejected unit="rows/s"><Sparkline values=rejects/></Stat>
            <Stat label="Lag" value=lag unit="rows" note="wait at the sources".to_owned()/>
        </div>
    }
}

/// What the colours mean, and how fresh the numbers are.
#[component]
fn Legend(live: Live) -> impl IntoView {
    let classes = weir_api::Classification::ALL.map(|class| view! { <ClassMark class/> }).collect_view();
    let state = move || match live.up.get() {
        Some(true) => "Live: numbers change about once a second.",
        Some(false) => "The live connection was lost; trying again.",
        None => "",
    };
    view! {
        <div class="g-legend">
            <span>"An edge carries at most:"</span>
            {classes}
            <span role="status">{state}</span>
            {move || live.rates.with(|now| now.as_ref().map(|now| view! { <span>"Reading of " <Ago at=now.at/></span> }))}
        </div>
    }
}

/// Everything about one node.
#[component]
fn NodePanel(
    node: GraphNode,
    counters: Option<NodeCounters>,
    live: Live,
    project: String,
    pipeline: String,
    close: String,
) -> impl IntoView {
    let (lane, _) = Lane::of(&node);
    let masked = node.columns.iter().filter(|column| column.masked_by.is_some()).count() as u64;
    let columns = columns(&node.columns);
    let heading = if node.kind == NodeKind::Sink { "Columns it receives" } else { "Columns that leave it" };
    let quarantine =
        links::with_query(&links::quarantine(&project), [("pipeline", pipeline.as_str()), ("node", node.name.as_str())]);
    let (name, label) = (node.name.clone(), format!("Node {}", node.name));
    let now = move || {
        let reading = live.rates.with(|rates| rates_of(rates, &name))?;
        Some(format!(
            "{} rows/s in, {} rows/s out, {} rejects/s",
            format::short(reading.rows_in_per_second),
            format::short(reading.rows_out_per_second),
            format::short(reading.rejects_per_second)
        ))
    };
    let asks_consent = node.operator == "consent";
    let rejects = counters.map(|counters| rejects(counters, asks_consent, quarantine));
    view! {
        <section class=format!("panel c-{}", lane.as_str()) aria-label=label>
            <div class="panel__head">
                <div class="stack stack--tight">
                    <div class="row"><h2>{node.name}</h2><StageMark stage=lane.as_str()/></div>
                    <p class="small muted">{node.operator}{(!node.summary.is_empty()).then(|| format!(" · {}", node.summary))}</p>
                    {(!node.parts.is_empty()).then(|| view! { <p class="small muted">"Runs as: " {node.parts.join(" → ")}</p> })}
                    {move || now().map(|text| view! { <p class="small">{text}</p> })}
                </div>
                <a class="btn btn--small" href=close>"Close"</a>
            </div>
            {node.clearance.map(|class| view! { <p class="row small">"It may hold at most " <ClassMark class/></p> })}
            {rejects}
            <div class="stack stack--tight">
                <h3>{heading}{(masked > 0).then(|| format!(", {masked} masked"))}</h3>
                {columns}
            </div>
        </section>
    }
}

fn columns(columns: &[GraphColumn]) -> AnyView {
    if columns.is_empty() {
        return view! { <p class="small muted">"The document does not tell its columns."</p> }.into_any();
    }
    let items = columns
        .iter()
        .cloned()
        .map(|column| {
            let mut facts = vec![column.data_type];
            facts.extend(column.required.then(|| "required".to_owned()));
            facts.extend(column.masked_by.map(|operator| format!("masked by {operator}")));
            facts.extend(column.categories);
            view! {
                <li>
                    <code>{column.name}</code>
                    <ClassMark class=column.classification/>
                    <small>{facts.join(" · ")}</small>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="columns">{items}</ul> }.into_any()
}

/// The balance of the node, and which rules held rows back.
fn rejects(counters: NodeCounters, asks_consent: bool, quarantine: String) -> impl IntoView {
    let rules = counters.rule_failures.clone();
    let held = counters.held;
    let against = if asks_consent { "without consent" } else { "against a rule" };
    let told = [(counters.malformed, "malformed"), (counters.late, "late"), (counters.quarantined, against)];
    let told: Vec<String> =
        told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", format::count(*n))).collect();
    // A consent step decides on every row; what became of those whose consent is unknown is the document's to say.
    let (heading, note) = match asks_consent {
        true => (
            "Consent that was not granted",
            Some(
                "What the step found of each row's subject. What followed is in the sum above: a step may let some of them pass.",
            ),
        ),
        false => ("Failures by rule", None),
    };
    let rules = (!rules.is_empty()).then(|| {
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|(_, failures)| std::cmp::Reverse(*failures));
        let items = rules
            .into_iter()
            .map(|(rule, failures)| view! { <li><code>{rule}</code><span class="num">{format::count(failures)}</span></li> })
            .collect_view();
        view! {
            <div class="stack stack--tight">
                <h3>{heading}</h3>
                {note.map(|note| view! { <p class="small muted">{note}</p> })}
                <ul class="columns">{items}</ul>
            </div>
        }
    });
    view! {
        <div class="stack stack--tight">
            <h3>"Rows since its first start"</h3>
            <Balance node=counters/>
            {(!told.is_empty()).then(|| view! { <p class="small muted">"Of the rows that did not go on: " {told.join(", ")} "."</p> })}
            {(held > 0).then(|| view! {
                <p class="small"><a href=quarantine>{format!("Read why {} held here", format::plural(held, "row is", "rows are"))}</a></p>
            })}
        </div>
        {rules}
    }
}
